package vec

import "math"

// Grads is the inner loops that training needs beside those of inference.
type Grads struct {
	// Product is C = A·B, or C += A·B.
	Product func(p ProductArgs)
	// Copy is dst[i,j] = src[i,j] for rows × cols elements; lds may be 0.
	Copy func(dst []float32, ldd int, src []float32, lds, rows, cols int)
	// Transpose is dst[j,i] = src[i,j] for rows × cols elements of src.
	Transpose func(dst []float32, ldd int, src []float32, lds, rows, cols int)

	// SiLUGrad is y = x·σ(x) and dy its derivative by x; GELUGrad and GELUTanhGrad are
	// likewise. Sigmoid is y = σ(x). y may be x.
	SiLUGrad, GELUGrad, GELUTanhGrad func(y, dy, x []float32)
	Sigmoid                          func(y, x []float32)
	// MulTo is y = a·b, element by element.
	MulTo func(y, a, b []float32)
	// Dot is Σ x·y.
	Dot func(x, y []float32) float32

	// NormSums and NormGrad are the two passes over a row of a norm's gradient.
	NormSums func(x, g, gain []float32, shift float32) NormSums
	NormGrad func(dx, dGain, x, g, gain []float32, by NormTerms)

	// SoftmaxGrad turns scores p into p = exp(scale·p − lse), and the gradients ds of
	// probabilities into those of scores, ds = scale·p·(ds − shift).
	SoftmaxGrad func(p, ds []float32, scale, lse, shift float32)

	// ScanGrad is one or two states of up to [ScanBlock] channels over a number of tokens, there and
	// back; see [ScanGradArgs].
	ScanGrad func(s ScanGradArgs)
	// ScanBefore fills all parts of X but the sums, which it makes zero, and ScanAfter turns
	// the sums into gradients; see [ScanRows].
	ScanBefore, ScanAfter func(s ScanRows)
	// LaneSums is y[i] = Σ_l x[i·ld + l] over [ScanBlock] values l.
	LaneSums func(y, x []float32, ld int)

	// ConvGrad is the gradient of a convolution with SiLU over one sequence, see [ConvGradArgs].
	ConvGrad func(c ConvGradArgs)

	// AdamW is one step of it, see [AdamWArgs].
	AdamW func(w, grad, m, v []float32, by AdamWArgs)
}

// ProductArgs are the operands of Product: A[i,l] is A[i·RowA + l·StepA], so that A may
// lie transposed in memory; B and C are row-major. Every element sums over l in order,
// whatever M and N.
type ProductArgs struct {
	C           []float32
	LDC         int
	A           []float32
	RowA, StepA int
	B           []float32
	LDB         int
	M, N, K     int
	Add         bool
	Pack        []float32 // room for PackCols·K values lets many rows of A read B from the nearest cache
}

// PackCols is the columns that Product packs at most.
const PackCols = 32

// NormSums are sums over a row, with c = x − shift and q = g·gain.
type NormSums struct{ C, CC, Q, QC float32 }

// NormTerms are what a row's gradient is made of: with c = (x − Shift)·R and q = g·gain,
//
//	dx += R·q − Const − Slope·c,   dGain += g·c
type NormTerms struct{ Shift, R, Const, Slope float32 }

// ScanTokens is the tokens that ScanGrad takes at most.
const ScanTokens = 64

// ScanStride is the floats between the parts of X in [ScanGradArgs]: the tokens' and one row
// more, so that rows of different parts do not meet in the same place of a cache.
const ScanStride = (ScanTokens + 1) * ScanBlock

// The parts of X, rows of [ScanBlock] channels: what the recurrence takes, what it adds to, and
// what becomes gradients afterwards.
const (
	PartDT    = iota // δ
	PartDU           // δ·x
	PartDY           // G·SiLU(z)
	PartSB           // Σ_n g·b
	PartSE           // Σ_n e·a
	PartY            // Σ_n h·c
	PartSigma        // σ(dt + bias)
	PartIn           // x
	PartGZ           // G·SiLU′(z)
	ScanParts
)

