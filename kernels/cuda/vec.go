package cuda

import (
	"slices"

	"quadrant/kernels"
)

// A step of few rows, such as that of decoding, takes as long as its weights take to be read,
// and as its launches take to follow one another. So it has kernels of its own, which do with a
// product what stands before and after it in a model: see kern/vec.cu. fuse finds such runs of
// ops. Every operand is written as if the ops had run one by one.

const (
	mostRows    = 8     // of vec8 in kern/vec.cu
	mostPlaces  = 16    // of a grouped product of few rows
	vecWarps    = 8     // VEC_WARPS
	vecColumns  = 2     // COLUMNS
	enoughWarps = 1024  // keep all of a GPU's memory busy
	taps        = 4     // TAPS
	mostStaged  = 10240 // MOST_STAGED
	mostRank    = 128   // 4·LANES·RANKS in kern/mamba.cu
)

// fuse plans the ops at the beginning of a list that a kernel does together, and returns how
// many they are: 0 if there is none. It may replace the op after them by what is left of it.
func (d *Device) fuse(ops []kernels.Op) int {
	for _, f := range []func([]kernels.Op) int{d.fuseRouter, d.fuseScan, d.fuseProduct, d.fuseGrouped, d.fuseCombine, d.fusePanels} {
		if n := f(ops); n > 0 {
			return n
		}
	}
	return 0
}

// at is op i of ops if it is a T, else nil.
func at[T any](ops []kernels.Op, i int) *T {
	if i >= len(ops) {
		return nil
	}
	o, _ := any(ops[i]).(*T)
	return o
}

// plainNorm is op i if it is an RMSNorm without a sum before it.
func plainNorm(ops []kernels.Op, i int) *kernels.RMSNorm {
	o := at[kernels.RMSNorm](ops, i)
	if o == nil || !o.Delta.None() || !vectors(o.X) || !vectors(o.Gain) {
		return nil
	}
	return o
}

// takeSum returns the matrix to which op i adds y, absent if it does not, and what is left of
// the op: nil if that is nothing.
func takeSum(ops []kernels.Op, i int, y kernels.Mat) (sum kernels.Mat, left kernels.Op) {
	if o := at[kernels.RMSNorm](ops, i); o != nil && o.Delta == y {
		c := *o
		c.Delta = kernels.Mat{}
		return o.X, &c
	}
	if o := at[kernels.LayerNorm](ops, i); o != nil && o.Delta == y {
		c := *o
		c.Delta = kernels.Mat{}
		return o.X, &c
	}
	if o := at[kernels.Add](ops, i); o != nil && o.X == y {
		return o.Dst, nil
	}
	return kernels.Mat{}, nil
}

// vectors reports whether every row of m begins where 16 bytes can be loaded at once.
func vectors(m kernels.Mat) bool { return aligned(m, 16) }

func aligned(m kernels.Mat, to int) bool {
	return address(m)%uint64(to) == 0 && (m.Rows <= 1 || m.Stride*int(m.Type.Size())%to == 0)
}

// canStream reports whether the vec kernels can multiply with b: they read whole 16 bytes.
func canStream(a, b kernels.Mat) bool {
	return b.Cols <= mostStaged && vectors(a) && vectors(b) && b.Cols%(16/int(b.Type.Size())) == 0
}

// An epilogue is the activation that a product ends with, and where its result goes: absent if
// that is in place.
type epilogue struct {
	act, half, second int
	to                kernels.Mat
}

// takeActivation returns the activation of all of y, and whether there is one.
// Its result must not go where the product still reads.
func takeActivation(ops []kernels.Op, i int, y kernels.Mat, read ...kernels.Mat) (epilogue, bool) {
	o := at[kernels.Activation](ops, i)
	if o == nil || slices.ContainsFunc(read, func(m kernels.Mat) bool { return overlap(o.Dst, m) }) {
		return epilogue{}, false
	}
	e := epilogue{act: int(o.Act)}
	if o.Dst != o.X {
		e.to = o.Dst
	}
	if o.X == y && o.Mul.None() {
		return e, true
	}
	if y.Cols%2 != 0 {
		return epilogue{}, false
	}
	e.half = y.Cols / 2
	first, second := y.ColRange(0, e.half), y.ColRange(e.half, y.Cols)
	switch {
	case o.X == first && o.Mul == second:
		return e, true
	case o.X == second && o.Mul == first:
		e.second = 1
		return e, true
	}
	return epilogue{}, false
}

