package cuda

import (
	"fmt"

	"quadrant/kernels"
)

func (d *Device) route(o *kernels.Route) {
	if k := o.Experts.Cols; k > warpThreads {
		d.fail(fmt.Errorf("routing to %d experts per token, and this device has a kernel for up to %d: use the CPU", k, warpThreads))
		return
	}
	a := d.begin(o.Experts, o.Gates, o.Logits, o.Bias)
	a.int(o.Logits.Cols, o.Experts.Cols, int(o.Score))
	a.float(float64(o.Scale()))
	d.launch("route", o.Logits.Rows, 1, warpThreads, a)
}

const sortThreads = 256 // SORT_THREADS in kern/moe.cu

func (d *Device) sort(o *kernels.Sort) {
	a := d.begin(o.Slots, o.Places, o.Offsets, o.Experts)
	a.int(o.Offsets.Rows-1, o.Experts.Rows, o.Experts.Cols)
	d.launch("sort", 1, 1, sortThreads, a)
}

// combine adds the result to sum too, if that is not absent.
func (d *Device) combine(o *kernels.Combine, sum kernels.Mat) {
	a := d.begin(o.Dst, o.Src, o.Places, o.Gates)
	a.int(o.Dst.Cols, o.Src.Rows/o.Dst.Rows, o.Src.Rows)
	a.mats(sum)
	d.launch("combine", o.Dst.Rows, 1, threadsFor(o.Dst.Cols), a)
}

const sinkhornThreads = 512 // SINKHORN_THREADS in kern/sinkhorn.cu

func (d *Device) sinkhorn(o *kernels.Sinkhorn) {
	tokens, experts := o.Logits.Rows, o.Logits.Cols
	p := d.temp(8 * (tokens + 2*experts))
	a := d.begin(o.Bias, o.Logits, o.Iterations)
	for _, skip := range []int{0, tokens, tokens + experts} { // u, v, column sums
		a.pointer(p + uint64(8*skip))
	}
	a.int(tokens, experts, o.MaxIterations, one(o.ColumnFirst), one(o.Absolute), max(1, sinkhornThreads/32/experts))
	a.float(float64(o.Temperature))
	a.float(float64(o.Tolerance))
	d.launch("sinkhorn", 1, 1, sinkhornThreads, a)
}
