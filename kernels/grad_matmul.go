package kernels

// MatMulGradA is the gradient of [MatMul] by its activations: DA = G·B. G is [T, out]
// and DA [T, in], F32; B is [out, in] of any float type.
//
// Gradient: none, it is one.
type MatMulGradA struct{ DA, G, B Mat }

func (o MatMulGradA) Cost() Cost {
	return Cost{MatMul: 2 * elements(o.G) * int64(o.DA.Cols)}.reads(o.G).weights(o.B).writes(o.DA)
}

func (o MatMulGradA) check() error {
	return first(
		rows("g", o.G, o.DA.Rows), rows("b", o.B, o.G.Cols), cols("b", o.B, o.DA.Cols),
		f32("operand", o.DA, o.G), float("b", o.B))
}

// MatMulGradB is the gradient of [MatMul] by its weights: DB += Gᵀ·A, DBias += Σ_t G[t].
// A is [T, in], G [T, out], DB [out, in], DBias [1, out] or absent, all F32.
//
// Gradient: none, it is one.
type MatMulGradB struct{ DB, DBias, G, A Mat }

func (o MatMulGradB) Cost() Cost {
	c := Cost{MatMul: 2 * elements(o.G) * int64(o.A.Cols)}
	if !o.DBias.None() {
		c.Other = elements(o.G)
	}
	return c.reads(o.G, o.A, o.DB, o.DBias).writes(o.DB, o.DBias)
}

func (o MatMulGradB) check() error {
	biased := !o.DBias.None()
	return first(
		rows("a", o.A, o.G.Rows), rows("b's gradient", o.DB, o.G.Cols), cols("b's gradient", o.DB, o.A.Cols),
		rows("bias's gradient", o.DBias, 1).when(biased), cols("bias's gradient", o.DBias, o.G.Cols).when(biased),
		f32("operand", o.DB, o.DBias, o.G, o.A))
}

// ActivationGrad is the gradient of [Activation]: DX = G ⊙ Mul ⊙ Act′(X), and DMul = G ⊙
// Act(X) where Mul is present; DMul is absent with it. ReLU′(0) is 0.
//
// Gradient: none, it is one.
type ActivationGrad struct {
	DX, DMul, G, X, Mul Mat
	Act                 Act
}

// actGradFLOPs counts Act′ and the product with G, per element.
var actGradFLOPs = [...]int64{SiLU: 8, GELU: 10, GELUTanh: 18, ReLU: 2}

func (o ActivationGrad) Cost() Cost {
	c := Cost{Other: actGradFLOPs[o.Act] * elements(o.DX)}.reads(o.G, o.X, o.Mul).writes(o.DX, o.DMul)
	if !o.Mul.None() {
		c.Other += 3 * elements(o.DX)
	}
	return c
}

func (o ActivationGrad) check() error {
	gated := !o.Mul.None()
	return first(
		atLeast("activation", int(o.Act), 1), shaped("g", o.G, o.DX), shaped("x", o.X, o.DX),
		shaped("mul", o.Mul, o.DX).when(gated), shaped("mul's gradient", o.DMul, o.Mul),
		f32("operand", o.DX, o.DMul, o.G, o.X, o.Mul))
}

// CrossEntropy is the loss of predicting Targets, and its gradient in the logits' place:
//
//	Loss[t]   = log Σ_v exp(Logits[t,v]) − Logits[t, Targets[t]]
//	Logits[t] ← Scale·(softmax(Logits[t]) − onehot(Targets[t]))
//
// in nats. A row whose target is −1 has neither: its Loss and its Logits become 0. Logits
// are [T, vocab] F32, Targets [T, 1] I32 within the vocabulary, Loss [T, 1] F32. Scale is
// what the mean over tokens makes of each one's loss, as 1/T.
//
// It computes both at once so that the logits of a few rows at a time, never all of them,
// need to be held: the largest matrix of a training step by far.
//
// Gradient: this op writes it.
type CrossEntropy struct {
	Loss, Logits, Targets Mat
	Scale                 float32
}

func (o CrossEntropy) Cost() Cost {
	// maximum, difference, exp, sum; then quotient and scale
	return Cost{Other: 6*elements(o.Logits) + 3*elements(o.Loss)}.
		reads(o.Logits, o.Targets).writes(o.Logits, o.Loss)
}

func (o CrossEntropy) check() error {
	return first(
		rows("loss", o.Loss, o.Logits.Rows), cols("loss", o.Loss, 1), rows("targets", o.Targets, o.Logits.Rows),
		cols("targets", o.Targets, 1), atLeast("columns of logits", o.Logits.Cols, 1),
		f32("operand", o.Loss, o.Logits), i32("targets", o.Targets))
}
