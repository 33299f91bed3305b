package cpu

import (
	"quadrant/kernels"
	"quadrant/kernels/cpu/internal/vec"
)

// productJob is the gradients of products by their operands. Both are sums of products
// over the rows of a matrix whose rows are read as they lie:
//
//	by activations   DA[t,i]  = Σ_o G[t,o]·B[o,i]
//	by weights       DB[o,i] += Σ_t G[t,o]·A[t,i]
//
// A unit is a tile of one expert's result; a product without experts has one. Each element
// is summed over all terms by one worker, in blocks of depth.
type productJob struct {
	d         *Device
	dst, g, x view[float32] // x is the right operand: weights or activations
	bias      view[float32] // gradient of, a row per expert
	byWeights bool
	offsets   view[int32] // none: one expert has all rows
	out       int         // columns of G

	rows, cols int   // of a tile
	across     int   // tiles of a row of tiles
	first      []int // unit of each expert, and their number
	one        [1]float32
}

const (
	productDepth = 128 // terms that are summed before they are added to the result
	productCols  = 256 // columns of a tile at most
	productRows  = 64  // rows of a tile at most
)

func (j *productJob) startA(o *kernels.MatMulGradA) {
	j.dst, j.g, j.bias, j.offsets, j.byWeights = f32(o.DA), f32(o.G), view[float32]{}, view[int32]{}, false
	j.x = j.d.widened(o.B)
	j.start()
}

func (j *productJob) startB(o *kernels.MatMulGradB) {
	j.dst, j.g, j.bias, j.offsets, j.byWeights = f32(o.DB), f32(o.G), f32(o.DBias), view[int32]{}, true
	j.x = f32(o.A)
	j.start()
}

func (j *productJob) startGroupedA(o *kernels.GroupedMatMulGradA) {
	j.dst, j.g, j.bias, j.offsets, j.byWeights = f32(o.DA), f32(o.G), view[float32]{}, i32(o.Offsets), false
	if !j.d.checkOffsets(j.offsets, j.g.rows) {
		return
	}
	j.x = j.d.widened(o.B)
	j.start()
}

func (j *productJob) startGroupedB(o *kernels.GroupedMatMulGradB) {
	j.dst, j.g, j.bias, j.offsets, j.byWeights = f32(o.DB), f32(o.G), f32(o.DBias), i32(o.Offsets), true
	if !j.d.checkOffsets(j.offsets, j.g.rows) {
		return
	}
	j.x = f32(o.A)
	if !o.Slots.None() {
		var ok bool
		if j.x, ok = j.d.gathered(j.x, i32(o.Slots), o.K); !ok {
			return
		}
	}
	j.start()
}

func (j *productJob) start() {
	j.out, j.one[0] = j.g.cols, 1
	experts := j.experts()
	j.cols = min(productCols, blocks(j.dst.cols, 32)*32)
	j.across = blocks(j.dst.cols, j.cols)
	// Several tiles per worker, but not so small that their operands are read for little.
	share := j.total() * j.across / (2 * j.d.pool.workers)
	j.rows = min(productRows, max(16, share/8*8))
	j.first = append(j.first[:0], 0)
	for e := range experts {
		j.first = append(j.first, j.first[e]+blocks(j.height(e), j.rows)*j.across)
	}
	units := j.first[experts]
	depth := j.out
	if j.byWeights {
		depth = blocks(j.g.rows, experts)
	}
	j.d.pool.do(j, units, j.rows*min(j.cols, j.dst.cols)*depth/8)
}

func (j *productJob) experts() int {
	if j.offsets.none() {
		return 1
	}
	return j.offsets.rows - 1
}

// places are the rows of G of expert e.
func (j *productJob) places(e int) (first, n int) {
	if j.offsets.none() {
		return 0, j.g.rows
	}
	first = int(j.offsets.row(e)[0])
	return first, int(j.offsets.row(e + 1)[0]) - first
}

// height is the rows of the result that expert e has.
func (j *productJob) height(e int) int {
	_, n := j.places(e)
	if j.byWeights && n > 0 {
		return j.out
	}
	return n
}

// total is the rows of the results of all experts.
func (j *productJob) total() (sum int) {
	for e := range j.experts() {
		sum += j.height(e)
	}
	return sum
}

func (j *productJob) run(worker, lo, hi int) {
	e, take := 0, taker(j.d.temp(worker, (vec.PackCols+productRows)*productDepth))
	pack, dense := take.next(vec.PackCols*productDepth), take.next(productRows*productDepth)
	for u := lo; u < hi; u++ {
		for j.first[e+1] <= u {
			e++
		}
		tile := u - j.first[e]
		r0, c0 := tile/j.across*j.rows, tile%j.across*j.cols
		r1, c1 := min(r0+j.rows, j.height(e)), min(c0+j.cols, j.dst.cols)
		if j.byWeights {
			j.weights(e, r0, r1, c0, c1, pack, dense)
		} else {
			j.activations(e, r0, r1, c0, c1, pack)
		}
	}
}

