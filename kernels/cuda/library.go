package cuda

import (
	"errors"

	"quadrant/kernels"
)

// A Library is a driver with matrix products that are not ours: cublasLt.
type Library interface {
	OpenLibrary() error // says what is missing
	// Multiply computes p, in order with launches and as part of what Record records.
	Multiply(p Product) error
}

// A Product is Dst = A·Bᵀ + Bias, or Dst += A·Bᵀ if Add: A is [Rows, Inner], B [Cols, Inner], both of
// Type, F32 or BF16; Dst is [Rows, Cols] and Bias, which may be 0, [Cols], both float32. Strides
// are elements from one row to the next.
type Product struct {
	Type                        kernels.Type
	Rows, Cols, Inner           int
	Dst, A, B, Bias             uint64 // addresses
	DstStride, AStride, BStride int
	Add                         bool
}

// UseLibrary gives products of many rows with bf16 or f32 weights to the library, cublasLt, with
// "+cublaslt" in the device's name: all that our kernels would do with tiles or column by column.
// Products of few rows, of f16 weights and of experts stay ours. It is an error where there is no
// library.
func (d *Device) UseLibrary() error {
	lib, ok := d.drv.(Library)
	if !ok {
		return errors.New("the driver of " + d.Name() + " has no library of products")
	}
	if err := lib.OpenLibrary(); err != nil {
		return err
	}
	d.library = lib
	return nil
}

// canLibrary reports whether the library is to multiply rows with b.
func (d *Device) canLibrary(rows int, a, b kernels.Mat) bool {
	if d.library == nil || rows < tensorRows {
		return false
	}
	return canTensor(rows, b) || b.Type == kernels.F32 && vectors(a) && vectors(b) && b.Cols%4 == 0
}

// libraryProduct plans o: float32 as it is, bf16 weights times the one or two terms that activations
// are taken apart into.
func (d *Device) libraryProduct(o *kernels.MatMul) {
	p := Product{
		Type: o.B.Type, Rows: o.Dst.Rows, Cols: o.Dst.Cols, Inner: o.A.Cols,
		Dst: address(o.Dst), A: address(o.A), B: address(o.B), Bias: address(o.Bias),
		DstStride: o.Dst.Stride, AStride: o.A.Stride, BStride: o.B.Stride,
	}
	if p.Type == kernels.F32 {
		d.give(p)
		return
	}
	high, low := d.split(o.A, kernels.Mat{}, o.A.Rows, 1)
	p.A, p.AStride = address(high), high.Stride
	d.give(p)
	if !low.None() {
		p.A, p.Bias, p.Add = address(low), 0, true
		d.give(p)
	}
}

// give plans a product of the library.
func (d *Device) give(p Product) {
	if d.err == nil {
		d.launches = append(d.launches, launch{product: &p})
	}
}
