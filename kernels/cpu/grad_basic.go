package cpu

import "quadrant/kernels"

// zeroJob takes rows.
type zeroJob struct {
	d   *Device
	dst kernels.Mat
}

func (j *zeroJob) start(o *kernels.Zero) {
	j.dst = o.Dst
	j.d.pool.do(j, o.Dst.Rows, o.Dst.Cols/4)
}

func (j *zeroJob) run(_, lo, hi int) {
	part := kernels.Zero{Dst: j.dst.RowRange(lo, hi)}
	j.d.zero(&part)
}

// gatherJob copies a row of x to each row of dst: that of its slot's token.
type gatherJob struct {
	d      *Device
	dst, x view[float32]
	slots  view[int32]
	k      int // slots per token
}

func (j *gatherJob) run(_, lo, hi int) {
	for i := lo; i < hi; i++ {
		copy(j.dst.row(i), j.x.row(int(j.slots.row(i)[0])/j.k))
	}
}

type copyJob struct {
	d      *Device
	dst, x kernels.Mat
}

func (j *copyJob) start(o *kernels.Copy) {
	j.dst, j.x = o.Dst, o.X
	j.d.pool.do(j, o.Dst.Rows, o.Dst.Cols/4)
}

func (j *copyJob) run(_, lo, hi int) {
	dst, x := j.dst.RowRange(lo, hi), j.x.RowRange(lo, hi)
	switch dst.Mem.(type) {
	case []float32:
		copyRows(of[float32](dst), of[float32](x))
	case []uint16:
		copyRows(of[uint16](dst), of[uint16](x))
	case []int32:
		copyRows(of[int32](dst), of[int32](x))
	}
}

func copyRows[T any](dst, x view[T]) {
	for i := range dst.rows {
		copy(dst.row(i), x.row(i))
	}
}

type sumJob struct {
	d         *Device
	dst, x, y view[float32]
	scale     float32
}

func (j *sumJob) start(o *kernels.Sum) {
	j.dst, j.x, j.y, j.scale = f32(o.Dst), f32(o.X), f32(o.Y), o.Scale
	j.d.pool.do(j, j.dst.rows, j.dst.cols)
}

// run may find Dst in the place of X or Y.
func (j *sumJob) run(_, lo, hi int) {
	for i := lo; i < hi; i++ {
		dst, x := j.dst.row(i), j.x.row(i)
		if j.y.none() {
			for c, v := range x {
				dst[c] = j.scale * v
			}
			continue
		}
		y := j.y.row(i)[:len(x)]
		for c, v := range x {
			dst[c] = j.scale * (v + y[c])
		}
	}
}

// embedGradJob takes blocks of columns of all tokens: each element of the table gets its
// terms in the order of the tokens.
type embedGradJob struct {
	d        *Device
	table, g view[float32]
	ids      view[int32]
}

const embedBlock = 64

func (j *embedGradJob) start(o *kernels.EmbedGrad) {
	j.table, j.g, j.ids = f32(o.DTable), f32(o.G), i32(o.IDs)
	for i := range j.ids.rows {
		if id := int(j.ids.row(i)[0]); id < 0 || id >= j.table.rows {
			j.d.failf("token id %d in row %d is out of range: the table has %d rows", id, i, j.table.rows)
			return
		}
	}
	j.d.pool.do(j, blocks(j.g.cols, embedBlock), embedBlock*j.g.rows)
}

func (j *embedGradJob) run(_, lo, hi int) {
	c0, c1 := lo*embedBlock, min(hi*embedBlock, j.g.cols)
	for i := range j.g.rows {
		j.d.vec.Axpy(j.table.row(int(j.ids.row(i)[0]))[c0:c1], 1, j.g.row(i)[c0:c1])
	}
}

type negExpGradJob struct {
	d        *Device
	dx, g, y view[float32]
}

func (j *negExpGradJob) start(o *kernels.NegExpGrad) {
	j.dx, j.g, j.y = f32(o.DX), f32(o.G), f32(o.Y)
	j.d.pool.do(j, j.dx.rows, j.dx.cols)
}

func (j *negExpGradJob) run(_, lo, hi int) {
	for i := lo; i < hi; i++ {
		j.d.vec.MulAdd(j.dx.row(i), j.g.row(i), j.y.row(i))
	}
}
