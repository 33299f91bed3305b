package cpu

import (
	"math"

	"quadrant/kernels"
	"quadrant/kernels/cpu/internal/vec"
)

// flatBlock is the elements of one unit of an op that goes over parameters.
const flatBlock = 4096

// flat is v as one row where nothing lies between its rows: parameters have rows of any
// length, and the work has not.
func flat(vs ...*view[float32]) {
	for _, v := range vs {
		if v.stride != v.cols && v.rows > 1 {
			return
		}
	}
	for _, v := range vs {
		v.rows, v.cols, v.stride = 1, v.rows*v.cols, v.rows*v.cols
	}
}

// pieces are the units of an op on rows of v, in blocks of flatBlock columns.
func pieces(v view[float32]) (units, perRow int) {
	perRow = blocks(v.cols, flatBlock)
	return v.rows * perRow, perRow
}

// piece is unit u.
func piece(v view[float32], u, perRow int) []float32 {
	c0 := u % perRow * flatBlock
	return v.row(u / perRow)[c0:min(c0+flatBlock, v.cols)]
}

// squareSumJob sums pieces, which are then summed in order.
type squareSumJob struct {
	d      *Device
	x      view[float32]
	parts  []float32
	perRow int
}

func (j *squareSumJob) start(o *kernels.SquareSum) {
	j.x = f32(o.X)
	flat(&j.x)
	units, perRow := pieces(j.x)
	j.parts, j.perRow = j.d.shared(units), perRow
	j.d.pool.do(j, units, min(j.x.cols, flatBlock)/4)
	sum := 0.0
	for _, part := range j.parts {
		sum += float64(part)
	}
	f32(o.Dst).row(0)[0] = float32(sum)
}

func (j *squareSumJob) run(_, lo, hi int) {
	for u := lo; u < hi; u++ {
		x := piece(j.x, u, j.perRow)
		j.parts[u] = j.d.vec.Dot(x, x)
	}
}

type adamWJob struct {
	d             *Device
	w, grad, m, v view[float32]
	by            vec.AdamWArgs
	perRow        int
}

func (j *adamWJob) start(o *kernels.AdamW) {
	j.w, j.grad, j.m, j.v = f32(o.W), f32(o.Grad), f32(o.M), f32(o.V)
	flat(&j.w, &j.grad, &j.m, &j.v)
	left := func(beta float32) float64 { return 1 - math.Pow(float64(beta), float64(o.Step)) }
	j.by = vec.AdamWArgs{
		GradScale: o.GradScale, OneMinusBeta1: float32(1 - float64(o.Beta1)), OneMinusBeta2: float32(1 - float64(o.Beta2)),
		Rate: float32(float64(o.Rate) / left(o.Beta1)), Correction: float32(1 / left(o.Beta2)),
		Eps: o.Eps, Decay: float32(float64(o.Rate) * float64(o.Decay)),
	}
	var units int
	units, j.perRow = pieces(j.w)
	j.d.pool.do(j, units, min(j.w.cols, flatBlock))
}

func (j *adamWJob) run(_, lo, hi int) {
	for u := lo; u < hi; u++ {
		j.d.vec.AdamW(piece(j.w, u, j.perRow), piece(j.grad, u, j.perRow), piece(j.m, u, j.perRow), piece(j.v, u, j.perRow), j.by)
	}
}

type averageJob struct {
	d      *Device
	dst, x view[float32]
	rate   float32
	perRow int
}

func (j *averageJob) start(o *kernels.Average) {
	j.dst, j.x, j.rate = f32(o.Dst), f32(o.X), o.Rate
	flat(&j.dst, &j.x)
	var units int
	units, j.perRow = pieces(j.dst)
	j.d.pool.do(j, units, min(j.dst.cols, flatBlock))
}

func (j *averageJob) run(_, lo, hi int) {
	for u := lo; u < hi; u++ {
		dst, x := piece(j.dst, u, j.perRow), piece(j.x, u, j.perRow)
		for i, v := range x {
			dst[i] += j.rate * (v - dst[i])
		}
	}
}

func biasStep(o *kernels.BiasStep) {
	bias, offsets := vector(o.Bias), i32(o.Offsets)
	e := len(bias)
	total := int(offsets.row(e)[0]) - int(offsets.row(0)[0])
	for i := range bias {
		load := int(offsets.row(i + 1)[0]) - int(offsets.row(i)[0])
		switch { // mean load − load, times E
		case load*e < total:
			bias[i] += o.Rate
		case load*e > total:
			bias[i] -= o.Rate
		}
	}
}
