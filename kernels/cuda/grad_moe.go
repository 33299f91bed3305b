package cuda

import "quadrant/kernels"

func (d *Device) routeGrad(o *kernels.RouteGrad) {
	a := d.begin(o.DLogits, o.G, o.Experts, o.Gates, o.Logits)
	a.int(o.Logits.Cols, o.Experts.Cols, int(o.Score))
	d.launch("route_grad", o.Logits.Rows, 1, warpThreads, a)
}

func (d *Device) combineGrad(o *kernels.CombineGrad) {
	a := d.begin(o.DSrc, o.DGates, o.G, o.Src, o.Places, o.Gates)
	a.int(o.G.Cols, o.DSrc.Rows/o.G.Rows, o.DSrc.Rows)
	d.launch("combine_grad", o.G.Rows, 1, threadsFor(o.G.Cols), a)
}
