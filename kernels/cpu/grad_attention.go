package cpu

import (
	"quadrant/kernels"
	"quadrant/kernels/cpu/internal/vec"
)

// rotaryGradJob turns back one token per unit.
type rotaryGradJob struct {
	d                        *Device
	dq, dk, dv, kRows, vRows view[float32]
	back                     rotaryJob // for its turn
	seqs                     int
}

func (j *rotaryGradJob) start(o *kernels.RotaryGrad) {
	j.dq, j.dk, j.dv, j.kRows, j.vRows, j.seqs = f32(o.DQ), f32(o.DK), f32(o.DV), f32(o.DKCache), f32(o.DVCache), o.Seqs
	n := j.dq.rows / j.seqs
	j.back = rotaryJob{d: j.d, headDim: o.HeadDim, half: o.Rotary / 2, back: true}
	j.back.angles = j.d.angles(n, 0, o.Rotary, o.Base)
	j.d.pool.do(j, j.dq.rows, 4*(j.dq.cols+2*j.dk.cols))
}

func (j *rotaryGradJob) run(_, lo, hi int) {
	n, length := j.dq.rows/j.seqs, j.kRows.rows/j.seqs
	for i := lo; i < hi; i++ {
		row, at := i/n*length+i%n, j.back.angles[2*(i%n)*j.back.half:]
		copy(j.dk.row(i), j.kRows.row(row))
		copy(j.dv.row(i), j.vRows.row(row))
		j.back.turn(j.dq.row(i), at)
		j.back.turn(j.dk.row(i), at)
	}
}

// attendGradJob takes key-value heads of sequences: all sums over queries, keys and the
// query heads that share a key-value head are then one worker's. Probabilities are computed
// again for tiles of gradTile keys and as many queries.
type attendGradJob struct {
	d                          *Device
	dq, dk, dv, g, out, q, lse view[float32]
	k, v                       kernels.Mat
	rows, length               int // of a sequence: of the step, of the cache
	headDim, kvHeads, share    int
	scale                      float32
}

const (
	gradTile  = 64
	gradGroup = 8 // queries, or keys, that are cut alike at the diagonal
)

func (j *attendGradJob) start(o *kernels.AttendGrad) {
	j.dq, j.dk, j.dv, j.g, j.out, j.q, j.lse = f32(o.DQ), f32(o.DK), f32(o.DV), f32(o.G), f32(o.Out), f32(o.Q), f32(o.LSE)
	j.k, j.v, j.headDim, j.scale = o.K, o.V, o.HeadDim, o.Scale
	j.kvHeads, j.share = o.K.Cols/o.HeadDim, o.Q.Cols/o.K.Cols
	j.rows, j.length = o.Q.Rows/o.Seqs, o.K.Rows/o.Seqs
	j.d.pool.do(j, o.Seqs*j.kvHeads, j.rows*j.rows*j.headDim*j.share)
}

// gradKeys are up to gradTile keys of a key-value head and their values, and the scratch of
// what is computed for them.
type gradKeys struct {
	seq, head, k0, n int
	k, v             []float32 // [n, HeadDim], rows of k ld apart
	ld               int
	kT, vT           []float32 // [HeadDim, gradTile]
	p, ds            []float32 // [gradTile, gradTile] of a block of queries
	shift            []float32 // [share, rows]: rowsum(G ⊙ Out)
}

func (j *attendGradJob) run(worker, lo, hi int) {
	size := gradTile * j.headDim
	temp := j.d.temp(worker, 4*size+2*gradTile*gradTile+j.share*j.rows)
	take := func(count int) []float32 {
		part := temp[:count]
		temp = temp[count:]
		return part
	}
	t := gradKeys{
		k: take(size), v: take(size), kT: take(size), vT: take(size),
		p: take(gradTile * gradTile), ds: take(gradTile * gradTile), shift: take(j.share * j.rows),
	}
	for u := lo; u < hi; u++ {
		t.seq, t.head = u/j.kvHeads, u%j.kvHeads
		j.shifts(t)
		for t.k0 = 0; t.k0 < j.rows; t.k0 += gradTile {
			t.n = min(gradTile, j.rows-t.k0)
			j.keys(t)
		}
	}
}

// at is m from row i of sequence seq, and a head, on.
func (j *attendGradJob) at(m view[float32], seq, rows, i, head int) []float32 {
	return m.data[(seq*rows+i)*m.stride+head*j.headDim:]
}

func (j *attendGradJob) shifts(t gradKeys) {
	for h := range j.share {
		head := t.head*j.share + h
		for i := range j.rows {
			t.shift[h*j.rows+i] = j.d.vec.Dot(j.at(j.g, t.seq, j.rows, i, head)[:j.headDim], j.at(j.out, t.seq, j.rows, i, head)[:j.headDim])
		}
	}
}

