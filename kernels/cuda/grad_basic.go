package cuda

import "quadrant/kernels"

// part is scratch memory of 4-byte numbers for sums in parts, lent one after the other from the
// memory of an op's launches.
type parts struct{ next uint64 }

// take lends n numbers.
func (p *parts) take(n int) uint64 {
	at := p.next
	p.next += uint64(4*n+255) / 256 * 256
	return at
}

// partsOf lends memory for matrices of so many numbers each.
func (d *Device) partsOf(sizes ...int) parts {
	total := 0
	for _, n := range sizes {
		total += 4*n + 256
	}
	return parts{d.temp(total)}
}

const (
	foldColumns = 32  // FOLD_COLUMNS in kern/grad_basic.cu
	foldThreads = 256 // FOLD_COLUMNS · FOLD_GROUPS
)

// fold plans that n parts of dst's elements, at p, are added up and set, or added to dst.
func (d *Device) fold(dst kernels.Mat, p uint64, n int, add bool) {
	a := d.begin(dst)
	a.pointer(p)
	a.int(dst.Cols, dst.Len(), n, one(add))
	d.launch("fold", blocksFor(dst.Len(), foldColumns), 1, foldThreads, a)
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// sumRows is how many rows a block adds up, where a sum over all rows is in parts: the parts are
// 256 at most.
func sumRows(rows int) int { return max(32, blocksFor(rows, 256)) }

// addColumns plans dst += the sums of x's columns.
func (d *Device) addColumns(dst, x kernels.Mat) {
	each := sumRows(x.Rows)
	n := blocksFor(x.Rows, each)
	p := d.temp(4 * n * x.Cols)
	a := d.begin(x)
	a.pointer(p)
	a.int(x.Rows, x.Cols, each)
	d.launch("column_sum", blocksFor(x.Cols, threadsFor(x.Cols)), n, threadsFor(x.Cols), a)
	d.fold(dst, p, n, true)
}

const embedThreads = 256 // EMBED_THREADS in kern/grad_basic.cu

func (d *Device) embedGrad(o *kernels.EmbedGrad) {
	a := d.begin(o.DTable, o.G, o.IDs)
	a.int(o.DTable.Rows, o.G.Rows, o.G.Cols)
	d.launch("embed_grad", o.G.Rows, blocksFor(o.G.Cols, embedThreads), embedThreads, a)
}

func (d *Device) negExpGrad(o *kernels.NegExpGrad) {
	a := d.begin(o.DX, o.G, o.Y)
	a.int(o.DX.Cols)
	d.launch("neg_exp_grad", o.DX.Rows, 1, threadsFor(o.DX.Cols), a)
}

func (d *Device) normGrad(kernel string, dx, dGain, dBias, g, x, gain kernels.Mat, eps float32) {
	each := max(1, blocksFor(x.Rows, 512))
	n := blocksFor(x.Rows, each)
	p := d.partsOf(n*x.Cols, n*x.Cols)
	gains, biases := p.take(n*x.Cols), uint64(0)
	if !dBias.None() {
		biases = p.take(n * x.Cols)
	}
	a := d.begin(dx, g, x, gain)
	a.pointer(gains)
	a.pointer(biases)
	a.int(x.Rows, x.Cols, each)
	a.float(float64(eps))
	d.launch(kernel, n, 1, threadsFor(x.Cols), a)
	d.fold(dGain, gains, n, true)
	if !dBias.None() {
		d.fold(dBias, biases, n, true)
	}
}

func (d *Device) activationGrad(o *kernels.ActivationGrad) {
	a := d.begin(o.DX, o.DMul, o.G, o.X, o.Mul)
	a.int(o.DX.Cols, int(o.Act))
	d.launch("activation_grad", o.DX.Rows, 1, threadsFor(o.DX.Cols), a)
}

func (d *Device) crossEntropy(o *kernels.CrossEntropy) {
	a := d.begin(o.Loss, o.Logits, o.Targets)
	a.int(o.Logits.Cols)
	a.float(float64(o.Scale))
	d.launch("cross_entropy", o.Logits.Rows, 1, threadsFor(o.Logits.Cols), a)
}
