package kernels

import "quadrant/internal/enum"

// Sinkhorn finds one bias per expert, so that the argmax of Logits + Bias sends about as
// many tokens to each: b = log d₁ of the Sinkhorn normalisation of exp(Logits/Temperature)
// to rows of 1/T and columns of 1/E, times Temperature. Subtracting a constant from b
// changes no choice; its mean is made zero. Logits are [T, E], Bias is [1, E], F32.
//
// It is computed in the log domain, so that no logit overflows. ColumnFirst starts from
// equal column sums, the initialisation of the BlackMamba paper (arXiv:2402.01771), and
// otherwise from d₁ = 1, Megatron-LM's. An iteration makes the rows' sums 1/T; if then no
// column's is more than Tolerance away from 1/E, relatively, it is the last, and otherwise
// makes the columns' sums 1/E. After MaxIterations, or with none, what there is is the result.
//
// Absolute replaces that rule by Megatron-LM's and BlackMamba's: an iteration always makes
// the rows' sums and then the columns', and is the last if the mean over experts of |d₁ − d₁
// before it| is at most Tolerance; a d₁ too large for a float counts as an infinity, which is
// not. Iterations, [1, 1] I32, where present, receives how many iterations there were, the one
// that found nothing to do included.
//
// It sees every token of the batch, later ones too, and is therefore for training only.
//
// Gradient: none, by definition: the routers that use it choose without gradient.
type Sinkhorn struct {
	Bias, Logits, Iterations Mat
	Temperature              float32
	ColumnFirst, Absolute    bool
	MaxIterations            int
	Tolerance                float32
}

func (o Sinkhorn) Cost() Cost {
	perIteration := 4*elements(o.Logits) + 2*int64(o.Logits.Rows)
	return Cost{
		Other: 2*elements(o.Logits) + int64(o.MaxIterations)*perIteration,
	}.reads(o.Logits).writes(o.Bias, o.Iterations)
}

func (o Sinkhorn) check() error {
	counted := !o.Iterations.None()
	return first(
		rows("iterations", o.Iterations, 1).when(counted), cols("iterations", o.Iterations, 1).when(counted), i32("iterations", o.Iterations).when(counted),
		rows("bias", o.Bias, 1), cols("bias", o.Bias, o.Logits.Cols),
		atLeast("iterations", o.MaxIterations, 0), above("temperature", float64(o.Temperature), 0), f32("operand", o.Bias, o.Logits))
}

// A Score turns a router's logits into gates. The zero Score is none.
type Score uint8

const (
	// SigmoidScore gates by σ of the chosen expert's own logit (BlackMamba, Megatron-LM).
	SigmoidScore Score = iota + 1
	// SoftmaxScore gates by the softmax over all experts (Switch, arXiv:2101.03961).
	SoftmaxScore
	// SoftmaxTopKScore gates by the softmax over the chosen experts, so that gates sum
	// to 1 (Mixtral, arXiv:2401.04088).
	SoftmaxTopKScore
)

var scoreNames = enum.Names{"sigmoid", "softmax", "softmax_topk"}

func (s Score) String() string { return scoreNames.Of(uint8(s)) }

// MarshalText returns s's name in configs.
func (s Score) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText sets s to the score called text.
func (s *Score) UnmarshalText(text []byte) error {
	v, err := scoreNames.Parse("score", text)
	*s = Score(v)
	return err
}

// Route chooses for every token the k experts with the largest Logits + Bias, best
// first and the lower index among equals, and how much each counts:
//
//	Experts[t,:] = top-k of (Logits[t,:] + Bias)
//	Gates[t,c]   = GateScale·Score of Logits[t, Experts[t,c]]
//
// A GateScale of 0 stands for 1. Bias chooses but does not weigh. Logits are [T, E] F32,
// Bias is [1, E] F32 or absent, Experts [T, k] I32, Gates [T, k] F32. Choosing by logit and
// by σ(logit) agree except where σ saturates to equal numbers; the logit is used.
//
// Gradient: of the chosen logits only, through the gates; the choice has none. Sigmoid:
// dL = g·p(1−p). Softmax: dL_j = Σ_c g_c·p_c(δ_jc − p_j), over all or the chosen experts.
type Route struct {
	Experts, Gates, Logits, Bias Mat
	Score                        Score
	GateScale                    float32
}

// Scale is what gates are multiplied by.
func (o Route) Scale() float32 {
	if o.GateScale == 0 {
		return 1
	}
	return o.GateScale
}

func (o Route) Cost() Cost {
	e, k := int64(o.Logits.Cols), int64(o.Experts.Cols)
	flops := e * k // comparisons
	switch o.Score {
	case SigmoidScore:
		flops += 3 * k // exp, sum, quotient
	case SoftmaxScore:
		flops += 4*e + k // maximum, difference, exp, sum; quotient
	case SoftmaxTopKScore:
		flops += 5 * k
	}
	if !o.Bias.None() {
		flops += e
	}
	if o.Scale() != 1 {
		flops += k
	}
	return Cost{Other: flops * int64(o.Logits.Rows)}.
		reads(o.Logits).weights(o.Bias).writes(o.Experts, o.Gates)
}

func (o Route) check() error {
	biased := !o.Bias.None()
	return first(
		atLeast("score", int(o.Score), 1), rows("experts", o.Experts, o.Logits.Rows), shaped("gates", o.Gates, o.Experts),
		atLeast("experts per token", o.Experts.Cols, 1), atLeast("experts", o.Logits.Cols, o.Experts.Cols),
		rows("bias", o.Bias, 1).when(biased), cols("bias", o.Bias, o.Logits.Cols).when(biased),
		i32("experts", o.Experts), f32("operand", o.Gates, o.Logits, o.Bias))
}

