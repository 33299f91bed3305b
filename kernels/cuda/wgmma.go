package cuda

import (
	"fmt"

	"quadrant/kernels"
)

// Products of many rows by wgmma, which only GPUs of compute capability 9.0 have: kern/gemm_90a.cu.
// Both operands are first written as panels (kern/panel.h), which costs a pass over each, so that
// these kernels are for products with enough rows to be worth it; gemm.go has the others.

const (
	wgmmaRows    = 512       // are worth a pass over the weights
	panelColumns = 64        // of a panel
	panelBytes   = 128       // of a row in it
	tileRows     = 128       // TILE_ROWS in kern/gemm_90a.cu
	wgmmaThreads = 288       // TENSOR_THREADS
	ringBytes    = 227 << 10 // BARRIER_BYTES and RING_BYTES
	panelRowUnit = 8         // experts begin at multiples of it
	mostColumns  = 192       // of a tile, so many rows beyond the last may be read of a panel
)

// tileWidths are the columns of a tile that there are kernels for, with the time that one column
// costs with one term and with two, relative to the widest, as measured.
var tileWidths = []struct {
	columns int
	cost    [2]float64
}{{192, [2]float64{1, 1}}, {128, [2]float64{0.97, 1.05}}}

// tileWidth chooses the tiles that take the least time where multiprocessors go through them in turns.
func (d *Device) tileWidth(rowTiles, out int) int {
	best, least := 0, 0.0
	for _, w := range tileWidths {
		turns := blocksFor(rowTiles*blocksFor(out, w.columns), d.multiprocessors)
		if t := float64(turns*w.columns) * w.cost[d.terms()-1]; best == 0 || t < least {
			best, least = w.columns, t
		}
	}
	return best
}

// canWGMMA reports whether kernels that use wgmma can multiply rows with b, of experts matrices.
func (d *Device) canWGMMA(rows int, b kernels.Mat, experts int) bool {
	out := b.Rows / max(1, experts)
	return d.wgmmaFrom > 0 && rows >= d.wgmmaFrom && canTensor(rows, b) && (experts == 0 || out%panelRowUnit == 0)
}

// A tensorProduct is a MatMul, or a GroupedMatMul if it has offsets.
type tensorProduct struct {
	dst, a, b, bias, offsets, slots kernels.Mat
	k                               int
}

func (p tensorProduct) experts() int { return max(0, p.offsets.Rows-1) }

// panels are activations as the kernels write and read them: Panels in kern/panel.h. The zero
// value is none.
type panels struct {
	high, low uint64
	rows      int
}

func (a *args) panels(p panels) {
	a.pointer(p.high)
	a.pointer(p.low)
	a.int(p.rows)
}

// panels lends memory for the panels of p.a, until the next that are lent.
func (d *Device) panels(p tensorProduct) panels {
	rows := blocksFor(p.dst.Rows+(p.experts()+1)*panelRowUnit+tileRows, panelRowUnit) * panelRowUnit
	bytes := blocksFor(p.a.Cols, panelColumns) * rows * panelBytes
	at := panels{high: d.lend(&d.panelMemory, d.terms()*bytes), rows: rows}
	if d.terms() == 2 {
		at.low = at.high + uint64(bytes)
	}
	return at
}

// wgmma plans p with panels of a, which it makes.
func (d *Device) wgmma(p tensorProduct) {
	to, in := d.panels(p), p.a.Cols
	width := blocksFor(in, panelColumns) * panelColumns
	a := d.begin()
	a.panels(to)
	a.mats(p.a, p.slots, p.offsets)
	aligned := 0
	if vectors(p.a) && in%8 == 0 {
		aligned = 1
	}
	a.int(p.experts(), in, width, p.dst.Rows, max(1, p.k), aligned)
	d.launch("pack_rows", p.dst.Rows, 1, threadsFor(width/8), a)
	d.multiplyPanels(p, to)
}