// keys computes what the keys of a tile have part in.
func (j *attendGradJob) keys(t gradKeys) {
	hd := j.headDim
	k, ldk := j.wide(t.k, j.k, t)
	v, ldv := j.wide(t.v, j.v, t)
	j.d.vec.Transpose(t.kT, gradTile, k, ldk, t.n, hd)
	j.d.vec.Transpose(t.vT, gradTile, v, ldv, t.n, hd)
	t.k, t.ld = k, ldk
	for h := range j.share {
		for q0 := t.k0; q0 < j.rows; q0 += gradTile {
			j.tile(t, t.head*j.share+h, t.shift[h*j.rows+q0:], q0, min(gradTile, j.rows-q0), h == 0 && q0 == t.k0)
		}
	}
}

// wide is the tile's rows of m, keys or values, in float32: in their place where they are that.
func (j *attendGradJob) wide(temp []float32, m kernels.Mat, t gradKeys) (rows []float32, ld int) {
	first, col := t.seq*j.length+t.k0, t.head*j.headDim
	if m.Type == kernels.F32 {
		return f32(m).data[first*m.Stride+col:], m.Stride
	}
	widen(temp, m, first, t.n, col, j.headDim)
	return temp, j.headDim
}

// tile computes the part of a head's m queries from q0 on. first says that nothing has been
// added to the keys' gradients yet.
func (j *attendGradJob) tile(t gradKeys, head int, shift []float32, q0, m int, first bool) {
	q, g := j.at(j.q, t.seq, j.rows, q0, head), j.at(j.g, t.seq, j.rows, q0, head)
	dq := j.at(j.dq, t.seq, j.rows, q0, head)
	group := gradTile // on the diagonal, groups see different numbers of keys
	if q0 == t.k0 {
		group = gradGroup
	}
	hd := j.headDim
	for i := 0; i < m; i += group {
		rows := min(group, m-i)
		seen := min(t.n, q0+i+rows-t.k0)
		j.d.vec.Product(vec.ProductArgs{C: t.p[i*gradTile:], LDC: gradTile, A: q[i*j.q.stride:], RowA: j.q.stride, StepA: 1, B: t.kT, LDB: gradTile, M: rows, N: seen, K: hd})
		j.d.vec.Product(vec.ProductArgs{C: t.ds[i*gradTile:], LDC: gradTile, A: g[i*j.g.stride:], RowA: j.g.stride, StepA: 1, B: t.vT, LDB: gradTile, M: rows, N: seen, K: hd})
		for r := i; r < i+rows; r++ {
			p, ds := t.p[r*gradTile:][:gradTile], t.ds[r*gradTile:][:gradTile]
			visible := min(seen, q0+r+1-t.k0)
			lse, whole := j.lse.row(t.seq*j.rows + q0 + r)[head], blocks(visible, 16)*16 // vectors, of any set
			j.d.vec.SoftmaxGrad(p[:whole], ds[:whole], j.scale, lse, shift[r])
			clear(p[visible:seen])
			clear(ds[visible:seen])
		}
		j.d.vec.Product(vec.ProductArgs{C: dq[i*j.dq.stride:], LDC: j.dq.stride, A: t.ds[i*gradTile:], RowA: gradTile, StepA: 1, B: t.k, LDB: t.ld, M: rows, N: hd, K: seen, Add: t.k0 > 0})
	}
	dk, dv := j.at(j.dk, t.seq, j.length, t.k0, t.head), j.at(j.dv, t.seq, j.length, t.k0, t.head)
	for i := 0; i < t.n; i += group {
		rows, from := min(group, t.n-i), 0
		if q0 == t.k0 {
			from = i // earlier queries do not see these keys
		}
		at := from*gradTile + i
		j.d.vec.Product(vec.ProductArgs{C: dv[i*j.dv.stride:], LDC: j.dv.stride, A: t.p[at:], RowA: 1, StepA: gradTile, B: g[from*j.g.stride:], LDB: j.g.stride, M: rows, N: hd, K: m - from, Add: !first})
		j.d.vec.Product(vec.ProductArgs{C: dk[i*j.dk.stride:], LDC: j.dk.stride, A: t.ds[at:], RowA: 1, StepA: gradTile, B: q[from*j.q.stride:], LDB: j.q.stride, M: rows, N: hd, K: m - from, Add: !first})
	}
}

// widen copies rows and columns of m, of any float type, to dst without anything between.
func widen(dst []float32, m kernels.Mat, row, rows, col, cols int) {
	for i := range rows {
		at, out := m.Off+(row+i)*m.Stride+col, dst[i*cols:][:cols]
		switch m.Type {
		case kernels.F32:
			copy(out, m.Mem.([]float32)[at:])
		case kernels.BF16:
			for c, b := range m.Mem.([]uint16)[at:][:cols] {
				out[c] = kernels.FromBF16(b)
			}
		case kernels.F16:
			for c, b := range m.Mem.([]uint16)[at:][:cols] {
				out[c] = kernels.FromF16(b)
			}
		default:
			panic("cpu: no widening of " + m.Type.String())
		}
	}
}
