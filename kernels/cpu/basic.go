package cpu

import (
	"quadrant/kernels"
	"quadrant/kernels/cpu/internal/vec"
)

func (d *Device) zero(o *kernels.Zero) {
	switch o.Dst.Type {
	case kernels.F32:
		zeroRows(of[float32](o.Dst))
	case kernels.BF16, kernels.F16:
		zeroRows(of[uint16](o.Dst))
	case kernels.I32:
		zeroRows(of[int32](o.Dst))
	}
}

func zeroRows[T any](v view[T]) {
	for i := range v.rows {
		clear(v.row(i))
	}
}

// embed copies rows; it is bound by memory, of which one thread takes enough.
func (d *Device) embed(o *kernels.Embed) {
	dst, ids, table := f32(o.Dst), i32(o.IDs), weightsOf(o.Table)
	for i := range dst.rows {
		id := int(ids.row(i)[0])
		if id < 0 || id >= table.rows {
			d.failf("token id %d in row %d is out of range: the table has %d rows", id, i, table.rows)
			return
		}
		row, from := dst.row(i), table.at(id, 0)
		switch from.typ {
		case kernels.F32:
			copy(row, from.f)
		case kernels.BF16:
			d.vec.WidenBF16(row, from.h[:len(row)])
		case kernels.F16:
			d.vec.WidenF16(row, from.h[:len(row)])
		}
	}
}

type addJob struct {
	d      *Device
	dst, x view[float32]
}

func (j *addJob) start(o *kernels.Add) {
	j.dst, j.x = f32(o.Dst), f32(o.X)
	j.d.pool.do(j, j.dst.rows, j.dst.cols)
}

func (j *addJob) run(_, lo, hi int) {
	for i := lo; i < hi; i++ {
		j.d.vec.Axpy(j.dst.row(i), 1, j.x.row(i))
	}
}

type negExpJob struct {
	d      *Device
	dst, x view[float32]
}

func (j *negExpJob) start(o *kernels.NegExp) {
	j.dst, j.x = f32(o.Dst), f32(o.X)
	j.d.pool.do(j, j.dst.rows, 8*j.dst.cols)
}

func (j *negExpJob) run(_, lo, hi int) {
	for i := lo; i < hi; i++ {
		dst := j.dst.row(i)
		for c, x := range j.x.row(i) {
			dst[c] = -vec.Exp(x)
		}
	}
}

type argMaxJob struct {
	d   *Device
	dst view[int32]
	x   view[float32]
}

func (j *argMaxJob) start(o *kernels.ArgMax) {
	j.dst, j.x = i32(o.Dst), f32(o.X)
	j.d.pool.do(j, j.x.rows, j.x.cols)
}

func (j *argMaxJob) run(_, lo, hi int) {
	for i := lo; i < hi; i++ {
		j.dst.row(i)[0] = int32(argMax(j.x.row(i)))
	}
}

// argMax is the index of the largest value, the first of equals; 0 if all are NaN.
func argMax(x []float32) int {
	best, top := 0, x[0]
	for i, v := range x {
		if v > top || isNaN(top) && !isNaN(v) {
			best, top = i, v
		}
	}
	return best
}

func isNaN(x float32) bool { return x != x }