// Sort lists a router's choices expert by expert, in the order of the tokens within
// each. Choice c of token t is slot t·k+c. Experts is [T, k].
//
//	Slots[j]   [T·k, 1]   the slot at place j of the list
//	Places[s]  [T·k, 1]   the place of slot s: the inverse of Slots
//	Offsets    [E+1, 1]   expert e has places Offsets[e] … Offsets[e+1]−1
//
// All are I32. Each expert index lies within Offsets.
//
// Gradient: none, it computes indices.
type Sort struct{ Slots, Places, Offsets, Experts Mat }

func (o Sort) Cost() Cost {
	return Cost{}.reads(o.Experts).writes(o.Slots, o.Places, o.Offsets)
}

func (o Sort) check() error {
	n := o.Experts.Rows * o.Experts.Cols
	return first(
		rows("slots", o.Slots, n), cols("slots", o.Slots, 1), shaped("places", o.Places, o.Slots),
		atLeast("offsets", o.Offsets.Rows, 2), cols("offsets", o.Offsets, 1),
		i32("slots", o.Slots), i32("places", o.Places), i32("offsets", o.Offsets), i32("experts", o.Experts))
}

// GroupedMatMul is [MatMul] with the weights of the expert that each row was sent to:
// for the places j of expert e,
//
//	Dst[j] = A[Slots[j] / K]·B[e]ᵀ + Bias[e]     or A[j] where Slots is absent
//
// B stacks the experts' weights [E·out, in], of any float type, and Bias their biases
// [E, out]; Dst is [T·k, out] F32. Offsets, and Slots with K = k, are as [Sort] makes
// them, A is [T, in] with Slots and [T·k, in] without. An expert may have no rows.
//
// Its cost does not depend on how evenly tokens are spread, only its time does; the
// weights counted as read are those of min(E, T·k) experts.
//
// Gradient: dA and dB expert by expert as [MatMul]'s; dA of a token is the sum over its
// slots, dB of an expert without rows is zero.
type GroupedMatMul struct {
	Dst, A, B, Bias, Offsets, Slots Mat
	K                               int
}

func (o GroupedMatMul) experts() int { return o.Offsets.Rows - 1 }

func (o GroupedMatMul) Cost() Cost {
	c := Cost{MatMul: 2 * elements(o.Dst) * int64(o.A.Cols)}
	reached := min(o.experts(), o.Dst.Rows)
	if !o.Bias.None() {
		c.Other = elements(o.Dst)
		c = c.weights(o.Bias.RowRange(0, reached))
	}
	return c.reads(o.A, o.Offsets, o.Slots).weights(o.B.RowRange(0, reached*o.Dst.Cols)).writes(o.Dst)
}

func (o GroupedMatMul) check() error {
	indexed, biased := !o.Slots.None(), !o.Bias.None()
	tokens := o.Dst.Rows
	if indexed {
		tokens /= max(1, o.K)
	}
	return first(
		atLeast("offsets", o.Offsets.Rows, 2), atLeast("experts per token", o.K, 1).when(indexed),
		divides("slots by experts per token", o.Dst.Rows, o.K).when(indexed),
		rows("slots", o.Slots, o.Dst.Rows).when(indexed), rows("a", o.A, tokens),
		cols("b", o.B, o.A.Cols), rows("b", o.B, o.experts()*o.Dst.Cols),
		rows("bias", o.Bias, o.experts()).when(biased), cols("bias", o.Bias, o.Dst.Cols).when(biased),
		f32("operand", o.Dst, o.A, o.Bias), float("b", o.B), i32("offsets", o.Offsets), i32("slots", o.Slots).when(indexed))
}

// Combine brings the experts' outputs back to their tokens:
//
//	Dst[t] = Σ_c Gates[t,c]·Src[Places[t·k+c]]
//
// Src is [T·k, d] in the order of [Sort], Dst [T, d], Gates [T, k], F32; Places is I32.
// Where Gates is absent, every gate is 1.
//
// Gradient: dSrc[Places[t·k+c]] = Gates[t,c]·g[t], dGates[t,c] = ⟨g[t], Src[Places[t·k+c]]⟩.
type Combine struct{ Dst, Src, Places, Gates Mat }

func (o Combine) Cost() Cost {
	flops := elements(o.Src) - elements(o.Dst)
	if !o.Gates.None() {
		flops += elements(o.Src)
	}
	return Cost{Other: flops}.reads(o.Src, o.Places, o.Gates).writes(o.Dst)
}

// PerToken is k, the number of rows of Src that a row of Dst is made of.
func (o Combine) PerToken() int { return o.Src.Rows / o.Dst.Rows }

func (o Combine) check() error {
	gated := !o.Gates.None()
	return first(
		rows("gates", o.Gates, o.Dst.Rows).when(gated), rows("src", o.Src, o.Dst.Rows*o.Gates.Cols).when(gated),
		divides("rows of src by tokens", o.Src.Rows, o.Dst.Rows), cols("src", o.Src, o.Dst.Cols),
		rows("places", o.Places, o.Src.Rows), cols("places", o.Places, 1),
		f32("operand", o.Dst, o.Src, o.Gates), i32("places", o.Places))
}
