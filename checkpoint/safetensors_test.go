package checkpoint

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// image is a safetensors file of a header and n bytes of data.
func image(header string, n int) []byte {
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	file = append(file, header...)
	for i := range n {
		file = append(file, byte(i))
	}
	return file
}

func write(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.safetensors")
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRead(t *testing.T) {
	header := `{"b":{"dtype":"F32","shape":[1,2],"data_offsets":[3,11]},` +
		`"__metadata__":{"format":"pt"},` +
		`"a":{"shape":[3],"dtype":"U8","data_offsets":[0,3]},` +
		`"odd":{"dtype":"F3","shape":[5],"data_offsets":[11,13]},` +
		`"none":{"dtype":"F16","shape":[0,7],"data_offsets":[11,11]},` +
		`"one":{"dtype":"BOOL","shape":[],"data_offsets":[13,14]}}   `
	s, err := ReadSafetensors(write(t, image(header, 14)))
	if err != nil {
		t.Fatal(err)
	}
	want := []Tensor{
		{Name: "b", DType: "F32", Shape: []int{1, 2}, Data: []byte{3, 4, 5, 6, 7, 8, 9, 10}},
		{Name: "a", DType: "U8", Shape: []int{3}, Data: []byte{0, 1, 2}},
		{Name: "odd", DType: "F3", Shape: []int{5}, Data: []byte{11, 12}},
		{Name: "none", DType: "F16", Shape: []int{0, 7}, Data: []byte{}},
		{Name: "one", DType: "BOOL", Shape: []int{}, Data: []byte{13}},
	}
	if diff := cmp.Diff(want, s.Tensors); diff != "" {
		t.Errorf("tensors (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"format": "pt"}, s.Metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	if a, ok := s.Tensor("a"); !ok || a.DType != "U8" {
		t.Errorf(`Tensor("a") = %v, %v`, a, ok)
	}
	if _, ok := s.Tensor("c"); ok {
		t.Error(`Tensor("c") was found`)
	}
	for range 2 { // the second does nothing
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, ok := s.Tensor("a"); ok {
		t.Error("a tensor was found after Close")
	}
}

func TestReadErrors(t *testing.T) {
	tensor := func(fields string) string { return `{"a":{` + fields + `}}` }
	for _, c := range []struct {
		file []byte
		want string
	}{
		{nil, "0 bytes is too short"},
		{[]byte("1234567"), "7 bytes is too short for a safetensors file, which begins with 8"},
		{image("", 0)[:8], "header: the JSON ends too early, at byte 0"},
		{image("{}", 0)[:9], "header length is 2 bytes, but the file has only 1 after it"},
		{binary.LittleEndian.AppendUint64(nil, 100_000_001), "header length is 100000001 bytes, want at most 100000000"},
		{binary.LittleEndian.AppendUint64(nil, 1<<60), "header length is 1152921504606846976 bytes, want at most 100000000"},
		{binary.LittleEndian.AppendUint64(nil, 1<<63), "header length is 9223372036854775808 bytes"},
		{[]byte("PK\x03\x04........"), "(looks like a torch (zip) file)"},
		{[]byte("version https://git-lfs.github.com/spec/v1"), "git lfs pull"},
		{image(`{"\xff`+"\xff"+`"}`, 0), "header is not UTF-8"},
		{image(`{"a":`, 0), "ends too early, at byte"},
		{image(`{"a" 1}`, 0), "not JSON at byte"},
		{image(`[]`, 0), "header: have [, want an object"},
		{image(`null`, 0), "header: have null, want an object"},
		{image(`{} {}`, 0), "header: 2 bytes follow the JSON that ends at byte 2"},
		{image(`{"a":1}`, 0), `tensor "a": have 1, want an object`},
		{image(tensor(`"dtype":1`), 0), `tensor "a": dtype: have 1, want a string`},
		{image(tensor(`"dtype":"F32","shape":3`), 0), `tensor "a": shape: have 3, want a list`},
		{image(tensor(`"dtype":"F32","shape":["3"]`), 0), `shape: have the string "3", want a whole number`},
		{image(tensor(`"dtype":"F32","shape":[-3]`), 0), `shape: have -3, want a whole number`},
		{image(tensor(`"dtype":"F32","shape":[1.0]`), 0), `shape: have 1.0, want a whole number`},
		{image(tensor(`"shape":[18446744073709551617]`), 0), `shape: have 18446744073709551617, want a whole number`},
		{image(tensor(`"shape":[`+strings.Repeat("1,", 64)+`1]`), 0), `shape has more than 64 dimensions`},
		{image(tensor(`"strides":[3]`), 0), `tensor "a": field "strides" is unknown, want dtype, shape, data_offsets`},
		{image(tensor(`"shape":[1],"data_offsets":[0,4]`), 4), `tensor "a": dtype is missing`},
		{image(tensor(`"dtype":"F32","data_offsets":[0,4]`), 4), `tensor "a": shape is missing`},
		{image(tensor(`"dtype":"F32","shape":[1]`), 4), `tensor "a": data_offsets is missing`},
		{image(tensor(`"dtype":"F32","dtype":"F32"`), 4), `tensor "a": name "dtype" occurs twice`},
		{image(tensor(`"data_offsets":[0]`), 4), `data_offsets has 1 numbers, want 2`},
		{image(tensor(`"data_offsets":[0,1,2]`), 4), `data_offsets has 3 numbers, want 2`},
		{image(tensor(`"dtype":"F32","shape":[1],"data_offsets":[0,5]`), 4), `data_offsets are [0, 5], want a range within the 4 bytes of data`},
		{image(tensor(`"dtype":"F32","shape":[1],"data_offsets":[4,0]`), 4), `data_offsets are [4, 0]`},
		{image(tensor(`"dtype":"F32","shape":[2],"data_offsets":[0,4]`), 4), `tensor "a": F32 [2] takes 8 bytes, but has 4`},
		{image(tensor(`"dtype":"F4","shape":[3],"data_offsets":[0,2]`), 2), `3 elements of 4 bits are not a number of bytes`},
		{image(tensor(`"dtype":"F64","shape":[9223372036854775807],"data_offsets":[0,4]`), 4), `9223372036854775807 elements of 64 bits are not`},
		{image(tensor(`"dtype":"F32","shape":[0,4294967296,4294967296],"data_offsets":[0,0]`), 0), `shape [0 4294967296 4294967296] has more than`},
		{image(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"a":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}`, 4), `header: name "a" occurs twice`},
		{image(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}`, 3), `tensors "a" and "b" overlap: the first ends at byte 2, the second begins at 1`},
		{image(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[3,5]}}`, 5), `bytes 2 to 3 of the data, before tensor "b", belong to no tensor`},
		{image(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}`, 9), `the tensors end at byte 2, but the file has 9 bytes of data`},
		{image(`{"__metadata__":{"a":1}}`, 0), `__metadata__: "a": have 1, want a string`},
		{image(`{"__metadata__":{"a":"","a":""}}`, 0), `__metadata__: name "a" occurs twice`},
		{image(`{"__metadata__":{},"__metadata__":{}}`, 0), `header: name "__metadata__" occurs twice`},
	} {
		path := write(t, c.file)
		_, err := ReadSafetensors(path)
		wantError(t, err, c.want)
		if err != nil && !strings.HasPrefix(err.Error(), "checkpoint: "+path+": ") {
			t.Errorf("error %q does not begin with the path", err)
		}
	}
}

