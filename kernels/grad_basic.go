package kernels

// Sum is Dst = Scale·(X + Y), or Scale·X where Y is absent. Dst may be X or Y.
//
// Gradient: dX = dY = Scale·g.
type Sum struct {
	Dst, X, Y Mat
	Scale     float32
}

func (o Sum) Cost() Cost {
	c := Cost{Other: elements(o.Dst)}.reads(o.X, o.Y).writes(o.Dst)
	if !o.Y.None() {
		c.Other += elements(o.Dst)
	}
	return c
}

func (o Sum) check() error {
	return first(shaped("x", o.X, o.Dst), shaped("y", o.Y, o.Dst).when(!o.Y.None()), f32("operand", o.Dst, o.X, o.Y))
}

// EmbedGrad is the gradient of [Embed]: DTable[IDs[i]] += G[i], rows of equal id in the
// order of i. DTable is [vocab, d_model] and G [T, d_model], F32. The ids are within the
// table.
//
// Gradient: none, it is one.
type EmbedGrad struct{ DTable, G, IDs Mat }

func (o EmbedGrad) Cost() Cost {
	touched := o.DTable.RowRange(0, min(o.G.Rows, o.DTable.Rows))
	return Cost{Other: elements(o.G)}.reads(o.IDs, o.G, touched).writes(touched)
}

func (o EmbedGrad) check() error {
	return first(
		rows("ids", o.IDs, o.G.Rows), cols("ids", o.IDs, 1), cols("table", o.DTable, o.G.Cols),
		f32("operand", o.DTable, o.G), i32("ids", o.IDs))
}

// NegExpGrad is the gradient of [NegExp], whose result is Y: DX += G ⊙ Y.
//
// Gradient: none, it is one.
type NegExpGrad struct{ DX, G, Y Mat }

func (o NegExpGrad) Cost() Cost {
	return Cost{Other: 2 * elements(o.DX)}.reads(o.DX, o.G, o.Y).writes(o.DX)
}

func (o NegExpGrad) check() error {
	return first(shaped("g", o.G, o.DX), shaped("y", o.Y, o.DX), f32("operand", o.DX, o.G, o.Y))
}

// RMSNormGrad is the gradient of [RMSNorm]. X is the residual stream after Delta was
// added to it. DX holds the gradient of that stream from what came after, and then the
// whole of it, which is also Delta's:
//
//	DX += r(q − X·r²·mean(q ⊙ X)),  DGain += Σ_t G ⊙ X·r
//
// with r = (mean(X²)+Eps)^(−1/2) and q = G ⊙ Gain.
//
// Gradient: none, it is one.
type RMSNormGrad struct {
	DX, DGain, G, X, Gain Mat
	Eps                   float32
}

func (o RMSNormGrad) Cost() Cost {
	return Cost{Other: 12 * elements(o.G)}.
		reads(o.DX, o.G, o.X, o.DGain).weights(o.Gain).writes(o.DX, o.DGain)
}

func (o RMSNormGrad) check() error {
	return normGradCheck(o.DX, o.G, o.X, o.Gain, o.DGain, o.DGain)
}

// LayerNormGrad is the gradient of [LayerNorm], as [RMSNormGrad] is of [RMSNorm]:
//
//	DX += r(q − mean(q) − x̂·mean(q ⊙ x̂)),  DGain += Σ_t G ⊙ x̂,  DBias += Σ_t G
//
// with r = (var(X)+Eps)^(−1/2), x̂ = (X−mean(X))·r and q = G ⊙ Gain. DBias may be absent.
//
// Gradient: none, it is one.
type LayerNormGrad struct {
	DX, DGain, DBias, G, X, Gain Mat
	Eps                          float32
}

func (o LayerNormGrad) Cost() Cost {
	flops := int64(15)
	if !o.DBias.None() {
		flops++
	}
	return Cost{Other: flops * elements(o.G)}.
		reads(o.DX, o.G, o.X, o.DGain, o.DBias).weights(o.Gain).writes(o.DX, o.DGain, o.DBias)
}

func (o LayerNormGrad) check() error {
	bias := o.DBias
	if bias.None() {
		bias = o.DGain
	}
	return normGradCheck(o.DX, o.G, o.X, o.Gain, o.DGain, bias)
}

func normGradCheck(dx, g, x, gain, dGain, dBias Mat) error {
	return first(
		shaped("g", g, dx), shaped("x", x, dx), rows("gain", gain, 1), cols("gain", gain, dx.Cols),
		shaped("gain's gradient", dGain, gain), shaped("bias's gradient", dBias, gain),
		f32("operand", dx, g, x, gain, dGain, dBias))
}
