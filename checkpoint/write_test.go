package checkpoint

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.safetensors")
	tensors := []Tensor{
		{Name: "z\"\n<é", DType: "BF16", Shape: []int{3}, Data: []byte{1, 2, 3, 4, 5, 6}},
		{Name: "b", DType: "F32", Shape: []int{2, 1}, Data: []byte{0, 0, 128, 63, 0, 0, 0, 64}},
		{Name: "a", DType: "F32", Shape: nil, Data: []byte{0, 0, 128, 63}},
		{Name: "new", DType: "F3", Shape: []int{9}, Data: []byte{7}},
		{Name: "empty", DType: "I64", Shape: []int{0}, Data: nil},
	}
	metadata := map[string]string{"format": "pt", "note": "a\tb"}
	if err := WriteSafetensors(path, tensors, metadata); err != nil {
		t.Fatal(err)
	}
	s, err := ReadSafetensors(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var names []string
	for _, tensor := range s.Tensors {
		names = append(names, tensor.Name)
	}
	if want := []string{"empty", "a", "b", "z\"\n<é", "new"}; !slices.Equal(names, want) {
		t.Errorf("names are %q, want the wider types first: %q", names, want)
	}
	for _, want := range tensors {
		got, _ := s.Tensor(want.Name)
		if got.DType != want.DType || !slices.Equal(got.Shape, want.Shape) || !bytes.Equal(got.Data, want.Data) {
			t.Errorf("tensor is %v, want %v", got, want)
		}
	}
	if diff := cmp.Diff(metadata, s.Metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}

	// Another order gives the same bytes, even over the file that is open.
	before := slices.Clone(s.file)
	slices.Reverse(tensors)
	if err := WriteSafetensors(path, tensors, metadata); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the same tensors in another order gave other bytes (%v)", err)
	}
}

func TestWriteErrors(t *testing.T) {
	for _, c := range []struct {
		tensors  []Tensor
		metadata map[string]string
		want     string
	}{
		{[]Tensor{{Name: "a", DType: "U8", Shape: nil, Data: []byte{1}}, {Name: "a", DType: "U8", Shape: nil, Data: []byte{1}}}, nil, `name "a" occurs twice`},
		{[]Tensor{{Name: "__metadata__", DType: "U8", Shape: nil, Data: []byte{1}}}, nil, `name "__metadata__" occurs twice`},
		{[]Tensor{{Name: "a", DType: "F32", Shape: []int{2}, Data: []byte{1}}}, nil, `F32 [2] takes 8 bytes, but has 1`},
		{[]Tensor{{Name: "a", DType: "F32", Shape: []int{2, -1}, Data: nil}}, nil, `dimension 1 is -1, want 0 or more`},
		{[]Tensor{{Name: "a\xff", DType: "U8", Shape: nil, Data: []byte{1}}}, nil, `not UTF-8`},
		{nil, map[string]string{"a": "\xff"}, `metadata "a": "\xff" is not UTF-8`},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "m.safetensors")
		err := WriteSafetensors(path, c.tensors, c.metadata)
		wantError(t, err, c.want)
		wantError(t, err, "checkpoint: write "+path)
		wantFiles(t, dir)
	}
}

// TestWriteFails checks that a failed write leaves the file of before and no other.
func TestWriteFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "m.safetensors")
	if err := os.MkdirAll(filepath.Join(path, "in the way"), 0o777); err != nil {
		t.Fatal(err)
	}
	err := WriteSafetensors(path, nil, nil)
	wantError(t, err, "checkpoint: write "+path)
	wantFiles(t, dir, "m.safetensors")

	wantError(t, WriteSafetensors(filepath.Join(dir, "absent", "m"), nil, nil), "no such file")
}

func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	if !slices.Equal(names, want) {
		t.Errorf("the folder has %s, want %s", strings.Join(names, " "), strings.Join(want, " "))
	}
}
