package cpu

import (
	"quadrant/kernels"
	"quadrant/kernels/cpu/internal/vec"
)

// channelBlock is the channels of one unit of a convolution or scan: some cache lines of each
// token's row.
const channelBlock = 4 * vec.ScanBlock

// convJob takes blocks of channels: each carries its own part of the state from token to
// token.
type convJob struct {
	d                *Device
	dst, x, w, state view[float32]
	bias             []float32
	seqs             int
}

func (j *convJob) start(o *kernels.ConvSiLU) {
	j.dst, j.x, j.w, j.bias, j.state, j.seqs = f32(o.Dst), f32(o.X), f32(o.W), vector(o.Bias), f32(o.State), o.Seqs
	j.d.pool.do(j, blocks(j.x.cols, channelBlock), channelBlock*j.x.rows*(j.w.cols/4+4))
}

func (j *convJob) run(worker, lo, hi int) {
	n, taps := j.x.rows/j.seqs, j.w.cols
	c0, c1 := lo*channelBlock, min(hi*channelBlock, j.x.cols)
	w := j.d.temp(worker, taps*(c1-c0)) // taps as rows
	for k := range taps {
		for c := c0; c < c1; c++ {
			w[k*(c1-c0)+c-c0] = j.w.row(c)[k]
		}
	}
	for s := range j.seqs {
		for t := range n {
			j.token(s, t, n, c0, c1, w)
		}
		j.keep(s, n, c0, c1)
	}
}

// before is the input of the sequence s at token t, which is in the state for t < 0.
func (j *convJob) before(s, t, n int) []float32 {
	if taps := j.w.cols; t < 0 {
		return j.state.row(s*(taps-1) + taps - 1 + t)
	}
	return j.x.row(s*n + t)
}

func (j *convJob) token(s, t, n, c0, c1 int, w []float32) {
	taps, out := j.w.cols, j.dst.row(s*n + t)[c0:c1]
	if j.bias != nil {
		copy(out, j.bias[c0:c1])
	} else {
		clear(out)
	}
	for k := range taps {
		j.d.vec.MulAdd(out, w[k*len(out):][:len(out)], j.before(s, t-taps+1+k, n)[c0:c1])
	}
	j.d.vec.SiLU(out, out)
}

// keep moves the last inputs of sequence s into the state, oldest first. A step shorter
// than the state shifts it; rows are read before they are overwritten.
func (j *convJob) keep(s, n, c0, c1 int) {
	past := j.w.cols - 1
	for k := range past {
		copy(j.state.row(s*past + k)[c0:c1], j.before(s, n-past+k, n)[c0:c1])
	}
}

// scanJob takes blocks of channels of sequences, and stretches of tokens within.
type scanJob struct {
	d                             *Device
	dst, x, dt, a, b, c, z, state view[float32]
	starts                        view[float32] // none, or the state at every chunk's start
	skip, dtBias                  []float32
	seqs                          int
}

// stretch is the tokens of a block that are prepared at once: their scratch stays in the
// nearest caches. It divides kernels.ScanChunk.
const stretch = 32

func (j *scanJob) start(o *kernels.Scan) {
	j.dst, j.x, j.dt, j.z = f32(o.Dst), f32(o.X), f32(o.Dt), f32(o.Z)
	j.a, j.b, j.c, j.state = f32(o.A), f32(o.B), f32(o.C), f32(o.State)
	j.skip, j.dtBias, j.seqs, j.starts = vector(o.D), vector(o.DtBias), o.Seqs, f32(o.Starts)
	n := j.x.rows / j.seqs
	j.d.pool.do(j, j.seqs*blocks(j.x.cols, channelBlock), channelBlock*n*(2*j.a.cols+8))
}

func (j *scanJob) run(worker, lo, hi int) {
	n, perSeq := j.x.rows/j.seqs, blocks(j.x.cols, channelBlock)
	temp := j.d.temp(worker, 4*stretch*channelBlock)
	for u := lo; u < hi; u++ {
		s, c0 := u/perSeq, u%perSeq*channelBlock
		c1 := min(c0+channelBlock, j.x.cols)
		for t0 := 0; t0 < n; t0 += stretch {
			if t0%kernels.ScanChunk == 0 && !j.starts.none() {
				j.keepStart(s*blocks(n, kernels.ScanChunk)+t0/kernels.ScanChunk, s, c0, c1)
			}
			j.block(s, s*n+t0, min(stretch, n-t0), c0, c1, temp)
		}
	}
}

// keepStart copies the state of channels c0 … c1 of sequence s to the starts of a chunk.
func (j *scanJob) keepStart(chunk, s, c0, c1 int) {
	for c := c0; c < c1; c++ {
		copy(j.starts.row(chunk*j.x.cols+c), j.state.row(s*j.x.cols+c))
	}
}

// block carries channels c0 … c1 of sequence s over n tokens from row first on.
func (j *scanJob) block(s, first, n, c0, c1 int, temp []float32) {
	size := n * channelBlock
	y, dt, du, gate := temp[:size], temp[size:2*size], temp[2*size:3*size], temp[3*size:4*size]
	clear(dt) // a block with fewer channels leaves the rest of its rows alone
	for t := range n {
		at, row := t*channelBlock, first+t
		copy(dt[at:], j.dt.row(row)[c0:c1])
		if j.dtBias != nil {
			j.d.vec.Axpy(dt[at:at+c1-c0], 1, j.dtBias[c0:c1])
		}
	}
	j.d.vec.Softplus(dt, dt)
	copy(du, dt)
	for t := range n {
		at := t * channelBlock
		j.d.vec.Mul(du[at:at+c1-c0], j.x.row(first + t)[c0:c1])
	}
	for c := c0; c < c1; c += vec.ScanBlock {
		at := c - c0
		j.d.vec.Scan(vec.ScanArgs{
			Y: y[at:], DT: dt[at:], DU: du[at:], LDY: channelBlock,
			H: j.state.data[(s*j.x.cols+c)*j.state.stride:], LDH: j.state.stride,
			A: j.a.data[c*j.a.stride:], LDA: j.a.stride,
			B: j.b.data[first*j.b.stride:], LDB: j.b.stride, C: j.c.data[first*j.c.stride:], LDC: j.c.stride,
			Tokens: n, Channels: min(vec.ScanBlock, c1-c), States: j.a.cols,
		})
	}
	for t := range n {
		at, row := t*channelBlock, first+t
		out := j.dst.row(row)[c0:c1]
		copy(out, y[at:])
		if j.skip != nil {
			j.d.vec.MulAdd(out, j.skip[c0:c1], j.x.row(row)[c0:c1])
		}
		if !j.z.none() {
			g := gate[:c1-c0]
			j.d.vec.SiLU(g, j.z.row(row)[c0:c1])
			j.d.vec.Mul(out, g)
		}
	}
}
