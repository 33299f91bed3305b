package cuda

import "quadrant/kernels"

// Ops on rows that have kernels for many of them: kern/rows.cu.

const (
	manyRows  = 64   // keep a GPU busy with a block each
	rowStep   = 8    // columns of a thread
	mostInRow = 8192 // 8·ROW_CHUNKS·256
)

// wholeRows reports whether the kernels can take m's rows 16 bytes at a time.
func wholeRows(ms ...kernels.Mat) bool {
	for _, m := range ms {
		if !m.None() && (!vectors(m) || m.Cols%rowStep != 0) {
			return false
		}
	}
	return true
}

// normRows plans a norm of many rows, whose result also becomes panels, if there are kernels for it.
func (d *Device) normRows(kernel string, dst, x, delta, gain, bias kernels.Mat, eps float32, to panels) bool {
	if dst.Rows < manyRows || dst.Cols > mostInRow || !wholeRows(dst, x, delta, gain, bias) {
		return false
	}
	a := d.begin(dst, x, delta, gain, bias)
	a.int(dst.Cols)
	a.float(float64(eps))
	a.panels(to)
	d.launch(kernel, dst.Rows, 1, threadsFor(dst.Cols/rowStep), a)
	return true
}

// activationRows is normRows for an activation, whose rows are sorted if there are offsets.
func (d *Device) activationRows(o *kernels.Activation, to panels, offsets kernels.Mat) bool {
	if o.Dst.Rows < manyRows || !wholeRows(o.Dst, o.X, o.Mul) {
		return false
	}
	a := d.begin(o.Dst, o.X, o.Mul)
	a.int(o.Dst.Cols, int(o.Act))
	a.panels(to)
	a.mats(offsets)
	a.int(max(0, offsets.Rows-1))
	d.launch("activation_rows", o.Dst.Rows, 1, threadsFor(o.Dst.Cols/rowStep), a)
	return true
}
