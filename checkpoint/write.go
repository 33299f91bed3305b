package checkpoint

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"unicode/utf8"
)

// WriteSafetensors writes tensors and metadata to path. The file is canonical: the same
// tensors give the same bytes in whatever order they come, the wider types first and
// then by name, so that each is aligned to its type. It appears at path complete or not
// at all: it is written under another name in the same folder, synced and renamed.
func WriteSafetensors(path string, tensors []Tensor, metadata map[string]string) error {
	tensors = slices.Clone(tensors)
	slices.SortStableFunc(tensors, func(a, b Tensor) int {
		return cmp.Or(cmp.Compare(widths[b.DType], widths[a.DType]), cmp.Compare(a.Name, b.Name))
	})
	header, err := encodeHeader(tensors, metadata)
	if err == nil {
		err = replace(path, func(w io.Writer) error { return writeAll(w, header, tensors) })
	}
	if err != nil {
		return fmt.Errorf("checkpoint: write %s: %w", path, err)
	}
	return nil
}

// encodeHeader checks the tensors and returns their header, its length first, padded
// with spaces to a multiple of 8 bytes.
func encodeHeader(tensors []Tensor, metadata map[string]string) ([]byte, error) {
	header := append(make([]byte, 8), '{')
	if metadata != nil {
		for key, value := range metadata {
			if !utf8.ValidString(key) || !utf8.ValidString(value) {
				return nil, fmt.Errorf("metadata %q: %q is not UTF-8", key, value)
			}
		}
		header = append(header, `"`+metadataKey+`":`...)
		header = append(appendJSON(header, metadata), ',')
	}
	seen, at := map[string]bool{metadataKey: true}, int64(0)
	for _, t := range tensors {
		if seen[t.Name] {
			return nil, fmt.Errorf("name %q occurs twice, or is the name of the metadata", t.Name)
		}
		if !utf8.ValidString(t.Name) || !utf8.ValidString(t.DType) {
			return nil, fmt.Errorf("tensor %q of type %q: not UTF-8", t.Name, t.DType)
		}
		if err := t.check(); err != nil {
			return nil, err
		}
		seen[t.Name] = true
		end := at + int64(len(t.Data))
		header = append(appendJSON(header, t.Name), ':')
		header = appendJSON(header, struct {
			DType   string   `json:"dtype"`
			Shape   []int    `json:"shape"`
			Offsets [2]int64 `json:"data_offsets"`
		}{t.DType, append([]int{}, t.Shape...), [2]int64{at, end}})
		header = append(header, ',')
		at = end
	}
	if last := len(header) - 1; header[last] == ',' {
		header = header[:last]
	}
	header = append(header, '}')
	for len(header)%8 != 0 {
		header = append(header, ' ')
	}
	n := len(header) - 8
	if n > maxHeader {
		return nil, fmt.Errorf("the header of %d tensors takes %d bytes, want at most %d", len(tensors), n, maxHeader)
	}
	binary.LittleEndian.PutUint64(header, uint64(n))
	return header, nil
}

// appendJSON appends the JSON of v, of a type that always has one.
func appendJSON(dst []byte, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return append(dst, text...)
}

func writeAll(w io.Writer, header []byte, tensors []Tensor) error {
	b := bufio.NewWriterSize(w, 1<<20)
	_, _ = b.Write(header) // Flush returns the first error
	for _, t := range tensors {
		_, _ = b.Write(t.Data)
	}
	return b.Flush()
}

// replace puts a file that write fills in the place of the one at path, if any. On
// failure that one stays as it was, and nothing else is left behind.
func replace(path string, write func(io.Writer) error) error {
	temporary := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%016x.tmp", filepath.Base(path), rand.Uint64()))
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(temporary))
	}
	return err
}
