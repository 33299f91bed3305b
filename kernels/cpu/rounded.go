package cpu

import (
	"quadrant/kernels"
	"quadrant/kernels/cpu/internal/vec"
)

// A variant that rounds multiplies weights of bf16 by activations rounded to bf16, summed in
// float32: on some processors twice the rate of float32, on others less than it, at the price
// of up to 2⁻⁹ of each activation. All else it computes as the others do. It is opened by its
// name only.

// Rounding are the variants that this processor runs and that round the activations of
// products with bf16 weights.
func Rounding() (names []string) {
	for _, set := range vec.Rounding() {
		names = append(names, set.Name)
	}
	return names
}

// operand is the rows of a product's activations: h where they are rounded.
type operand struct {
	f      []float32
	h      []uint16
	stride int
}

// rows is x from row i on.
func (x operand) rows(i int) operand {
	if x.h != nil {
		x.h = x.h[i*x.stride:]
	} else {
		x.f = x.f[i*x.stride:]
	}
	return x
}

// operandOf is a as the products with weights of type t take it: rounded, once for all that
// multiply it, where this is a variant that rounds.
func (d *Device) operandOf(a view[float32], t kernels.Type) operand {
	if d.vec.GemmPairs == nil || t != kernels.BF16 {
		return operand{f: a.data, stride: a.stride}
	}
	if n := a.rows * a.cols; cap(d.rounded) < n {
		d.rounded = make([]uint16, n)
	}
	j := &d.jobs.round
	j.a, j.to = a, d.rounded[:a.rows*a.cols]
	d.pool.do(j, a.rows, a.cols)
	return operand{h: j.to, stride: a.cols}
}

// roundJob takes rows.
type roundJob struct {
	d  *Device
	a  view[float32]
	to []uint16
}

func (j *roundJob) run(_, lo, hi int) {
	for i := lo; i < hi; i++ {
		j.d.vec.RoundBF16(j.to[i*j.a.cols:][:j.a.cols], j.a.row(i))
	}
}
