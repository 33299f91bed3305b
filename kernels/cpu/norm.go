package cpu

import (
	"math"

	"quadrant/kernels"
)

// normJob is RMSNorm and LayerNorm, a row at a time.
type normJob struct {
	d             *Device
	dst, x, delta view[float32]
	gain, bias    []float32
	eps           float64
	centred       bool // LayerNorm
}

func (j *normJob) startRMS(o *kernels.RMSNorm) {
	j.dst, j.x, j.delta = f32(o.Dst), f32(o.X), f32(o.Delta)
	j.gain, j.bias, j.eps, j.centred = vector(o.Gain), nil, float64(o.Eps), false
	j.d.pool.do(j, j.x.rows, 4*j.x.cols)
}

func (j *normJob) startLayer(o *kernels.LayerNorm) {
	j.dst, j.x, j.delta = f32(o.Dst), f32(o.X), f32(o.Delta)
	j.gain, j.bias, j.eps, j.centred = vector(o.Gain), vector(o.Bias), float64(o.Eps), true
	j.d.pool.do(j, j.x.rows, 6*j.x.cols)
}

func (j *normJob) run(_, lo, hi int) {
	for i := lo; i < hi; i++ {
		x := j.x.row(i)
		if !j.delta.none() {
			j.d.vec.Axpy(x, 1, j.delta.row(i))
		}
		j.row(j.dst.row(i), x)
	}
}

// row sums in float64: a row is short, and its length must not cost accuracy.
func (j *normJob) row(dst, x []float32) {
	n := float64(len(x))
	mean := 0.0
	if j.centred {
		for _, v := range x {
			mean += float64(v)
		}
		mean /= n
	}
	squares := 0.0
	for _, v := range x {
		c := float64(v) - mean
		squares += c * c
	}
	r, shift := float32(1/math.Sqrt(squares/n+j.eps)), float32(mean)
	switch {
	case !j.centred:
		for i, v := range x {
			dst[i] = v * r * j.gain[i]
		}
	case j.bias == nil:
		for i, v := range x {
			dst[i] = (v - shift) * r * j.gain[i]
		}
	default:
		for i, v := range x {
			dst[i] = (v-shift)*r*j.gain[i] + j.bias[i]
		}
	}
}