// overlap reports whether a and b may share memory: whether the ranges do that hold them.
func overlap(a, b kernels.Mat) bool {
	if a.None() || b.None() {
		return false
	}
	end := func(m kernels.Mat) uint64 {
		return address(m) + uint64((m.Rows-1)*m.Stride+m.Cols)*uint64(m.Type.Size())
	}
	return address(a) < end(b) && address(b) < end(a)
}

// takeConv is op i if it convolves the first columns of y, of one token a sequence.
func takeConv(ops []kernels.Op, i int, y kernels.Mat) *kernels.ConvSiLU {
	o := at[kernels.ConvSiLU](ops, i)
	if o == nil || o.X.Cols > y.Cols || o.X != y.ColRange(0, o.X.Cols) || o.Seqs != y.Rows || o.W.Cols != taps || o.W.Stride != taps || !vectors(o.W) {
		return nil
	}
	return o
}

// fuseProduct: a norm, a product of few rows, and its activation, convolution or sum.
func (d *Device) fuseProduct(ops []kernels.Op) int {
	n := 0
	norm := plainNorm(ops, 0)
	if norm != nil {
		n++
	}
	o := at[kernels.MatMul](ops, n)
	if o == nil || o.Dst.Rows > mostRows || norm != nil && o.A != norm.Dst {
		return 0
	}
	in := o.A
	var gain, h kernels.Mat
	eps := 0.0
	if norm != nil {
		in, gain, h, eps = norm.X, norm.Gain, norm.Dst, float64(norm.Eps)
	}
	if !canStream(in, o.B) {
		return 0
	}
	n++
	var conv kernels.ConvSiLU
	var sum kernels.Mat
	ep, activates := takeActivation(ops, n, o.Dst, in, o.B, o.Bias, gain, h)
	if c := takeConv(ops, n, o.Dst); activates || c != nil {
		if n++; c != nil {
			conv = *c
		}
	} else if norm == nil { // what the norm reads must not change meanwhile
		var left kernels.Op
		if sum, left = takeSum(ops, n, o.Dst); left != nil {
			ops[n] = left
		} else if !sum.None() {
			n++
		}
	}

	pairs := blocksFor(o.Dst.Cols, vecColumns)
	split, ahead := splitOf(pairs, o.B), early(o.B)
	row := d.canRow(o.Dst.Rows, in, o.B)
	var grid rowGrid
	if row {
		units, each := o.Dst.Cols, 1
		if ep.half > 0 {
			units, each = ep.half, 2
		}
		grid = d.rowGridOf(units, each, o.B.Cols)
		split, ahead = grid.units, early(o.B, o.Bias, gain, conv.W, conv.Bias)
	}
	a := d.begin(o.Dst, in, o.B, o.Bias)
	a.int(o.Dst.Rows, o.B.Cols, o.Dst.Cols, split, ahead)
	a.mats(sum, gain, h)
	a.float(eps)
	a.int(ep.act, ep.half, ep.second)
	a.mats(ep.to, conv.Dst)
	a.pointer(address(conv.W))
	a.int(conv.X.Cols) // in place of the stride, which is TAPS
	a.mats(conv.Bias, conv.State)
	if row {
		d.launchShared(grid.kernel("step"), [3]int{grid.blocks, 1, 1}, rowThreads, grid.shared, a)
		return n
	}
	d.launch(typed(vecKernel(o.Dst.Rows), o.B), blocksFor(pairs, vecWarps/split), 1, vecWarps*warpThreads, a)
	return n
}

func vecKernel(rows int) string {
	switch {
	case rows == 1:
		return "vec1"
	case rows <= 4:
		return "vec4"
	}
	return "vec8"
}

// splitOf is how many warps share a pair of columns of a product with b: more where there are
// too few pairs to keep the memory busy.
func splitOf(pairs int, b kernels.Mat) int {
	steps, split := blocksFor(b.Cols*int(b.Type.Size()), 16*warpThreads), 1
	for split < vecWarps && 2*split <= steps && pairs*split < enoughWarps {
		split *= 2
	}
	return split
}

