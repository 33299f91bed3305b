package kerneltest

import (
	"math"

	"quadrant/kernels"
	"quadrant/kernels/ref"
)

// train sets the terms of what an op of training, which is about to run, will write. Most
// are sums of products: the op itself, of the operands' terms, adds up those of the result.
func (ts *terms) train(op kernels.Op) {
	switch o := op.(type) {
	case kernels.Sum:
		do(kernels.Sum{Dst: ts.of(o.Dst), X: ts.of(o.X), Y: ts.of(o.Y), Scale: float32(math.Abs(float64(o.Scale)))})
	case kernels.EmbedGrad:
		do(kernels.EmbedGrad{DTable: ts.of(o.DTable), G: ts.of(o.G), IDs: o.IDs})
	case kernels.NegExpGrad:
		do(kernels.NegExpGrad{DX: ts.of(o.DX), G: ts.of(o.G), Y: ts.of(o.Y)})
	case kernels.RMSNormGrad:
		ts.normGrad(ts.of(o.DX), ts.of(o.DGain), kernels.Mat{}, o.G, o.X, o.Gain, o.Eps, false)
	case kernels.LayerNormGrad:
		ts.normGrad(ts.of(o.DX), ts.of(o.DGain), ts.of(o.DBias), o.G, o.X, o.Gain, o.Eps, true)
	case kernels.MatMulGradA:
		do(kernels.MatMulGradA{DA: ts.of(o.DA), G: ts.of(o.G), B: ts.of(o.B)})
	case kernels.MatMulGradB:
		do(kernels.MatMulGradB{DB: ts.of(o.DB), DBias: ts.of(o.DBias), G: ts.of(o.G), A: ts.of(o.A)})
	case kernels.ActivationGrad:
		ts.activationGrad(o)
	case kernels.CrossEntropy:
		ts.crossEntropy(o)
	case kernels.ConvSiLUGrad:
		ts.convSiLUGrad(o)
	case kernels.ScanGrad:
		ts.scanGrad(o)
	case kernels.RotaryGrad:
		ts.rotaryGrad(o)
	case kernels.AttendGrad:
		ts.attendGrad(o)
	case kernels.RouteGrad:
		ts.routeGrad(o)
	case kernels.GroupedMatMulGradA:
		do(kernels.GroupedMatMulGradA{DA: ts.of(o.DA), G: ts.of(o.G), B: ts.of(o.B), Offsets: o.Offsets})
	case kernels.GroupedMatMulGradB:
		do(kernels.GroupedMatMulGradB{DB: ts.of(o.DB), DBias: ts.of(o.DBias), G: ts.of(o.G), A: ts.of(o.A),
			Offsets: o.Offsets, Slots: o.Slots, K: o.K})
	case kernels.CombineGrad:
		if !o.Gates.None() { // else a copy
			do(kernels.CombineGrad{DSrc: ts.of(o.DSrc), DGates: ts.of(o.DGates), G: ts.of(o.G), Src: ts.of(o.Src),
				Places: o.Places, Gates: ts.of(o.Gates)})
		}
	case kernels.BalanceLoss:
		ts.balanceLoss(o)
	case kernels.HashRoute:
		each(o.Gates, func(t, c int) { set(ts.of(o.Gates), t, c, 1/float64(o.Gates.Cols)) })
	case kernels.SquareSum:
		do(kernels.SquareSum{Dst: ts.of(o.Dst), X: ts.of(o.X)})
	case kernels.AdamW:
		ts.adamW(o)
	case kernels.Average:
		rate := math.Abs(float64(o.Rate))
		each(o.Dst, func(i, j int) {
			dst := ts.at(o.Dst, i, j)
			set(ts.of(o.Dst), i, j, dst+rate*(dst+ts.at(o.X, i, j)))
		})
	case kernels.ExpertChoice: // as Route's
		do(kernels.ExpertChoice{Slots: ref.New().Alloc(kernels.I32, o.Slots.Rows, 1), Offsets: ref.New().Alloc(kernels.I32, o.Offsets.Rows, 1),
			Gates: ts.of(o.Gates), Logits: o.Logits, K: o.K, GateScale: o.GateScale})
	case kernels.ExpertChoiceGrad:
		ts.expertChoiceGrad(o)
	case kernels.ScatterAdd:
		do(kernels.ScatterAdd{Dst: ts.of(o.Dst), Src: ts.of(o.Src), Gates: ts.of(o.Gates), Slots: o.Slots, Offsets: o.Offsets, K: o.K})
	case kernels.ScatterAddGrad:
		do(kernels.ScatterAddGrad{DSrc: ts.of(o.DSrc), DGates: ts.of(o.DGates), G: ts.of(o.G), Src: ts.of(o.Src), Gates: ts.of(o.Gates), Slots: o.Slots, K: o.K})
	case kernels.BiasStep:
		each(o.Bias, func(_, e int) { set(ts.of(o.Bias), 0, e, ts.at(o.Bias, 0, e)+math.Abs(float64(o.Rate))) })
	}
}

