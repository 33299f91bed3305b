package kerneltest

import (
	"math"

	"quadrant/kernels"
	"quadrant/kernels/ref"
)

// terms knows of every element on the reference bench Σ|terms|, the sum of the absolute
// values of the terms that it is made of; see [Tolerance]. An input is made of itself.
//
// They lie in memory parallel to that of the operands, so that an op with its operands
// exchanged for their terms can be run on ref: a product of the absolute values is the
// sum of the absolute values of the products.
type terms struct {
	parallel map[*float64][]float64 // by the first element of an operand's memory
}

// copied stands for the terms of what is not computed, but copied or a constant.
const copied = -1

// place notes an operand with content m, which is made of itself if it is read.
func (ts *terms) place(o *operand, m matrix, read bool) {
	if m.typ == kernels.I32 {
		return
	}
	if ts.parallel == nil {
		ts.parallel = map[*float64][]float64{}
	}
	mem := o.whole.Mem.([]float64)
	ts.parallel[&mem[0]] = make([]float64, len(mem))
	view := ts.of(o.view)
	each(view, func(i, j int) {
		if read {
			set(view, i, j, math.Abs(at(o.view, i, j)))
		} else {
			set(view, i, j, copied)
		}
	})
}

// of is the terms of m.
func (ts *terms) of(m kernels.Mat) kernels.Mat {
	if m.None() {
		return m
	}
	m.Type, m.Mem = kernels.F32, ts.parallel[&m.Mem.([]float64)[0]]
	return m
}

func (ts *terms) at(m kernels.Mat, i, j int) float64 {
	if m.Type == kernels.I32 {
		return copied
	}
	return at(ts.of(m), i, j)
}

// follow sets the terms of what op, which is about to run, will write.
func (ts *terms) follow(op kernels.Op) {
	switch o := op.(type) {
	case kernels.Add:
		do(kernels.Add{Dst: ts.of(o.Dst), X: ts.of(o.X)})
	case kernels.NegExp:
		do(kernels.NegExp{Dst: ts.of(o.Dst), X: o.X})
		abs(ts.of(o.Dst))
	case kernels.RMSNorm:
		ts.norm(o.Dst, o.X, o.Delta, o.Gain, kernels.Mat{}, o.Eps, false)
	case kernels.LayerNorm:
		ts.norm(o.Dst, o.X, o.Delta, o.Gain, o.Bias, o.Eps, true)
	case kernels.MatMul:
		do(kernels.MatMul{Dst: ts.of(o.Dst), A: ts.of(o.A), B: ts.of(o.B), Bias: ts.of(o.Bias)})
	case kernels.Activation:
		ts.activation(o)
	case kernels.ConvSiLU:
		ts.convSiLU(o)
	case kernels.Scan:
		ts.scan(o)
	case kernels.RotaryStore:
		ts.rotaryStore(o)
	case kernels.Attend:
		ts.attend(o)
	case kernels.Sinkhorn:
		ts.sinkhorn(o)
	case kernels.Route: // gates lie between 0 and 1 and must be right relative to themselves
		do(kernels.Route{Experts: ref.New().Alloc(kernels.I32, o.Experts.Rows, o.Experts.Cols),
			Gates: ts.of(o.Gates), Logits: o.Logits, Bias: o.Bias, Score: o.Score, GateScale: o.GateScale})
	case kernels.GroupedMatMul:
		do(kernels.GroupedMatMul{Dst: ts.of(o.Dst), A: ts.of(o.A), B: ts.of(o.B), Bias: ts.of(o.Bias),
			Offsets: o.Offsets, Slots: o.Slots, K: o.K})
	case kernels.Combine:
		do(kernels.Combine{Dst: ts.of(o.Dst), Src: ts.of(o.Src), Places: o.Places, Gates: ts.of(o.Gates)})
	default:
		ts.train(op)
	}
}

