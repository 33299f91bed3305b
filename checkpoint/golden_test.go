package checkpoint

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// golden is the folder of reference outputs, next to the repository.
const golden = "../../shared/golden"

// TestGolden opens every golden safetensors file and compares the tensors with those
// that the index lists, written by other code.
func TestGolden(t *testing.T) {
	index, err := os.ReadFile(filepath.Join(golden, "INDEX.txt"))
	if err != nil {
		t.Skipf("no golden data: %v", err)
	}
	files := 0
	for _, section := range strings.Split(string(index), "\n## ")[1:] {
		name, list, _ := strings.Cut(section, "\n")
		name, _, _ = strings.Cut(name, "  ")
		if !strings.HasSuffix(name, ".safetensors") {
			continue
		}
		files++
		t.Run(name, func(t *testing.T) { compareWithIndex(t, filepath.Join(golden, name), list) })
	}
	if files == 0 {
		t.Error("the index lists no safetensors files")
	}
}

func compareWithIndex(t *testing.T, path, list string) {
	s, err := ReadSafetensors(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var want, got []string
	for line := range strings.Lines(list) {
		if fields := strings.Fields(line); len(fields) >= 3 && strings.HasSuffix(line, "]\n") {
			want = append(want, strings.Join(fields, " "))
		}
	}
	for _, tensor := range s.Tensors {
		shape := strings.ReplaceAll(fmt.Sprint(tensor.Shape), " ", ", ")
		got = append(got, fmt.Sprintf("%s %s %s", tensor.Name, tensor.DType, shape))
		if _, err := tensor.Float32s(); err != nil {
			if _, err := tensor.Ints(); err != nil {
				t.Error(err)
			}
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("tensors are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