// multiplyPanels plans p with the panels of a.
func (d *Device) multiplyPanels(p tensorProduct, from panels) {
	rows, in, out, experts := p.dst.Rows, p.a.Cols, p.dst.Cols, p.experts()
	steps := blocksFor(in, panelColumns)
	bRows := blocksFor(p.b.Rows+mostColumns, panelRowUnit) * panelRowUnit
	weights := d.temp(steps * bRows * panelBytes)
	a := d.begin()
	a.pointer(weights)
	a.mats(p.b)
	a.int(in, steps*panelColumns, bRows)
	d.launch("pack_weights", p.b.Rows, 1, threadsFor(steps*panelColumns/8), a)

	a = d.begin(p.dst)
	a.pointer(from.high)
	a.pointer(from.low)
	a.pointer(weights)
	a.mats(p.bias)
	pairs := 0
	if p.dst.Cols%2 == 0 && aligned(p.dst, 8) {
		pairs = 1
	}
	a.int(rows, steps, out, from.rows, bRows, pairs)
	a.mats(p.offsets)
	a.int(experts)
	rowTiles := blocksFor(rows, tileRows) + experts
	columns := d.tileWidth(rowTiles, out)
	kernel := "tensor"
	if experts > 0 {
		kernel += "group"
	}
	kernel += fmt.Sprintf("%d_%d", columns, d.terms())
	blocks := min(d.multiprocessors, rowTiles*blocksFor(out, columns))
	d.launchShared(kernel, [3]int{blocks, 1, 1}, wgmmaThreads, ringBytes, a)
}

// fusePanels plans an op and the product by wgmma after it: the op's kernel leaves its result as
// panels too, which saves a pass over it.
func (d *Device) fusePanels(ops []kernels.Op) int {
	var p tensorProduct
	if m := at[kernels.MatMul](ops, 1); m != nil && d.canWGMMA(m.Dst.Rows, m.B, 0) && !d.canLibrary(m.Dst.Rows, m.A, m.B) {
		p = tensorProduct{dst: m.Dst, a: m.A, b: m.B, bias: m.Bias}
	} else if m := at[kernels.GroupedMatMul](ops, 1); m != nil && m.Slots.None() && d.canWGMMA(m.Dst.Rows, m.B, m.Offsets.Rows-1) {
		p = tensorProduct{dst: m.Dst, a: m.A, b: m.B, bias: m.Bias, offsets: m.Offsets}
	} else {
		return 0
	}
	if p.a.Cols%panelColumns != 0 {
		return 0
	}
	to := d.panels(p)
	if o, ok := ops[0].(*kernels.Activation); ok && o.Dst == p.a && d.activationRows(o, to, p.offsets) {
		d.multiplyPanels(p, to)
		return 2
	}
	if p.offsets.None() && d.writesPanels(ops[0], p.a, to) {
		d.multiplyPanels(p, to)
		return 2
	}
	return 0
}

// writesPanels plans op with panels of its result, if that is dst and there is a kernel that does it.
func (d *Device) writesPanels(op kernels.Op, dst kernels.Mat, to panels) bool {
	switch o := op.(type) {
	case *kernels.RMSNorm:
		return o.Dst == dst && d.normRows("rms_norm_rows", o.Dst, o.X, o.Delta, o.Gain, kernels.Mat{}, o.Eps, to)
	case *kernels.LayerNorm:
		return o.Dst == dst && d.normRows("layer_norm_rows", o.Dst, o.X, o.Delta, o.Gain, o.Bias, o.Eps, to)
	case *kernels.ConvSiLU:
		return o.Dst == dst && d.convRun(o, to)
	case *kernels.Scan:
		return o.Dst == dst && o.Starts.None() && d.scanRun(o, to)
	case *kernels.Attend:
		return o.Dst == dst && o.LSE.None() && d.flash(o, to)
	}
	return false
}
