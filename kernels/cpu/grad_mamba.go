package cpu

import (
	"quadrant/kernels"
	"quadrant/kernels/cpu/internal/vec"
)

// convGradJob takes blocks of channels, stretch by stretch of tokens. Each channel's taps
// belong to one worker.
type convGradJob struct {
	d                *Device
	dx, dw, g, x, w  view[float32]
	dBias, bias      []float32
	seqs, rows, taps int // rows: of a sequence
}

func (j *convGradJob) start(o *kernels.ConvSiLUGrad) {
	j.dx, j.dw, j.g, j.x, j.w = f32(o.DX), f32(o.DW), f32(o.G), f32(o.X), f32(o.W)
	j.dBias, j.bias, j.seqs = vector(o.DBias), vector(o.Bias), o.Seqs
	j.rows, j.taps = j.x.rows/j.seqs, j.w.cols
	j.d.pool.do(j, blocks(j.x.cols, channelBlock), channelBlock*j.x.rows*(j.taps+4))
}

// convGradBlock is the scratch of a block of channels: taps and their gradients as rows,
// the latter with the bias's after them.
type convGradBlock struct {
	c0, c1     int
	w, dw      []float32
	c, dc, sum []float32 // [stretch, width]
}

func (j *convGradJob) run(worker, lo, hi int) {
	for u := lo; u < hi; u++ {
		b := j.block(worker, u*channelBlock, min((u+1)*channelBlock, j.x.cols))
		for s := range j.seqs {
			for t0 := 0; t0 < j.rows; t0 += stretch {
				j.stretch(b, s*j.rows, t0, min(t0+stretch, j.rows))
			}
		}
		j.finish(b)
	}
}

func (j *convGradJob) block(worker, c0, c1 int) convGradBlock {
	n := c1 - c0
	temp := j.d.temp(worker, (2*j.taps+1+3*stretch)*n)
	take := func(rows int) []float32 {
		part := temp[:rows*n]
		temp = temp[rows*n:]
		return part
	}
	b := convGradBlock{c0: c0, c1: c1, w: take(j.taps), dw: take(j.taps + 1), c: take(stretch), dc: take(stretch), sum: take(stretch)}
	for k := range j.taps {
		for c := range n {
			b.w[k*n+c] = j.w.row(c0 + c)[k]
		}
	}
	clear(b.dw)
	return b
}

// stretch goes over tokens t0 … t1 of the sequence whose first row is first.
func (j *convGradJob) stretch(b convGradBlock, first, t0, t1 int) {
	n := b.c1 - b.c0
	for t := t0; t < t1; t++ {
		out := b.c[(t-t0)*n:][:n]
		clear(out)
		if j.bias != nil {
			copy(out, j.bias[b.c0:b.c1])
		}
		for k := max(0, j.taps-1-t); k < j.taps; k++ {
			j.d.vec.MulAdd(out, b.w[k*n:][:n], j.x.row(first + t - j.taps + 1 + k)[b.c0:b.c1])
		}
		clear(j.dx.row(first + t)[b.c0:b.c1])
	}
	size := (t1 - t0) * n
	j.d.vec.SiLUGrad(b.c[:size], b.dc[:size], b.c[:size])
	for t := t0; t < t1; t++ {
		dc := b.dc[(t-t0)*n:][:n]
		j.d.vec.Mul(dc, j.g.row(first + t)[b.c0:b.c1])
		for k := max(0, j.taps-1-t); k < j.taps; k++ {
			from := first + t - j.taps + 1 + k
			j.d.vec.MulAdd(b.dw[k*n:][:n], dc, j.x.row(from)[b.c0:b.c1])
			j.d.vec.MulAdd(j.dx.row(from)[b.c0:b.c1], dc, b.w[k*n:][:n])
		}
		if j.dBias != nil {
			j.d.vec.Axpy(b.dw[j.taps*n:], 1, dc)
		}
	}
}

