package cpu

import (
	"math"

	"quadrant/kernels"
	"quadrant/kernels/cpu/internal/vec"
)

// normGradJob takes blocks of rows, whose terms of the gain's and bias's gradients it
// leaves in parts.
type normGradJob struct {
	d        *Device
	dx, g, x view[float32]
	gain     []float32
	eps      float64
	centred  bool  // LayerNorm
	biased   bool  // with a gradient of a bias
	parts    parts // of the gain and, after it, the bias
}

func (j *normGradJob) startRMS(o *kernels.RMSNormGrad) {
	j.dx, j.g, j.x, j.gain, j.eps = f32(o.DX), f32(o.G), f32(o.X), vector(o.Gain), float64(o.Eps)
	j.centred, j.biased = false, false
	j.finish(vector(o.DGain), nil)
}

func (j *normGradJob) startLayer(o *kernels.LayerNormGrad) {
	j.dx, j.g, j.x, j.gain, j.eps = f32(o.DX), f32(o.G), f32(o.X), vector(o.Gain), float64(o.Eps)
	j.centred, j.biased = true, !o.DBias.None()
	j.finish(vector(o.DGain), vector(o.DBias))
}

func (j *normGradJob) finish(dGain, dBias []float32) {
	n, units := j.x.cols, blocks(j.x.rows, partBlock)
	j.parts = j.d.parts(units, 2*n)
	j.d.pool.do(j, units, partBlock*4*n)
	j.parts.addTo(j.d, dGain, 0)
	if j.biased {
		j.parts.addTo(j.d, dBias, n)
	}
}

func (j *normGradJob) run(_, lo, hi int) {
	n := j.x.cols
	for u := lo; u < hi; u++ {
		part := j.parts.row(u)
		for i := u * partBlock; i < min((u+1)*partBlock, j.x.rows); i++ {
			g, x := j.g.row(i), j.x.row(i)
			j.d.vec.NormGrad(j.dx.row(i), part[:n], x, g, j.gain, j.terms(x, g))
			if j.biased {
				j.d.vec.Axpy(part[n:], 1, g)
			}
		}
	}
}

// terms are those of a row.
func (j *normGradJob) terms(x, g []float32) vec.NormTerms {
	n := float64(len(x))
	s := j.d.vec.NormSums(x, g, j.gain, 0)
	shift := float32(0)
	if j.centred {
		shift = float32(float64(s.C) / n)
		s = j.d.vec.NormSums(x, g, j.gain, shift)
	}
	r := 1 / math.Sqrt(float64(s.CC)/n+j.eps)
	t := vec.NormTerms{Shift: shift, R: float32(r), Slope: float32(r * r * float64(s.QC) / n)}
	if j.centred {
		t.Const = float32(r * float64(s.Q) / n)
	}
	return t
}
