package kernels

// ConvSiLU is a causal depthwise convolution over each sequence, then SiLU: with K taps,
// for channel d and token t of a sequence,
//
//	c[t,d]   = Bias[d] + Σ_{j<K} W[d,j]·X[t−K+1+j, d],     Dst = c·σ(c).
//
// The last tap weighs the current token. X and Dst are [Seqs·n, D], W is [D, K], Bias
// [1, D] or absent. State is [Seqs·(K−1), D], the K−1 rows of X before the step, oldest
// first; it is read for the rows before the first and then holds the last rows of X.
// With one tap there is no State.
//
// Gradient: with dc = g·σ(c)(1 + c(1−σ(c))), dX[s] = Σ_j W[j]·dc[s+K−1−j],
// dW[j] = Σ dc[t]·X[t−K+1+j], dBias = Σ dc.
type ConvSiLU struct {
	Dst, X, W, Bias, State Mat
	Seqs                   int
}

func (o ConvSiLU) Cost() Cost {
	flops := 2*int64(o.W.Cols) - 1 + 4
	if !o.Bias.None() {
		flops++
	}
	return Cost{Other: flops * elements(o.Dst)}.reads(o.X).weights(o.W, o.Bias).writes(o.Dst).updates(o.State)
}

func (o ConvSiLU) check() error {
	biased, stateful := !o.Bias.None(), o.W.Cols > 1
	return first(
		divides("rows by sequences", o.X.Rows, o.Seqs), shaped("x", o.X, o.Dst),
		rows("w", o.W, o.X.Cols), atLeast("taps", o.W.Cols, 1),
		rows("bias", o.Bias, 1).when(biased), cols("bias", o.Bias, o.X.Cols).when(biased),
		rows("state", o.State, o.Seqs*(o.W.Cols-1)), cols("state", o.State, o.X.Cols).when(stateful),
		f32("operand", o.Dst, o.X, o.W, o.Bias, o.State))
}

// Scan is the selective state-space recurrence of Mamba (arXiv:2312.00752, section 3),
// gated. For channel d and state n of a sequence,
//
//	δ      = softplus(Dt[t,d] + DtBias[d])
//	h[d,n] ← exp(δ·A[d,n])·h[d,n] + δ·X[t,d]·B[t,n]
//	y      = Σ_n h[d,n]·C[t,n] + D[d]·X[t,d]
//	Dst    = y·SiLU(Z[t,d])
//
// X, Dt, Z and Dst are [Seqs·n, D]; B and C are [Seqs·n, N] and shared by all channels;
// A is [D, N] and negative; D and DtBias are [1, D]. State is [Seqs·D, N], h before the
// step, and then h after it. Z, D and DtBias may be absent: the gate is then left out,
// and the vectors are zero. All is F32. softplus(x) is x above 20.
//
// Starts, where present, [ScanStarts rows, N], receives h before every token whose place in
// its sequence is a multiple of [ScanChunk]: row (s·chunks + i)·D + d is channel d of sequence
// s before token i·ScanChunk. [ScanGrad] needs it.
//
// Gradient: with dy = g·SiLU(Z), from the last token to the first
// G[t] = dy[t]·C[t] + exp(δ[t+1]A)·G[t+1] and e = G[t]·h[t−1]·exp(δ[t]A):
// dA = Σ e·δ, dB = Σ_d G·δ·X, dC = Σ_d dy·h, dX = D·dy + δ·Σ_n G·B, dD = Σ dy·X,
// dZ = g·y·SiLU′(Z), dDt = (Σ_n e·A + X·Σ_n G·B)·σ(Dt+DtBias), dDtBias = Σ dDt.
type Scan struct {
	Dst, X, Dt, A, B, C, D, Z, DtBias, State, Starts Mat
	Seqs                                             int
}

func (o Scan) Cost() Cost {
	each := 7*int64(o.A.Cols) + 3 + 1 // the recurrence, softplus, δ·X
	if !o.DtBias.None() {
		each++
	}
	if !o.D.None() {
		each += 2
	}
	if !o.Z.None() {
		each += 5
	}
	return Cost{Other: each * elements(o.Dst)}.
		reads(o.X, o.Dt, o.B, o.C, o.Z).weights(o.A, o.D, o.DtBias).writes(o.Dst, o.Starts).updates(o.State)
}

func (o Scan) check() error {
	skip, bias, keeps := !o.D.None(), !o.DtBias.None(), !o.Starts.None()
	return first(
		divides("rows by sequences", o.X.Rows, o.Seqs), shaped("x", o.X, o.Dst), shaped("dt", o.Dt, o.Dst),
		shaped("z", o.Z, o.Dst).when(!o.Z.None()),
		rows("a", o.A, o.X.Cols), rows("b", o.B, o.X.Rows), cols("b", o.B, o.A.Cols), shaped("c", o.C, o.B),
		rows("d", o.D, 1).when(skip), cols("d", o.D, o.X.Cols).when(skip),
		rows("dt bias", o.DtBias, 1).when(bias), cols("dt bias", o.DtBias, o.X.Cols).when(bias),
		rows("state", o.State, o.Seqs*o.X.Cols), cols("state", o.State, o.A.Cols),
		rows("starts", o.Starts, ScanStarts(o.Seqs, o.X.Rows/max(1, o.Seqs), o.X.Cols)).when(keeps), cols("starts", o.Starts, o.A.Cols).when(keeps),
		f32("operand", o.Dst, o.X, o.Dt, o.A, o.B, o.C, o.D, o.Z, o.DtBias, o.State, o.Starts))
}
