package cpu

import (
	"math"

	"quadrant/kernels"
	"quadrant/kernels/cpu/internal/vec"
)

// convJob takes channels: each carries its own part of the state from token to token.
type convJob struct {
	d                *Device
	dst, x, w, state view[float32]
	bias             []float32
	seqs             int
}

func (j *convJob) start(o *kernels.ConvSiLU) {
	j.dst, j.x, j.w, j.bias, j.state, j.seqs = f32(o.Dst), f32(o.X), f32(o.W), vector(o.Bias), f32(o.State), o.Seqs
	j.d.pool.do(j, j.x.cols, j.x.rows*(2*j.w.cols+8))
}

func (j *convJob) run(_, lo, hi int) {
	n := j.x.rows / j.seqs
	for s := range j.seqs {
		for t := range n {
			j.token(s, t, n, lo, hi)
		}
		j.keep(s, n, lo, hi)
	}
}

// before is the input of the sequence s at token t, which is in the state for t < 0.
func (j *convJob) before(s, t, n int) []float32 {
	if taps := j.w.cols; t < 0 {
		return j.state.row(s*(taps-1) + taps - 1 + t)
	}
	return j.x.row(s*n + t)
}

func (j *convJob) token(s, t, n, lo, hi int) {
	taps := j.w.cols
	out := j.dst.row(s*n + t)[lo:hi]
	if j.bias != nil {
		copy(out, j.bias[lo:hi])
	} else {
		clear(out)
	}
	for k := range taps {
		in, w := j.before(s, t-taps+1+k, n)[lo:hi], j.w.data[lo*j.w.stride+k:]
		for c := range out {
			out[c] += w[c*j.w.stride] * in[c]
		}
	}
	j.d.vec.SiLU(out, out)
}

// keep moves the last inputs of sequence s into the state, oldest first. A step shorter
// than the state shifts it; rows are read before they are overwritten.
func (j *convJob) keep(s, n, lo, hi int) {
	past := j.w.cols - 1
	for k := range past {
		copy(j.state.row(s*past + k)[lo:hi], j.before(s, n-past+k, n)[lo:hi])
	}
}

// scanJob takes channels of sequences: unit s·D+d is channel d of sequence s.
type scanJob struct {
	d                             *Device
	dst, x, dt, a, b, c, z, state view[float32]
	skip, dtBias                  []float32
	seqs                          int
}

func (j *scanJob) start(o *kernels.Scan) {
	j.dst, j.x, j.dt, j.z = f32(o.Dst), f32(o.X), f32(o.Dt), f32(o.Z)
	j.a, j.b, j.c, j.state = f32(o.A), f32(o.B), f32(o.C), f32(o.State)
	j.skip, j.dtBias, j.seqs = vector(o.D), vector(o.DtBias), o.Seqs
	n := j.x.rows / j.seqs
	j.d.pool.do(j, j.seqs*j.x.cols, n*(8*j.a.cols+16))
}

func (j *scanJob) run(_, lo, hi int) {
	n, width := j.x.rows/j.seqs, j.x.cols
	for u := lo; u < hi; u++ {
		s, ch := u/width, u%width
		h, a := j.state.row(u), j.a.row(ch)
		var bias, skip float32
		if j.dtBias != nil {
			bias = j.dtBias[ch]
		}
		if j.skip != nil {
			skip = j.skip[ch]
		}
		for i := s * n; i < (s+1)*n; i++ {
			x := j.x.row(i)[ch]
			dt := softplus(j.dt.row(i)[ch] + bias)
			y := j.d.vec.ScanStep(h, a, j.b.row(i), j.c.row(i), dt, dt*x) + skip*x
			if !j.z.none() {
				z := j.z.row(i)[ch]
				y *= z * vec.Sigmoid(z)
			}
			j.dst.row(i)[ch] = y
		}
	}
}

// softplus is log(1+exp(x)), or x where the difference is below float32's resolution;
// the threshold is PyTorch's.
func softplus(x float32) float32 {
	if x > 20 {
		return x
	}
	return float32(math.Log1p(float64(vec.Exp(x))))
}