func TestReadNoFile(t *testing.T) {
	dir := t.TempDir()
	_, err := ReadSafetensors(filepath.Join(dir, "absent"))
	wantError(t, err, "checkpoint: open "+dir)
	_, err = ReadSafetensors(dir)
	wantError(t, err, dir+" is not a regular file (d")
}

func FuzzSafetensors(f *testing.F) {
	for _, header := range []string{
		`{}`, `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`,
		`{"__metadata__":{"k":"v"},"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}`,
		`{"a":{"dtype":"U64","shape":[],"data_offsets":[0,8]},"b":{"dtype":"?","shape":[],"data_offsets":[8,9]}}`,
		`{"a":{"dtype":"F4","shape":[2,0],"data_offsets":[0,0]}}`,
	} {
		for _, n := range []int{0, 4, 9} {
			f.Add(image(header, n))
		}
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		s, err := parse(file)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q has more than one line", err)
			}
			return
		}
		size := 0
		for _, tensor := range s.Tensors {
			size += len(tensor.Data)
			_, _ = tensor.Float32s()
			_, _ = tensor.Ints()
		}
		header, data, _ := split(file)
		if size != len(data) {
			t.Errorf("the tensors have %d bytes of the file's %d", size, len(data))
		}
		again, err := encodeAndParse(s.Tensors, s.Metadata)
		if err != nil {
			t.Fatalf("what was read cannot be written and read: %v (header %q)", err, header)
		}
		if diff := cmp.Diff(byName(s), byName(again)); diff != "" {
			t.Errorf("what was read is not what was written:\n%s", diff)
		}
	})
}

func encodeAndParse(tensors []Tensor, metadata map[string]string) (*Safetensors, error) {
	outputs, err := outputsOf(tensors)
	if err != nil {
		return nil, err
	}
	header, err := encodeHeader(outputs, metadata)
	if err != nil {
		return nil, fmt.Errorf("write: %w", err)
	}
	for _, tensor := range tensors {
		header = append(header, tensor.Data...)
	}
	return parse(header)
}

func byName(s *Safetensors) map[string]Tensor {
	m := map[string]Tensor{}
	for _, tensor := range s.Tensors {
		m[tensor.Name] = tensor
	}
	return m
}
