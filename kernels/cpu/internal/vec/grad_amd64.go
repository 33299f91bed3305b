//go:build !noasm

package vec

// assembledGrads is what training adds to assembled. Kernels over n vectors leave the rest
// to Go.
type assembledGrads struct {
	outer     [4][2]outerKernel // of 1, 2, 4 and 8 rows, with 1 and 2 vectors of columns
	copyRows  [2]func(dst *float32, ldd int, src *float32, lds, n, cols int)
	transpose func(dst *float32, ldd int, src *float32, lds, blocks int)

	sigmoid                          func(y, x *float32, n int)
	siluGrad, geluGrad, geluTanhGrad func(y, dy, x *float32, n int)
	multiplyTo                       func(y, a, b *float32, n int)
	normSums                         func(x, dy, gain *float32, shift float32, n int) (c, cc, q, qc float32)
	normGrad                         func(dx, dGain, x, dy, gain *float32, shift, r, constant, slope float32, n int)
	softmaxGrad                      func(p, ds *float32, scale, lse, shift float32, n int)
	scan                             [2]func(x, acc, state, b, c, work, ahead *float32, ldb, ldc, lda, n int)                   // of one state, and of two or nil
	scanBefore                       [2]func(part, dt, x, dy, z *float32, lddt, ldx, lddy, ldz int, bias *float32, n, cols int) // without and with a gate
	scanAfter                        [2]func(part, ddt, dx, dz *float32, ldddt, lddx, lddz int, w *float32, n, cols int)
	conv                             func(dx, dy, x *float32, lddx, lddy, ldx int, w *float32, n, cols int) // of four taps
	laneSums                         func(y, x *float32, ld, n int)
	adamW                            func(w, grad, m, v *float32, gradScale, oneMinusBeta1, oneMinusBeta2, rate, correction, eps, decay float32, n int)
}

// An outerKernel is C = A·B or C += A·B for a tile; see _gen/outer.go.
type outerKernel func(c *float32, ldc int, a *float32, rowA, stepA int, b *float32, ldb, k, cols, add int)

func grads512() *assembledGrads {
	return &assembledGrads{
		outer: [4][2]outerKernel{
			{outer1x1AVX512, outer1x2AVX512}, {outer2x1AVX512, outer2x2AVX512},
			{outer4x1AVX512, outer4x2AVX512}, {outer8x1AVX512, outer8x2AVX512},
		},
		copyRows:   [2]func(*float32, int, *float32, int, int, int){copyRows1AVX512, copyRows2AVX512},
		scanBefore: [2]func(_, _, _, _, _ *float32, _, _, _, _ int, _ *float32, _, _ int){scanBeforeAVX512, scanBeforeGatedAVX512},
		scanAfter:  [2]func(_, _, _, _ *float32, _, _, _ int, _ *float32, _, _ int){scanAfterAVX512, scanAfterGatedAVX512},
		transpose:  transposeAVX512, sigmoid: sigmoidAVX512,
		siluGrad: siluGradAVX512, geluGrad: geluGradAVX512, geluTanhGrad: geluTanhGradAVX512, multiplyTo: multiplyToAVX512,
		normSums: normSumsAVX512, normGrad: normGradAVX512, softmaxGrad: softmaxGradAVX512,
		scan: [2]func(_, _, _, _, _, _, _ *float32, _, _, _, _ int){scanGrad1AVX512, scanGrad2AVX512}, conv: convGradAVX512, laneSums: laneSumsAVX512, adamW: adamWAVX512,
	}
}

func grads256() *assembledGrads {
	return &assembledGrads{
		outer: [4][2]outerKernel{
			{outer1x1AVX2, outer1x2AVX2}, {outer2x1AVX2, outer2x2AVX2}, {outer4x1AVX2, outer4x2AVX2},
		},
		copyRows:   [2]func(*float32, int, *float32, int, int, int){copyRows1AVX2, copyRows2AVX2},
		scanBefore: [2]func(_, _, _, _, _ *float32, _, _, _, _ int, _ *float32, _, _ int){scanBeforeAVX2, scanBeforeGatedAVX2},
		scanAfter:  [2]func(_, _, _, _ *float32, _, _, _ int, _ *float32, _, _ int){scanAfterAVX2, scanAfterGatedAVX2},
		transpose:  transposeAVX2, sigmoid: sigmoidAVX2,
		siluGrad: siluGradAVX2, geluGrad: geluGradAVX2, geluTanhGrad: geluTanhGradAVX2, multiplyTo: multiplyToAVX2,
		normSums: normSumsAVX2, normGrad: normGradAVX2, softmaxGrad: softmaxGradAVX2,
		scan: [2]func(_, _, _, _, _, _, _ *float32, _, _, _, _ int){scanGrad1AVX2}, conv: convGradAVX2, laneSums: laneSumsAVX2, adamW: adamWAVX2,
	}
}