// ScanGradArgs are the operands of ScanGrad. With h of State before the first token,
//
//	there:  h ← exp(dt·a)·h + du·b,   y += h·c
//	back:   g = dy·c + carry,   accC += dy·h,   accB += g·du,   sb += g·b,
//	        e = g·exp(dt·a)·(h before),   se += e·a,   da += e·dt,   carry = g·exp(dt·a)
type ScanGradArgs struct {
	X        []float32 // [ScanParts][ScanStride]
	Acc      []float32 // [States][ScanTokens][2][ScanBlock]: accB, accC
	State    []float32 // [States][4][ScanBlock]: a, h, carry, da
	B, C     []float32 // of token t from t·LDB and t·LDC on
	LDB, LDC int
	Work     []float32 // [ScanTokens][States][2][ScanBlock], of unspecified content
	Ahead    []float32 // rows, of LDAhead values, that are worth having in a cache, or nil
	LDAhead  int
	Tokens   int
	States   int // 1 or 2
}

// ScanRows are rows of matrices, of as many tokens and channels, and X as in [ScanGradArgs]. Z
// is absent where there is no gate.
//
// Before, they are read: Dt, to which Bias is added, In, which is x, G and Z. Lanes beyond the
// channels are set as if they were zero. After, they are written: Dt, In and Z receive their
// gradients, and Sums, rows of ScanBlock, hold D and the sums of its gradient and of Dt's.
type ScanRows struct {
	X, Dt, In, G, Z     []float32
	LDT, LDIn, LDG, LDZ int
	Bias, Sums          []float32 // [ScanBlock], [3][ScanBlock]
	Tokens, Channels    int
}

// ConvGradArgs are the operands of ConvGrad: rows of up to [ScanBlock] channels of the n tokens
// of a sequence that began with the first, and W, rows of ScanBlock: the taps, the bias, and
// the gradients of both, which are added to.
type ConvGradArgs struct {
	DX, G, X               []float32
	LDDX, LDG, LDX         int
	W                      []float32 // [2·(Taps+1)][ScanBlock]
	Taps, Tokens, Channels int
}

// AdamWArgs are the factors of a step: with g = GradScale·grad,
//
//	m += OneMinusBeta1·(g − m),   v += OneMinusBeta2·(g² − v),
//	w −= Decay·w + Rate·m/(√(v·Correction) + Eps)
//
// where Rate holds 1/(1−β₁ˢᵗᵉᵖ), Correction is 1/(1−β₂ˢᵗᵉᵖ) and Decay is the rate times the decay.
type AdamWArgs struct{ GradScale, OneMinusBeta1, OneMinusBeta2, Rate, Correction, Eps, Decay float32 }

func goGrads() Grads {
	return Grads{
		Product: product, Copy: copyRows, Transpose: transpose,
		SiLUGrad: siluGrad, GELUGrad: geluGrad, GELUTanhGrad: geluTanhGrad, Sigmoid: sigmoid, MulTo: mulTo,
		Dot: dot, NormSums: normSums, NormGrad: normGrad, SoftmaxGrad: softmaxGrad,
		ScanGrad: scanGrad, ScanBefore: scanBefore, ScanAfter: scanAfter, ConvGrad: convGrad, LaneSums: laneSums, AdamW: adamW,
	}
}

func product(p ProductArgs) {
	for i := range p.M {
		c, a := p.C[i*p.LDC:][:p.N], p.A[i*p.RowA:]
		if !p.Add {
			clear(c)
		}
		l := 0
		for ; l+4 <= p.K; l += 4 {
			b0, b1, b2, b3 := p.B[l*p.LDB:][:p.N], p.B[(l+1)*p.LDB:][:p.N], p.B[(l+2)*p.LDB:][:p.N], p.B[(l+3)*p.LDB:][:p.N]
			a0, a1, a2, a3 := a[l*p.StepA], a[(l+1)*p.StepA], a[(l+2)*p.StepA], a[(l+3)*p.StepA]
			for j, s := range c {
				s += a0 * b0[j]
				s += a1 * b1[j]
				s += a2 * b2[j]
				s += a3 * b3[j]
				c[j] = s
			}
		}
		for ; l < p.K; l++ {
			axpy(c, a[l*p.StepA], p.B[l*p.LDB:])
		}
	}
}

