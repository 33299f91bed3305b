package cuda

import "quadrant/kernels"

// What routers do beside choosing by their logits: kern/router.cu.

func (d *Device) sum(o *kernels.Sum) {
	d.elementwise("sum", o.Dst, o.X, o.Y, o.Scale)
}

func (d *Device) average(o *kernels.Average) {
	d.elementwise("average", o.Dst, o.X, kernels.Mat{}, o.Rate)
}

func (d *Device) elementwise(kernel string, dst, x, y kernels.Mat, scale float32) {
	a := d.begin(dst, x, y)
	a.int(dst.Cols)
	a.float(float64(scale))
	d.launch(kernel, dst.Rows, 1, threadsFor(dst.Cols), a)
}

func (d *Device) hashRoute(o *kernels.HashRoute) {
	a := d.begin(o.Experts, o.Gates, o.IDs)
	a.int(o.Experts.Rows, o.Experts.Cols, o.Of)
	d.launch("hash_route", blocksFor(o.Experts.Rows, maxThreads), 1, maxThreads, a)
}

func (d *Device) limitLoad(o *kernels.LimitLoad) {
	n := o.Gates.Rows * o.Gates.Cols
	a := d.begin(o.Gates, o.Places, o.Offsets, o.Experts)
	a.int(n, o.Gates.Cols, o.Offsets.Rows-1, o.Capacity)
	d.launch("limit_load", blocksFor(n, maxThreads), 1, maxThreads, a)
}

func (d *Device) biasStep(o *kernels.BiasStep) {
	a := d.begin(o.Bias, o.Offsets)
	a.int(o.Bias.Cols)
	a.float(float64(o.Rate))
	d.launch("bias_step", blocksFor(o.Bias.Cols, maxThreads), 1, maxThreads, a)
}

func (d *Device) balanceLoss(o *kernels.BalanceLoss) {
	tokens, experts := o.Logits.Rows, o.Logits.Cols
	shares := d.temp(4 * (experts + 2*tokens))
	terms := scratch(shares+uint64(4*experts), tokens, 2)
	a := d.begin(o.Experts)
	a.pointer(shares)
	a.int(tokens, o.Experts.Cols, experts)
	d.launch("balance_shares", 1, 1, maxThreads, a)

	a = d.begin(o.Grad, o.Logits)
	a.pointer(shares)
	a.mats(terms)
	a.int(tokens, experts)
	a.float(float64(o.Balance) * float64(experts))
	a.float(float64(o.Z))
	d.launch("balance_grad", blocksFor(tokens, maxThreads/warpThreads), 1, maxThreads, a)

	a = d.begin(o.Loss, terms)
	a.int(tokens)
	d.launch("balance_loss", 1, 1, maxThreads, a)
}