func (j *convGradJob) finish(b convGradBlock) {
	n := b.c1 - b.c0
	for c := range n {
		dw := j.dw.row(b.c0 + c)
		for k := range dw {
			dw[k] += b.dw[k*n+c]
		}
	}
	if j.dBias != nil {
		j.d.vec.Axpy(j.dBias[b.c0:b.c1], 1, b.dw[j.taps*n:])
	}
}

// scanGradJob takes blocks of channels of sequences, chunk by chunk from the last to the
// first. What is summed over channels or over sequences it leaves in parts, which a second
// round adds up.
type scanGradJob struct {
	d                             *Device
	dx, ddt, da, db, dc, dz       view[float32]
	g, x, dt, a, b, c, z, starts  view[float32]
	dSkip, dDtBias, skip, dtBias  []float32
	seqs, rows, perSeq, chunks    int
	partBC, partA, partD, partBia []float32 // [blocks][T][2N], [seqs][D][N], [seqs][D], [seqs][D]
	adding                        bool
}

func (j *scanGradJob) start(o *kernels.ScanGrad) {
	j.dx, j.ddt, j.da, j.db, j.dc, j.dz = f32(o.DX), f32(o.DDt), f32(o.DA), f32(o.DB), f32(o.DC), f32(o.DZ)
	j.g, j.x, j.dt, j.a, j.b, j.c, j.z, j.starts = f32(o.G), f32(o.X), f32(o.Dt), f32(o.A), f32(o.B), f32(o.C), f32(o.Z), f32(o.Starts)
	j.dSkip, j.dDtBias, j.skip, j.dtBias = vector(o.DD), vector(o.DDtBias), vector(o.D), vector(o.DtBias)
	j.seqs, j.rows = o.Seqs, j.x.rows/o.Seqs
	j.perSeq, j.chunks = blocks(j.x.cols, channelBlock), blocks(j.rows, kernels.ScanChunk)
	inner, n := j.x.cols, j.a.cols
	mem := j.d.shared(j.perSeq*j.x.rows*2*n + j.seqs*inner*(n+2))
	take := func(count int) []float32 {
		part := mem[:count]
		mem = mem[count:]
		return part
	}
	j.partBC, j.partA = take(j.perSeq*j.x.rows*2*n), take(j.seqs*inner*n)
	j.partD, j.partBia = take(j.seqs*inner), take(j.seqs*inner)
	j.adding = false
	j.d.pool.do(j, j.seqs*j.perSeq, channelBlock*j.rows*n*4)
	j.adding = true
	j.d.pool.do(j, j.x.rows, j.perSeq*2*n)
	j.addSequences()
}

func (j *scanGradJob) run(worker, lo, hi int) {
	if j.adding {
		j.addChannels(lo, hi)
		return
	}
	for u := lo; u < hi; u++ {
		s, block := u/j.perSeq, u%j.perSeq
		for sub := block * channelBlock; sub < min((block+1)*channelBlock, j.x.cols); sub += vec.ScanBlock {
			j.channels(worker, s, block, sub, sub > block*channelBlock)
		}
	}
}

// addChannels makes rows lo … hi of DB and DC of their parts.
func (j *scanGradJob) addChannels(lo, hi int) {
	n := j.a.cols
	for i := lo; i < hi; i++ {
		db, dc := j.db.row(i), j.dc.row(i)
		for block := range j.perSeq {
			part := j.partBC[(block*j.x.rows+i)*2*n:][:2*n]
			if block == 0 {
				copy(db, part)
				copy(dc, part[n:])
				continue
			}
			j.d.vec.Axpy(db, 1, part[:n])
			j.d.vec.Axpy(dc, 1, part[n:])
		}
	}
}

// addSequences adds the sequences' parts of the weights' gradients.
func (j *scanGradJob) addSequences() {
	inner, n := j.x.cols, j.a.cols
	for s := range j.seqs {
		for c := range inner {
			j.d.vec.Axpy(j.da.row(c), 1, j.partA[(s*inner+c)*n:][:n])
		}
		if j.dSkip != nil {
			j.d.vec.Axpy(j.dSkip, 1, j.partD[s*inner:][:inner])
		}
		if j.dDtBias != nil {
			j.d.vec.Axpy(j.dDtBias, 1, j.partBia[s*inner:][:inner])
		}
	}
}