func copyRows(dst []float32, ldd int, src []float32, lds, rows, cols int) {
	for i := range rows {
		copy(dst[i*ldd:][:cols], src[i*lds:])
	}
}

func transpose(dst []float32, ldd int, src []float32, lds, rows, cols int) {
	for i := range rows {
		for j, v := range src[i*lds:][:cols] {
			dst[j*ldd+i] = v
		}
	}
}

func siluGrad(y, dy, x []float32) {
	y, dy = y[:len(x)], dy[:len(x)]
	for i, v := range x {
		s := Sigmoid(v)
		y[i], dy[i] = v*s, s*(1+v*(1-s))
	}
}

func geluGrad(y, dy, x []float32) {
	y, dy = y[:len(x)], dy[:len(x)]
	for i, v := range x {
		u := float64(v)
		phi := 0.5 * math.Erfc(-u/math.Sqrt2)
		y[i], dy[i] = float32(u*phi), float32(phi+u*math.Exp(-u*u/2)/math.Sqrt(2*math.Pi))
	}
}

func geluTanhGrad(y, dy, x []float32) {
	y, dy = y[:len(x)], dy[:len(x)]
	k := 2 * math.Sqrt(2/math.Pi)
	for i, v := range x {
		u := float64(v)
		s := 1 / (1 + math.Exp(-k*(u+0.044715*u*u*u)))
		y[i], dy[i] = float32(u*s), float32(s+u*s*(1-s)*k*(1+3*0.044715*u*u))
	}
}

func sigmoid(y, x []float32) {
	y = y[:len(x)]
	for i, v := range x {
		y[i] = Sigmoid(v)
	}
}

func mulTo(y, a, b []float32) {
	a, b = a[:len(y)], b[:len(y)]
	for i := range y {
		y[i] = a[i] * b[i]
	}
}

func normSums(x, g, gain []float32, shift float32) NormSums {
	g, gain = g[:len(x)], gain[:len(x)]
	var s NormSums
	for i, v := range x {
		c, q := v-shift, g[i]*gain[i]
		s.C += c
		s.CC += c * c
		s.Q += q
		s.QC += q * c
	}
	return s
}

func normGrad(dx, dGain, x, g, gain []float32, by NormTerms) {
	n := len(x)
	dx, dGain, g, gain = dx[:n], dGain[:n], g[:n], gain[:n]
	for i, v := range x {
		c := (v - by.Shift) * by.R
		dx[i] += by.R*g[i]*gain[i] - by.Const - by.Slope*c
		dGain[i] += g[i] * c
	}
}

func softmaxGrad(p, ds []float32, scale, lse, shift float32) {
	ds = ds[:len(p)]
	for i, s := range p {
		e := Exp(scale*s - lse)
		p[i], ds[i] = e, scale*e*(ds[i]-shift)
	}
}

func scanGrad(s ScanGradArgs) {
	if s.States == 2 {
		first, second := s.split()
		scanGrad(first)
		scanGrad(second)
		return
	}
	for l := range ScanBlock {
		scanGradLane(s, l)
	}
}

// split is two states one by one.
func (s ScanGradArgs) split() (first, second ScanGradArgs) {
	s.States = 1
	first, second = s, s
	second.Acc, second.State, second.B, second.C = s.Acc[2*ScanTokens*ScanBlock:], s.State[4*ScanBlock:], s.B[1:], s.C[1:]
	return first, second
}

func scanGradLane(s ScanGradArgs, l int) {
	const row = 2 * ScanBlock
	part := func(i int) []float32 { return s.X[i*ScanStride+l:] }
	dt, du, dy, sb, se, y := part(PartDT), part(PartDU), part(PartDY), part(PartSB), part(PartSE), part(PartY)
	a, h, carry, da := s.State[l], s.State[ScanBlock+l], s.State[2*ScanBlock+l], s.State[3*ScanBlock+l]
	for t := range s.Tokens {
		at, work := t*ScanBlock, s.Work[t*row+l:]
		decay := Exp(dt[at] * a)
		work[0], work[ScanBlock] = h, decay
		h = decay*h + du[at]*s.B[t*s.LDB]
		y[at] += h * s.C[t*s.LDC]
	}
	for t := s.Tokens - 1; t >= 0; t-- {
		at, work, acc := t*ScanBlock, s.Work[t*row+l:], s.Acc[t*row+l:]
		before, decay := work[0], work[ScanBlock]
		g := dy[at]*s.C[t*s.LDC] + carry
		acc[0] += g * du[at]
		acc[ScanBlock] += dy[at] * h
		sb[at] += g * s.B[t*s.LDB]
		carry = g * decay
		e := carry * before
		se[at] += e * a
		da += e * dt[at]
		h = before
	}
	s.State[2*ScanBlock+l], s.State[3*ScanBlock+l] = carry, da
}

