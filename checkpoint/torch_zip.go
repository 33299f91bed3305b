package checkpoint

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"unicode/utf8"
)

// The records of a zip file that matter here, by their first four bytes (PKWARE's
// APPNOTE.TXT, sections 4.3.7, 4.3.12 and 4.3.14 to 4.3.16).
const (
	zipLocal     = "PK\x03\x04"
	zipCentral   = "PK\x01\x02"
	zipEnd       = "PK\x05\x06"
	zip64End     = "PK\x06\x06"
	zip64Locator = "PK\x06\x07"

	zipLocalLen, zipCentralLen, zipEndLen, zip64EndLen, zip64LocatorLen = 30, 46, 22, 56, 20

	maxZipEntries = 1 << 20
)

// A zipEntry is a file within a zip file, its bytes within those of the zip file.
type zipEntry struct {
	name       string
	begin, end int64 // of the header and the data that follows it
	data       []byte
}

// zipEntries lists the entries of a zip file, which are stored as they are: one that is
// compressed or encrypted is an error, so that no small file becomes a large one. Checksums
// are not compared: it would mean reading all weights, and PyTorch may leave them out.
func zipEntries(file []byte) ([]zipEntry, error) {
	directory, count, err := zipDirectory(file)
	if err != nil {
		return nil, err
	}
	limit := int64(len(file) - len(directory)) // no entry can end beyond it
	entries := make([]zipEntry, 0, count)
	seen := map[string]bool{}
	for rest := directory; len(entries) < count; {
		e, n, err := zipRecord(file, rest, limit)
		if err != nil {
			return nil, fmt.Errorf("zip entry %d of %d: %w", len(entries)+1, count, err)
		}
		if seen[e.name] {
			return nil, fmt.Errorf("zip entry %q occurs twice", e.name)
		}
		seen[e.name] = true
		entries, rest = append(entries, e), rest[n:]
	}
	ordered := slices.SortedFunc(slices.Values(entries), func(a, b zipEntry) int { return cmp.Compare(a.begin, b.begin) })
	for i := 1; i < len(ordered); i++ {
		if a, b := ordered[i-1], ordered[i]; b.begin < a.end {
			return nil, fmt.Errorf("zip entries %q and %q overlap: the first ends at byte %d, the second begins at %d", a.name, b.name, a.end, b.begin)
		}
	}
	return entries, nil
}

// zipDirectory finds the central directory of a zip file and the number of its entries.
func zipDirectory(file []byte) ([]byte, int, error) {
	at := -1
	for i := len(file) - zipEndLen; i >= 0 && i >= len(file)-zipEndLen-1<<16+1; i-- {
		if bytes.HasPrefix(file[i:], []byte(zipEnd)) && i+zipEndLen+int(le16(file[i+20:])) == len(file) {
			at = i
			break
		}
	}
	if at < 0 {
		return nil, 0, fmt.Errorf("the zip file's directory is not at its end: the file of %d bytes is cut off, or is no zip file", len(file))
	}
	end := file[at:]
	count, size, offset := uint64(le16(end[10:])), uint64(le32(end[12:])), uint64(le32(end[16:]))
	limit := at // of the directory
	if l := at - zip64LocatorLen; l >= 0 && bytes.HasPrefix(file[l:], []byte(zip64Locator)) {
		where := binary.LittleEndian.Uint64(file[l+8:])
		if where > uint64(l) || uint64(l)-where < zip64EndLen || !bytes.HasPrefix(file[where:], []byte(zip64End)) {
			return nil, 0, fmt.Errorf("the zip file's ZIP64 record is not at byte %d, where it should be", where)
		}
		r := file[where:]
		count, size, offset = binary.LittleEndian.Uint64(r[32:]), binary.LittleEndian.Uint64(r[40:]), binary.LittleEndian.Uint64(r[48:])
		limit = int(where)
	}
	if offset > uint64(limit) || size > uint64(limit)-offset {
		return nil, 0, fmt.Errorf("the zip file's directory has %d bytes from byte %d on, want it to end before byte %d", size, offset, limit)
	}
	if count > maxZipEntries || count*zipCentralLen > size {
		return nil, 0, fmt.Errorf("the zip file has %d entries in a directory of %d bytes, want at most %d, of at least %d bytes each", count, size, maxZipEntries, zipCentralLen)
	}
	return file[offset : offset+size], int(count), nil
}