// A scanGradBlock is up to vec.ScanBlock channels of one sequence on their way back, as
// rows of vec.ScanBlock values, those of absent channels zero.
type scanGradBlock struct {
	s, block, c0, c1     int
	more                 bool      // others of its block came before
	x                    []float32 // as vec.ScanGradArgs wants it
	in, g, z, dz, sig, y []float32 // [tokens]: X, G, SiLU(Z), SiLU′(Z), σ(Dt + DtBias), scratch
	acc, work            []float32
	state                []float32 // [states][4]
	sumD, sumBias        []float32
	sums                 []float32
}

// channels carries up to vec.ScanBlock channels from c0 on through sequence s.
func (j *scanGradJob) channels(worker, s, block, c0 int, more bool) {
	b := j.newBlock(worker)
	b.s, b.block, b.c0, b.c1, b.more = s, block, c0, min(c0+vec.ScanBlock, j.x.cols), more
	for n := range j.a.cols {
		a := b.state[n*4*vec.ScanBlock:]
		for c := b.c0; c < b.c1; c++ {
			a[c-b.c0] = j.a.row(c)[n]
		}
	}
	for chunk := j.chunks - 1; chunk >= 0; chunk-- {
		j.chunk(&b, chunk)
	}
	inner := j.x.cols
	for c := b.c0; c < b.c1; c++ {
		for n := range j.a.cols {
			j.partA[(s*inner+c)*j.a.cols+n] = b.state[(n*4+3)*vec.ScanBlock+c-b.c0]
		}
		j.partD[s*inner+c], j.partBia[s*inner+c] = b.sumD[c-b.c0], b.sumBias[c-b.c0]
	}
}

func (j *scanGradJob) newBlock(worker int) scanGradBlock {
	const rows = vec.ScanTokens * vec.ScanBlock
	n := j.a.cols
	padded := blocks(n, vec.ScanBlock) * vec.ScanBlock
	temp := j.d.temp(worker, 6*vec.ScanRows+6*rows+2*padded*rows+2*vec.ScanRows+n*4*vec.ScanBlock+2*vec.ScanBlock+padded)
	take := func(count int) []float32 {
		part := temp[:count]
		temp = temp[count:]
		return part
	}
	clear(temp)
	return scanGradBlock{
		x: take(6 * vec.ScanRows), in: take(rows), g: take(rows), z: take(rows), dz: take(rows), sig: take(rows), y: take(rows),
		acc: take(2 * padded * rows), work: take(2 * vec.ScanRows), state: take(n * 4 * vec.ScanBlock),
		sumD: take(vec.ScanBlock), sumBias: take(vec.ScanBlock), sums: take(padded),
	}
}

// part is one of the six of x, for n tokens.
func (b *scanGradBlock) part(i, n int) []float32 { return b.x[i*vec.ScanRows:][:n*vec.ScanBlock] }

// load copies the block's channels of rows from first on.
func (b *scanGradBlock) load(dst []float32, m view[float32], first, n int) {
	for t := range n {
		copy(dst[t*vec.ScanBlock:], m.row(first + t)[b.c0:b.c1])
	}
}

// save is load's opposite.
func (b *scanGradBlock) save(m view[float32], src []float32, first, n int) {
	for t := range n {
		copy(m.row(first + t)[b.c0:b.c1], src[t*vec.ScanBlock:])
	}
}

