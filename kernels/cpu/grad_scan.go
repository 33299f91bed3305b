package cpu

import (
	"quadrant/kernels"
	"quadrant/kernels/cpu/internal/vec"
)

// scanGradJob takes blocks of channels of sequences, chunk by chunk from the last to the
// first. What is summed over channels or over sequences it leaves in parts, which a second
// round adds up.
type scanGradJob struct {
	d                              *Device
	dx, ddt, da, db, dc, dz        view[float32]
	g, x, dt, a, b, c, z, starts   view[float32]
	dSkip, dDtBias, skip, dtBias   []float32
	seqs, rows, perSeq, chunks     int
	partBC, partA, partD, partBias []float32 // [blocks][T][2N], [seqs][D][N], [seqs][D], [seqs][D]
	adding                         bool
}

func (j *scanGradJob) start(o *kernels.ScanGrad) {
	j.dx, j.ddt, j.da, j.db, j.dc, j.dz = f32(o.DX), f32(o.DDt), f32(o.DA), f32(o.DB), f32(o.DC), f32(o.DZ)
	j.g, j.x, j.dt, j.a, j.b, j.c, j.z, j.starts = f32(o.G), f32(o.X), f32(o.Dt), f32(o.A), f32(o.B), f32(o.C), f32(o.Z), f32(o.Starts)
	j.dSkip, j.dDtBias, j.skip, j.dtBias = vector(o.DD), vector(o.DDtBias), vector(o.D), vector(o.DtBias)
	j.seqs, j.rows = o.Seqs, j.x.rows/o.Seqs
	j.perSeq, j.chunks = blocks(j.x.cols, channelBlock), blocks(j.rows, kernels.ScanChunk)
	inner, n := j.x.cols, j.a.cols
	take := taker(j.d.shared(j.perSeq*j.x.rows*2*n + j.seqs*inner*(n+2)))
	j.partBC, j.partA = take.next(j.perSeq*j.x.rows*2*n), take.next(j.seqs*inner*n)
	j.partD, j.partBias = take.next(j.seqs*inner), take.next(j.seqs*inner)
	j.adding = false
	j.d.pool.do(j, j.seqs*j.perSeq, channelBlock*j.rows*n*4)
	j.adding = true
	j.d.pool.do(j, j.x.rows, j.perSeq*2*n)
	j.addSequences()
}

// A taker hands out memory piece by piece.
type taker []float32

func (t *taker) next(n int) []float32 {
	piece := (*t)[:n]
	*t = (*t)[n:]
	return piece
}

func (j *scanGradJob) run(worker, lo, hi int) {
	if j.adding {
		j.addChannels(lo, hi)
		return
	}
	for u := lo; u < hi; u++ {
		j.channels(worker, u/j.perSeq, u%j.perSeq)
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
			j.d.vec.Axpy(j.dDtBias, 1, j.partBias[s*inner:][:inner])
		}
	}
}

// A scanGradBlock is a block of channels of one sequence on its way back, of which up to
// vec.ScanBlock at a time are in hand, as rows of vec.ScanBlock values, those of absent
// channels zero.
type scanGradBlock struct {
	s, block, c0, c1 int       // c0 … c1: in hand
	x, work          []float32 // as vec.ScanGradArgs wants them
	acc              []float32 // [states][ScanTokens][2][ScanBlock], of all the block's channels
	state            []float32 // [channels/ScanBlock][states][4][ScanBlock]
	sums             []float32 // [channels/ScanBlock][4][ScanBlock]: D, sums of its gradient and of DDt, DtBias
	folded           []float32
}

const scanRowsOfBlock = vec.ScanTokens * vec.ScanBlock

func (j *scanGradJob) newBlock(worker int) scanGradBlock {
	const subs = channelBlock / vec.ScanBlock
	n, padded := j.a.cols, blocks(j.a.cols, vec.ScanBlock)*vec.ScanBlock
	parts, work, acc := vec.ScanParts*vec.ScanStride, 2*2*scanRowsOfBlock, 2*padded*scanRowsOfBlock
	state, sums := subs*n*4*vec.ScanBlock, subs*4*vec.ScanBlock
	take := taker(j.d.temp(worker, parts+work+acc+state+sums+padded))
	b := scanGradBlock{
		x: take.next(parts), work: take.next(work), acc: take.next(acc),
		state: take.next(state), sums: take.next(sums), folded: take.next(padded),
	}
	clear(b.acc[2*n*scanRowsOfBlock:])
	clear(b.state)
	clear(b.sums)
	return b
}

// channels carries a block of channels through sequence s.
func (j *scanGradJob) channels(worker, s, block int) {
	b := j.newBlock(worker)
	b.s, b.block = s, block
	j.each(&b, func(sub int) {
		for n := range j.a.cols {
			a := j.state(&b, sub, n)
			for c := b.c0; c < b.c1; c++ {
				a[c-b.c0] = j.a.row(c)[n]
			}
		}
		if sums := j.sums(&b, sub); j.skip != nil {
			copy(sums, j.skip[b.c0:b.c1])
		}
		if sums := j.sums(&b, sub); j.dtBias != nil {
			copy(sums[3*vec.ScanBlock:], j.dtBias[b.c0:b.c1])
		}
	})
	for chunk := j.chunks - 1; chunk >= 0; chunk-- {
		j.chunk(&b, chunk)
	}
	inner := j.x.cols
	j.each(&b, func(sub int) {
		for c := b.c0; c < b.c1; c++ {
			for n := range j.a.cols {
				j.partA[(s*inner+c)*j.a.cols+n] = j.state(&b, sub, n)[3*vec.ScanBlock+c-b.c0]
			}
		}
		sums := j.sums(&b, sub)
		copy(j.partD[s*inner+b.c0:s*inner+b.c1], sums[vec.ScanBlock:])
		copy(j.partBias[s*inner+b.c0:s*inner+b.c1], sums[2*vec.ScanBlock:])
	})
}

