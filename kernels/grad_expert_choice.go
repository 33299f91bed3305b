package kernels

// ExpertChoice lets every expert choose its tokens (arXiv:2202.09368), rather than every token
// its experts: with p = softmax(Logits[t]), expert e takes the tokens with the largest p_e, the
// earlier among equals. Of the T·K places that there are, each expert has as many as another,
// or one more:
//
//	Offsets[e] = ⌊e·T·K/E⌋                    expert e has places Offsets[e] … Offsets[e+1]−1
//	Slots[j]   = K·t                          t the token at place j, in the order of the tokens
//	Gates[j]   = GateScale·p[t, e]
//
// A token may be taken by all experts or by none; K is how many take it on average. A GateScale
// of 0 stands for 1. Logits are [T, E] F32, Slots [T·K, 1] and Offsets [E+1, 1] I32, and Gates
// [T·K, 1] F32. What is compared is log p, so that no p is too small to tell from another; a NaN is less
// than any number.
//
// Whether a token is taken depends on all tokens of the batch, later ones too: for training only.
//
// Gradient: through the gates, [ExpertChoiceGrad]; the choice has none.
type ExpertChoice struct {
	Slots, Offsets, Gates, Logits Mat
	K                             int
	GateScale                     float32
}

// Scale is what gates are multiplied by.
func (o ExpertChoice) Scale() float32 { return Route{GateScale: o.GateScale}.Scale() }

func (o ExpertChoice) Cost() Cost {
	t, e := int64(o.Logits.Rows), int64(o.Logits.Cols)
	flops := t * (6*e + 1) // maximum, difference, exp, sum; log; log p; comparison
	flops += elements(o.Gates)
	if o.Scale() != 1 {
		flops += elements(o.Gates)
	}
	return Cost{Other: flops}.reads(o.Logits).writes(o.Slots, o.Offsets, o.Gates)
}

func (o ExpertChoice) check() error {
	return first(
		atLeast("experts per token", o.K, 1), atLeast("experts", o.Logits.Cols, o.K),
		rows("slots", o.Slots, o.Logits.Rows*o.K), cols("slots", o.Slots, 1), shaped("gates", o.Gates, o.Slots),
		rows("offsets", o.Offsets, o.Logits.Cols+1), cols("offsets", o.Offsets, 1),
		i32("slots", o.Slots), i32("offsets", o.Offsets), f32("operand", o.Gates, o.Logits))
}

// ExpertChoiceGrad is the gradient of [ExpertChoice] through its gates: with p =
// softmax(Logits[t]) again, over the places j that token t is at, each of an expert e_j,
//
//	DLogits[t,i] = Σ_j G[j]·Gates[j]·(δ_{i,e_j} − p_i)
//
// which is 0 for a token that no expert took. G and Gates are [T·K, 1], DLogits and Logits
// [T, E]; Slots and Offsets are as ExpertChoice makes them.
//
// Gradient: none, it is one.
type ExpertChoiceGrad struct {
	DLogits, G, Gates, Slots, Offsets, Logits Mat
	K                                         int
}

func (o ExpertChoiceGrad) Cost() Cost {
	t, e := int64(o.Logits.Rows), int64(o.Logits.Cols)
	return Cost{Other: 6*t*e + 2*elements(o.G)}. // softmax again, p_i·Σ and the difference; G·Gates and their sum
							reads(o.G, o.Gates, o.Slots, o.Offsets, o.Logits).writes(o.DLogits)
}

func (o ExpertChoiceGrad) check() error {
	return first(
		atLeast("experts per token", o.K, 1), shaped("logits' gradient", o.DLogits, o.Logits),
		rows("slots", o.Slots, o.Logits.Rows*o.K), cols("slots", o.Slots, 1), shaped("gates", o.Gates, o.Slots), shaped("g", o.G, o.Slots),
		rows("offsets", o.Offsets, o.Logits.Cols+1), cols("offsets", o.Offsets, 1),
		i32("slots", o.Slots), i32("offsets", o.Offsets), f32("operand", o.DLogits, o.G, o.Gates, o.Logits))
}

// ScatterAdd brings experts' outputs back to tokens of which each may have been at any number
// of places: over the places j with Slots[j]/K = t, in their order,
//
//	Dst[t] = Σ_j Gates[j]·Src[j]
//
// and 0 where there is none. Src is [n, d], Dst [T, d], Gates [n, 1], F32; Slots [n, 1] and
// Offsets are I32, as [ExpertChoice] makes them: no token is twice among the places of an
// expert, and they are in the order of the tokens. Where Gates is absent, every gate is 1.
//
// Gradient: [ScatterAddGrad].
type ScatterAdd struct {
	Dst, Src, Gates, Slots, Offsets Mat
	K                               int
}

func (o ScatterAdd) Cost() Cost {
	flops := elements(o.Src)
	if !o.Gates.None() {
		flops *= 2
	}
	return Cost{Other: flops}.reads(o.Src, o.Gates, o.Slots, o.Offsets).writes(o.Dst)
}

func (o ScatterAdd) check() error {
	gated := !o.Gates.None()
	return first(
		atLeast("experts per token", o.K, 1), rows("slots", o.Slots, o.Src.Rows), cols("slots", o.Slots, 1),
		shaped("gates", o.Gates, o.Slots).when(gated), cols("src", o.Src, o.Dst.Cols),
		atLeast("offsets", o.Offsets.Rows, 2), cols("offsets", o.Offsets, 1),
		f32("operand", o.Dst, o.Src, o.Gates), i32("slots", o.Slots), i32("offsets", o.Offsets))
}

// ScatterAddGrad is the gradient of [ScatterAdd] with gates: with t = Slots[j]/K,
//
//	DSrc[j] = Gates[j]·G[t],   DGates[j] = ⟨G[t], Src[j]⟩
//
// Gradient: none, it is one.
type ScatterAddGrad struct {
	DSrc, DGates, G, Src, Gates, Slots Mat
	K                                  int
}

func (o ScatterAddGrad) Cost() Cost {
	return Cost{Other: 3 * elements(o.Src)}.reads(o.G, o.Src, o.Gates, o.Slots).writes(o.DSrc, o.DGates)
}

func (o ScatterAddGrad) check() error {
	return first(
		atLeast("experts per token", o.K, 1), rows("slots", o.Slots, o.Src.Rows), cols("slots", o.Slots, 1),
		shaped("src's gradient", o.DSrc, o.Src), shaped("gates", o.Gates, o.Slots), shaped("gates' gradient", o.DGates, o.Gates),
		cols("src", o.Src, o.G.Cols), f32("operand", o.DSrc, o.DGates, o.G, o.Src, o.Gates), i32("slots", o.Slots))
}
