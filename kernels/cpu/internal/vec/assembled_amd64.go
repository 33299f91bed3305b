//go:build !noasm

package vec

import "unsafe"

// assembled is inner loops in assembly for one set of instructions. Kernels of products take
// any k with AVX-512, which masks the last vector, and multiples of eight with AVX2; the
// others take n whole vectors. The functions below do what is left over.
type assembled struct {
	name      string
	lanes     int
	masks     bool // products take any k
	panelRows int  // rows of X that panel takes
	f32       products[float32]
	bf16, f16 products[uint16]

	cache32             cached[float32]
	cacheBF16, cacheF16 cached[uint16]

	silu, gelu, geluTanh, softplus, multiply func(y, x *float32, n int)
	multiplyAdd                              func(y, a, b *float32, n int)
	axpy                                     func(y *float32, a float32, x *float32, n int)
	scale                                    func(y *float32, a float32, n int)
	scaledMax, expSum                        func(x *float32, s float32, n int) float32

	moments    func(x *float32, shift float32, n int) (c, cc float32)
	addMoments func(x, delta *float32, shift float32, n int) (c, cc float32)
	normalize  func(y, x, gain *float32, shift, r float32, n int)
	rotate     func(a, b, cos, sin *float32, n int)

	strip   int // vectors that the second of each of these takes
	conv    [2]func(y, x, past *float32, ldy, ldx, ldpast int, w *float32, n, cols int)
	scanIn  [2]func(step, dt, x *float32, lddt, ldx int, bias *float32, n, cols int)
	scanOut [2]func(dst, y, x, z *float32, lddst, ldx, ldz int, skip *float32, n, cols int)
	scan    func(s ScanArgs)

	widenBF16, widenF16 func(y *float32, x *uint16, n int)
	roundBF16, roundF16 func(y *uint16, x *float32, n int) // roundBF16 may be nil

	fused func(n int) float32
	sum   func(x *float32, n int) float32

	grads *assembledGrads
}

// products are kernels for weights, or rows to be weighted, of type T, and what does the
// rest of a sum in Go.
type products[T float32 | uint16] struct {
	panel        func(c *float32, ldc int, x *float32, ldx int, w *T, ldw, quads, k int)
	vector       func(c, x *float32, w *T, ldw, rows, k, ahead int)
	single       func(x *float32, w *T, k int) float32
	dot          func(x []float32, w []T) float32
	pack         func(to *float32, w *T, ldw, k int) // nil: no tiles
	weightedRows func(y, p *float32, v *T, ldv, n, blocks int)
	weightedRest func(y, p []float32, v []T, ldv int)
}

func avx512() Funcs {
	a := &assembled{
		name: "avx512", lanes: 16, masks: true, panelRows: 4,
		f32:     products[float32]{panelAVX512, vectorAVX512, singleAVX512, dot, packAVX512, weightedRowsAVX512, weightedRows},
		bf16:    products[uint16]{panelBF16AVX512, vectorBF16AVX512, singleBF16AVX512, dotBF16, packBF16AVX512, weightedRowsBF16AVX512, weightedRowsBF16},
		f16:     products[uint16]{panelF16AVX512, vectorF16AVX512, singleF16AVX512, dotF16, packF16AVX512, weightedRowsF16AVX512, weightedRowsF16},
		cache32: cache32AVX512(), cacheBF16: cacheBF16AVX512(), cacheF16: cacheF16AVX512(),
		silu: siluAVX512, gelu: geluAVX512, geluTanh: geluTanhAVX512, softplus: softplusAVX512, multiply: multiplyAVX512,
		multiplyAdd: multiplyAddAVX512, axpy: axpyAVX512, scale: scaleAVX512,
		scaledMax: scaledMaxAVX512, expSum: expSumAVX512,
		widenBF16: widenBF16AVX512, widenF16: widenF16AVX512, roundBF16: roundBF16AVX512, roundF16: narrowF16AVX512,
		moments: momentsAVX512, addMoments: addMomentsAVX512, normalize: normalizeAVX512, rotate: rotateAVX512,
		strip:   4,
		conv:    [2]func(_, _, _ *float32, _, _, _ int, _ *float32, _, _ int){conv1AVX512, conv4AVX512},
		scanIn:  [2]func(_, _, _ *float32, _, _ int, _ *float32, _, _ int){scanIn1AVX512, scanIn4AVX512},
		scanOut: [2]func(_, _, _, _ *float32, _, _, _ int, _ *float32, _, _ int){scanOut1AVX512, scanOut4AVX512},
		scan:    scan512, fused: fusedAVX512, sum: sumAVX512, grads: grads512(),
	}
	return a.funcs()
}

