package kernels

// RouteGrad is the gradient of [Route] through its gates: with p the Score computed again
// from Logits and c the choice of a token,
//
//	SigmoidScore      DLogits[t, Experts[t,c]] = G[t,c]·Gates[t,c]·(1−p_c)
//	SoftmaxScore      DLogits[t,j] = Σ_c G[t,c]·Gates[t,c]·(δ_jc − p_j)     over all experts j
//	SoftmaxTopKScore  the same over the chosen experts
//
// and 0 elsewhere. The choice itself has no gradient, and a gate that [LimitLoad] made 0
// passes none on. G and Gates are [T, k], DLogits and Logits [T, E]; an expert is chosen at
// most once for a token. Gates are those that weighed the outputs, GateScale included.
//
// Gradient: none, it is one.
type RouteGrad struct {
	DLogits, G, Experts, Gates, Logits Mat
	Score                              Score
}

func (o RouteGrad) Cost() Cost {
	e, k := int64(o.Logits.Cols), int64(o.Experts.Cols)
	flops := 6 * k // σ again, 1−p, two products
	switch o.Score {
	case SoftmaxScore:
		flops = 4*e + 3*k + 2*e // softmax again; Σ G·Gates; p_j·Σ and the difference
	case SoftmaxTopKScore:
		flops = 9 * k
	}
	return Cost{Other: flops * int64(o.Logits.Rows)}.
		reads(o.G, o.Experts, o.Gates, o.Logits).writes(o.DLogits)
}

func (o RouteGrad) check() error {
	return first(
		atLeast("score", int(o.Score), 1), shaped("logits' gradient", o.DLogits, o.Logits), rows("experts", o.Experts, o.Logits.Rows),
		shaped("gates", o.Gates, o.Experts), shaped("g", o.G, o.Gates), atLeast("experts", o.Logits.Cols, o.Experts.Cols),
		i32("experts", o.Experts), f32("operand", o.DLogits, o.G, o.Gates, o.Logits))
}

// GroupedMatMulGradA is the gradient of [GroupedMatMul] by its activations, place by place:
// for the places j of expert e, DA[j] = G[j]·B[e]. G is [T·k, out] and DA [T·k, in], F32; B
// is [E·out, in] of any float type. Where the product gathered its rows by Slots, the
// gradient of a token is the sum over its k places, which [Combine] without gates takes.
//
// Gradient: none, it is one.
type GroupedMatMulGradA struct{ DA, G, B, Offsets Mat }

func (o GroupedMatMulGradA) Cost() Cost {
	reached := min(o.Offsets.Rows-1, o.G.Rows)
	return Cost{MatMul: 2 * elements(o.G) * int64(o.DA.Cols)}.
		reads(o.G, o.Offsets).weights(o.B.RowRange(0, reached*o.G.Cols)).writes(o.DA)
}

func (o GroupedMatMulGradA) check() error {
	return first(
		atLeast("offsets", o.Offsets.Rows, 2), rows("g", o.G, o.DA.Rows), cols("b", o.B, o.DA.Cols),
		rows("b", o.B, (o.Offsets.Rows-1)*o.G.Cols),
		f32("operand", o.DA, o.G), float("b", o.B), i32("offsets", o.Offsets))
}

// GroupedMatMulGradB is the gradient of [GroupedMatMul] by its weights: over the places j
// of expert e,
//
//	DB[e] += Σ_j G[j]ᵀ·A[Slots[j]/K]     or A[j] where Slots is absent,     DBias[e] += Σ_j G[j]
//
// An expert without rows adds nothing. Shapes are those of GroupedMatMul; all is F32.
//
// Gradient: none, it is one.
type GroupedMatMulGradB struct {
	DB, DBias, G, A, Offsets, Slots Mat
	K                               int
}

func (o GroupedMatMulGradB) Cost() Cost {
	c := Cost{MatMul: 2 * elements(o.G) * int64(o.A.Cols)}
	reached := min(o.Offsets.Rows-1, o.G.Rows)
	if !o.DBias.None() {
		c.Other = elements(o.G)
		c = c.reads(o.DBias.RowRange(0, reached)).writes(o.DBias.RowRange(0, reached))
	}
	touched := o.DB.RowRange(0, reached*o.G.Cols)
	return c.reads(o.G, o.A, o.Offsets, o.Slots, touched).writes(touched)
}

func (o GroupedMatMulGradB) check() error {
	indexed, biased := !o.Slots.None(), !o.DBias.None()
	tokens := o.G.Rows
	if indexed {
		tokens /= max(1, o.K)
	}
	experts := o.Offsets.Rows - 1
	return first(
		atLeast("offsets", o.Offsets.Rows, 2), atLeast("experts per token", o.K, 1).when(indexed),
		divides("slots by experts per token", o.G.Rows, o.K).when(indexed),
		rows("slots", o.Slots, o.G.Rows).when(indexed), rows("a", o.A, tokens),
		cols("b's gradient", o.DB, o.A.Cols), rows("b's gradient", o.DB, experts*o.G.Cols),
		rows("bias's gradient", o.DBias, experts).when(biased), cols("bias's gradient", o.DBias, o.G.Cols).when(biased),
		f32("operand", o.DB, o.DBias, o.G, o.A), i32("offsets", o.Offsets), i32("slots", o.Slots).when(indexed))
}

