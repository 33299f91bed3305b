package kernels

// RMSNorm adds to the residual stream and normalises it, row by row:
//
//	X   ← X + Delta                              where Delta is present
//	Dst = Gain ⊙ X / √(mean(X²) + Eps)
//
// Everything is F32 and rounded once, as Mamba's fused kernel does. X, Delta and Dst
// are [T, d_model], Gain is [1, d_model]. (RMSNorm: arXiv:1910.07467.)
//
// Gradient: with r = (mean(X²)+Eps)^(−1/2) and q = g ⊙ Gain,
// dX = dDelta = r(q − X·r²·mean(q ⊙ X)), dGain = Σ g ⊙ X·r.
type RMSNorm struct {
	Dst, X, Delta, Gain Mat
	Eps                 float32
}

func (o RMSNorm) Cost() Cost { return normCost(4, o.Dst, o.X, o.Delta).weights(o.Gain) }

func (o RMSNorm) check() error { return normCheck(o.Dst, o.X, o.Delta, o.Gain, o.Gain) }

// LayerNorm is [RMSNorm] with the mean removed and a bias:
//
//	X   ← X + Delta                              where Delta is present
//	Dst = Gain ⊙ (X − mean(X)) / √(var(X) + Eps) + Bias
//
// The variance is the biased one. Bias may be absent. (LayerNorm: arXiv:1607.06450.)
//
// Gradient: with r = (var(X)+Eps)^(−1/2), x̂ = (X−mean(X))·r and q = g ⊙ Gain,
// dX = dDelta = r(q − mean(q) − x̂·mean(q ⊙ x̂)), dGain = Σ g ⊙ x̂, dBias = Σ g.
type LayerNorm struct {
	Dst, X, Delta, Gain, Bias Mat
	Eps                       float32
}

func (o LayerNorm) Cost() Cost {
	flops := int64(6)
	if !o.Bias.None() {
		flops++
	}
	return normCost(flops, o.Dst, o.X, o.Delta).weights(o.Gain, o.Bias)
}

func (o LayerNorm) check() error {
	bias := o.Bias
	if bias.None() {
		bias = o.Gain
	}
	return normCheck(o.Dst, o.X, o.Delta, o.Gain, bias)
}

func normCost(flops int64, dst, x, delta Mat) Cost {
	c := Cost{Other: flops * elements(dst)}.reads(x).writes(dst)
	if !delta.None() {
		c.Other += elements(delta)
		c = c.reads(delta).writes(x)
	}
	return c
}

func normCheck(dst, x, delta, gain, bias Mat) error {
	return first(
		shaped("x", x, dst), shaped("delta", delta, dst).when(!delta.None()),
		rows("gain", gain, 1), cols("gain", gain, dst.Cols), rows("bias", bias, 1), cols("bias", bias, dst.Cols),
		f32("operand", dst, x, delta, gain, bias))
}
