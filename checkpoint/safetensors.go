package checkpoint

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
)

// maxHeader bounds the header of a safetensors file, in bytes, as the format's own
// library does.
const maxHeader = 100_000_000

// Safetensors is an open safetensors file (https://github.com/huggingface/safetensors):
// eight bytes of header length, a JSON header, the tensors' bytes. Methods may be called
// concurrently, except Close.
type Safetensors struct {
	Tensors  []Tensor          // in the order of the header
	Metadata map[string]string // "__metadata__"; nil where there is none

	index map[string]int // of each name in Tensors
	file  []byte
}

// ReadSafetensors opens the file at path and checks its header against its size. The
// tensors' bytes are mapped (on Linux and macOS), not read: opening costs the header
// only. The file must not be shortened while it is open.
func ReadSafetensors(path string) (*Safetensors, error) {
	file, err := mapFile(path)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	s, err := parse(file)
	if err != nil {
		_ = unmapFile(file)
		return nil, fmt.Errorf("checkpoint: %s: %w", path, err)
	}
	return s, nil
}

// Tensor returns the tensor called name.
func (s *Safetensors) Tensor(name string) (Tensor, bool) {
	i, ok := s.index[name]
	if !ok {
		return Tensor{}, false
	}
	return s.Tensors[i], true
}

// Close gives the file back. The Data of its tensors must not be used after it.
func (s *Safetensors) Close() error {
	file := s.file
	s.Tensors, s.index, s.file = nil, nil, nil
	if file == nil {
		return nil
	}
	if err := unmapFile(file); err != nil {
		return fmt.Errorf("checkpoint: close: %w", err)
	}
	return nil
}

// openRegular opens the file at path and returns its size, refusing what has none.
func openRegular(path string) (*os.File, int, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file (%s)", path, info.Mode())
	}
	if err == nil && info.Size() != int64(int(info.Size())) {
		err = fmt.Errorf("%s has %d bytes, more than this machine can address", path, info.Size())
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, int(info.Size()), nil
}

// parse reads a whole safetensors file.
func parse(file []byte) (*Safetensors, error) {
	header, data, err := split(file)
	if err != nil {
		return nil, err
	}
	s := &Safetensors{index: map[string]int{}, file: file}
	entries, metadata, err := parseHeader(header)
	if err != nil {
		return nil, err
	}
	s.Metadata = metadata
	for i, e := range entries {
		if e.begin > e.end || e.end > int64(len(data)) {
			return nil, fmt.Errorf("tensor %q: data_offsets are [%d, %d], want a range within the %d bytes of data", e.Name, e.begin, e.end, len(data))
		}
		e.Data = data[e.begin:e.end:e.end]
		if err := e.check(); err != nil {
			return nil, err
		}
		s.index[e.Name] = i
		s.Tensors = append(s.Tensors, e.Tensor)
	}
	return s, covered(entries, int64(len(data)))
}

// split finds the header and the data of a file.
func split(file []byte) (header, data []byte, err error) {
	if len(file) < 8 {
		return nil, nil, fmt.Errorf("%d bytes is too short for a safetensors file, which begins with 8 bytes of header length%s", len(file), hint(file))
	}
	n, rest := binary.LittleEndian.Uint64(file), file[8:]
	if n > maxHeader {
		return nil, nil, fmt.Errorf("header length is %d bytes, want at most %d%s", n, maxHeader, hint(file))
	}
	if n > uint64(len(rest)) {
		return nil, nil, fmt.Errorf("header length is %d bytes, but the file has only %d after it%s", n, len(rest), hint(file))
	}
	return rest[:n], rest[n:], nil
}

// hint says what a file that is not safetensors looks like.
func hint(file []byte) string {
	for _, known := range []struct{ magic, is string }{
		{"PK\x03\x04", "looks like a torch (zip) file"},
		{"\x80\x02", "looks like an old torch (pickle) file"},
		{"GGUF", "looks like a GGUF file"},
		{"version https://git-lfs", "looks like a Git LFS pointer: fetch the real file with 'git lfs pull'"},
		{"<", "looks like a web page"},
	} {
		if bytes.HasPrefix(file, []byte(known.magic)) {
			return " (" + known.is + ")"
		}
	}
	return ""
}

// covered tells whether the tensors fill the data without overlaps or holes.
func covered(entries []entry, size int64) error {
	entries = slices.Clone(entries)
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end))
	})
	at, before := int64(0), ""
	for _, e := range entries {
		switch {
		case e.begin < at:
			return fmt.Errorf("tensors %q and %q overlap: the first ends at byte %d, the second begins at %d", before, e.Name, at, e.begin)
		case e.begin > at:
			return fmt.Errorf("bytes %d to %d of the data, before tensor %q, belong to no tensor", at, e.begin, e.Name)
		}
		at, before = e.end, e.Name
	}
	if at < size {
		return fmt.Errorf("the tensors end at byte %d, but the file has %d bytes of data", at, size)
	}
	return nil
}