// CombineGrad is the gradient of [Combine]: DSrc[Places[t·k+c]] = Gates[t,c]·G[t] and
// DGates[t,c] = ⟨G[t], Src[Places[t·k+c]]⟩. Where Gates is absent, so are DGates and Src,
// and the gates are 1.
//
// Gradient: none, it is one.
type CombineGrad struct{ DSrc, DGates, G, Src, Places, Gates Mat }

func (o CombineGrad) Cost() Cost {
	c := Cost{}.reads(o.G, o.Places).writes(o.DSrc)
	if !o.Gates.None() {
		c.Other = 3 * elements(o.DSrc)
		c = c.reads(o.Src, o.Gates).writes(o.DGates)
	}
	return c
}

func (o CombineGrad) check() error {
	gated := !o.Gates.None()
	return first(
		divides("rows by tokens", o.DSrc.Rows, o.G.Rows), cols("src's gradient", o.DSrc, o.G.Cols),
		rows("gates", o.Gates, o.G.Rows).when(gated), cols("gates", o.Gates, o.DSrc.Rows/max(1, o.G.Rows)).when(gated),
		shaped("gates' gradient", o.DGates, o.Gates), shaped("src", o.Src, o.DSrc).when(gated),
		rows("places", o.Places, o.DSrc.Rows), cols("places", o.Places, 1),
		f32("operand", o.DSrc, o.DGates, o.G, o.Src, o.Gates), i32("places", o.Places))
}

// BalanceLoss is the pair of losses that keep a router even and small, and their gradient.
// With p = softmax(Logits[t]), f_e the share of the T·k choices that went to expert e and
// P_e = mean_t p_e,
//
//	Loss[0,0] = Balance·E·Σ_e f_e·P_e                 (Switch, arXiv:2101.03961, equation 4)
//	Loss[0,1] = Z·mean_t (log Σ_e exp Logits[t,e])²   (ST-MoE, arXiv:2202.08906, equation 5)
//	Grad      = the gradient of their sum by Logits; f is not differentiated
//
// Logits and Grad are [T, E], Experts is [T, k] I32, Loss [1, 2].
//
// Gradient: this op writes it.
type BalanceLoss struct {
	Loss, Grad, Logits, Experts Mat
	Balance, Z                  float32
}

func (o BalanceLoss) Cost() Cost {
	return Cost{Other: 14*elements(o.Logits) + elements(o.Experts)}.
		reads(o.Logits, o.Experts).writes(o.Grad, o.Loss)
}

func (o BalanceLoss) check() error {
	return first(
		rows("loss", o.Loss, 1), cols("loss", o.Loss, 2), shaped("gradient", o.Grad, o.Logits),
		rows("experts", o.Experts, o.Logits.Rows), atLeast("experts per token", o.Experts.Cols, 1), atLeast("experts", o.Logits.Cols, o.Experts.Cols),
		f32("operand", o.Loss, o.Grad, o.Logits), i32("experts", o.Experts))
}

// HashRoute sends a token to experts by its id alone: Experts[t,c] = (h(IDs[t]) + c) mod E,
// where h(id) is the upper 16 bits of the 32-bit product 2654435769·id; Gates = 1/k each.
// Experts and Gates are [T, k], IDs [T, 1] I32. (Hash layers: arXiv:2106.04426.)
//
// Gradient: none, it computes indices.
type HashRoute struct {
	Experts, Gates, IDs Mat
	Of                  int // E, the number of experts
}

func (o HashRoute) Cost() Cost {
	return Cost{Other: elements(o.Experts)}.reads(o.IDs).writes(o.Experts, o.Gates)
}

func (o HashRoute) check() error {
	return first(
		rows("ids", o.IDs, o.Experts.Rows), cols("ids", o.IDs, 1), shaped("gates", o.Gates, o.Experts),
		atLeast("experts per token", o.Experts.Cols, 1), atLeast("experts", o.Of, o.Experts.Cols),
		i32("experts", o.Experts), i32("ids", o.IDs), f32("gates", o.Gates))
}

// LimitLoad drops what an expert has no room for: of the places of each expert, those from
// the Capacity-th on get a gate of 0. Places and Offsets are as [Sort] makes them, Gates is
// [T, k]. The experts still compute dropped tokens; their outputs count for nothing.
//
// Gradient: a dropped gate's is 0, as [RouteGrad] makes it.
type LimitLoad struct {
	Gates, Places, Offsets, Experts Mat
	Capacity                        int
}

func (o LimitLoad) Cost() Cost {
	return Cost{Other: elements(o.Gates)}.reads(o.Places, o.Offsets, o.Experts).writes(o.Gates)
}

func (o LimitLoad) check() error {
	return first(
		shaped("experts", o.Experts, o.Gates), rows("places", o.Places, o.Gates.Rows*o.Gates.Cols), cols("places", o.Places, 1),
		atLeast("offsets", o.Offsets.Rows, 2), cols("offsets", o.Offsets, 1), atLeast("capacity", o.Capacity, 0),
		f32("gates", o.Gates), i32("places", o.Places), i32("offsets", o.Offsets), i32("experts", o.Experts))
}
