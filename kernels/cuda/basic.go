package cuda

import "quadrant/kernels"

func (d *Device) zero(o *kernels.Zero) {
	kernel := "zero_b32"
	if o.Dst.Type.Size() == 2 {
		kernel = "zero_b16"
	}
	a := d.begin(o.Dst)
	a.int(o.Dst.Cols)
	d.launch(kernel, o.Dst.Rows, 1, threadsFor(o.Dst.Cols), a)
}

func (d *Device) copied(o *kernels.Copy) {
	kernel := "copy_b32"
	if o.Dst.Type.Size() == 2 {
		kernel = "copy_b16"
	}
	a := d.begin(o.Dst, o.X)
	a.int(o.Dst.Cols)
	d.launch(kernel, o.Dst.Rows, 1, threadsFor(o.Dst.Cols), a)
}

func (d *Device) add(o *kernels.Add) {
	a := d.begin(o.Dst, o.X)
	a.int(o.Dst.Cols)
	d.launch("add", o.Dst.Rows, 1, threadsFor(o.Dst.Cols), a)
}

func (d *Device) embed(o *kernels.Embed) {
	a := d.begin(o.Dst, o.Table, o.IDs)
	a.int(o.Table.Rows, o.Dst.Cols)
	d.launch(typed("embed", o.Table), o.Dst.Rows, 1, threadsFor(o.Dst.Cols), a)
}

func (d *Device) negExp(o *kernels.NegExp) {
	a := d.begin(o.Dst, o.X)
	a.int(o.Dst.Cols)
	d.launch("neg_exp", o.Dst.Rows, 1, threadsFor(o.Dst.Cols), a)
}

// argMaxEach is how many columns are worth a block.
const argMaxEach = 2048

func (d *Device) argMax(o *kernels.ArgMax) {
	parts := min(blocksFor(o.X.Cols, argMaxEach), 64)
	n := o.X.Rows * parts
	p := d.temp(8 * n)
	values, indices := scratch(p, o.X.Rows, parts), scratch(p+uint64(4*n), o.X.Rows, parts)
	a := d.begin(o.X, values, indices)
	a.int(o.X.Cols, blocksFor(o.X.Cols, parts))
	d.launch("arg_max", o.X.Rows, parts, threadsFor(o.X.Cols), a)
	a = d.begin(o.Dst, values, indices)
	a.int(parts)
	d.launch("arg_best", o.X.Rows, 1, warpThreads, a)
}

func (d *Device) activation(o *kernels.Activation) {
	if d.activationRows(o, panels{}, kernels.Mat{}) {
		return
	}
	a := d.begin(o.Dst, o.X, o.Mul)
	a.int(o.Dst.Cols, int(o.Act))
	d.launch("activation", o.Dst.Rows, 1, threadsFor(o.Dst.Cols), a)
}

func (d *Device) norm(kernel string, dst, x, delta, gain, bias kernels.Mat, eps float32) {
	if d.normRows(kernel+"_rows", dst, x, delta, gain, bias, eps, panels{}) {
		return
	}
	a := d.begin(dst, x, delta, gain, bias)
	a.int(dst.Cols)
	a.float(float64(eps))
	d.launch(kernel, dst.Rows, 1, threadsFor(dst.Cols), a)
}
