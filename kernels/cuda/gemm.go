package cuda

import "quadrant/kernels"

// Products says what becomes of activations in products of many rows with bf16 weights, which
// tensor cores compute: their operands are bf16 both.
type Products uint8

const (
	// Split takes an activation apart into two bf16, so that 16 bits of its fraction remain:
	// products are right to 2⁻¹⁷ of themselves. Twice the work.
	Split Products = iota
	// Rounded rounds an activation to one bf16, 8 bits, as most programs do. Sums are float32
	// as ever. The device's name says so.
	Rounded
)

const (
	tensorRows = mostRows + 1 // fewer are the business of vec.go
	blockK     = 32           // BLOCK_K in kern/gemm.cu
	wideBlocks = 100          // tiles of 128·128 are taken where there are about as many as multiprocessors
)

// canTensor reports whether the kernels on tensor cores can multiply rows with b.
func canTensor(rows int, b kernels.Mat) bool {
	return rows >= tensorRows && b.Type == kernels.BF16 && vectors(b) && b.Cols%8 == 0
}

// split plans that a, or the rows of it that slots choose, is taken apart into what it returns.
func (d *Device) split(a, slots kernels.Mat, rows, k int) (high, low kernels.Mat) {
	width := blocksFor(a.Cols, blockK) * blockK
	bytes := 2 * rows * width
	terms := d.terms()
	p := d.temp(terms * bytes)
	high = scratch(p, rows, width)
	if terms == 2 {
		low = scratch(p+uint64(bytes), rows, width)
	}
	args := d.begin(high, low, a, slots)
	aligned := 0
	if vectors(a) && a.Cols%4 == 0 {
		aligned = 1
	}
	args.int(a.Cols, width, rows, max(1, k), aligned)
	d.launch("split", rows, 1, threadsFor(blocksFor(width, 4)), args)
	return high, low
}

func (d *Device) terms() int {
	if d.products == Rounded {
		return 1
	}
	return 2
}

// gemm plans a product on tensor cores, of tiles rows of tiles beyond those of dst.
func (d *Device) gemm(kernel string, dst, high, low, b, bias, offsets kernels.Mat, in, out, more int) {
	side := 128
	if blocksFor(dst.Rows, side)*blocksFor(out, side) < wideBlocks {
		side = 64
	}
	a := d.begin(dst, high, low, b, bias)
	a.int(dst.Rows, in, out)
	a.mats(offsets)
	a.int(max(0, offsets.Rows-1))
	kernel += [...]string{64: "64", 128: "128"}[side] + [...]string{1: "_1", 2: "_2"}[d.terms()]
	d.launch(kernel, blocksFor(out, side), blocksFor(dst.Rows, side)+more, 2*side, a)
}
