package checkpoint

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"quadrant/arch"
	"quadrant/kernels"
)

// as gives the tensors whose name holds one of names another type of 16 bits, with values of
// their own.
func as(dtype string, all []Tensor, names ...string) []Tensor {
	for i := range all {
		if !slices.ContainsFunc(names, func(name string) bool { return strings.Contains(all[i].Name, name) }) {
			continue
		}
		n := all[i].Elements()
		all[i].DType, all[i].Data = dtype, nil
		for j := range n {
			all[i].Data = binary.LittleEndian.AppendUint16(all[i].Data, uint16(0x3000+j))
		}
	}
	return all
}

// The type of the matrices is told by their bytes, whatever the type of what is F32 in
// memory anyway.
func TestMatrixTypes(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(all []Tensor) []Tensor
		want []kernels.Type
	}{
		{"all F32", func(all []Tensor) []Tensor { return all }, []kernels.Type{kernels.F32}},
		{"all F16", func(all []Tensor) []Tensor { return as("F16", all, "") }, []kernels.Type{kernels.F16}},
		{"matrices BF16, the rest F32", func(all []Tensor) []Tensor { return as("BF16", all, "embedding", "proj.weight") }, []kernels.Type{kernels.BF16}},
		{"most F16", func(all []Tensor) []Tensor { return as("F16", all, "proj.weight") }, []kernels.Type{kernels.F16, kernels.F32}},
		{"most F32", func(all []Tensor) []Tensor { return as("F16", all, "x_proj.weight") }, []kernels.Type{kernels.F32, kernels.F16}},
		{"of no type that loads", func(all []Tensor) []Tensor { return as("I16", all, "") }, nil},
		{"none", func([]Tensor) []Tensor { return nil }, nil},
	} {
		types, err := smallMamba(t, c.edit).MatrixTypes()
		if err != nil || !slices.Equal(types, c.want) {
			t.Errorf("%s: %v, %v; want %v", c.name, types, err, c.want)
		}
	}
	if _, err := (&Checkpoint{Path: t.TempDir()}).MatrixTypes(); err == nil {
		t.Error("a folder without weights is no error")
	}
}

// Halves are kept as they are, and widened exactly where the matrix is F32.
func TestF16IsKept(t *testing.T) {
	c := smallMamba(t, func(all []Tensor) []Tensor { return as("F16", all, "") })
	dev := openCPU(t)
	kept, err := c.Load(dev, arch.Types{Weights: kernels.F16})
	if err != nil {
		t.Fatal(err)
	}
	widened, err := c.Load(dev, arch.Types{})
	if err != nil {
		t.Fatal(err)
	}
	half, full := bytesByName(dev, kept)["embed"], bytesByName(dev, widened)["embed"]
	if len(half) != 2*20*16 || len(full) != 2*len(half) {
		t.Fatalf("the embedding has %d bytes kept and %d widened", len(half), len(full))
	}
	for i := range len(half) / 2 {
		h := binary.LittleEndian.Uint16(half[2*i:])
		var f [4]byte
		binary.LittleEndian.PutUint32(f[:], uint32(0x38000000)+uint32(h)<<13)
		if h != uint16(0x3000+i) || string(full[4*i:4*i+4]) != string(f[:]) {
			t.Fatalf("element %d is %#x kept and %x widened", i, h, full[4*i:4*i+4])
		}
	}
}
