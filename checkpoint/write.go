package checkpoint

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"quadrant/internal/atomicfile"
)

// WriteSafetensors writes tensors and metadata to path. The file is canonical: the same
// tensors give the same bytes in whatever order they come, the wider types first and
// then by name, so that each is aligned to its type. It appears at path complete or not
// at all: it is written under another name in the same folder, synced and renamed.
func WriteSafetensors(path string, tensors []Tensor, metadata map[string]string) error {
	outputs, err := outputsOf(tensors)
	if err == nil {
		err = writeOutputs(path, outputs, metadata)
	}
	if err != nil {
		return fmt.Errorf("checkpoint: write %s: %w", path, err)
	}
	return nil
}

// An output is a tensor to write, whose bytes need not be in memory before.
type output struct {
	name, dtype string
	shape       []int
	size        int64 // bytes that write writes
	write       func(io.Writer) error
}

func outputsOf(tensors []Tensor) ([]output, error) {
	outputs := make([]output, len(tensors))
	for i, t := range tensors {
		if err := t.check(); err != nil {
			return nil, err
		}
		size := int64(len(t.Data))
		if t.Strides != nil {
			size, _ = byteSize(t.DType, t.Shape)
		}
		outputs[i] = output{t.Name, t.DType, t.Shape, size, func(w io.Writer) error {
			t, err := t.Contiguous()
			if err == nil {
				_, err = w.Write(t.Data)
			}
			return err
		}}
	}
	return outputs, nil
}

func writeOutputs(path string, outputs []output, metadata map[string]string) error {
	outputs = slices.Clone(outputs)
	slices.SortStableFunc(outputs, func(a, b output) int {
		return cmp.Or(cmp.Compare(widths[b.dtype], widths[a.dtype]), cmp.Compare(a.name, b.name))
	})
	header, err := encodeHeader(outputs, metadata)
	if err != nil {
		return err
	}
	return atomicfile.Write(path, func(w io.Writer) error { return writeAll(w, header, outputs) })
}

// encodeHeader checks the outputs' names and returns their header, its length first, padded
// with spaces to a multiple of 8 bytes.
func encodeHeader(outputs []output, metadata map[string]string) ([]byte, error) {
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
	for _, o := range outputs {
		if seen[o.name] {
			return nil, fmt.Errorf("name %q occurs twice, or is the name of the metadata", o.name)
		}
		if !utf8.ValidString(o.name) || !utf8.ValidString(o.dtype) {
			return nil, fmt.Errorf("tensor %q of type %q: not UTF-8", o.name, o.dtype)
		}
		seen[o.name] = true
		header = append(appendJSON(header, o.name), ':')
		header = appendJSON(header, struct {
			DType   string   `json:"dtype"`
			Shape   []int    `json:"shape"`
			Offsets [2]int64 `json:"data_offsets"`
		}{o.dtype, append([]int{}, o.shape...), [2]int64{at, at + o.size}})
		header = append(header, ',')
		at += o.size
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
		return nil, fmt.Errorf("the header of %d tensors takes %d bytes, want at most %d", len(outputs), n, maxHeader)
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

func writeAll(w io.Writer, header []byte, outputs []output) error {
	b := bufio.NewWriterSize(w, 1<<20)
	_, _ = b.Write(header) // Flush returns the first error
	for _, o := range outputs {
		if err := o.write(b); err != nil {
			return err
		}
	}
	return b.Flush()
}