// plus adds x to an element of terms, of an operand that may be absent.
func plus(m kernels.Mat, i, j int, x float64) {
	if !m.None() {
		set(m, i, j, at(m, i, j)+x)
	}
}

// normGrad follows the error of x through x̂ = (x−m)·r as norm does. r is off by a part of
// itself that is large where the mean is far larger than the spread. The gradients are
// given by their terms.
func (ts *terms) normGrad(dx, dGain, dBias, g, x, gain kernels.Mat, eps float32, centred bool) {
	n := float64(x.Cols)
	for i := range x.Rows {
		c, size := make([]float64, x.Cols), make([]float64, x.Cols) // x−m, and its terms
		var mean, meanSize float64
		for j := range c {
			c[j], size[j] = at(x, i, j), ts.at(x, i, j)
			mean += c[j] / n
			meanSize += size[j] / n
		}
		var square, product float64
		for j := range c {
			if centred {
				c[j] -= mean
				size[j] += meanSize
			}
			square += c[j] * c[j] / n
			product += math.Abs(c[j]) * size[j] / n
		}
		r := 1 / math.Sqrt(square+float64(eps))
		off := r * r * product // of r, relatively

		var meanQ, meanQX, meanQSize float64 // means of |q|, |q·x̂| and |q|·(terms of x̂)
		unit, unitSize := make([]float64, x.Cols), make([]float64, x.Cols)
		for j := range c {
			q := math.Abs(at(g, i, j) * at(gain, 0, j))
			unit[j] = math.Abs(c[j]) * r
			unitSize[j] = r*size[j] + unit[j]*off
			meanQX += q * unit[j] / n
			meanQSize += q * unitSize[j] / n
			if centred {
				meanQ += q / n
			}
		}
		for j := range c {
			q := math.Abs(at(g, i, j) * at(gain, 0, j))
			whole := q + meanQ + unit[j]*meanQX
			plus(dx, i, j, r*((1+off)*whole+unitSize[j]*meanQX+unit[j]*meanQSize))
			plus(dGain, 0, j, math.Abs(at(g, i, j))*(unit[j]+unitSize[j]))
			plus(dBias, 0, j, math.Abs(at(g, i, j)))
		}
	}
}

func (ts *terms) activationGrad(o kernels.ActivationGrad) {
	each(o.DX, func(i, j int) {
		g := math.Abs(at(o.G, i, j))
		if !o.Mul.None() {
			g *= math.Abs(at(o.Mul, i, j))
		}
		set(ts.of(o.DX), i, j, g*slopeTerms(o.Act, at(o.X, i, j)))
	})
	if !o.Mul.None() {
		ts.activation(kernels.Activation{Dst: o.DMul, X: o.X, Mul: o.G, Act: o.Act})
	}
}

