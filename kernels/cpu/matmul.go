package cpu

import (
	"quadrant/kernels"
	"quadrant/kernels/cpu/internal/vec"
)

// gemm computes c[m, n] = x[m, k]·w[n, k]ᵀ (+ bias), w of any float type.
func (d *Device) gemm(worker int, c []float32, ldc int, x operand, w weights, m, n, k int, bias []float32) {
	switch {
	case x.packed:
		d.vec.GemmTiles(c, ldc, x.h, w.h, w.stride, m, n, k, d.temp(worker, vec.TilesTemp), d.halves(worker, vec.PanelSize(k)))
	case x.h != nil:
		d.vec.GemmPairs(c, ldc, x.h, x.stride, w.h, w.stride, m, n, k)
	case m >= vec.WideRows && d.vec.GemmWide != nil:
		d.wideProduct(c, ldc, x.f, x.stride, w, m, n, k, d.temp(worker, vec.WideTemp))
	case w.typ == kernels.F32:
		d.product(c, ldc, x.f, x.stride, w, m, n, k, nil)
	default:
		d.product(c, ldc, x.f, x.stride, w, m, n, k, d.temp(worker, 4*k))
	}
	if bias == nil {
		return
	}
	for i := range m {
		d.vec.Axpy(c[i*ldc:][:n], 1, bias)
	}
}

// product is gemm without a bias; temp has room for 4·k values where w is not F32.
func (d *Device) product(c []float32, ldc int, x []float32, ldx int, w weights, m, n, k int, temp []float32) {
	switch w.typ {
	case kernels.F32:
		d.vec.Gemm(c, ldc, x, ldx, w.f, w.stride, m, n, k)
	case kernels.BF16:
		d.vec.GemmBF16(c, ldc, x, ldx, w.h, w.stride, m, n, k, temp)
	case kernels.F16:
		d.vec.GemmF16(c, ldc, x, ldx, w.h, w.stride, m, n, k, temp)
	}
}

// wideProduct is product for many rows of X.
func (d *Device) wideProduct(c []float32, ldc int, x []float32, ldx int, w weights, m, n, k int, temp []float32) {
	for j := 0; j < n; j += vec.WideCols {
		c, w, n := c[j:], w.at(j, 0), min(vec.WideCols, n-j)
		switch w.typ {
		case kernels.F32:
			d.vec.GemmWide(c, ldc, x, ldx, w.f, w.stride, m, n, k, temp)
		case kernels.BF16:
			d.vec.GemmWideBF16(c, ldc, x, ldx, w.h, w.stride, m, n, k, temp)
		case kernels.F16:
			d.vec.GemmWideF16(c, ldc, x, ldx, w.h, w.stride, m, n, k, temp)
		}
	}
}

// unitCols is how many of n outputs are one unit of a product with m rows: enough rows of
// weights to be worth taking, few enough to share evenly.
func (d *Device) unitCols(m, n int) int {
	if d.vec.GemmTiles != nil {
		return vec.TileRows
	}
	if m < vec.WideRows || d.vec.GemmWide == nil {
		return 16
	}
	// Whole tiles, and as many units for each worker.
	workers := d.pool.workers
	each := blocks(n, blocks(n, vec.WideCols*workers)*workers)
	return min(vec.WideCols, blocks(each, 32)*32)
}

// weightedRows is y = Σ_i p[i]·V[i], v of any float type.
func (d *Device) weightedRows(y, p []float32, v weights) {
	switch v.typ {
	case kernels.F32:
		d.vec.WeightedRows(y, p, v.f, v.stride)
	case kernels.BF16:
		d.vec.WeightedRowsBF16(y, p, v.h, v.stride)
	case kernels.F16:
		d.vec.WeightedRowsF16(y, p, v.h, v.stride)
	}
}

// matMulJob takes blocks of columns of the output, or blocks of rows where there are too
// few columns to share.
type matMulJob struct {
	d    *Device
	dst  view[float32]
	a    operand
	k    int
	b    weights
	bias []float32

	rowBlock, colBlock int // of a unit: all rows, or all columns
}

func (j *matMulJob) start(o *kernels.MatMul) {
	j.dst, j.b, j.bias = f32(o.Dst), weightsOf(o.B), vector(o.Bias)
	j.a, j.k = j.d.operandOf(f32(o.A), o.B.Type, view[int32]{}), o.A.Cols
	m, n, k := j.dst.rows, j.dst.cols, j.k
	j.rowBlock, j.colBlock = m, j.d.unitCols(m, n)
	if rows := 8; !j.a.packed && blocks(n, 16) < 4*j.d.pool.workers && m > rows {
		// Each unit packs the weights anew, so those of wide products are few.
		if wide := blocks(blocks(m, 4*j.d.pool.workers), 12) * 12; wide >= 4*12 {
			rows = wide
		}
		j.rowBlock, j.colBlock = rows, n
	}
	j.d.pool.do(j, blocks(m, j.rowBlock)*blocks(n, j.colBlock), j.rowBlock*j.colBlock*k)
}

func blocks(n, size int) int { return (n + size - 1) / size }