// activations sets rows r0 … r1 of those of expert e.
func (j *productJob) activations(e, r0, r1, c0, c1 int, pack []float32) {
	first, _ := j.places(e)
	p := vec.ProductArgs{
		C: j.dst.data[(first+r0)*j.dst.stride+c0:], LDC: j.dst.stride,
		A: j.g.data[(first+r0)*j.g.stride:], RowA: j.g.stride, StepA: 1,
		B: j.x.data[e*j.out*j.x.stride+c0:], LDB: j.x.stride,
		M: r1 - r0, N: c1 - c0, Pack: pack,
	}
	j.deep(p, j.out, false, nil)
}

// weights adds to rows r0 … r1 of the weights of expert e.
func (j *productJob) weights(e, r0, r1, c0, c1 int, pack, dense []float32) {
	first, n := j.places(e)
	p := vec.ProductArgs{
		C: j.dst.data[(e*j.out+r0)*j.dst.stride+c0:], LDC: j.dst.stride,
		A: j.g.data[first*j.g.stride+r0:], RowA: 1, StepA: j.g.stride,
		B: j.x.data[first*j.x.stride+c0:], LDB: j.x.stride,
		M: r1 - r0, N: c1 - c0, Pack: pack,
	}
	j.deep(p, n, true, dense)
	if c0 == 0 && !j.bias.none() {
		j.deep(vec.ProductArgs{
			C: j.bias.row(e)[r0:r1], A: j.one[:], // the same for every term
			B: j.g.data[first*j.g.stride+r0:], LDB: j.g.stride, M: 1, N: r1 - r0,
		}, n, true, nil)
	}
}

// deep is p for depth terms. Where A lies transposed, dense has room for a copy of it with
// nothing between its rows, which are read many times.
func (j *productJob) deep(p vec.ProductArgs, depth int, add bool, dense []float32) {
	a, b := p.A, p.B
	for l := 0; l < depth; l += productDepth {
		step := p.StepA
		p.A, p.B, p.K, p.Add = a[l*step:], b[l*p.LDB:], min(productDepth, depth-l), add || l > 0
		if dense != nil {
			j.d.vec.Copy(dense, p.M, p.A, step, p.K, p.M)
			p.A, p.StepA = dense, p.M
		}
		j.d.vec.Product(p)
		p.StepA = step
	}
}

// widened is m, of any float type, in float32: in the shared memory, where it is not that.
func (d *Device) widened(m kernels.Mat) view[float32] {
	if m.Type == kernels.F32 {
		return f32(m)
	}
	wide := view[float32]{d.shared(m.Len()), m.Rows, m.Cols, m.Cols}
	widen(wide.data, m, 0, m.Rows, 0, m.Cols)
	return wide
}

// activationGradJob takes blocks of columns of rows, as activationJob does.
type activationGradJob struct {
	d                   *Device
	dx, dMul, g, x, mul view[float32]
	act                 kernels.Act
}

func (j *activationGradJob) start(o *kernels.ActivationGrad) {
	j.dx, j.dMul, j.g, j.x, j.mul, j.act = f32(o.DX), f32(o.DMul), f32(o.G), f32(o.X), f32(o.Mul), o.Act
	j.d.pool.do(j, j.x.rows*blocks(j.x.cols, actBlock), 24*min(actBlock, j.x.cols))
}

func (j *activationGradJob) run(worker, lo, hi int) {
	perRow := blocks(j.x.cols, actBlock)
	temp := j.d.temp(worker, actBlock)
	for u := lo; u < hi; u++ {
		i, c0 := u/perRow, u%perRow*actBlock
		c1 := min(c0+actBlock, j.x.cols)
		y, dx, g := temp[:c1-c0], j.dx.row(i)[c0:c1], j.g.row(i)[c0:c1]
		j.d.activateGrad(j.act, y, dx, j.x.row(i)[c0:c1])
		j.d.vec.Mul(dx, g)
		if !j.mul.none() {
			j.d.vec.Mul(dx, j.mul.row(i)[c0:c1])
			j.d.vec.MulTo(j.dMul.row(i)[c0:c1], g, y)
		}
	}
}

// activateGrad is y = act(x) and dy its derivative.
func (d *Device) activateGrad(act kernels.Act, y, dy, x []float32) {
	switch act {
	case kernels.SiLU:
		d.vec.SiLUGrad(y, dy, x)
	case kernels.GELU:
		d.vec.GELUGrad(y, dy, x)
	case kernels.GELUTanh:
		d.vec.GELUTanhGrad(y, dy, x)
	case kernels.ReLU:
		for i, v := range x {
			y[i], dy[i] = v, 1
			if v <= 0 {
				y[i], dy[i] = 0, 0
			}
		}
	}
}