// fuseGrouped: a grouped product of few rows and its activation.
func (d *Device) fuseGrouped(ops []kernels.Op) int {
	o := at[kernels.GroupedMatMul](ops, 0)
	if o == nil || o.Dst.Rows > mostPlaces || !canStream(o.A, o.B) {
		return 0
	}
	n := 1
	ep, activates := takeActivation(ops, n, o.Dst, o.A, o.B, o.Bias, o.Offsets, o.Slots)
	if activates {
		n++
	}
	pairs := blocksFor(o.Dst.Cols, vecColumns)
	split := splitOf(pairs*o.Dst.Rows, o.B)
	a := d.begin(o.Dst, o.A, o.B, o.Bias, o.Offsets, o.Slots)
	a.int(o.Offsets.Rows-1, o.A.Cols, o.Dst.Cols, o.Dst.Rows, max(1, o.K), split, ep.act, ep.half, ep.second)
	a.mats(ep.to)
	d.launch(typed("vecgroup", o.B), blocksFor(pairs, vecWarps/split), o.Dst.Rows, vecWarps*warpThreads, a)
	return n
}

// fuseCombine: the experts' outputs, and the sum into the residual stream.
func (d *Device) fuseCombine(ops []kernels.Op) int {
	o := at[kernels.Combine](ops, 0)
	if o == nil {
		return 0
	}
	sum, left := takeSum(ops, 1, o.Dst)
	if sum.None() {
		return 0
	}
	d.combine(o, sum)
	if left == nil {
		return 2
	}
	ops[1] = left
	return 1
}

// fuseRouter: a norm, the logits of few experts, the choice and the sorted list.
func (d *Device) fuseRouter(ops []kernels.Op) int {
	n := 0
	var norm kernels.RMSNorm
	if o := plainNorm(ops, 0); o != nil {
		norm = *o
		n++
	}
	o, route, sort := at[kernels.MatMul](ops, n), at[kernels.Route](ops, n+1), at[kernels.Sort](ops, n+2)
	if o == nil || route == nil || sort == nil || o.Dst.Rows > mostRows || o.B.Rows > warpThreads || o.B.Type != kernels.F32 ||
		route.Experts.Len() > warpThreads || !canStream(o.A, o.B) || n > 0 && o.A != norm.Dst ||
		route.Logits != o.Dst || !route.Bias.None() || route.Scale() != 1 || sort.Experts != route.Experts || sort.Offsets.Rows-1 != o.B.Rows {
		return 0
	}
	a := d.begin(o.A, norm.X, norm.Gain)
	a.float(float64(norm.Eps))
	a.mats(o.Dst, o.B, o.Bias)
	a.int(o.Dst.Rows, o.A.Cols, o.B.Rows, route.Experts.Cols, int(route.Score), early(o.B))
	a.mats(route.Experts, route.Gates, sort.Slots, sort.Places, sort.Offsets)
	d.launch("router", 1, 1, maxThreads, a)
	return n + 3
}

// fuseScan: the product that makes dt, and one step of the scan.
func (d *Device) fuseScan(ops []kernels.Op) int {
	o, s := at[kernels.MatMul](ops, 0), at[kernels.Scan](ops, 1)
	if o == nil || s == nil || s.Dt != o.Dst || s.Seqs != o.Dst.Rows || !s.Starts.None() || !o.Bias.None() || o.B.Cols > mostRank || o.B.Cols%4 != 0 ||
		!vectors(o.A) || !aligned(o.B, 4*int(o.B.Type.Size())) ||
		s.A.Cols > registerStates || s.A.Cols%4 != 0 || !vectors(s.A) || !vectors(s.State) {
		return 0
	}
	a := d.begin(s.Dst, s.X, s.Dt, s.A, s.B, s.C, s.D, s.Z, s.DtBias, s.State)
	a.int(s.X.Cols, s.A.Cols, 1)
	a.mats(o.A, o.B)
	a.int(o.B.Cols, early(o.B))
	d.launch(typed("scan_step", o.B), s.Seqs, blocksFor(4*s.X.Cols, channelThreads), channelThreads, a)
	return 2
}
