package cuda

import (
	"fmt"

	"quadrant/kernels"
)

// Products of many rows by wgmma, which only GPUs of compute capability 9.0 have: kern/gemm_90a.cu.
// Both operands are first written as panels (kern/panel.h), which costs a pass over each, so that
// these kernels are for products with enough rows to be worth it; gemm.go has the others.

const (
	wgmmaRows    = 512        // are worth a pass over the weights
	panelColumns = 64         // of a panel
	panelBytes   = 128        // of a row in it
	tileRows     = 128        // TILE_ROWS in kern/gemm_90a.cu
	wgmmaThreads = 288        // TENSOR_THREADS
	ringBytes    = 227 * 1024 // BARRIER_BYTES and RING_BYTES
	panelRowUnit = 8          // experts begin at multiples of it
	mostColumns  = 192        // of a tile, so many rows beyond the last may be read of a panel
)

// tileWidths are the columns of a tile that there are kernels for, with the time that one column
// costs relative to that of the widest: narrow tiles read more of shared memory and of the cache.
var tileWidths = []struct {
	columns int
	cost    float64
}{{192, 1}, {128, 1.15}}

// tileWidth chooses the tiles that take the least time where blocks go through them in turns.
func (d *Device) tileWidth(rowTiles, out int) int {
	best, least := 0, 0.0
	for _, w := range tileWidths {
		turns := blocksFor(rowTiles*blocksFor(out, w.columns), d.multiprocessors)
		if t := float64(turns*w.columns) * w.cost; best == 0 || t < least {
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

// wgmma plans p: panels of both operands, then the product.
func (d *Device) wgmma(p tensorProduct) {
	experts := max(0, p.offsets.Rows-1)
	rows, in, out := p.dst.Rows, p.a.Cols, p.dst.Cols
	steps := blocksFor(in, panelColumns)
	width := steps * panelColumns
	aRows := blocksFor(rows+(experts+1)*panelRowUnit+tileRows, panelRowUnit) * panelRowUnit
	bRows := blocksFor(p.b.Rows+mostColumns, panelRowUnit) * panelRowUnit
	aBytes, bBytes := steps*aRows*panelBytes, steps*bRows*panelBytes
	high := d.temp(d.terms()*aBytes + bBytes)
	low, weights := uint64(0), high+uint64(d.terms()*aBytes)
	if d.terms() == 2 {
		low = high + uint64(aBytes)
	}

	a := d.begin()
	a.pointer(high)
	a.pointer(low)
	a.mats(p.a, p.slots, p.offsets)
	aligned := 0
	if vectors(p.a) && in%8 == 0 {
		aligned = 1
	}
	a.int(experts, in, width, aRows, rows, max(1, p.k), aligned)
	d.launch("pack_rows", rows, 1, threadsFor(width/8), a)

	a = d.begin()
	a.pointer(weights)
	a.mats(p.b)
	a.int(in, width, bRows)
	d.launch("pack_weights", p.b.Rows, 1, threadsFor(width/8), a)

	a = d.begin(p.dst)
	a.pointer(high)
	a.pointer(low)
	a.pointer(weights)
	a.mats(p.bias)
	pairs := 0
	if aligned8(p.dst) {
		pairs = 1
	}
	a.int(rows, steps, out, aRows, bRows, pairs)
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

// aligned8 reports whether pairs of elements of m, from even ones on, can be stored at once.
func aligned8(m kernels.Mat) bool { return m.Cols%2 == 0 && aligned(m, 8) }