// training is Grads made of the kernels.
func (a *assembled) training() Grads {
	pair := func(kernel func(y, dy, x *float32, n int), rest func(y, dy, x []float32)) func(y, dy, x []float32) {
		return func(y, dy, x []float32) {
			n := len(x) / a.lanes
			if n > 0 {
				kernel(&y[0], &dy[0], &x[0], n)
			}
			if at := n * a.lanes; at < len(x) {
				rest(y[at:], dy[at:], x[at:])
			}
		}
	}
	g := a.grads
	return Grads{
		Product: a.product, Copy: a.copyRows, Transpose: a.transpose,
		SiLUGrad: pair(g.siluGrad, siluGrad), GELUGrad: pair(g.geluGrad, geluGrad), GELUTanhGrad: pair(g.geluTanhGrad, geluTanhGrad),
		Sigmoid: a.sigmoid, MulTo: a.mulTo, Dot: a.dot,
		NormSums: a.normSums, NormGrad: a.normGrad, SoftmaxGrad: a.softmaxGrad,
		ScanGrad: a.scanGrad, ScanBefore: a.scanBefore, ScanAfter: a.scanAfter, ConvGrad: a.convGrad, LaneSums: a.laneSums, AdamW: a.adamW,
	}
}

func (a *assembled) dot(x, y []float32) (sum float32) {
	n := a.whole(len(x))
	if n > 0 {
		sum = a.f32.single(&x[0], &y[0], n)
	}
	return sum + dot(x[n:], y[n:])
}

// packedRows is the rows of A from which on B is worth packing.
const packedRows = 16

// product takes two vectors of columns at a time, for all rows.
func (a *assembled) product(p ProductArgs) {
	whole := a.whole(p.N)
	if p.K == 0 {
		whole = 0
	}
	for j := 0; j < whole; j += 2 * a.lanes {
		a.outerColumns(p, j, min(2*a.lanes, whole-j))
	}
	if whole < p.N {
		p.C, p.B, p.N = p.C[whole:], p.B[min(whole, len(p.B)):], p.N-whole
		product(p)
	}
}

// outerColumns takes up to two vectors of columns from j on.
func (a *assembled) outerColumns(p ProductArgs, j, cols int) {
	wide, add := 0, 0
	if cols > a.lanes {
		wide = 1
	}
	if p.Add {
		add = 1
	}
	last, size := cols-wide*a.lanes, len(a.grads.outer)-1
	p.B = p.B[j:]
	if wide == 1 && p.M >= packedRows && len(p.Pack) >= 2*a.lanes*p.K {
		a.grads.copyRows[1](&p.Pack[0], 2*a.lanes, &p.B[0], p.LDB, p.K, last)
		p.B, p.LDB = p.Pack, 2*a.lanes
	}
	for i := 0; i < p.M; {
		for 1<<size > p.M-i || a.grads.outer[size][wide] == nil {
			size--
		}
		a.grads.outer[size][wide](&p.C[i*p.LDC+j], p.LDC, &p.A[i*p.RowA], p.RowA, p.StepA, &p.B[0], p.LDB, p.K, last, add)
		i += 1 << size
	}
}

func (a *assembled) copyRows(dst []float32, ldd int, src []float32, lds, rows, cols int) {
	whole := a.whole(cols)
	if rows == 0 {
		return
	}
	for j := 0; j < whole; j += 2 * a.lanes {
		n := min(2*a.lanes, whole-j)
		wide := 0
		if n > a.lanes {
			wide = 1
		}
		a.grads.copyRows[wide](&dst[j], ldd, &src[j], lds, rows, n-wide*a.lanes)
	}
	if whole < cols {
		copyRows(dst[whole:], ldd, src[whole:], lds, rows, cols-whole)
	}
}

// transpose takes whole squares.
func (a *assembled) transpose(dst []float32, ldd int, src []float32, lds, rows, cols int) {
	squares, i := cols/a.lanes, 0
	for ; i+a.lanes <= rows && squares > 0; i += a.lanes {
		a.grads.transpose(&dst[i], ldd, &src[i*lds], lds, squares)
		if at := squares * a.lanes; at < cols {
			transpose(dst[at*ldd+i:], ldd, src[i*lds+at:], lds, a.lanes, cols-at)
		}
	}
	if i < rows {
		transpose(dst[i:], ldd, src[i*lds:], lds, rows-i, cols)
	}
}

func (a *assembled) sigmoid(y, x []float32) {
	n := len(x) / a.lanes
	if n > 0 {
		a.grads.sigmoid(&y[0], &x[0], n)
	}
	sigmoid(y[n*a.lanes:len(x)], x[n*a.lanes:])
}

func (a *assembled) mulTo(y, x, z []float32) {
	n := len(y) / a.lanes
	if n > 0 {
		a.grads.multiplyTo(&y[0], &x[0], &z[0], n)
	}
	if at := n * a.lanes; at < len(y) {
		mulTo(y[at:], x[at:], z[at:])
	}
}

