package ref

import (
	"math"

	"quadrant/kernels"
)

func matMul(o *kernels.MatMul) {
	dst, a, b, bias := floats(o.Dst), floats(o.A), floats(o.B), floats(o.Bias)
	for i := range dst.Rows {
		for j := range dst.Cols {
			dst.set(i, j, dot(a.row(i), b.row(j))+bias.or0(0, j))
		}
	}
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

func activation(o *kernels.Activation) {
	dst, x, mul := floats(o.Dst), floats(o.X), floats(o.Mul)
	act := actOf(o.Act)
	for i := range dst.Rows {
		for j := range dst.Cols {
			y := act(x.at(i, j))
			if !mul.None() {
				y *= mul.at(i, j)
			}
			dst.set(i, j, y)
		}
	}
}

func actOf(a kernels.Act) func(float64) float64 {
	switch a {
	case kernels.SiLU:
		return silu
	case kernels.GELU:
		return gelu
	case kernels.GELUTanh:
		return geluTanh
	case kernels.ReLU:
		return func(x float64) float64 { return max(x, 0) }
	}
	panic("ref: activation " + a.String() + " is unknown")
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func silu(x float64) float64 { return x * sigmoid(x) }

// gelu takes the normal distribution's Φ from erfc: 1 + erf would cancel far below 0.
func gelu(x float64) float64 { return x * math.Erfc(-x/math.Sqrt2) / 2 }

func geluTanh(x float64) float64 {
	return x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
}