func scanBefore(s ScanRows) {
	for i := range s.Tokens * ScanBlock {
		t, c := i/ScanBlock, i%ScanBlock
		x := s.X[i:]
		u, in, g := s.Bias[c], float32(0), float32(0)
		if c < s.Channels {
			u, in, g = u+s.Dt[t*s.LDT+c], s.In[t*s.LDIn+c], s.G[t*s.LDG+c]
		}
		dt := x[:1]
		softplus(dt, []float32{u})
		x[PartDU*ScanStride], x[PartSigma*ScanStride], x[PartIn*ScanStride] = dt[0]*in, Sigmoid(u), in
		x[PartSB*ScanStride], x[PartSE*ScanStride], x[PartY*ScanStride] = 0, 0, 0
		if s.Z != nil {
			z := float32(0)
			if c < s.Channels {
				z = s.Z[t*s.LDZ+c]
			}
			sigma := Sigmoid(z)
			x[PartGZ*ScanStride] = g * sigma * (1 + z*(1-sigma))
			g *= z * sigma
		}
		x[PartDY*ScanStride] = g
	}
}

func scanAfter(s ScanRows) {
	for t := range s.Tokens {
		for c := range s.Channels {
			part := func(i int) float32 { return s.X[i*ScanStride+t*ScanBlock+c] }
			in, dy, d := part(PartIn), part(PartDY), s.Sums[c]
			ddt := (part(PartSE) + in*part(PartSB)) * part(PartSigma)
			s.Dt[t*s.LDT+c] = ddt
			s.In[t*s.LDIn+c] = part(PartDT)*part(PartSB) + d*dy
			s.Sums[ScanBlock+c] += in * dy
			s.Sums[2*ScanBlock+c] += ddt
			if s.Z != nil {
				s.Z[t*s.LDZ+c] = (part(PartY) + d*in) * part(PartGZ)
			}
		}
	}
}

func convGrad(a ConvGradArgs) {
	for c := range a.Channels {
		w, dw := a.W[c:], a.W[(a.Taps+1)*ScanBlock+c:]
		for t := range a.Tokens {
			first := max(0, a.Taps-1-t) // the first tap that has an input
			from := t - a.Taps + 1
			sum := w[a.Taps*ScanBlock]
			for k := first; k < a.Taps; k++ {
				sum += w[k*ScanBlock] * a.X[(from+k)*a.LDX+c]
			}
			sigma := Sigmoid(sum)
			dc := a.G[t*a.LDG+c] * sigma * (1 + sum*(1-sigma))
			dw[a.Taps*ScanBlock] += dc
			a.DX[t*a.LDDX+c] = 0
			for k := first; k < a.Taps; k++ {
				dw[k*ScanBlock] += dc * a.X[(from+k)*a.LDX+c]
				a.DX[(from+k)*a.LDDX+c] += dc * w[k*ScanBlock]
			}
		}
	}
}

func laneSums(y, x []float32, ld int) {
	for i := range y {
		sum := float32(0)
		for _, v := range x[i*ld:][:ScanBlock] {
			sum += v
		}
		y[i] = sum
	}
}

func adamW(w, grad, m, v []float32, by AdamWArgs) {
	n := len(w)
	grad, m, v = grad[:n], m[:n], v[:n]
	for i := range w {
		g := by.GradScale * grad[i]
		m[i] += by.OneMinusBeta1 * (g - m[i])
		v[i] += by.OneMinusBeta2 * (g*g - v[i])
		root := float32(math.Sqrt(float64(v[i] * by.Correction)))
		w[i] -= by.Decay*w[i] + by.Rate*m[i]/(root+by.Eps)
	}
}
