package cuda_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"quadrant/kernels"
	"quadrant/kernels/cuda"
	"quadrant/kernels/cuda/ptxsim"
)

// A librarian is a simulated GPU with a library of products, which reads and writes its memory.
type librarian struct {
	driver
	products []cuda.Product
}

func (l *librarian) OpenLibrary() error { return nil }

func (l *librarian) Multiply(p cuda.Product) error {
	l.products = append(l.products, p)
	read := func(at uint64, rows, cols, stride int, typ kernels.Type) ([][]float64, error) {
		all := make([][]float64, rows)
		for i := range all {
			b := make([]byte, cols*int(typ.Size()))
			if err := l.CopyOut(b, at+uint64(i*stride)*uint64(typ.Size())); err != nil {
				return nil, err
			}
			for j := range cols {
				v := float64(kernels.FromBF16(binary.LittleEndian.Uint16(b[j*int(typ.Size()):])))
				if typ == kernels.F32 {
					v = float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*j:])))
				}
				all[i] = append(all[i], v)
			}
		}
		return all, nil
	}
	a, err := read(p.A, p.Rows, p.Inner, p.AStride, p.Type)
	if err != nil {
		return fmt.Errorf("a: %w", err)
	}
	b, err := read(p.B, p.Cols, p.Inner, p.BStride, p.Type)
	if err != nil {
		return fmt.Errorf("b: %w", err)
	}
	dst, bias := make([][]float64, p.Rows), [][]float64{make([]float64, p.Cols)}
	if p.Add {
		if dst, err = read(p.Dst, p.Rows, p.Cols, p.DstStride, kernels.F32); err != nil {
			return fmt.Errorf("dst: %w", err)
		}
	}
	if p.Bias != 0 {
		if bias, err = read(p.Bias, 1, p.Cols, p.Cols, kernels.F32); err != nil {
			return fmt.Errorf("bias: %w", err)
		}
	}
	for i := range dst {
		row := make([]byte, 4*p.Cols)
		for j := range p.Cols {
			sum := bias[0][j]
			if p.Add {
				sum += dst[i][j]
			}
			for k := range p.Inner {
				sum += a[i][k] * b[j][k]
			}
			binary.LittleEndian.PutUint32(row[4*j:], math.Float32bits(float32(sum)))
		}
		if err := l.CopyIn(p.Dst+uint64(4*i*p.DstStride), row); err != nil {
			return fmt.Errorf("dst: %w", err)
		}
	}
	return nil
}

// With a library, the conformance suite's products come out right whatever their strides, bias and
// types are, and it is given all of many rows that it takes.
func TestLibraryProducts(t *testing.T) {
	lib := &librarian{driver: driver{machine(ptxsim.Forward)}}
	dev, err := cuda.New(lib, cuda.Split)
	if err == nil {
		err = dev.UseLibrary()
	}
	if err != nil {
		t.Fatal(err)
	}
	if want := "cuda/ptxsim+cublaslt"; dev.Name() != want {
		t.Errorf("the device is %s, want %s", dev.Name(), want)
	}
	for _, c := range byOp()["MatMul"] {
		if err := c.Check(dev, tolerance(c)); err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
	}
	seen := map[string]int{}
	for _, p := range lib.products {
		seen[fmt.Sprintf("%v add %v bias %v", p.Type, p.Add, p.Bias != 0)]++
		if p.Rows < 9 {
			t.Errorf("a product of %d rows", p.Rows)
		}
	}
	for _, kind := range []string{"f32 add false bias false", "f32 add false bias true", "bf16 add false bias true", "bf16 add false bias false", "bf16 add true bias false"} {
		if seen[kind] == 0 {
			t.Errorf("the library was given no %s: %v", kind, seen)
		}
	}
	if len(seen) != 5 {
		t.Errorf("it was given %v", seen)
	}
}

// Rounded activations are one product, and dropped where no library is asked for.
func TestLibraryIsAskedForByName(t *testing.T) {
	for _, use := range []bool{false, true} {
		lib := &librarian{driver: driver{machine(ptxsim.Forward)}}
		dev, err := cuda.New(lib, cuda.Rounded)
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		if use {
			if err := dev.UseLibrary(); err != nil {
				t.Fatal(err)
			}
			want = 1 // MatMul; the two of experts stay ours
		}
		p := product{rows: 16, in: 32, out: 24, experts: 2, k: 1, random: rand.New(rand.NewPCG(1, 2))}
		a, b, bias := p.normal(16*32), p.normal(2*24*32), p.normal(2*24)
		p.run(t, dev, a, b, bias, make([]int32, 16))
		if len(lib.products) != want {
			t.Errorf("use %v: the library was given %d products, want %d", use, len(lib.products), want)
		}
	}
	if err := open(t, ptxsim.Forward).UseLibrary(); err == nil || !strings.Contains(err.Error(), "cuda/ptxsim has no library") {
		t.Errorf("without a library: %v", err)
	}
}