// zipRecord reads the entry that the directory describes at the beginning of rest, and
// returns the length of the description. No entry ends beyond limit.
func zipRecord(file, rest []byte, limit int64) (zipEntry, int, error) {
	if len(rest) < zipCentralLen || !bytes.HasPrefix(rest, []byte(zipCentral)) {
		return zipEntry{}, 0, fmt.Errorf("the directory ends too early or is damaged")
	}
	names, extras, comments := int(le16(rest[28:])), int(le16(rest[30:])), int(le16(rest[32:]))
	n := zipCentralLen + names + extras + comments
	if n > len(rest) {
		return zipEntry{}, 0, fmt.Errorf("its description takes %d bytes, but the directory has only %d left", n, len(rest))
	}
	e := zipEntry{name: string(rest[zipCentralLen : zipCentralLen+names])}
	if !utf8.ValidString(e.name) {
		return e, 0, fmt.Errorf("name %q is not UTF-8", e.name)
	}
	if flags := le16(rest[8:]); flags&1 != 0 {
		return e, 0, fmt.Errorf("%q is encrypted", e.name)
	}
	if method := le16(rest[10:]); method != 0 {
		return e, 0, fmt.Errorf("%q is compressed (method %d), but torch.save stores entries as they are: load it in Python and save it again with torch.save", e.name, method)
	}
	packed, size, offset, err := zipSizes(rest, rest[zipCentralLen+names:][:extras])
	if err != nil {
		return e, 0, fmt.Errorf("%q: %w", e.name, err)
	}
	if packed != size {
		return e, 0, fmt.Errorf("%q has %d bytes, but %d stored: want them equal", e.name, size, packed)
	}
	if offset > uint64(limit) || uint64(limit)-offset < zipLocalLen || !bytes.HasPrefix(file[offset:], []byte(zipLocal)) {
		return e, 0, fmt.Errorf("%q does not begin at byte %d of %d, where the directory says", e.name, offset, len(file))
	}
	local := file[offset:]
	head := uint64(zipLocalLen) + uint64(le16(local[26:])) + uint64(le16(local[28:]))
	if left := uint64(limit) - offset; head > left || size > left-head {
		return e, 0, fmt.Errorf("%q has %d bytes from byte %d on, but entries end at byte %d", e.name, size, offset+head, limit)
	}
	if name := local[zipLocalLen:][:le16(local[26:])]; string(name) != e.name {
		return e, 0, fmt.Errorf("%q is called %.100q at byte %d, where it lies", e.name, name, offset)
	}
	e.begin, e.end = int64(offset), int64(offset+head+size)
	e.data = local[head : head+size : head+size]
	return e, n, nil
}

// zipSizes returns the size of an entry as it is stored, its real size, and its offset: from
// its record, or where the record says that they do not fit there, from the ZIP64 field.
func zipSizes(record, extra []byte) (packed, size, offset uint64, err error) {
	packed, size, offset = uint64(le32(record[20:])), uint64(le32(record[24:])), uint64(le32(record[42:]))
	const elsewhere = 1<<32 - 1
	if packed != elsewhere && size != elsewhere && offset != elsewhere {
		return packed, size, offset, nil
	}
	for len(extra) >= 4 {
		id, n := le16(extra), int(le16(extra[2:]))
		if n > len(extra)-4 {
			break
		}
		field := extra[4 : 4+n]
		extra = extra[4+n:]
		if id != 1 {
			continue
		}
		for _, v := range []*uint64{&size, &packed, &offset} {
			if *v != elsewhere {
				continue
			}
			if len(field) < 8 {
				return 0, 0, 0, fmt.Errorf("its ZIP64 field has only %d bytes", n)
			}
			*v, field = binary.LittleEndian.Uint64(field), field[8:]
		}
		return packed, size, offset, nil
	}
	return 0, 0, 0, fmt.Errorf("its sizes should be in a ZIP64 field, but it has none")
}

func le16(b []byte) uint16 { return binary.LittleEndian.Uint16(b) }
func le32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
