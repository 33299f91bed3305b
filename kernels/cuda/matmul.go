package cuda

import "quadrant/kernels"

const (
	rowsPerWarp    = 4   // ROWS in kern/matmul.cu
	productThreads = 128 // of a block: a column each warp
)

func (d *Device) matMul(o *kernels.MatMul) {
	if d.canLibrary(o.Dst.Rows, o.A, o.B) {
		d.libraryProduct(o)
		return
	}
	if d.canWGMMA(o.Dst.Rows, o.B, 0) {
		d.wgmma(tensorProduct{dst: o.Dst, a: o.A, b: o.B, bias: o.Bias})
		return
	}
	if canTensor(o.Dst.Rows, o.B) {
		high, low := d.split(o.A, kernels.Mat{}, o.A.Rows, 1)
		d.gemm("gemm", o.Dst, high, low, o.B, o.Bias, kernels.Mat{}, o.A.Cols, o.Dst.Cols, 0)
		return
	}
	if o.B.Type == kernels.F32 && o.Dst.Rows >= tensorRows {
		d.product(floatProduct{kind: "nt", dst: o.Dst, a: o.A, b: o.B, bias: o.Bias, rows: o.Dst.Rows, cols: o.Dst.Cols, inner: o.A.Cols})
		return
	}
	a := d.begin(o.Dst, o.A, o.B, o.Bias)
	a.int(o.Dst.Rows, o.A.Cols, o.Dst.Cols)
	d.launch(typed("matmul", o.B), blocksFor(o.Dst.Cols, productThreads/warpThreads), blocksFor(o.Dst.Rows, rowsPerWarp), productThreads, a)
}

func (d *Device) groupedMatMul(o *kernels.GroupedMatMul) {
	if d.canWGMMA(o.Dst.Rows, o.B, o.Offsets.Rows-1) {
		d.wgmma(tensorProduct{dst: o.Dst, a: o.A, b: o.B, bias: o.Bias, offsets: o.Offsets, slots: o.Slots, k: o.K})
		return
	}
	if canTensor(o.Dst.Rows, o.B) {
		high, low := d.split(o.A, o.Slots, o.Dst.Rows, o.K)
		d.gemm("gemmgroup", o.Dst, high, low, o.B, o.Bias, o.Offsets, o.A.Cols, o.Dst.Cols, o.Offsets.Rows-1)
		return
	}
	if o.B.Type == kernels.F32 && o.Dst.Rows >= tensorRows {
		d.product(floatProduct{
			kind: "nt", dst: o.Dst, a: o.A, b: o.B, bias: o.Bias, rows: o.Dst.Rows, cols: o.Dst.Cols, inner: o.A.Cols,
			offsets: o.Offsets, slots: o.Slots, places: o.Dst.Rows, k: o.K,
		})
		return
	}
	a := d.begin(o.Dst, o.A, o.B, o.Bias, o.Offsets, o.Slots)
	a.int(o.Offsets.Rows-1, o.A.Cols, o.Dst.Cols, o.Dst.Rows, max(1, o.K))
	d.launch(typed("grouped", o.B), o.Dst.Rows, blocksFor(o.Dst.Cols, productThreads/warpThreads), productThreads, a)
}
