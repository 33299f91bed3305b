package kernels

// RotaryGrad is the gradient of [RotaryStore] for a step that began at position 0. DQ
// [Seqs·n, heads·HeadDim] holds the gradient of the rotated queries and is turned back in
// place, by the negative angle. DK and DV [Seqs·n, kv heads·HeadDim] are set from the
// gradients of the step's rows of the cache, DKCache and DVCache [Seqs·length, kv
// heads·HeadDim], DK turned back. All is F32.
//
// Gradient: none, it is one.
type RotaryGrad struct {
	DQ, DK, DV, DKCache, DVCache Mat
	Seqs, HeadDim, Rotary        int
	Base                         float64
}

func (o RotaryGrad) Cost() Cost {
	heads := int64(o.DQ.Cols+o.DK.Cols) / int64(o.HeadDim)
	c := Cost{Other: 3 * int64(o.DQ.Rows) * heads * int64(o.Rotary)}.reads(o.DK, o.DV).writes(o.DK, o.DV)
	if o.Rotary > 0 {
		c = c.reads(o.DQ).writes(o.DQ)
	}
	return c
}

func (o RotaryGrad) check() error {
	return first(
		divides("rows by sequences", o.DQ.Rows, o.Seqs),
		divides("query columns by head size", o.DQ.Cols, o.HeadDim), divides("key columns by head size", o.DK.Cols, o.HeadDim),
		rows("k's gradient", o.DK, o.DQ.Rows), shaped("v's gradient", o.DV, o.DK),
		atLeast("rotary", o.Rotary, 0), divides("rotary by pairs", o.Rotary, 2), above("base", o.Base, 0).when(o.Rotary > 0), atLeast("head size", o.HeadDim, o.Rotary),
		divides("cache rows by sequences", o.DKCache.Rows, o.Seqs), cols("k cache's gradient", o.DKCache, o.DK.Cols), shaped("v cache's gradient", o.DVCache, o.DKCache),
		room(o.DKCache, o.DQ, o.Seqs, 0),
		f32("operand", o.DQ, o.DK, o.DV, o.DKCache, o.DVCache))
}

// AttendGrad is the gradient of [Attend] for a step that began at position 0. Out is what the
// Attend computed and LSE what it kept. With P = exp(Scale·Q·Kᵀ − LSE) below and on the
// diagonal, computed again tile by tile and never held whole, head by head,
//
//	DV = Pᵀ·G,  dS = Scale·P ⊙ (G·Vᵀ − rowsum(G ⊙ Out)),  DQ = dS·K,  DK = dSᵀ·Q
//
// and the DK and DV of a key-value head are sums over the query heads that read it. G, Out, Q
// and DQ are [Seqs·n, heads·HeadDim], LSE is [Seqs·n, heads]; K and V, of any float type, and
// DK and DV are [Seqs·length, kv heads·HeadDim]. DK and DV are set in the rows of the step.
// Gradients are F32. (FlashAttention: arXiv:2205.14135.)
//
// Gradient: none, it is one.
type AttendGrad struct {
	DQ, DK, DV, G, Out, Q, K, V, LSE Mat
	Seqs, HeadDim                    int
	Scale                            float32
}

func (o AttendGrad) Cost() Cost {
	n := int64(o.Q.Rows / o.Seqs)
	pairs := n * (n + 1) / 2 * int64(o.Seqs) * int64(o.Q.Cols/o.HeadDim)
	used := int64(o.Seqs) * n * int64(o.K.Cols)
	c := Cost{
		MatMul: 10 * pairs * int64(o.HeadDim), // five products: scores again, DV, dP, DQ, DK
		Other:  6*pairs + 2*elements(o.Out),   // scale, difference, exp; difference, product, scale
	}.reads(o.G, o.Out, o.Q, o.LSE).writes(o.DQ)
	cached := used * (o.K.Type.Size() + o.V.Type.Size())
	c.Read += cached
	c.State += cached
	c.Write += 2 * used * F32.Size()
	return c
}

func (o AttendGrad) check() error {
	return first(
		divides("rows by sequences", o.Q.Rows, o.Seqs), shaped("q's gradient", o.DQ, o.Q), shaped("g", o.G, o.Q), shaped("out", o.Out, o.Q),
		divides("query columns by head size", o.Q.Cols, o.HeadDim), divides("key columns by head size", o.K.Cols, o.HeadDim),
		divides("query columns by key columns", o.Q.Cols, o.K.Cols), shaped("v", o.V, o.K),
		rows("lse", o.LSE, o.Q.Rows), cols("lse", o.LSE, o.Q.Cols/max(1, o.HeadDim)),
		shaped("k's gradient", o.DK, o.K), shaped("v's gradient", o.DV, o.V),
		divides("cache rows by sequences", o.K.Rows, o.Seqs), room(o.K, o.Q, o.Seqs, 0),
		f32("operand", o.DQ, o.DK, o.DV, o.G, o.Out, o.Q, o.LSE), float("k", o.K), float("v", o.V))
}