func (j *matMulJob) run(worker, lo, hi int) {
	if j.rowBlock < j.dst.rows {
		j.block(worker, lo*j.rowBlock, min(hi*j.rowBlock, j.dst.rows), 0, j.dst.cols)
	} else {
		j.block(worker, 0, j.dst.rows, lo*j.colBlock, min(hi*j.colBlock, j.dst.cols))
	}
}

func (j *matMulJob) block(worker, r0, r1, c0, c1 int) {
	bias := j.bias
	if bias != nil {
		bias = bias[c0:c1]
	}
	j.d.gemm(worker, j.dst.data[r0*j.dst.stride+c0:], j.dst.stride, j.a.rows(r0, 0), j.b.at(c0, 0), r1-r0, c1-c0, j.k, bias)
}

// groupedJob is a product per expert; a unit is a block of columns of one expert. Units of
// the experts alternate, so that a busy expert's are shared.
type groupedJob struct {
	d       *Device
	dst, a  view[float32]
	x       operand // a as products take it
	b       weights
	bias    view[float32]
	offsets view[int32]
	experts int

	colBlock int // of a unit
}

func (j *groupedJob) start(o *kernels.GroupedMatMul) {
	j.dst, j.a, j.b, j.bias, j.offsets = f32(o.Dst), f32(o.A), weightsOf(o.B), f32(o.Bias), i32(o.Offsets)
	j.experts = j.offsets.rows - 1
	if !j.d.checkOffsets(j.offsets, j.dst.rows) {
		return
	}
	if !o.Slots.None() {
		var ok bool
		if j.a, ok = j.d.gathered(j.a, i32(o.Slots), o.K); !ok {
			return
		}
	}
	j.x = j.d.operandOf(j.a, o.B.Type, j.offsets)
	j.colBlock = j.d.unitCols(blocks(j.dst.rows, j.experts), j.dst.cols)
	j.d.pool.do(j, j.experts*blocks(j.dst.cols, j.colBlock), j.dst.rows*j.colBlock*j.a.cols/j.experts)
}

// checkOffsets guards against offsets into rows that Sort did not make.
func (d *Device) checkOffsets(offsets view[int32], rows int) bool {
	at := int32(0)
	for e := range offsets.rows {
		o := offsets.row(e)[0]
		if o < at || int(o) > rows {
			d.failf("expert offset %d is %d, after %d and with %d rows", e, o, at, rows)
			return false
		}
		at = o
	}
	return true
}

// gathered brings the rows of a into the order of the experts, in shared memory.
func (d *Device) gathered(a view[float32], slots view[int32], k int) (view[float32], bool) {
	n := a.cols
	for i := range slots.rows {
		if slot := int(slots.row(i)[0]); slot < 0 || slot >= slots.rows {
			d.failf("place %d holds slot %d of %d", i, slot, slots.rows)
			return a, false
		}
	}
	j := &d.jobs.training.gather
	j.dst, j.x, j.slots, j.k = view[float32]{d.shared(slots.rows * n), slots.rows, n, n}, a, slots, k
	d.pool.do(j, slots.rows, n/4)
	return j.dst, true
}

func (j *groupedJob) run(worker, lo, hi int) {
	for u := lo; u < hi; u++ {
		e, c0 := u%j.experts, u/j.experts*j.colBlock
		first, last := int(j.offsets.row(e)[0]), int(j.offsets.row(e + 1)[0])
		if first == last {
			continue
		}
		c1 := min(c0+j.colBlock, j.dst.cols)
		var bias []float32
		if !j.bias.none() {
			bias = j.bias.row(e)[c0:c1]
		}
		j.d.gemm(worker, j.dst.data[first*j.dst.stride+c0:], j.dst.stride, j.x.rows(first, e),
			j.b.at(e*j.dst.cols+c0, 0), last-first, c1-c0, j.a.cols, bias)
	}
}

type activationJob struct {
	d           *Device
	dst, x, mul view[float32]
	act         kernels.Act
}

func (j *activationJob) start(o *kernels.Activation) {
	j.dst, j.x, j.mul, j.act = f32(o.Dst), f32(o.X), f32(o.Mul), o.Act
	j.d.pool.do(j, j.x.rows*blocks(j.x.cols, actBlock), 16*actBlock)
}

// actBlock is the columns of one unit, so that a single row can be shared too.
const actBlock = 256

func (j *activationJob) run(worker, lo, hi int) {
	perRow := blocks(j.x.cols, actBlock)
	y := j.d.temp(worker, actBlock) // Dst may be Mul
	for u := lo; u < hi; u++ {
		i, c0 := u/perRow, u%perRow*actBlock
		c1 := min(c0+actBlock, j.x.cols)
		y := y[:c1-c0]
		j.d.activate(j.act, y, j.x.row(i)[c0:c1])
		if !j.mul.none() {
			j.d.vec.Mul(y, j.mul.row(i)[c0:c1])
		}
		copy(j.dst.row(i)[c0:c1], y)
	}
}

func (d *Device) activate(act kernels.Act, y, x []float32) {
	switch act {
	case kernels.SiLU:
		d.vec.SiLU(y, x)
	case kernels.GELU:
		d.vec.GELU(y, x)
	case kernels.GELUTanh:
		d.vec.GELUTanh(y, x)
	case kernels.ReLU:
		for i, v := range x {
			if v < 0 {
				v = 0
			}
			y[i] = v
		}
	}
}