func (a *assembled) normSums(x, g, gain []float32, shift float32) NormSums {
	n := len(x) / a.lanes
	at := n * a.lanes
	s := normSums(x[at:], g[at:], gain[at:], shift)
	if n > 0 {
		c, cc, q, qc := a.grads.normSums(&x[0], &g[0], &gain[0], shift, n)
		s.C, s.CC, s.Q, s.QC = s.C+c, s.CC+cc, s.Q+q, s.QC+qc
	}
	return s
}

func (a *assembled) normGrad(dx, dGain, x, g, gain []float32, by NormTerms) {
	n := len(x) / a.lanes
	if n > 0 {
		a.grads.normGrad(&dx[0], &dGain[0], &x[0], &g[0], &gain[0], by.Shift, by.R, by.Const, by.Slope, n)
	}
	if at := n * a.lanes; at < len(x) {
		normGrad(dx[at:], dGain[at:], x[at:], g[at:], gain[at:], by)
	}
}

func (a *assembled) softmaxGrad(p, ds []float32, scale, lse, shift float32) {
	n := len(p) / a.lanes
	if n > 0 {
		a.grads.softmaxGrad(&p[0], &ds[0], scale, lse, shift, n)
	}
	if at := n * a.lanes; at < len(p) {
		softmaxGrad(p[at:], ds[at:], scale, lse, shift)
	}
}

// scanGrad takes as many of the channels as there are lanes at a time.
func (a *assembled) scanGrad(s ScanGradArgs) {
	if s.Tokens == 0 {
		return
	}
	if s.States == 2 && a.grads.scan[1] == nil {
		first, second := s.split()
		a.scanGrad(first)
		a.scanGrad(second)
		return
	}
	ahead := s.Ahead
	if ahead == nil {
		ahead = s.X
	}
	for l := 0; l < ScanBlock; l += a.lanes {
		a.grads.scan[s.States-1](&s.X[l], &s.Acc[l], &s.State[l], &s.B[0], &s.C[0], &s.Work[l], &ahead[0], s.LDB, s.LDC, s.LDAhead, s.Tokens)
	}
}

// takes says whether kernels over rows take that many channels: they mask lanes, or want
// all of them.
func (a *assembled) takes(channels int) bool { return a.masks || channels == ScanBlock }

func (a *assembled) scanBefore(s ScanRows) {
	if s.Tokens == 0 || !a.takes(s.Channels) {
		scanBefore(s)
		return
	}
	gated, z := 0, s.G
	if s.Z != nil {
		gated, z = 1, s.Z
	}
	for l := 0; l < ScanBlock; l += a.lanes {
		a.grads.scanBefore[gated](&s.X[l], &s.Dt[l], &s.In[l], &s.G[l], &z[l],
			s.LDT, s.LDIn, s.LDG, s.LDZ, &s.Bias[l], s.Tokens, min(a.lanes, s.Channels))
	}
}

func (a *assembled) scanAfter(s ScanRows) {
	if s.Tokens == 0 || !a.takes(s.Channels) {
		scanAfter(s)
		return
	}
	gated, z := 0, s.In
	if s.Z != nil {
		gated, z = 1, s.Z
	}
	for l := 0; l < ScanBlock; l += a.lanes {
		a.grads.scanAfter[gated](&s.X[l], &s.Dt[l], &s.In[l], &z[l],
			s.LDT, s.LDIn, s.LDZ, &s.Sums[l], s.Tokens, min(a.lanes, s.Channels))
	}
}

// convGrad takes four taps, those of the published models.
func (a *assembled) convGrad(c ConvGradArgs) {
	if c.Tokens == 0 || c.Taps != 4 || !a.takes(c.Channels) {
		convGrad(c)
		return
	}
	for l := 0; l < ScanBlock; l += a.lanes {
		a.grads.conv(&c.DX[l], &c.G[l], &c.X[l], c.LDDX, c.LDG, c.LDX, &c.W[l], c.Tokens, min(a.lanes, c.Channels))
	}
}

func (a *assembled) laneSums(y, x []float32, ld int) {
	n := len(y) / ScanBlock
	if n > 0 {
		a.grads.laneSums(&y[0], &x[0], ld, n)
	}
	if at := n * ScanBlock; at < len(y) {
		laneSums(y[at:], x[at*ld:], ld)
	}
}

func (a *assembled) adamW(w, grad, m, v []float32, by AdamWArgs) {
	n := len(w) / a.lanes
	if n > 0 {
		a.grads.adamW(&w[0], &grad[0], &m[0], &v[0], by.GradScale, by.OneMinusBeta1, by.OneMinusBeta2, by.Rate, by.Correction, by.Eps, by.Decay, n)
	}
	if at := n * a.lanes; at < len(w) {
		adamW(w[at:], grad[at:], m[at:], v[at:], by)
	}
}
