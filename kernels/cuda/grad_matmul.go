package cuda

import "quadrant/kernels"

// A floatProduct is one of kern/product.h, where what kind means is said. Its operands are float32,
// of which [Split] takes two bf16 and [Rounded] one.
type floatProduct struct {
	kind            string // nt, nn or tn
	dst, a, b, bias kernels.Mat
	rows, cols      int // of dst, or of each expert's part of it
	inner           int
	offsets, slots  kernels.Mat // of grouped ones
	places, k       int
}

const (
	productDepth = 32  // DEPTH in kern/product.h
	partLeast    = 256 // of inner that are worth a part of their own
	partBlocks   = 264 // are enough to fill a GPU
)

// product plans p. A sum over many tokens for few elements is in parts.
func (d *Device) product(p floatProduct) {
	side, grouped, tn := 128, !p.offsets.None(), p.kind == "tn"
	experts := max(0, p.offsets.Rows-1)
	tiles := blocksFor(p.rows, side) * blocksFor(p.cols, side)
	if tn {
		tiles *= max(1, experts)
	}
	if tiles < wideBlocks || p.b.Type != kernels.F32 {
		side = 64
	}
	grid := [3]int{blocksFor(p.cols, side), blocksFor(p.rows, side), 1}
	var part uint64
	each := p.inner
	switch {
	case grouped && tn:
		grid[2] = experts
	case grouped:
		grid[1] += experts
	case tn:
		n := max(1, min(partBlocks/(grid[0]*grid[1]), p.inner/partLeast))
		each = blocksFor(blocksFor(p.inner, n), productDepth) * productDepth
		if grid[2] = blocksFor(p.inner, each); grid[2] > 1 {
			part = d.temp(4 * grid[2] * p.rows * p.cols)
		}
	}
	inA, inB := p.inner, p.cols // elements side by side
	if tn {
		inA = p.rows
	}
	if p.kind == "nt" {
		inB = p.inner
	}
	a := d.begin(p.dst, p.a, p.b, p.bias)
	a.int(p.rows, p.cols, p.inner, one(vectors(p.a) && inA%4 == 0), one(vectors(p.b) && inB%4 == 0))
	a.mats(p.offsets, p.slots)
	a.int(experts, p.places, max(1, p.k))
	a.pointer(part)
	a.int(each)
	kernel := typed("product_"+p.kind, p.b) + [...]string{64: "_64", 128: "_128"}[side] + [...]string{1: "_1", 2: "_2"}[d.terms()]
	d.launchZ(kernel, grid, 2*side, a)
	if part != 0 {
		d.fold(p.dst, part, grid[2], true)
	}
}

func (d *Device) matMulGradA(o *kernels.MatMulGradA) {
	d.product(floatProduct{kind: "nn", dst: o.DA, a: o.G, b: o.B, rows: o.DA.Rows, cols: o.DA.Cols, inner: o.G.Cols})
}

func (d *Device) matMulGradB(o *kernels.MatMulGradB) {
	d.product(floatProduct{kind: "tn", dst: o.DB, a: o.G, b: o.A, rows: o.DB.Rows, cols: o.DB.Cols, inner: o.G.Rows})
	if !o.DBias.None() {
		d.addColumns(o.DBias, o.G)
	}
}

func (d *Device) groupedMatMulGradA(o *kernels.GroupedMatMulGradA) {
	d.product(floatProduct{
		kind: "nn", dst: o.DA, a: o.G, b: o.B, rows: o.DA.Rows, cols: o.DA.Cols, inner: o.G.Cols,
		offsets: o.Offsets, places: o.G.Rows,
	})
}

func (d *Device) groupedMatMulGradB(o *kernels.GroupedMatMulGradB) {
	d.product(floatProduct{
		kind: "tn", dst: o.DB, a: o.G, b: o.A, rows: o.G.Cols, cols: o.DB.Cols, inner: o.G.Rows,
		offsets: o.Offsets, slots: o.Slots, places: o.G.Rows, k: o.K,
	})
	if o.DBias.None() {
		return
	}
	a := d.begin(o.DBias, o.G, o.Offsets)
	a.int(o.G.Cols, o.G.Rows)
	d.launch("group_bias", blocksFor(o.G.Cols, channelThreads), o.Offsets.Rows-1, channelThreads, a)
}
