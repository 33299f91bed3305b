package cpu

import (
	"quadrant/kernels"
	"quadrant/kernels/cpu/internal/vec"
)

// channelBlock is the channels of one unit of a convolution or scan: some cache lines of each
// token's row.
const channelBlock = vec.StripChannels

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
	w := j.d.temp(worker, (j.w.cols+1)*channelBlock)
	for u := lo; u < hi; u++ {
		j.block(w, u*channelBlock, min((u+1)*channelBlock, j.x.cols))
	}
}

// block takes channels c0 … c1 of all sequences.
func (j *convJob) block(w []float32, c0, c1 int) {
	n, taps := j.x.rows/j.seqs, j.w.cols
	clear(w)
	for c := c0; c < c1; c++ {
		for k, tap := range j.w.row(c) {
			w[k*channelBlock+c-c0] = tap
		}
	}
	if j.bias != nil {
		copy(w[taps*channelBlock:], j.bias[c0:c1])
	}
	for s := range j.seqs {
		if taps == vec.ConvTaps {
			j.d.vec.Conv(vec.ConvArgs{
				Y: j.dst.data[s*n*j.dst.stride+c0:], LDY: j.dst.stride, X: j.x.data[s*n*j.x.stride+c0:], LDX: j.x.stride,
				Past: j.state.data[s*(taps-1)*j.state.stride+c0:], LDPast: j.state.stride, W: w, Tokens: n, Channels: c1 - c0,
			})
		} else {
			for t := range n {
				j.token(s, t, n, c0, c1, w)
			}
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

// token is one token with any number of taps.
func (j *convJob) token(s, t, n, c0, c1 int, w []float32) {
	taps, out := j.w.cols, j.dst.row(s*n + t)[c0:c1]
	copy(out, w[taps*channelBlock:])
	for k := range taps {
		j.d.vec.MulAdd(out, w[k*channelBlock:][:len(out)], j.before(s, t-taps+1+k, n)[c0:c1])
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

// stretch is the tokens of a block that are prepared at once. It divides kernels.ScanChunk.
const stretch = vec.ScanStretch

func (j *scanJob) start(o *kernels.Scan) {
	j.dst, j.x, j.dt, j.z = f32(o.Dst), f32(o.X), f32(o.Dt), f32(o.Z)
	j.a, j.b, j.c, j.state = f32(o.A), f32(o.B), f32(o.C), f32(o.State)
	j.skip, j.dtBias, j.seqs, j.starts = vector(o.D), vector(o.DtBias), o.Seqs, f32(o.Starts)
	n := j.x.rows / j.seqs
	j.d.pool.do(j, j.seqs*blocks(j.x.cols, channelBlock), channelBlock*n*(2*j.a.cols+8))
}

func (j *scanJob) run(worker, lo, hi int) {
	n, perSeq := j.x.rows/j.seqs, blocks(j.x.cols, channelBlock)
	take := taker(j.d.temp(worker, vec.StretchParts*vec.StretchSize+2*channelBlock))
	work, bias, skip := take.next(vec.StretchParts*vec.StretchSize), take.next(channelBlock), take.next(channelBlock)
	clear(bias)
	for u := lo; u < hi; u++ {
		s, c0 := u/perSeq, u%perSeq*channelBlock
		c1 := min(c0+channelBlock, j.x.cols)
		part := vec.StretchArgs{Work: work, Bias: bias, Channels: c1 - c0}
		if j.dtBias != nil {
			copy(bias, j.dtBias[c0:c1])
		}
		if j.skip != nil {
			part.Skip = skip
			copy(skip, j.skip[c0:c1])
		}
		for t0 := 0; t0 < n; t0 += stretch {
			if t0%kernels.ScanChunk == 0 && !j.starts.none() {
				j.keepStart(s*blocks(n, kernels.ScanChunk)+t0/kernels.ScanChunk, s, c0, c1)
			}
			part.Tokens = min(stretch, n-t0)
			j.block(part, s, s*n+t0, c0)
		}
	}
}

// keepStart copies the state of channels c0 … c1 of sequence s to the starts of a chunk.
func (j *scanJob) keepStart(chunk, s, c0, c1 int) {
	for c := c0; c < c1; c++ {
		copy(j.starts.row(chunk*j.x.cols+c), j.state.row(s*j.x.cols+c))
	}
}

// block carries the channels of part, from c0 on, of sequence s over its tokens, from row first
// on.
func (j *scanJob) block(part vec.StretchArgs, s, first, c0 int) {
	at := func(m view[float32]) ([]float32, int) {
		if m.none() {
			return nil, 0
		}
		return m.data[first*m.stride+c0:], m.stride
	}
	part.Dst, part.LDDst = at(j.dst)
	part.Dt, part.LDT = at(j.dt)
	part.X, part.LDX = at(j.x)
	part.Z, part.LDZ = at(j.z)
	j.d.vec.ScanIn(part)
	for c := 0; c < part.Channels; c += vec.ScanBlock {
		work := func(i int) []float32 { return part.Work[i*vec.StretchSize+c:] }
		j.d.vec.Scan(vec.ScanArgs{
			Y: work(vec.StretchY), DT: work(vec.StretchDT), DU: work(vec.StretchDU), LDY: channelBlock,
			H: j.state.data[(s*j.x.cols+c0+c)*j.state.stride:], LDH: j.state.stride,
			A: j.a.data[(c0+c)*j.a.stride:], LDA: j.a.stride,
			B: j.b.data[first*j.b.stride:], LDB: j.b.stride, C: j.c.data[first*j.c.stride:], LDC: j.c.stride,
			Tokens: part.Tokens, Channels: min(vec.ScanBlock, part.Channels-c), States: j.a.cols,
			Soon: j.soon(first, part.Tokens, c0+c),
		})
	}
	j.d.vec.ScanOut(part)
}

// soon are the rows that ScanOut of tokens from first on, and ScanIn of those after them, take from
// channel c on: on their way while Scan computes, which reads nothing from memory. They are 256
// bytes out of 6 KiB and more, too far apart to be foreseen.
func (j *scanJob) soon(first, tokens, c int) (soon [4]vec.Rows) {
	for i, m := range []view[float32]{j.z, j.dst, j.x, j.dt} {
		row := first
		if i >= 2 {
			row += tokens
		}
		if row < m.rows {
			soon[i] = vec.Rows{X: m.data[row*m.stride+c:], LD: m.stride}
		}
	}
	return soon
}