// norm follows the error of x through Dst = Gain·(x−m)·r + Bias: an element's own, the
// mean's, and that of r = (mean((x−m)²)+Eps)^(−1/2), which is r³·mean((x−m)·error).
func (ts *terms) norm(dst, x, delta, gain, bias kernels.Mat, eps float32, centred bool) {
	n := float64(x.Cols)
	for i := range x.Rows {
		c, size := make([]float64, x.Cols), make([]float64, x.Cols) // x−m, and its terms
		var mean, meanSize float64
		for j := range c {
			c[j], size[j] = at(x, i, j), ts.at(x, i, j)
			if !delta.None() {
				c[j] += at(delta, i, j)
				size[j] += ts.at(delta, i, j)
				set(ts.of(x), i, j, size[j])
			}
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
		for j := range c {
			sum := math.Abs(at(gain, 0, j)) * r * (size[j] + math.Abs(c[j])*r*r*product)
			if !bias.None() {
				sum += math.Abs(at(bias, 0, j))
			}
			set(ts.of(dst), i, j, sum)
		}
	}
}

// activation: SiLU and ReLU are products of what is right relative to itself. The GELUs
// are x/2 + x/2·erf(…), whose terms are up to |x| although they cancel below 0.
func (ts *terms) activation(o kernels.Activation) {
	if o.Act == kernels.SiLU || o.Act == kernels.ReLU {
		do(kernels.Activation{Dst: ts.of(o.Dst), X: o.X, Mul: o.Mul, Act: o.Act})
		abs(ts.of(o.Dst))
		return
	}
	each(o.Dst, func(i, j int) {
		size := math.Abs(at(o.X, i, j))
		if !o.Mul.None() {
			size *= math.Abs(at(o.Mul, i, j))
		}
		set(ts.of(o.Dst), i, j, size)
	})
}

// convSiLU: the error of SiLU(c) is about that of c. On absolute values SiLU is between
// half of c and c, so twice the op's result is at least Σ|terms| of c. The state is a
// copy of inputs and has no terms.
func (ts *terms) convSiLU(o kernels.ConvSiLU) {
	state := kernels.Mat{}
	if !o.State.None() {
		state = ref.New().Alloc(kernels.F32, o.State.Rows, o.State.Cols)
		each(state, func(i, j int) { set(state, i, j, math.Abs(at(o.State, i, j))) })
	}
	dst := ts.of(o.Dst)
	do(kernels.ConvSiLU{Dst: dst, X: ts.of(o.X), W: ts.of(o.W), Bias: ts.of(o.Bias), State: state, Seqs: o.Seqs})
	each(dst, func(i, j int) { set(dst, i, j, 2*at(dst, i, j)) })
}

// scan: the recurrence and its output are sums of products, and the gate is a factor. In
// exp(δ·A) the error of δ·A is a part of it, and becomes one of what decays.
func (ts *terms) scan(o kernels.Scan) {
	n := o.X.Rows / o.Seqs
	state, xs, bs, cs := ts.of(o.State), ts.of(o.X), ts.of(o.B), ts.of(o.C)
	chunks := (n + kernels.ScanChunk - 1) / kernels.ScanChunk
	each(o.Dst, func(i, d int) {
		delta, x, channel := delta(o, i, d), at(xs, i, d), i/n*o.X.Cols+d
		if t := i % n; !o.Starts.None() && t%kernels.ScanChunk == 0 {
			start := (i/n*chunks+t/kernels.ScanChunk)*o.X.Cols + d
			for k := range o.A.Cols {
				set(ts.of(o.Starts), start, k, at(state, channel, k))
			}
		}
		y := 0.0
		for k := range o.A.Cols {
			decay := delta * math.Abs(at(o.A, d, k))
			h := math.Exp(-decay)*(1+decay)*at(state, channel, k) + delta*x*at(bs, i, k)
			set(state, channel, k, h)
			y += h * at(cs, i, k)
		}
		if !o.D.None() {
			y += ts.at(o.D, 0, d) * x
		}
		set(ts.of(o.Dst), i, d, y)
	})
	if !o.Z.None() {
		dst := ts.of(o.Dst)
		do(kernels.Activation{Dst: dst, X: o.Z, Mul: dst, Act: kernels.SiLU})
		abs(dst)
	}
}

// delta is the step in time of channel d at the token in row i.
func delta(o kernels.Scan, i, d int) float64 {
	x := at(o.Dt, i, d)
	if !o.DtBias.None() {
		x += at(o.DtBias, 0, d)
	}
	return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x)))
}