func avx2() Funcs {
	a := &assembled{
		name: "avx2", lanes: 8, panelRows: 2,
		f32:     products[float32]{panelAVX2, vectorAVX2, singleAVX2, dot, nil, weightedRowsAVX2, weightedRows},
		bf16:    products[uint16]{panelBF16AVX2, vectorBF16AVX2, singleBF16AVX2, dotBF16, nil, weightedRowsBF16AVX2, weightedRowsBF16},
		f16:     products[uint16]{panelF16AVX2, vectorF16AVX2, singleF16AVX2, dotF16, nil, weightedRowsF16AVX2, weightedRowsF16},
		cache32: cache32AVX2(), cacheBF16: cacheBF16AVX2(), cacheF16: cacheF16AVX2(),
		silu: siluAVX2, gelu: geluAVX2, geluTanh: geluTanhAVX2, softplus: softplusAVX2, multiply: multiplyAVX2,
		multiplyAdd: multiplyAddAVX2, axpy: axpyAVX2, scale: scaleAVX2,
		scaledMax: scaledMaxAVX2, expSum: expSumAVX2,
		widenBF16: widenBF16AVX2, widenF16: widenF16AVX2, roundF16: narrowF16AVX2,
		moments: momentsAVX2, addMoments: addMomentsAVX2, normalize: normalizeAVX2, rotate: rotateAVX2,
		strip:   2,
		conv:    [2]func(_, _, _ *float32, _, _, _ int, _ *float32, _, _ int){conv1AVX2, conv2AVX2},
		scanIn:  [2]func(_, _, _ *float32, _, _ int, _ *float32, _, _ int){scanIn1AVX2, scanIn2AVX2},
		scanOut: [2]func(_, _, _, _ *float32, _, _, _ int, _ *float32, _, _ int){scanOut1AVX2, scanOut2AVX2},
		scan:    scan256, fused: fusedAVX2, sum: sumAVX2, grads: grads256(),
	}
	return a.funcs()
}

func (a *assembled) funcs() Funcs {
	unary := func(kernel func(y, x *float32, n int), rest func(y, x []float32)) func(y, x []float32) {
		return func(y, x []float32) {
			n := len(x) / a.lanes
			if n > 0 {
				kernel(&y[0], &x[0], n)
			}
			if at := n * a.lanes; at < len(x) {
				rest(y[at:len(x)], x[at:])
			}
		}
	}
	f := Funcs{
		Name: a.name, Gemm: a.gemm, GemmBF16: a.gemmBF16, GemmF16: a.gemmF16,
		WeightedRows: a.rows, WeightedRowsBF16: a.rowsBF16, WeightedRowsF16: a.rowsF16,
		Scores: cachedScores(a, a.cache32, a.f32), Values: cachedValues(a, a.cache32, a.f32),
		ScoresBF16: cachedScores(a, a.cacheBF16, a.bf16), ValuesBF16: cachedValues(a, a.cacheBF16, a.bf16),
		ScoresF16: cachedScores(a, a.cacheF16, a.f16), ValuesF16: cachedValues(a, a.cacheF16, a.f16),
		Axpy: a.addScaled, Mul: unary(a.multiply, mul), MulAdd: a.mulAdd,
		ScaledMax: a.maxScaled, ExpSum: a.sumExp, Scale: a.scaled,
		SiLU: unary(a.silu, silu), GELU: unary(a.gelu, gelu),
		GELUTanh: unary(a.geluTanh, geluTanh), Softplus: unary(a.softplus, softplus),
		WidenBF16: converted(a, a.widenBF16, widenBF16), WidenF16: converted(a, a.widenF16, widenF16),
		RoundBF16: converted(a, a.roundBF16, roundBF16), RoundF16: converted(a, a.roundF16, roundF16),
		Moments: a.rowMoments, AddMoments: a.rowAddMoments, Normalize: a.normalized, Rotate: a.rotated,
		Conv: a.convStrips, ScanIn: a.scanInStrips, ScanOut: a.scanOutStrips, Scan: a.scan, Fused: a.multiplyAdds, Sum: a.total,
		Grads: a.training(),
	}
	if a.f32.pack != nil {
		f.GemmWide, f.GemmWideBF16, f.GemmWideF16 = a.gemmWide, a.gemmWideBF16, a.gemmWideF16
	}
	return f
}

// converted does whole vectors by kernel, where there is one, and what is left over by rest.
func converted[To, From any](a *assembled, kernel func(y *To, x *From, n int), rest func(y []To, x []From)) func(y []To, x []From) {
	if kernel == nil {
		return rest
	}
	return func(y []To, x []From) {
		n := len(x) / a.lanes
		if n > 0 {
			kernel(&y[0], &x[0], n)
		}
		rest(y[n*a.lanes:len(x)], x[n*a.lanes:])
	}
}

func (a *assembled) gemm(c []float32, ldc int, x []float32, ldx int, w []float32, ldw, m, n, k int) {
	gemmBy(a, a.f32, c, ldc, x, ldx, w, ldw, m, n, k)
}

func (a *assembled) gemmBF16(c []float32, ldc int, x []float32, ldx int, w []uint16, ldw, m, n, k int, _ []float32) {
	gemmBy(a, a.bf16, c, ldc, x, ldx, w, ldw, m, n, k)
}

