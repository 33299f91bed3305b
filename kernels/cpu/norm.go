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
		var sum, squares float32
		if j.delta.none() {
			sum, squares = j.d.vec.Moments(x, 0)
		} else {
			sum, squares = j.d.vec.AddMoments(x, j.delta.row(i), 0)
		}
		dst := j.dst.row(i)
		shift, variance := j.spread(x, sum, squares)
		j.d.vec.Normalize(dst, x, j.gain, shift, float32(1/math.Sqrt(variance+j.eps)))
		if j.bias != nil {
			j.d.vec.Axpy(dst, 1, j.bias)
		}
	}
}

// spread is what is subtracted from a row with those sums of values and squares, and the mean
// square of what is left. A mean is taken twice, so that one far from zero is exact.
func (j *normJob) spread(x []float32, sum, squares float32) (shift float32, variance float64) {
	n, more := float64(len(x)), 0.0
	if j.centred {
		shift = float32(float64(sum) / n)
		sum, squares = j.d.vec.Moments(x, shift)
		more = float64(sum) / n
	}
	if squares <= math.MaxFloat32 {
		return float32(float64(shift) + more), float64(squares)/n - more*more
	}
	for _, v := range x { // values whose squares float32 does not hold, or none at all
		c := float64(v) - float64(shift)
		variance += c * c / n
	}
	return shift, variance
}