func (j *scanGradJob) chunk(b *scanGradBlock, chunk int) {
	t0 := chunk * kernels.ScanChunk
	n, first := min(kernels.ScanChunk, j.rows-t0), b.s*j.rows+t0
	j.prepare(b, first, n)
	inner, states := j.x.cols, j.a.cols
	for k := range states {
		state := b.state[k*4*vec.ScanBlock:]
		for c := b.c0; c < b.c1; c++ {
			state[vec.ScanBlock+c-b.c0] = j.starts.row((b.s*j.chunks+chunk)*inner + c)[k]
		}
		acc := b.acc[k*2*vec.ScanTokens*vec.ScanBlock:][:2*n*vec.ScanBlock]
		clear(acc)
		j.d.vec.ScanGrad(vec.ScanGradArgs{
			X: b.x, Acc: acc, State: state, Work: b.work, Tokens: n,
			B: j.b.data[first*j.b.stride+k:], LDB: j.b.stride, C: j.c.data[first*j.c.stride+k:], LDC: j.c.stride,
		})
	}
	j.sumChannels(b, first, n)
	j.finish(b, first, n)
}

// prepare fills the inputs of x: δ, δ·X and dy.
func (j *scanGradJob) prepare(b *scanGradBlock, first, n int) {
	dt, du, dy := b.part(0, n), b.part(1, n), b.part(2, n)
	size := len(dt)
	b.load(b.sig, j.dt, first, n)
	b.load(b.in, j.x, first, n)
	b.load(b.g, j.g, first, n)
	if j.dtBias != nil {
		for t := range n {
			j.d.vec.Axpy(b.sig[t*vec.ScanBlock:][:b.c1-b.c0], 1, j.dtBias[b.c0:b.c1])
		}
	}
	j.d.vec.Softplus(dt, b.sig[:size])
	j.d.vec.Sigmoid(b.sig[:size], b.sig[:size])
	j.d.vec.MulTo(du, dt, b.in)
	copy(dy, b.g)
	if !j.z.none() {
		b.load(b.z, j.z, first, n)
		j.d.vec.SiLUGrad(b.z[:size], b.dz[:size], b.z[:size])
		j.d.vec.Mul(dy, b.z)
	}
	for i := 3; i < 6; i++ {
		clear(b.part(i, n))
	}
}

// sumChannels adds the block's DB and DC to those of its block of channels.
func (j *scanGradJob) sumChannels(b *scanGradBlock, first, n int) {
	states := j.a.cols
	for t := range n {
		part := j.partBC[(b.block*j.x.rows+first+t)*2*states:][:2*states]
		for half := range 2 {
			j.d.vec.LaneSums(b.sums, b.acc[(2*t+half)*vec.ScanBlock:], 2*vec.ScanTokens*vec.ScanBlock)
			if out := part[half*states:][:states]; b.more {
				j.d.vec.Axpy(out, 1, b.sums[:states])
			} else {
				copy(out, b.sums)
			}
		}
	}
}

// finish writes DX, DDt and DZ, and adds to the sums of D and DtBias.
func (j *scanGradJob) finish(b *scanGradBlock, first, n int) {
	dt, dy, sb, se, y := b.part(0, n), b.part(2, n), b.part(3, n), b.part(4, n), b.part(5, n)
	size := len(dt)
	j.d.vec.MulAdd(se, sb, b.in[:size])
	j.d.vec.Mul(se, b.sig[:size])
	b.save(j.ddt, se, first, n)
	j.d.vec.Mul(sb, dt)
	for t := range n {
		row := func(x []float32) []float32 { return x[t*vec.ScanBlock:][:vec.ScanBlock] }
		j.d.vec.Axpy(b.sumBias, 1, row(se))
		if j.skip != nil {
			j.d.vec.MulAdd(b.sumD, row(dy), row(b.in))
			skip := j.skip[b.c0:b.c1]
			j.d.vec.MulAdd(row(sb)[:len(skip)], skip, row(dy))
			j.d.vec.MulAdd(row(y)[:len(skip)], skip, row(b.in))
		}
	}
	b.save(j.dx, sb, first, n)
	if !j.z.none() {
		j.d.vec.Mul(y, b.g[:size])
		j.d.vec.Mul(y, b.dz[:size])
		b.save(j.dz, y, first, n)
	}
}
