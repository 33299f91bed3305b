package kernels

// RotaryStore rotates queries and keys to their positions and appends keys and values to
// the KV cache. In each head of HeadDim columns, element i < Rotary/2 and its partner
// i + Rotary/2 ("half split") are turned by the angle p·Base^(−2i/Rotary), where p =
// Past + t is the position of token t:
//
//	(a, b) ← (a·cos − b·sin, b·cos + a·sin)
//
// The columns of a head from Rotary on stay as they are; Rotary 0 turns nothing. Q
// [Seqs·n, heads·HeadDim] is rotated in place. K and V [Seqs·n, kv heads·HeadDim] are
// inputs; the rotated K and V go to rows Past … Past+n−1 of their sequence's part of
// KCache and VCache [Seqs·length, kv heads·HeadDim], of any float type. K's memory is
// unspecified afterwards. An angle is as accurate as an F32 of its size. (RoPE: arXiv:2104.09864.)
//
// Gradient: rotation by the negative angle; V's passes through.
type RotaryStore struct {
	Q, K, V, KCache, VCache Mat
	Seqs, Past              int
	HeadDim, Rotary         int
	Base                    float64
}

func (o RotaryStore) Cost() Cost {
	heads := int64(o.Q.Cols+o.K.Cols) / int64(o.HeadDim)
	c := Cost{Other: 3 * int64(o.Q.Rows) * heads * int64(o.Rotary)}.reads(o.K, o.V)
	if o.Rotary > 0 {
		c = c.reads(o.Q).writes(o.Q)
	}
	stored := (o.KCache.Type.Size() + o.VCache.Type.Size()) * elements(o.K)
	c.Write += stored
	c.State += stored
	return c
}

func (o RotaryStore) check() error {
	return first(
		divides("rows by sequences", o.Q.Rows, o.Seqs), atLeast("past", o.Past, 0),
		divides("query columns by head size", o.Q.Cols, o.HeadDim), divides("key columns by head size", o.K.Cols, o.HeadDim),
		rows("k", o.K, o.Q.Rows), shaped("v", o.V, o.K),
		atLeast("rotary", o.Rotary, 0), divides("rotary by pairs", o.Rotary, 2), above("base", o.Base, 0).when(o.Rotary > 0), atLeast("head size", o.HeadDim, o.Rotary),
		divides("cache rows by sequences", o.KCache.Rows, o.Seqs), cols("k cache", o.KCache, o.K.Cols), shaped("v cache", o.VCache, o.KCache),
		room(o.KCache, o.Q, o.Seqs, o.Past),
		f32("operand", o.Q, o.K, o.V), float("k cache", o.KCache), float("v cache", o.VCache))
}

// Attend is causal softmax attention of each query over its sequence's KV cache, rows
// 0 … Past+t for token t, which [RotaryStore] has filled:
//
//	Dst = softmax(Scale·Q·Kᵀ)·V     head by head
//
// Q and Dst are [Seqs·n, heads·HeadDim] F32; K and V [Seqs·length, kv heads·HeadDim] of
// any float type. Query head j reads key-value head j / (heads / kv heads) (grouped-query
// attention, arXiv:2305.13245).
//
// LSE, where present, [Seqs·n, heads] F32, receives the logarithm of each softmax's
// denominator, Σ exp(Scale·q·k), which [AttendGrad] needs.
//
// Gradient: with P the softmax, dV = Pᵀ·g, dS = P ⊙ (g·Vᵀ − rowsum(g ⊙ Dst))·Scale,
// dQ = dS·K, dK = dSᵀ·Q.
type Attend struct {
	Dst, Q, K, V, LSE   Mat
	Seqs, Past, HeadDim int
	Scale               float32
}

func (o Attend) Cost() Cost {
	n := int64(o.Q.Rows / o.Seqs)
	seen := n*int64(o.Past) + n*(n+1)/2 // (query, key) pairs of one sequence
	pairs := seen * int64(o.Seqs) * int64(o.Q.Cols/o.HeadDim)
	c := Cost{
		MatMul: 4 * pairs * int64(o.HeadDim), // scores, then the weighted sum of values
		Other:  6 * pairs,                    // scale, maximum, difference, exp, sum, quotient
	}.reads(o.Q).writes(o.Dst, o.LSE)
	cached := int64(o.Seqs) * (int64(o.Past) + n) * int64(o.K.Cols) * (o.K.Type.Size() + o.V.Type.Size())
	c.Read += cached
	c.State += cached
	return c
}

func (o Attend) check() error {
	return first(
		divides("rows by sequences", o.Q.Rows, o.Seqs), atLeast("past", o.Past, 0), shaped("dst", o.Dst, o.Q),
		divides("query columns by head size", o.Q.Cols, o.HeadDim), divides("key columns by head size", o.K.Cols, o.HeadDim),
		divides("query columns by key columns", o.Q.Cols, o.K.Cols), shaped("v", o.V, o.K),
		divides("cache rows by sequences", o.K.Rows, o.Seqs), room(o.K, o.Q, o.Seqs, o.Past),
		rows("lse", o.LSE, o.Q.Rows).when(!o.LSE.None()), cols("lse", o.LSE, o.Q.Cols/max(1, o.HeadDim)).when(!o.LSE.None()),
		f32("operand", o.Dst, o.Q, o.LSE), float("k", o.K), float("v", o.V))
}