// each takes the block's channels in hand, vec.ScanBlock by vec.ScanBlock.
func (j *scanGradJob) each(b *scanGradBlock, do func(sub int)) {
	end := min((b.block+1)*channelBlock, j.x.cols)
	for sub := 0; b.block*channelBlock+sub*vec.ScanBlock < end; sub++ {
		b.c0 = b.block*channelBlock + sub*vec.ScanBlock
		b.c1 = min(b.c0+vec.ScanBlock, end)
		do(sub)
	}
}

// state is that of vec.ScanGradArgs, from a state of a sub-block on.
func (j *scanGradJob) state(b *scanGradBlock, sub, n int) []float32 {
	return b.state[(sub*j.a.cols+n)*4*vec.ScanBlock:]
}

// sums are the four rows of a sub-block.
func (j *scanGradJob) sums(b *scanGradBlock, sub int) []float32 {
	return b.sums[sub*4*vec.ScanBlock:][:4*vec.ScanBlock]
}

// chunk goes over the tokens from one kept state to the next.
func (j *scanGradJob) chunk(b *scanGradBlock, chunk int) {
	t0 := chunk * kernels.ScanChunk
	n, first := min(kernels.ScanChunk, j.rows-t0), b.s*j.rows+t0
	states := j.a.cols
	clear(b.acc[:2*states*scanRowsOfBlock])
	j.each(b, func(sub int) {
		j.before(b, sub, first, n)
		starts := j.starts.data[((b.s*j.chunks+chunk)*j.x.cols+b.c0)*j.starts.stride:]
		for k := range states {
			state := j.state(b, sub, k)
			for c := range b.c1 - b.c0 {
				state[vec.ScanBlock+c] = starts[c*j.starts.stride+k]
			}
		}
		for k := 0; k < states; k += 2 {
			ahead, lda := j.ahead(b, k/2, sub, first)
			j.d.vec.ScanGrad(vec.ScanGradArgs{
				Ahead: ahead, LDAhead: lda,
				X: b.x, Acc: b.acc[k*2*scanRowsOfBlock:], State: j.state(b, sub, k), Work: b.work, Tokens: n, States: min(2, states-k),
				B: j.b.data[first*j.b.stride+k:], LDB: j.b.stride, C: j.c.data[first*j.c.stride+k:], LDC: j.c.stride,
			})
		}
		j.after(b, sub, first, n)
	})
	for t := range n {
		part := j.partBC[(b.block*j.x.rows+first+t)*2*states:][:2*states]
		for half := range 2 {
			j.d.vec.LaneSums(b.folded, b.acc[(2*t+half)*vec.ScanBlock:], 2*scanRowsOfBlock)
			copy(part[half*states:][:states], b.folded)
		}
	}
}

// ahead are the rows that are needed soon, of one matrix for each of the first calls: those
// that the channels in hand will be written to, and those that the next will be read from. A
// vector of a row is a cache line far from the next, which no hardware expects.
func (j *scanGradJob) ahead(b *scanGradBlock, call, sub, first int) ([]float32, int) {
	var m view[float32]
	next := 0
	switch call {
	case 0:
		m = j.ddt
	case 1:
		m = j.dx
	case 2:
		m = j.dz
	case 3, 4, 5, 6:
		m = [...]view[float32]{j.dt, j.x, j.g, j.z}[call-3]
		if next = vec.ScanBlock; b.c1 == min((b.block+1)*channelBlock, j.x.cols) { // the last: the first of the chunk before
			next = -sub * vec.ScanBlock
			first -= kernels.ScanChunk
		}
	}
	if m.none() || first < 0 {
		return nil, 0
	}
	return m.data[first*m.stride+b.c0+next:], m.stride
}

// before fills x for n tokens from row first on.
func (j *scanGradJob) before(b *scanGradBlock, sub, first, n int) {
	rows := vec.ScanRows{X: b.x, Bias: j.sums(b, sub)[3*vec.ScanBlock:], Tokens: n, Channels: b.c1 - b.c0}
	rows.Dt, rows.LDT = b.rows(j.dt, first)
	rows.In, rows.LDIn = b.rows(j.x, first)
	rows.G, rows.LDG = b.rows(j.g, first)
	rows.Z, rows.LDZ = b.rows(j.z, first)
	j.d.vec.ScanBefore(rows)
}

// after writes DX, DDt and DZ, and adds to the sums of D and DtBias.
func (j *scanGradJob) after(b *scanGradBlock, sub, first, n int) {
	rows := vec.ScanRows{X: b.x, Sums: j.sums(b, sub), Tokens: n, Channels: b.c1 - b.c0}
	rows.Dt, rows.LDT = b.rows(j.ddt, first)
	rows.In, rows.LDIn = b.rows(j.dx, first)
	rows.Z, rows.LDZ = b.rows(j.dz, first)
	j.d.vec.ScanAfter(rows)
}

// rows are the channels in hand of m from row first on, nil where m is absent.
func (b *scanGradBlock) rows(m view[float32], first int) ([]float32, int) {
	if m.none() {
		return nil, 0
	}
	return m.data[first*m.stride+b.c0:], m.stride
}
