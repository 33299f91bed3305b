package cuda

import "quadrant/kernels"

const (
	rowsPerWarp    = 4   // ROWS in kern/matmul.cu
	productThreads = 128 // of a block: a column each warp
)

func (d *Device) matMul(o *kernels.MatMul) {
	a := d.begin(o.Dst, o.A, o.B, o.Bias)
	a.int(o.Dst.Rows, o.A.Cols, o.Dst.Cols)
	d.launch(typed("matmul", o.B), blocksFor(o.Dst.Cols, productThreads/warpThreads), blocksFor(o.Dst.Rows, rowsPerWarp), productThreads, a)
}

func (d *Device) groupedMatMul(o *kernels.GroupedMatMul) {
	a := d.begin(o.Dst, o.A, o.B, o.Bias, o.Offsets, o.Slots)
	a.int(o.Offsets.Rows-1, o.A.Cols, o.Dst.Cols, o.Dst.Rows, max(1, o.K))
	d.launch(typed("grouped", o.B), o.Dst.Rows, blocksFor(o.Dst.Cols, productThreads/warpThreads), productThreads, a)
}