// slopeTerms is the terms of an activation's derivative: of SiLU, σ + σ·x(1−σ); of the
// GELUs, the 1 of 1+erf or 1+tanh, and what is multiplied by a density that is off by a
// part of its exponent. That of tanh is gone where |x| is above 6.
func slopeTerms(act kernels.Act, x float64) float64 {
	switch size := math.Abs(x); act {
	case kernels.SiLU:
		return sigmoid(x) * (1 + size*sigmoid(-x))
	case kernels.GELU:
		return 1 + size*(1+x*x)*math.Exp(-x*x/2)
	case kernels.GELUTanh:
		size = min(size, 6)
		return 1 + size*(1+size*size)/2
	case kernels.ReLU:
		if x > 0 {
			return 1
		}
	}
	return 0
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// crossEntropy: the errors of a logit and of the logarithm of the sum are absolute ones in
// an exponent.
func (ts *terms) crossEntropy(o kernels.CrossEntropy) {
	for t := range o.Logits.Rows {
		target := o.Targets.Mem.([]int32)[index(o.Targets, t, 0)]
		if target < 0 || int(target) >= o.Logits.Cols {
			for v := range o.Logits.Cols {
				set(ts.of(o.Logits), t, v, copied)
			}
			continue
		}
		p, log, largest := softmaxRow(o.Logits, t)
		set(ts.of(o.Loss), t, 0, 1+largest+math.Abs(log)+math.Log(float64(len(p))))
		for v := range p {
			size := p[v] * (1 + math.Abs(at(o.Logits, t, v)) + math.Abs(log))
			if v == int(target) {
				size++
			}
			set(ts.of(o.Logits), t, v, math.Abs(float64(o.Scale))*size)
		}
	}
}

// softmaxRow is the softmax of a row, the logarithm of its denominator, and the largest
// absolute value in the row.
func softmaxRow(m kernels.Mat, i int) (p []float64, log, largest float64) {
	top, sum := math.Inf(-1), 0.0
	for j := range m.Cols {
		top, largest = max(top, at(m, i, j)), max(largest, math.Abs(at(m, i, j)))
	}
	for j := range m.Cols {
		p = append(p, math.Exp(at(m, i, j)-top))
		sum += p[j]
	}
	for j := range p {
		p[j] /= sum
	}
	return p, top + math.Log(sum), largest
}

// convSiLUGrad: dc has the error of SiLU′, whose slope is at most ½, at c.
func (ts *terms) convSiLUGrad(o kernels.ConvSiLUGrad) {
	n, taps := o.X.Rows/o.Seqs, o.W.Cols
	dc := ref.New().Alloc(kernels.F32, o.X.Rows, o.X.Cols)
	each(o.DX, func(i, d int) {
		var c, size float64
		if !o.Bias.None() {
			c, size = at(o.Bias, 0, d), ts.at(o.Bias, 0, d)
		}
		for j := range taps {
			if before := i%n - taps + 1 + j; before >= 0 {
				c += at(o.W, d, j) * at(o.X, i/n*n+before, d)
				size += ts.at(o.W, d, j) * ts.at(o.X, i/n*n+before, d)
			}
		}
		set(dc, i, d, math.Abs(at(o.G, i, d))*(slopeTerms(kernels.SiLU, c)+size/2))
	})
	each(o.DX, func(i, d int) {
		sum := 0.0
		for j := range taps {
			if after := i%n + taps - 1 - j; after < n {
				sum += ts.at(o.W, d, j) * at(dc, i/n*n+after, d)
			}
			if before := i%n - taps + 1 + j; before >= 0 {
				plus(ts.of(o.DW), d, j, at(dc, i, d)*ts.at(o.X, i/n*n+before, d))
			}
		}
		set(ts.of(o.DX), i, d, sum)
		plus(ts.of(o.DBias), 0, d, at(dc, i, d))
	})
}

// scanGrad is the way back over absolute values, with decays as scan has them.
func (ts *terms) scanGrad(o kernels.ScanGrad) {
	size := kernels.ScanGrad{ // of every operand, its terms
		DX: ts.of(o.DX), DDt: ts.of(o.DDt), DA: ts.of(o.DA), DB: ts.of(o.DB), DC: ts.of(o.DC), DD: ts.of(o.DD),
		DZ: ts.of(o.DZ), DDtBias: ts.of(o.DDtBias), G: ts.of(o.G), X: ts.of(o.X), B: ts.of(o.B), C: ts.of(o.C), D: ts.of(o.D),
	}
	do(kernels.Zero{Dst: size.DB})
	do(kernels.Zero{Dst: size.DC})
	n := o.X.Rows / o.Seqs
	for s := range o.Seqs {
		for d := range o.X.Cols {
			h, carried := scanStates(o, size, s, d), make([]float64, o.A.Cols)
			for t := n - 1; t >= 0; t-- {
				scanGradToken(o, size, s*n+t, d, h[t], h[t+1], carried)
			}
		}
	}
}

// forward is the scan that o is the gradient of, as far as δ depends on it.
func forward(o kernels.ScanGrad) kernels.Scan { return kernels.Scan{Dt: o.Dt, DtBias: o.DtBias} }

// scanDecay is exp(δ·A), and the terms of it.
func scanDecay(delta, a float64) float64 {
	decay := delta * math.Abs(a)
	return math.Exp(-decay) * (1 + decay)
}

// scanStates is the terms of the states before each token, and after the last.
func scanStates(o, size kernels.ScanGrad, s, d int) [][]float64 {
	n := o.X.Rows / o.Seqs
	h := [][]float64{make([]float64, o.A.Cols)}
	for t := range n {
		delta, x := delta(forward(o), s*n+t, d), at(size.X, s*n+t, d)
		after := make([]float64, o.A.Cols)
		for k := range after {
			after[k] = scanDecay(delta, at(o.A, d, k))*h[t][k] + delta*x*at(size.B, s*n+t, k)
		}
		h = append(h, after)
	}
	return h
}

func scanGradToken(o, size kernels.ScanGrad, i, d int, before, after, carried []float64) {
	x, dy := at(size.X, i, d), at(size.G, i, d)
	raw, skip := at(o.Dt, i, d), 0.0
	if !o.DtBias.None() {
		raw += at(o.DtBias, 0, d)
	}
	if !o.D.None() {
		skip = at(size.D, 0, d)
	}
	if !o.Z.None() {
		z, y := at(o.Z, i, d), skip*x
		for k, h := range after {
			y += h * at(size.C, i, k)
		}
		set(size.DZ, i, d, dy*y*slopeTerms(kernels.SiLU, z))
		dy *= math.Abs(z) * sigmoid(z)
	}
	delta := delta(forward(o), i, d)
	var gb, ea float64
	for k := range carried {
		a := at(o.A, d, k)
		decay := scanDecay(delta, a)
		g := dy*at(size.C, i, k) + carried[k]
		e := g * decay * before[k]
		plus(size.DC, i, k, dy*after[k])
		plus(size.DB, i, k, g*delta*x)
		plus(size.DA, d, k, e*delta)
		gb += g * at(size.B, i, k)
		ea += e * math.Abs(a)
		carried[k] = decay * g
	}
	dDt := (ea + x*gb) * sigmoid(raw)
	set(size.DX, i, d, delta*gb+skip*dy)
	set(size.DDt, i, d, dDt)
	plus(size.DD, 0, d, dy*x)
	plus(size.DDtBias, 0, d, dDt)
}

func (ts *terms) rotaryGrad(o kernels.RotaryGrad) {
	n, length := o.DQ.Rows/o.Seqs, o.DKCache.Rows/o.Seqs
	head := rotation{o.HeadDim, o.Rotary, o.Base}
	each(o.DQ, func(i, j int) { set(ts.of(o.DQ), i, j, head.terms(o.DQ, i, j, i%n)) })
	each(o.DK, func(i, j int) { set(ts.of(o.DK), i, j, head.terms(o.DKCache, i/n*length+i%n, j, i%n)) })
}

// attendGrad: a weight is off by the absolute errors of its score and of the sum's
// logarithm, relatively, and so is what it is a factor of.
func (ts *terms) attendGrad(o kernels.AttendGrad) {
	size := kernels.AttendGrad{ // of every operand, its terms
		DQ: ts.of(o.DQ), DK: ts.of(o.DK), DV: ts.of(o.DV), G: ts.of(o.G), Out: ts.of(o.Out),
		Q: ts.of(o.Q), K: ts.of(o.K), V: ts.of(o.V), LSE: ts.of(o.LSE),
	}
	n, length, perKV := o.Q.Rows/o.Seqs, o.K.Rows/o.Seqs, o.Q.Cols/o.K.Cols
	do(kernels.Zero{Dst: size.DQ})
	for s := range o.Seqs {
		do(kernels.Zero{Dst: size.DK.RowRange(s*length, s*length+n)})
		do(kernels.Zero{Dst: size.DV.RowRange(s*length, s*length+n)})
	}
	for i := range o.Q.Rows {
		for head := range o.Q.Cols / o.HeadDim {
			q, kv := head*o.HeadDim, head/perKV*o.HeadDim
			inner := 0.0
			for d := range o.HeadDim {
				inner += at(size.G, i, q+d) * at(size.Out, i, q+d)
			}
			for key := i / n * length; key <= i/n*length+i%n; key++ {
				attendGradPair(o, size, i, key, q, kv, head, inner)
			}
		}
	}
}

// attendGradPair is the query of a head, in row i from column q on, and one key, in row key
// from column kv on.
func attendGradPair(o, size kernels.AttendGrad, i, key, q, kv, head int, inner float64) {
	var score, scores, product float64
	scale := math.Abs(float64(o.Scale))
	for d := range o.HeadDim {
		term := at(o.Q, i, q+d) * at(o.K, key, kv+d)
		score += float64(o.Scale) * term
		scores += scale * math.Abs(term)
		product += at(size.G, i, q+d) * at(size.V, key, kv+d)
	}
	p := math.Exp(score-at(o.LSE, i, head)) * (1 + scores + at(size.LSE, i, head))
	ds := scale * p * (product + inner)
	for d := range o.HeadDim {
		plus(size.DV, key, kv+d, p*at(size.G, i, q+d))
		plus(size.DQ, i, q+d, ds*at(size.K, key, kv+d))
		plus(size.DK, key, kv+d, ds*at(size.Q, i, q+d))
	}
}

// routeGrad: 1−p is as well computed from p as from the logit.
func (ts *terms) routeGrad(o kernels.RouteGrad) {
	for t := range o.Logits.Rows {
		chosen := o.Experts.Mem.([]int32)[index(o.Experts, t, 0):][:o.Experts.Cols]
		sum := 0.0
		for c := range chosen {
			sum += ts.at(o.G, t, c) * ts.at(o.Gates, t, c)
		}
		if o.Score == kernels.SoftmaxScore {
			for e, p := range firstOf(softmaxRow(o.Logits, t)) {
				set(ts.of(o.DLogits), t, e, p*sum)
			}
		}
		for c, e := range chosen {
			own := ts.at(o.G, t, c) * ts.at(o.Gates, t, c)
			switch o.Score {
			case kernels.SigmoidScore:
				set(ts.of(o.DLogits), t, int(e), own)
			case kernels.SoftmaxScore:
				plus(ts.of(o.DLogits), t, int(e), own)
			case kernels.SoftmaxTopKScore:
				set(ts.of(o.DLogits), t, int(e), own+sum)
			}
		}
	}
}

// expertChoiceGrad is routeGrad of a softmax, place by place.
func (ts *terms) expertChoiceGrad(o kernels.ExpertChoiceGrad) {
	slots, offsets := o.Slots.Mem.([]int32), o.Offsets.Mem.([]int32)
	each(o.DLogits, func(t, e int) { set(ts.of(o.DLogits), t, e, 0) })
	for e := range o.Logits.Cols {
		for j := offsets[index(o.Offsets, e, 0)]; j < offsets[index(o.Offsets, e+1, 0)]; j++ {
			t := int(slots[index(o.Slots, int(j), 0)]) / o.K
			flow := ts.at(o.G, int(j), 0) * ts.at(o.Gates, int(j), 0)
			plus(ts.of(o.DLogits), t, e, flow)
			for i, p := range firstOf(softmaxRow(o.Logits, t)) {
				plus(ts.of(o.DLogits), t, i, p*flow)
			}
		}
	}
}

func firstOf(p []float64, _, _ float64) []float64 { return p }

func (ts *terms) balanceLoss(o kernels.BalanceLoss) {
	tokens, experts := float64(o.Logits.Rows), float64(o.Logits.Cols)
	share := make([]float64, o.Logits.Cols)
	each(o.Experts, func(t, c int) { share[o.Experts.Mem.([]int32)[index(o.Experts, t, c)]] += 1 / float64(o.Experts.Len()) })
	balance, z := math.Abs(float64(o.Balance))*experts, math.Abs(float64(o.Z))
	var even, small float64
	for t := range o.Logits.Rows {
		p, log, largest := softmaxRow(o.Logits, t)
		logSize, inner := 1+largest+math.Log(experts), 0.0
		for e := range p {
			p[e] *= 1 + math.Abs(at(o.Logits, t, e)) + math.Abs(log)
			inner += share[e] * p[e]
		}
		even += inner / tokens
		small += logSize * logSize / tokens
		for e := range p {
			set(ts.of(o.Grad), t, e, p[e]*(balance*(share[e]+inner)+2*z*logSize)/tokens)
		}
	}
	set(ts.of(o.Loss), 0, 0, balance*even)
	set(ts.of(o.Loss), 0, 1, z*small)
}

// adamW: a step is as far off as the mean that it is proportional to; the root is of
// positive terms.
func (ts *terms) adamW(o kernels.AdamW) {
	beta1, beta2, rate := float64(o.Beta1), float64(o.Beta2), float64(o.Rate)
	each(o.W, func(i, j int) {
		g := math.Abs(float64(o.GradScale)) * ts.at(o.Grad, i, j)
		m := beta1*ts.at(o.M, i, j) + (1-beta1)*g
		v := beta2*ts.at(o.V, i, j) + (1-beta2)*g*g
		w, root := ts.at(o.W, i, j), math.Sqrt(v/(1-math.Pow(beta2, float64(o.Step))))
		set(ts.of(o.M), i, j, m)
		set(ts.of(o.V), i, j, v)
		step := m / (1 - math.Pow(beta1, float64(o.Step))) / (root + float64(o.Eps))
		set(ts.of(o.W), i, j, w+rate*(2*step+float64(o.Decay)*w))
	})
}
