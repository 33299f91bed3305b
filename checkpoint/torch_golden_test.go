package checkpoint

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// needGolden skips the test where the golden data is not beside the repository.
func needGolden(t testing.TB) {
	t.Helper()
	if _, err := os.Stat(golden); err != nil {
		t.Skipf("no golden data: %v", err)
	}
}

// Every view of pickle_edge, of whatever kind, has the elements that PyTorch says, bit for
// bit, in both protocols and both kinds of top level.
func TestPickleEdge(t *testing.T) {
	needGolden(t)
	want, err := ReadSafetensors(filepath.Join(golden, "pickle_edge/expected.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	for _, name := range []string{"zip.pt", "flat.pt", "flat_protocol4.pt"} {
		f, err := ReadTorch(filepath.Join(golden, "pickle_edge", name))
		if err != nil {
			t.Error(err)
			continue
		}
		defer f.Close()
		if len(f.Tensors) != len(want.Tensors) {
			t.Errorf("%s has %d tensors, want %d", name, len(f.Tensors), len(want.Tensors))
		}
		views := 0
		for _, got := range f.Tensors {
			w, ok := want.Tensor(got.Name)
			if got.Strides != nil {
				views++
			}
			c, err := got.Contiguous()
			if err != nil || !ok || c.DType != w.DType || !slices.Equal(c.Shape, w.Shape) || !bytes.Equal(c.Data, w.Data) {
				t.Errorf("%s: %s is %s %v %x (%v), want %s %v %x", name, got.Name, c.DType, c.Shape, c.Data, err, w.DType, w.Shape, w.Data)
			}
		}
		if views < 4 {
			t.Errorf("%s: %d tensors are not row-major, want col_slice, transposed, step2 and expanded", name, views)
		}
	}
	_, err = ReadTorch(filepath.Join(golden, "pickle_edge/legacy_nonzip.pt"))
	wantError(t, err, "format of PyTorch before 1.6")
	wantError(t, err, "torch.save(torch.load(")
}

// The .bin of each golden folder holds what its .safetensors holds.
func TestTorchEqualsSafetensors(t *testing.T) {
	needGolden(t)
	bins, _ := filepath.Glob(filepath.Join(golden, "*/pytorch_model*.bin"))
	if len(bins) != 10 {
		t.Errorf("%d files, want 10", len(bins))
	}
	for _, path := range bins {
		f, err := ReadTorch(path)
		if err != nil {
			t.Error(err)
			continue
		}
		twin := filepath.Join(filepath.Dir(path), "model"+filepath.Base(path)[len("pytorch_model"):])
		want, err := ReadSafetensors(twin[:len(twin)-len("bin")] + "safetensors")
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		for _, got := range f.Tensors {
			w, ok := want.Tensor(got.Name)
			if !ok {
				continue // a tied twin, or a buffer
			}
			seen++
			if got.Strides != nil || got.DType != w.DType || !slices.Equal(got.Shape, w.Shape) || !bytes.Equal(got.Data, w.Data) {
				t.Errorf("%s: %s differs", path, got.Name)
			}
		}
		if seen != len(want.Tensors) {
			t.Errorf("%s has %d of the %d tensors of its twin", path, seen, len(want.Tensors))
		}
	}
}
