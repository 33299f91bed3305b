package ref

import (
	"math"

	"quadrant/kernels"
)

func rmsNorm(o *kernels.RMSNorm) {
	dst, gain := floats(o.Dst), floats(o.Gain)
	x := residual(o.X, o.Delta)
	for i := range dst.Rows {
		root := math.Sqrt(meanSquare(x.row(i), 0) + float64(o.Eps))
		for j := range dst.Cols {
			dst.set(i, j, gain.at(0, j)*x.at(i, j)/root)
		}
	}
}

func layerNorm(o *kernels.LayerNorm) {
	dst, gain, bias := floats(o.Dst), floats(o.Gain), floats(o.Bias)
	x := residual(o.X, o.Delta)
	for i := range dst.Rows {
		m := mean(x.row(i))
		root := math.Sqrt(meanSquare(x.row(i), m) + float64(o.Eps))
		for j := range dst.Cols {
			dst.set(i, j, gain.at(0, j)*(x.at(i, j)-m)/root+bias.or0(0, j))
		}
	}
}

// residual adds delta to x, where there is one, and returns x.
func residual(x, delta kernels.Mat) view[float64] {
	if !delta.None() {
		add(&kernels.Add{Dst: x, X: delta})
	}
	return floats(x)
}

func mean(xs []float64) float64 {
	sum := 0.0
	for _, x := range xs {
		sum += x
	}
	return sum / float64(len(xs))
}

// meanSquare is the mean of the squared distances from centre.
func meanSquare(xs []float64, centre float64) float64 {
	sum := 0.0
	for _, x := range xs {
		sum += (x - centre) * (x - centre)
	}
	return sum / float64(len(xs))
}
