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
		{"z\"\n<é", "BF16", []int{3}, []byte{1, 2, 3, 4, 5, 6}},
		{"b", "F32", []int{2, 1}, []byte{0, 0, 128, 63, 0, 0, 0, 64}},
		{"a", "F32", nil, []byte{0, 0, 128, 63}},
		{"new", "F3", []int{9}, []byte{7}},
		{"empty", "I64", []int{0}, nil},
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
		{[]Tensor{{"a", "U8", nil, []byte{1}}, {"a", "U8", nil, []byte{1}}}, nil, `name "a" occurs twice`},
		{[]Tensor{{"__metadata__", "U8", nil, []byte{1}}}, nil, `name "__metadata__" occurs twice`},
		{[]Tensor{{"a", "F32", []int{2}, []byte{1}}}, nil, `F32 [2] takes 8 bytes, but has 1`},
		{[]Tensor{{"a", "F32", []int{2, -1}, nil}}, nil, `dimension 1 is -1, want 0 or more`},
		{[]Tensor{{"a\xff", "U8", nil, []byte{1}}}, nil, `not UTF-8`},
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
