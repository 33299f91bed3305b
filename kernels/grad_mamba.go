package kernels

// ConvSiLUGrad is the gradient of [ConvSiLU] for sequences that it read from their
// beginning, with a State of zeros. With c the convolution and dc = G·σ(c)(1 + c(1−σ(c))),
//
//	DX[s,d]  = Σ_j W[d,j]·dc[s+K−1−j, d]     over the tokens of its own sequence
//	DW[d,j] += Σ_t dc[t,d]·X[t−K+1+j, d],    DBias[d] += Σ_t dc[t,d]
//
// Bias and DBias are absent together.
//
// Gradient: none, it is one.
type ConvSiLUGrad struct {
	DX, DW, DBias, G, X, W, Bias Mat
	Seqs                         int
}

func (o ConvSiLUGrad) Cost() Cost {
	k := int64(o.W.Cols)
	flops := (2*k - 1) + 8 + (2*k - 1) + 2*k // c again, dc, DX, DW
	if !o.Bias.None() {
		flops += 2
	}
	return Cost{Other: flops * elements(o.DX)}.
		reads(o.G, o.X, o.DW, o.DBias).weights(o.W, o.Bias).writes(o.DX, o.DW, o.DBias)
}

func (o ConvSiLUGrad) check() error {
	biased := !o.Bias.None()
	return first(
		divides("rows by sequences", o.X.Rows, o.Seqs), shaped("x", o.X, o.DX), shaped("g", o.G, o.DX),
		rows("w", o.W, o.X.Cols), atLeast("taps", o.W.Cols, 1), shaped("w's gradient", o.DW, o.W),
		rows("bias", o.Bias, 1).when(biased), cols("bias", o.Bias, o.X.Cols).when(biased), shaped("bias's gradient", o.DBias, o.Bias),
		f32("operand", o.DX, o.DW, o.DBias, o.G, o.X, o.W, o.Bias))
}

// ScanChunk is the number of tokens from one state that [Scan] keeps for [ScanGrad] to the
// next. The states between are computed again, so that memory grows with the length of a
// sequence divided by ScanChunk, times d_inner × d_state.
const ScanChunk = 64

// ScanStarts is the number of rows of Starts for seqs sequences of n tokens each of d_inner
// channels.
func ScanStarts(seqs, n, dInner int) int { return seqs * ((n + ScanChunk - 1) / ScanChunk) * dInner }

// ScanGrad is the gradient of [Scan] for sequences that it read from their beginning, with a
// State of zeros. Starts is what the Scan kept; the other operands of the Scan are as they
// were. With the notation of Scan and dy = G·SiLU(Z), from the last token of a sequence to its
// first,
//
//	g[d,n]    = dy[t,d]·C[t,n] + exp(δ[t+1]·A)·g[d,n] of the token after
//	e[d,n]    = g·exp(δ[t]·A)·h[t−1]
//	DC[t,n]   = Σ_d dy·h[t],          DB[t,n]  = Σ_d g·δ·X
//	DX[t,d]   = δ·Σ_n g·B + D·dy,     DZ[t,d]  = G·y·SiLU′(Z)
//	DDt[t,d]  = (Σ_n e·A + X·Σ_n g·B)·σ(Dt + DtBias)
//	DA[d,n]  += Σ_t e·δ,   DD[d] += Σ_t dy·X,   DDtBias[d] += Σ_t DDt[t,d]
//
// A gradient is absent with its operand. All is F32. h[t−1] is computed forward: it cannot be
// had from h[t], for exp(δA) may be 0.
//
// Gradient: none, it is one.
type ScanGrad struct {
	DX, DDt, DA, DB, DC, DD, DZ, DDtBias    Mat
	G, X, Dt, A, B, C, D, Z, DtBias, Starts Mat
	Seqs                                    int
}

func (o ScanGrad) Cost() Cost {
	each := 20*int64(o.A.Cols) + 4 + 6 // states again (5), the way back (15); softplus and δ·X; its way back
	if !o.DtBias.None() {
		each += 2
	}
	if !o.D.None() {
		each += 4
	}
	if !o.Z.None() {
		each += 11
	}
	return Cost{Other: each * elements(o.DX)}.
		reads(o.G, o.X, o.Dt, o.B, o.C, o.Z, o.Starts, o.DA, o.DD, o.DDtBias).weights(o.A, o.D, o.DtBias).
		writes(o.DX, o.DDt, o.DA, o.DB, o.DC, o.DD, o.DZ, o.DDtBias)
}

func (o ScanGrad) check() error {
	skip, bias := !o.D.None(), !o.DtBias.None()
	return first(
		divides("rows by sequences", o.X.Rows, o.Seqs), shaped("x", o.X, o.DX), shaped("g", o.G, o.DX),
		shaped("dt", o.Dt, o.DX), shaped("dt's gradient", o.DDt, o.DX),
		shaped("z", o.Z, o.DX).when(!o.Z.None()), shaped("z's gradient", o.DZ, o.Z),
		rows("a", o.A, o.X.Cols), shaped("a's gradient", o.DA, o.A),
		rows("b", o.B, o.X.Rows), cols("b", o.B, o.A.Cols), shaped("c", o.C, o.B),
		shaped("b's gradient", o.DB, o.B), shaped("c's gradient", o.DC, o.C),
		rows("d", o.D, 1).when(skip), cols("d", o.D, o.X.Cols).when(skip), shaped("d's gradient", o.DD, o.D),
		rows("dt bias", o.DtBias, 1).when(bias), cols("dt bias", o.DtBias, o.X.Cols).when(bias),
		shaped("dt bias's gradient", o.DDtBias, o.DtBias),
		rows("starts", o.Starts, ScanStarts(o.Seqs, o.X.Rows/max(1, o.Seqs), o.X.Cols)), cols("starts", o.Starts, o.A.Cols),
		f32("operand", o.DX, o.DDt, o.DA, o.DB, o.DC, o.DD, o.DZ, o.DDtBias, o.G, o.X, o.Dt, o.A, o.B, o.C, o.D, o.Z, o.DtBias, o.Starts))
}
