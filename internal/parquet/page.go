package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"math/bits"
)

// Types of pages.
const (
	pageData   = 0
	pageIndex  = 1
	pageDict   = 2
	pageDataV2 = 3
)

// Encodings of values.
const (
	encodingPlain      = 0
	encodingPlainDict  = 2
	encodingRLE        = 3
	encodingDelta      = 5
	encodingDeltaBytes = 6 // lengths, then all bytes
	encodingDeltaFront = 7 // what each value shares with the one before, then the rest
	encodingDict       = 8
	encodingSplit      = 9 // first bytes of all values, second bytes, ...
)

// A header is what a page says of itself.
type header struct {
	kind             int64
	unpacked, packed int64  // bytes
	sum              uint32 // 0 if there is none
	known            bool   // whether it has the part that its kind needs
	values           int64
	encoding         int64
	levels           int64 // encoding of the definition levels
	repBytes         int64 // of the levels of a page of the second version
	defBytes         int64
	raw              bool // the second version's way to say that values are not packed
}

// header reads a page's header.
func (t *compact) header() header {
	h := header{kind: -1, levels: encodingRLE}
	t.structure(func(id int16, kind byte) bool {
		switch {
		case id == 1 && kind == thriftI32:
			h.kind = t.int()
		case id == 2 && kind == thriftI32:
			h.unpacked = t.int()
		case id == 3 && kind == thriftI32:
			h.packed = t.int()
		case id == 4 && kind == thriftI32:
			h.sum = uint32(t.int())
		case id == 5 && kind == thriftStruct && h.kind == pageData, id == 7 && kind == thriftStruct && h.kind == pageDict:
			h.known = true
			t.integers(map[int16]*int64{1: &h.values, 2: &h.encoding, 3: &h.levels})
		case id == 8 && kind == thriftStruct && h.kind == pageDataV2:
			h.known = true
			t.pageV2(&h)
		default:
			return false
		}
		return true
	})
	return h
}

// pageV2 reads the header of a data page of the second version.
func (t *compact) pageV2(h *header) {
	numbers := map[int16]*int64{1: &h.values, 4: &h.encoding, 5: &h.defBytes, 6: &h.repBytes}
	t.structure(func(id int16, kind byte) bool {
		switch {
		case id == 7:
			h.raw = kind == thriftFalse
		case numbers[id] != nil && kind == thriftI32:
			*numbers[id] = t.int()
		default:
			return false
		}
		return true
	})
}

// The pages of a chunk.
type pages struct {
	in    io.ReaderAt
	at    int64 // of the next
	end   int64
	codec int64
	sums  bool // check them
}

// maxHeader is the bytes of the longest header of a page, in which some writers put the least and the
// greatest value.
const maxHeader = 128 << 20

// next is the next page and its content as it lies in the file, or io.EOF.
func (p *pages) next() (header, []byte, error) {
	if p.at >= p.end {
		return header{}, nil, io.EOF
	}
	h, n, err := p.header()
	if err != nil {
		return h, nil, err
	}
	if h.packed < 0 || h.packed > p.end-p.at-n {
		return h, nil, fmt.Errorf("a page of %d bytes where %d are left", h.packed, p.end-p.at-n)
	}
	if h.unpacked < 0 || h.unpacked > math.MaxInt32 || h.values < 0 || h.values > math.MaxInt32 {
		return h, nil, fmt.Errorf("a page of %d values in %d bytes", h.values, h.unpacked)
	}
	data := make([]byte, h.packed)
	if _, err := p.in.ReadAt(data, p.at+n); err != nil {
		return h, nil, short(err)
	}
	p.at += n + h.packed
	if p.sums && h.sum != 0 && crc32.ChecksumIEEE(data) != h.sum {
		return h, nil, fmt.Errorf("a page's checksum is %08x, and its header says %08x", crc32.ChecksumIEEE(data), h.sum)
	}
	return h, data, nil
}

// header reads the next header, and its length, looking at as much as that takes.
func (p *pages) header() (header, int64, error) {
	for size := int64(256); ; size *= 8 {
		b := make([]byte, min(size, p.end-p.at, maxHeader))
		if _, err := p.in.ReadAt(b, p.at); err != nil {
			return header{}, 0, short(err)
		}
		t := &compact{b: b}
		h := t.header()
		switch {
		case t.err == nil:
			return h, int64(t.at), nil
		case !errors.Is(t.err, errShort) || int64(len(b)) < size:
			return h, 0, fmt.Errorf("a page's header: %w", t.err)
		}
	}
}

// short says of a file that has shrunk what that means.
func short(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// levels of a page, which say where lists begin and what is null.
type levels struct{ rep, def hybrid }

// A page is the unpacked values of a data page, and their levels.
type page struct {
	levels
	values int64
	data   []byte
}

// open unpacks a data page of column c.
func (p *pages) open(c Column, h header, data []byte) (page, error) {
	pg := page{values: h.values}
	rep, def := uint(bits.Len(uint(c.maxRep))), uint(bits.Len(uint(c.maxDef)))
	if h.kind == pageDataV2 {
		r, d := h.repBytes, h.defBytes
		if r < 0 || d < 0 || r > h.packed || d > h.packed-r || r+d > h.unpacked {
			return pg, fmt.Errorf("levels of %d and %d bytes in a page of %d", r, d, h.packed)
		}
		pg.rep, pg.def = hybrid{b: data[:r], width: rep}, hybrid{b: data[r : r+d], width: def}
		codec := p.codec
		if h.raw {
			codec = codecNone
		}
		var err error
		pg.data, err = unpack(codec, data[r+d:], h.unpacked-r-d)
		return pg, err
	}
	var err error
	if pg.data, err = unpack(p.codec, data, h.unpacked); err != nil {
		return pg, err
	}
	if rep > 0 {
		pg.rep.width = rep
		if pg.rep.b, pg.data, err = sized(pg.data); err != nil {
			return pg, err
		}
	}
	if def > 0 {
		if h.levels != encodingRLE {
			return pg, fmt.Errorf("levels in encoding %d, of which only %d is supported", h.levels, encodingRLE)
		}
		pg.def.width = def
		pg.def.b, pg.data, err = sized(pg.data)
	}
	return pg, err
}

// sized divides b into what its first four bytes say the length of, and the rest.
func sized(b []byte) (first, rest []byte, err error) {
	if len(b) < 4 {
		return nil, nil, errValues
	}
	n := binary.LittleEndian.Uint32(b)
	if b = b[4:]; uint64(n) > uint64(len(b)) {
		return nil, nil, errValues
	}
	return b[:n], b[n:], nil
}