// rotaryStore: a·cos − b·sin, where the angle is off by a part of itself and moves cos
// and sin by as much.
func (ts *terms) rotaryStore(o kernels.RotaryStore) {
	n, length := o.Q.Rows/o.Seqs, o.KCache.Rows/o.Seqs
	head := rotation{o.HeadDim, o.Rotary, o.Base}
	each(o.Q, func(i, j int) { set(ts.of(o.Q), i, j, head.terms(o.Q, i, j, o.Past+i%n)) })
	each(o.K, func(i, j int) {
		set(ts.of(o.KCache), i/n*length+o.Past+i%n, j, head.terms(o.K, i, j, o.Past+i%n))
	})
}

// A rotation is how heads are turned.
type rotation struct {
	headDim, rotary int
	base            float64
}

// terms is those of element [i, j] of m after it was turned to or from position.
func (r rotation) terms(m kernels.Mat, i, j, position int) float64 {
	col := j % r.headDim
	if col >= r.rotary {
		return copied
	}
	pair := col % (r.rotary / 2)
	a := j - col + pair
	angle := float64(position) * math.Pow(r.base, -2*float64(pair)/float64(r.rotary))
	return (1 + angle) * (math.Abs(at(m, i, a)) + math.Abs(at(m, i, a+r.rotary/2)))
}

// attend: the error of a weighted sum of values is a part of Σ p·|v|, times that of the
// weights, which is the absolute error of the scores. So is that of their sum's logarithm.
func (ts *terms) attend(o kernels.Attend) {
	dst := ts.of(o.Dst)
	do(kernels.Attend{Dst: dst, Q: o.Q, K: o.K, V: ts.of(o.V), Seqs: o.Seqs, Past: o.Past, HeadDim: o.HeadDim, Scale: o.Scale})
	n, length, perKV := o.Q.Rows/o.Seqs, o.K.Rows/o.Seqs, o.Q.Cols/o.K.Cols
	for i := range o.Q.Rows {
		for head := range o.Q.Cols / o.HeadDim {
			largest := 0.0
			for key := i / n * length; key <= i/n*length+o.Past+i%n; key++ {
				score := 0.0
				for d := range o.HeadDim {
					score += math.Abs(at(o.Q, i, head*o.HeadDim+d) * at(o.K, key, head/perKV*o.HeadDim+d))
				}
				largest = max(largest, math.Abs(float64(o.Scale))*score)
			}
			if !o.LSE.None() {
				set(ts.of(o.LSE), i, head, 1+largest+math.Log(float64(1+o.Past+i%n)))
			}
			for j := head * o.HeadDim; j < (head+1)*o.HeadDim; j++ {
				set(dst, i, j, at(dst, i, j)*(1+largest))
			}
		}
	}
}

// sinkhorn: each half step is a log-sum-exp, which passes on an error no larger than the
// largest it gets, and adds a part of the largest logit and of the log of the count.
func (ts *terms) sinkhorn(o kernels.Sinkhorn) {
	largest := 0.0
	each(o.Logits, func(i, j int) { largest = max(largest, math.Abs(at(o.Logits, i, j))) })
	count := 1 + math.Log(float64(o.Logits.Len()))
	each(o.Bias, func(i, j int) { set(ts.of(o.Bias), i, j, largest+float64(o.Temperature)*count) })
}

// do carries out op on ref.
func do(op kernels.Op) { kernels.NewStream(ref.New()).Do(op) }

// at is an element of a float matrix of ref.
func at(m kernels.Mat, i, j int) float64 { return m.Mem.([]float64)[index(m, i, j)] }

func set(m kernels.Mat, i, j int, x float64) { m.Mem.([]float64)[index(m, i, j)] = x }

func abs(m kernels.Mat) {
	each(m, func(i, j int) { set(m, i, j, math.Abs(at(m, i, j))) })
}

func each(m kernels.Mat, f func(i, j int)) {
	for i := range m.Rows {
		for j := range m.Cols {
			f(i, j)
		}
	}
}