func (a *assembled) gemmF16(c []float32, ldc int, x []float32, ldx int, w []uint16, ldw, m, n, k int, _ []float32) {
	gemmBy(a, a.f16, c, ldc, x, ldx, w, ldw, m, n, k)
}

// ahead is how far ahead, in bytes, one row's products ask for rows of k values that are ldw
// apart: for about as many bytes of each stream as memory is late. The keys of one head are few
// values in each row, the weights of most products more than that.
func ahead[T float32 | uint16](ldw, k int) int {
	const late = 2048
	size := int(unsafe.Sizeof(*new(T)))
	return max(1, late/(k*size)) * ldw * size
}

// gemmBy takes panels of rows of X where there are enough, and rows one by one where not.
func gemmBy[T float32 | uint16](a *assembled, p products[T], c []float32, ldc int, x []float32, ldx int, w []T, ldw, m, n, k int) {
	if m == 0 || n == 0 {
		return
	}
	whole, quads := a.whole(k), n/4
	if whole == 0 {
		quads = 0
	}
	for i := 0; i < m && quads > 0; {
		if i+a.panelRows <= m {
			p.panel(&c[i*ldc], ldc, &x[i*ldx], ldx, &w[0], ldw, quads, whole)
			i += a.panelRows
		} else {
			p.vector(&c[i*ldc], &x[i*ldx], &w[0], ldw, quads, whole, ahead[T](ldw, k))
			i++
		}
	}
	for i := range m {
		row, out := x[i*ldx:][:k], c[i*ldc:][:n]
		for j := 4 * quads; j < n; j++ {
			out[j] = 0
			if whole > 0 {
				out[j] = p.single(&row[0], &w[j*ldw], whole)
			}
		}
		if whole < k {
			for j := range out {
				out[j] += p.dot(row[whole:], w[j*ldw+whole:j*ldw+k])
			}
		}
	}
}

// whole is the elements of k that products' kernels take.
func (a *assembled) whole(k int) int {
	if a.masks {
		return k
	}
	return k / a.lanes * a.lanes
}

func (a *assembled) rows(y, p, v []float32, ldv int) { weightedBy(a, a.f32, y, p, v, ldv) }

func (a *assembled) rowsBF16(y, p []float32, v []uint16, ldv int) {
	weightedBy(a, a.bf16, y, p, v, ldv)
}

func (a *assembled) rowsF16(y, p []float32, v []uint16, ldv int) { weightedBy(a, a.f16, y, p, v, ldv) }

func weightedBy[T float32 | uint16](a *assembled, by products[T], y, p []float32, v []T, ldv int) {
	n := len(y) / a.lanes
	if n > 0 {
		by.weightedRows(&y[0], &p[0], &v[0], ldv, len(p), n)
	}
	if at := n * a.lanes; at < len(y) {
		by.weightedRest(y[at:], p, v[at:], ldv)
	}
}

func (a *assembled) addScaled(y []float32, s float32, x []float32) {
	n := len(y) / a.lanes
	if n > 0 {
		a.axpy(&y[0], s, &x[0], n)
	}
	if at := n * a.lanes; at < len(y) {
		axpy(y[at:], s, x[at:])
	}
}

func (a *assembled) mulAdd(y, x, z []float32) {
	n := len(y) / a.lanes
	if n > 0 {
		a.multiplyAdd(&y[0], &x[0], &z[0], n)
	}
	if at := n * a.lanes; at < len(y) {
		mulAdd(y[at:], x[at:], z[at:])
	}
}

func (a *assembled) maxScaled(x []float32, s float32) float32 {
	n := len(x) / a.lanes
	top := scaledMax(x[n*a.lanes:], s)
	if n > 0 {
		top = max(a.scaledMax(&x[0], s, n), top)
	}
	return top
}

func (a *assembled) sumExp(x []float32, shift float32) (sum float32) {
	n := len(x) / a.lanes
	if n > 0 {
		sum = a.expSum(&x[0], shift, n)
	}
	return sum + expSum(x[n*a.lanes:], shift)
}

func (a *assembled) scaled(x []float32, s float32) {
	n := len(x) / a.lanes
	if n > 0 {
		a.scale(&x[0], s, n)
	}
	scale(x[n*a.lanes:], s)
}

// multiplyAdds counts what fused does: 3/2·lanes registers, of lanes values each.
func (a *assembled) multiplyAdds(n int) (float32, int64) {
	return a.fused(n), 2 * int64(n) * int64(a.lanes*3/2*a.lanes)
}

// sumBlock is the values that sum takes at once.
const sumBlock = 16384

func (a *assembled) total(x []float32) (all float32) {
	n := len(x) / sumBlock
	if n > 0 {
		all = a.sum(&x[0], n)
	}
	return all + sum(x[n*sumBlock:])
}
