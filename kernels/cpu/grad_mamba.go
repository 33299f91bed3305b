package cpu

import (
	"quadrant/kernels"
	"quadrant/kernels/cpu/internal/vec"
)

// convGradJob takes blocks of channels, whose taps' gradients belong to one worker.
type convGradJob struct {
	d               *Device
	dx, dw, g, x, w view[float32]
	dBias, bias     []float32
	seqs, taps      int
}

func (j *convGradJob) start(o *kernels.ConvSiLUGrad) {
	j.dx, j.dw, j.g, j.x, j.w = f32(o.DX), f32(o.DW), f32(o.G), f32(o.X), f32(o.W)
	j.dBias, j.bias, j.seqs, j.taps = vector(o.DBias), vector(o.Bias), o.Seqs, o.W.Cols
	j.d.pool.do(j, blocks(j.x.cols, vec.ScanBlock), vec.ScanBlock*j.x.rows*(j.taps+4))
}

func (j *convGradJob) run(worker, lo, hi int) {
	w := j.d.temp(worker, 2*(j.taps+1)*vec.ScanBlock)
	for u := lo; u < hi; u++ {
		c0 := u * vec.ScanBlock
		c1 := min(c0+vec.ScanBlock, j.x.cols)
		j.load(w, c0, c1)
		rows := j.x.rows / j.seqs
		for s := range j.seqs {
			at := func(m view[float32]) []float32 { return m.data[s*rows*m.stride+c0:] }
			j.d.vec.ConvGrad(vec.ConvGradArgs{
				DX: at(j.dx), LDDX: j.dx.stride, G: at(j.g), LDG: j.g.stride, X: at(j.x), LDX: j.x.stride,
				W: w, Taps: j.taps, Tokens: rows, Channels: c1 - c0,
			})
		}
		j.save(w[(j.taps+1)*vec.ScanBlock:], c0, c1)
	}
}

// load fills w with the taps and the bias of channels c0 … c1, and zeros.
func (j *convGradJob) load(w []float32, c0, c1 int) {
	clear(w)
	for c := c0; c < c1; c++ {
		for k, tap := range j.w.row(c) {
			w[k*vec.ScanBlock+c-c0] = tap
		}
		if j.bias != nil {
			w[j.taps*vec.ScanBlock+c-c0] = j.bias[c]
		}
	}
}

// save adds the gradients of the taps and of the bias.
func (j *convGradJob) save(dw []float32, c0, c1 int) {
	for c := c0; c < c1; c++ {
		for k := range j.dw.row(c) {
			j.dw.row(c)[k] += dw[k*vec.ScanBlock+c-c0]
		}
		if j.dBias != nil {
			j.dBias[c] += dw[j.taps*vec.ScanBlock+c-c0]
		}
	}
}
