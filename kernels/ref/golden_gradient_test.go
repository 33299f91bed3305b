package ref_test

import (
	"math"
	"strings"
	"testing"

	"quadrant/kernels"
	"quadrant/kernels/ref"
)

// The tests below hold gradient ops against what PyTorch derives from the reference
// implementations: the grad.* of the files that golden_test.go reads. What is added to
// starts from 0.

// TestGoldenNormGradients: with and without a gradient of the residual stream from what
// came after.
func TestGoldenNormGradients(t *testing.T) {
	g := openGolden(t, "norms")
	for _, name := range []string{"rms", "rms_residual", "rms_tiny", "ln", "ln_residual"} {
		for _, grad := range []string{".grad", ".grad_with_dresidual"} {
			if !g.has(name + grad + ".x") {
				continue
			}
			x, gain, eps := g.rows(name+".x"), g.rows(name+".weight"), float32(g.values(name + ".eps")[0])
			if delta := g.rows(name + ".residual"); !delta.None() {
				do(t, kernels.Add{Dst: x, X: delta})
			}
			dx, dGain := mat(x.Rows, x.Cols), mat(1, x.Cols)
			if grad == ".grad_with_dresidual" {
				dx = g.rows(name + ".dresidual_out")
			}
			if bias := g.rows(name + ".bias"); bias.None() {
				do(t, kernels.RMSNormGrad{DX: dx, DGain: dGain, G: g.rows(name + ".dout"), X: x, Gain: gain, Eps: eps})
			} else {
				dBias := mat(1, x.Cols)
				do(t, kernels.LayerNormGrad{DX: dx, DGain: dGain, DBias: dBias, G: g.rows(name + ".dout"), X: x, Gain: gain, Eps: eps})
				g.want(name+grad+".bias", dBias, g.rows(name+grad+".bias"), single)
			}
			g.want(name+grad+".x", dx, g.rows(name+grad+".x"), single)
			g.want(name+grad+".weight", dGain, g.rows(name+grad+".weight"), single)
			if g.has(name + grad + ".residual") {
				g.want(name+grad+".residual", dx, g.rows(name+grad+".residual"), single)
			}
		}
	}
}

// TestGoldenActivationGradients: the derivative of the softplus is taken from a scan of one
// token, that of the sigmoid from a router.
func TestGoldenActivationGradients(t *testing.T) {
	g := openGolden(t, "activations")
	n := len(g.values("x"))
	x := mat(1, n, g.values("x")...)
	for _, act := range []struct {
		act   kernels.Act
		names []string
	}{
		{kernels.SiLU, []string{"silu"}},
		{kernels.GELU, []string{"gelu_erf", "hf_gelu"}},
		{kernels.GELUTanh, []string{"gelu_tanh", "hf_gelu_new", "hf_gelu_fast"}},
	} {
		dx := mat(1, n)
		do(t, kernels.ActivationGrad{DX: dx, G: all(1, n, 1), X: x, Act: act.act})
		for _, name := range act.names {
			g.want("grad."+name, dx, g.rows("grad."+name), single)
		}
	}

	one, column := all(1, 1, 1), mat(n, 1, g.values("x")...)
	dDt, dLogits := mat(1, n), mat(n, 1)
	do(t, kernels.ScanGrad{
		DX: mat(1, n), DDt: dDt, DA: mat(n, 1), DB: mat(1, 1), DC: mat(1, 1),
		G: all(1, n, 1), X: all(1, n, 1), Dt: x, A: all(n, 1, -1), B: one, C: one, Starts: mat(n, 1), Seqs: 1,
	})
	g.want("grad.softplus", dDt, g.rows("grad.softplus"), single)
	experts, gates := ids(n, 1), mat(n, 1)
	do(t,
		kernels.Route{Experts: experts, Gates: gates, Logits: column, Score: kernels.SigmoidScore},
		kernels.RouteGrad{DLogits: dLogits, G: all(n, 1, 1), Experts: experts, Gates: gates, Logits: column, Score: kernels.SigmoidScore})
	g.want("grad.sigmoid", dLogits, mat(n, 1, g.values("grad.sigmoid")...), single)
}

// TestGoldenConvGradients: the tokens of an initial state are tokens of the step whose
// output nobody uses. Cases without an activation are left out: the op has it.
func TestGoldenConvGradients(t *testing.T) {
	g := openGolden(t, "causal_conv1d")
	for name, c := range cases[struct{ Activation *string }](g) {
		if c.Activation == nil || strings.HasPrefix(name, "update") {
			continue
		}
		seqs, w := g.tensor(name + ".x").Shape[0], g.rows(name+".weight")
		x, dout, past := g.channels(name+".x"), g.channels(name+".dout"), 0
		if before := g.channels(name + ".initial_states"); !before.None() {
			past = w.Cols - 1
			x, dout = after(t, before, x, seqs), after(t, mat(before.Rows, before.Cols), dout, seqs)
		}
		op := kernels.ConvSiLUGrad{
			DX: mat(x.Rows, x.Cols), DW: mat(w.Rows, w.Cols), G: dout, X: x, W: w, Bias: g.rows(name + ".bias"), Seqs: seqs,
		}
		if !op.Bias.None() {
			op.DBias = mat(1, x.Cols)
		}
		do(t, op)
		length := x.Rows / seqs
		g.want(name+".grad.x", tokens(op.DX, seqs, past, length), g.channels(name+".grad.x"), single)
		g.want(name+".grad.weight", op.DW, g.rows(name+".grad.weight"), single)
		g.want(name+".grad.bias", op.DBias, g.rows(name+".grad.bias"), single)
		if past > 0 {
			g.want(name+".grad.initial_states", tokens(op.DX, seqs, 0, past), g.channels(name+".grad.initial_states"), single)
		}
	}
}

// after is two steps of several sequences as one.
func after(t *testing.T, first, second kernels.Mat, seqs int) kernels.Mat {
	n, m := first.Rows/seqs, second.Rows/seqs
	both := mat(first.Rows+second.Rows, first.Cols)
	for s := range seqs {
		do(t,
			kernels.Copy{Dst: both.RowRange(s*(n+m), s*(n+m)+n), X: first.RowRange(s*n, (s+1)*n)},
			kernels.Copy{Dst: both.RowRange(s*(n+m)+n, (s+1)*(n+m)), X: second.RowRange(s*m, (s+1)*m)})
	}
	return both
}

// TestGoldenScanGradients is what PyTorch derives from mamba's selective_scan_ref. A case
// without the softplus gets, as its values do, the Dt whose softplus is the reference's;
// the op's gradient is then divided by the slope there. Cases with an initial state are
// left out.
func TestGoldenScanGradients(t *testing.T) {
	g := openGolden(t, "selective_scan")
	for name, c := range cases[struct {
		Batch, Dim, DState, SeqLen, Groups int
		Softplus                           bool `json:"delta_softplus"`
	}](g) {
		if g.has(name + ".initial_state") {
			continue
		}
		tolerance := single
		if name == "bf16" {
			tolerance = 1. / 64 // the reference rounds the gate and what passes through it, too
		}
		dt, bias := g.channels(name+".delta"), g.rows(name+".delta_bias")
		if !c.Softplus {
			dt, bias = softplusInverse(dt, bias), kernels.Mat{}
		}
		for i := range max(1, c.Groups) {
			from, to := i*c.Dim/max(1, c.Groups), (i+1)*c.Dim/max(1, c.Groups)
			part := func(m kernels.Mat) kernels.Mat { return columns(m, from, to) }
			group := func(m kernels.Mat) kernels.Mat { return columns(m, i*c.DState, (i+1)*c.DState) }
			op := kernels.ScanGrad{
				G: part(g.channels(name + ".dout")), X: part(g.channels(name + ".u")), Dt: part(dt), Z: part(g.channels(name + ".z")),
				A: g.rows(name+".A").RowRange(from, to), D: part(g.rows(name + ".D")), DtBias: part(bias),
				B: group(g.channels(name + ".B")), C: group(g.channels(name + ".C")), Seqs: c.Batch,
			}
			g.scanGrad(op, c.SeqLen, func(op kernels.ScanGrad) {
				wantPart := func(what string, got, want kernels.Mat) {
					g.Helper()
					if !got.None() {
						g.want(name+".grad."+what, got, clone(want), tolerance)
					}
				}
				dBias := op.DDtBias
				if !c.Softplus {
					dBias = undoSoftplus(op.DDt, op.Dt)
				}
				wantPart("u", op.DX, part(g.channels(name+".grad.u")))
				wantPart("delta", op.DDt, part(g.channels(name+".grad.delta")))
				wantPart("z", op.DZ, part(g.channels(name+".grad.z")))
				wantPart("A", op.DA, g.rows(name+".grad.A").RowRange(from, to))
				wantPart("B", op.DB, group(g.channels(name+".grad.B")))
				wantPart("C", op.DC, group(g.channels(name+".grad.C")))
				wantPart("D", op.DD, part(g.rows(name+".grad.D")))
				if g.has(name + ".delta_bias") {
					wantPart("delta_bias", dBias, part(g.rows(name+".grad.delta_bias")))
				}
			})
		}
	}
}

// scanGrad carries out op, whose gradients and Starts it makes, and shows them.
func (g *golden) scanGrad(op kernels.ScanGrad, n int, show func(op kernels.ScanGrad)) {
	g.Helper()
	rows, dim, states := op.X.Rows, op.X.Cols, op.A.Cols
	op.Starts = mat(kernels.ScanStarts(op.Seqs, n, dim), states)
	op.DX, op.DDt, op.DA, op.DB, op.DC = mat(rows, dim), mat(rows, dim), mat(dim, states), mat(rows, states), mat(rows, states)
	for _, o := range []struct {
		grad *kernels.Mat
		of   kernels.Mat
	}{{&op.DD, op.D}, {&op.DZ, op.Z}, {&op.DDtBias, op.DtBias}} {
		if !o.of.None() {
			*o.grad = mat(o.of.Rows, o.of.Cols)
		}
	}
	do(g.T,
		kernels.Scan{
			Dst: mat(rows, dim), X: op.X, Dt: op.Dt, A: op.A, B: op.B, C: op.C, D: op.D, Z: op.Z, DtBias: op.DtBias,
			State: mat(op.Seqs*dim, states), Starts: op.Starts, Seqs: op.Seqs,
		}, op)
	show(op)
}

// undoSoftplus turns the gradient of dt, in place, into that of its softplus, and returns
// the sum of it over tokens.
func undoSoftplus(dDt, dt kernels.Mat) (dBias kernels.Mat) {
	dBias = mat(1, dDt.Cols)
	raw := ref.Float64s(dt)
	for i, d := range dDt.Mem.([]float64) {
		d *= 1 + math.Exp(-raw[i])
		dDt.Mem.([]float64)[i] = d
		dBias.Mem.([]float64)[i%dDt.Cols] += d
	}
	return dBias
}

// TestGoldenAttentionGradients is by the queries and keys before they were turned. They
// depend on distances alone, so a case that begins later is one that begins at 0.
func TestGoldenAttentionGradients(t *testing.T) {
	g := openGolden(t, "attention_rope")
	for name, c := range cases[struct {
		Batch, Heads, T int
		HeadDim         int `json:"head_dim"`
		Rotary          int `json:"rotary_dims"`
		Theta           float64
	}](g) {
		q, k, v := g.heads(name+".q"), g.heads(name+".k"), g.heads(name+".v")
		cache := func() kernels.Mat { return mat(c.Batch*(c.T+1), k.Cols) }
		kCache, vCache, dKCache, dVCache := cache(), cache(), cache(), cache()
		out, lse, dq, dk, dv := mat(q.Rows, q.Cols), mat(q.Rows, c.Heads), mat(q.Rows, q.Cols), mat(k.Rows, k.Cols), mat(k.Rows, k.Cols)
		scale := float32(1 / math.Sqrt(float64(c.HeadDim)))
		do(t,
			kernels.RotaryStore{Q: q, K: clone(k), V: v, KCache: kCache, VCache: vCache, Seqs: c.Batch, HeadDim: c.HeadDim, Rotary: c.Rotary, Base: c.Theta},
			kernels.Attend{Dst: out, Q: q, K: kCache, V: vCache, LSE: lse, Seqs: c.Batch, HeadDim: c.HeadDim, Scale: scale},
			kernels.AttendGrad{
				DQ: dq, DK: dKCache, DV: dVCache, G: g.heads(name + ".dout"), Out: out, Q: q, K: kCache, V: vCache, LSE: lse,
				Seqs: c.Batch, HeadDim: c.HeadDim, Scale: scale,
			},
			kernels.RotaryGrad{DQ: dq, DK: dk, DV: dv, DKCache: dKCache, DVCache: dVCache, Seqs: c.Batch, HeadDim: c.HeadDim, Rotary: c.Rotary, Base: c.Theta})
		g.want(name+".grad.q", dq, g.heads(name+".grad.q"), single)
		g.want(name+".grad.k", dk, g.heads(name+".grad.k"), single)
		g.want(name+".grad.v", dv, g.heads(name+".grad.v"), single)
	}
}

// TestGoldenCrossEntropy: the references' ignored target is −100.
func TestGoldenCrossEntropy(t *testing.T) {
	g := openGolden(t, "cross_entropy")
	for _, name := range []string{"plain", "large", "ignore"} {
		targets := g.indices(name + ".targets")
		counted := 0
		for i, target := range targets {
			if target == -100 {
				targets[i] = -1
			} else {
				counted++
			}
		}
		for reduction, scale := range map[string]float64{".sum": 1, ".mean": 1 / float64(counted)} {
			logits, loss := g.rows(name+".logits"), mat(len(targets), 1)
			do(t, kernels.CrossEntropy{Loss: loss, Logits: logits, Targets: ids(len(targets), 1, targets...), Scale: float32(scale)})
			total := 0.0
			for _, l := range ref.Float64s(loss) {
				total += scale * l
			}
			g.want(name+reduction+".loss", mat(1, 1, total), mat(1, 1, g.values(name+reduction+".loss")...), single)
			g.want(name+reduction+".grad.logits", logits, g.rows(name+reduction+".grad.logits"), single)
		}
	}
}

// TestGoldenBalanceLoss is the auxiliary losses of HF's Mixtral, which counts every choice of
// a token as one and not as a share, and of its Switch, a mean over sequences of the losses of
// each.
func TestGoldenBalanceLoss(t *testing.T) {
	g := openGolden(t, "moe_blocks")
	run := func(logits kernels.Mat, k int, balance, z float32) (loss, grad kernels.Mat) {
		experts, grad, loss := ids(logits.Rows, k), mat(logits.Rows, logits.Cols), mat(1, 2)
		do(t,
			kernels.Route{Experts: experts, Gates: mat(logits.Rows, k), Logits: logits, Score: kernels.SoftmaxScore},
			kernels.BalanceLoss{Loss: loss, Grad: grad, Logits: logits, Experts: experts, Balance: balance, Z: z})
		return loss, grad
	}
	value := func(name string) kernels.Mat { return mat(1, 1, g.values(name)...) }

	loss, grad := run(g.rows("aux_mixtral.router_logits"), 2, 2, 0)
	g.want("aux_mixtral.loss", loss.ColRange(0, 1), value("aux_mixtral.loss"), single)
	g.want("aux_mixtral.grad", grad, g.rows("aux_mixtral.grad.router_logits"), single)
	logits, want, total := g.rows("aux_switch.router_logits"), g.rows("aux_switch.grad.router_logits"), mat(1, 2)
	const seqs = 2
	for s := range seqs {
		n := logits.Rows / seqs
		loss, grad = run(logits.RowRange(s*n, (s+1)*n), 1, 1./seqs, 0)
		do(t, kernels.Add{Dst: total, X: loss})
		g.want("aux_switch.grad", grad, want.RowRange(s*n, (s+1)*n), single)
	}
	g.want("aux_switch.loss", total.ColRange(0, 1), value("aux_switch.loss"), single)
	loss, grad = run(logits, 1, 0, 1)
	g.want("aux_switch.z_loss", loss.ColRange(1, 2), value("aux_switch.z_loss"), single)
	g.want("aux_switch.grad_z", grad, g.rows("aux_switch.grad_z.router_logits"), single)
}

// TestGoldenMoEGradients is whole sparse layers, forward and back.
func TestGoldenMoEGradients(t *testing.T) {
	g := openGolden(t, "moe_blocks")
	for _, block := range sparseBlocks() {
		g.sparseGradient(block)
	}
}

func (g *golden) sparseGradient(b sparseBlock) {
	g.Helper()
	x := g.rows(b.name + ".x")
	logits, experts, gates := g.choose(b, x)
	up, upBias := g.stack(b, "param", b.fc[0], "w1", "w3"), g.stackBias(b, "param", b.fc[0])
	down, downBias := g.stack(b, "param", b.fc[1], "w2"), g.stackBias(b, "param", b.fc[1])
	router := g.router(b, "param", "weight")
	like := func(m kernels.Mat) kernels.Mat {
		if m.None() {
			return m
		}
		return mat(m.Rows, m.Cols)
	}

	places := x.Rows * b.k
	slots, place, offsets := ids(places, 1), ids(places, 1), ids(blockExperts+1, 1)
	hidden, dHidden, out := mat(places, up.Rows/blockExperts), mat(places, up.Rows/blockExperts), mat(places, x.Cols)
	act, actGrad := kernels.Activation{X: hidden, Act: b.act}, kernels.ActivationGrad{X: hidden, DX: dHidden, Act: b.act}
	if b.gated {
		half := hidden.Cols / 2
		act.X, act.Mul = hidden.ColRange(0, half), hidden.ColRange(half, 2*half)
		actGrad.X, actGrad.Mul = act.X, act.Mul
		actGrad.DX, actGrad.DMul = dHidden.ColRange(0, half), dHidden.ColRange(half, 2*half)
	}
	act.Dst, actGrad.G = mat(places, act.X.Cols), mat(places, act.X.Cols)
	dOut, dGates, dLogits, gathered := like(out), like(gates), like(logits), mat(places, x.Cols)
	dUp, dUpBias, dDown, dDownBias := like(up), like(upBias), like(down), like(downBias)
	dx, dxRouter, dRouter, dRouterBias := like(x), like(x), like(router), like(g.router(b, "param", "bias"))
	do(g.T,
		kernels.Sort{Slots: slots, Places: place, Offsets: offsets, Experts: experts},
		kernels.GroupedMatMul{Dst: hidden, A: x, B: up, Bias: upBias, Offsets: offsets, Slots: slots, K: b.k},
		act,
		kernels.GroupedMatMul{Dst: out, A: act.Dst, B: down, Bias: downBias, Offsets: offsets},

		kernels.CombineGrad{DSrc: dOut, DGates: dGates, G: g.rows(b.name + ".dout"), Src: out, Places: place, Gates: gates},
		kernels.GroupedMatMulGradA{DA: actGrad.G, G: dOut, B: down, Offsets: offsets},
		kernels.GroupedMatMulGradB{DB: dDown, DBias: dDownBias, G: dOut, A: act.Dst, Offsets: offsets},
		actGrad,
		kernels.GroupedMatMulGradA{DA: gathered, G: dHidden, B: up, Offsets: offsets},
		kernels.GroupedMatMulGradB{DB: dUp, DBias: dUpBias, G: dHidden, A: x, Offsets: offsets, Slots: slots, K: b.k},
		kernels.Combine{Dst: dx, Src: gathered, Places: place},
		kernels.RouteGrad{DLogits: dLogits, G: dGates, Experts: experts, Gates: gates, Logits: logits, Score: b.score},
		kernels.MatMulGradA{DA: dxRouter, G: dLogits, B: router},
		kernels.MatMulGradB{DB: dRouter, DBias: dRouterBias, G: dLogits, A: x},
		kernels.Add{Dst: dx, X: dxRouter})

	g.want(b.name+".grad.x", dx, g.rows(b.name+".grad.x"), single)
	g.want(b.name+".grad.router", dRouter, g.router(b, "grad", "weight"), single)
	g.want(b.name+".grad.router.bias", dRouterBias, g.router(b, "grad", "bias"), single)
	g.want(b.name+".grad of the first layer", dUp, g.stack(b, "grad", b.fc[0], "w1", "w3"), single)
	g.want(b.name+".grad of the first biases", dUpBias, g.stackBias(b, "grad", b.fc[0]), single)
	g.want(b.name+".grad of the second layer", dDown, g.stack(b, "grad", b.fc[1], "w2"), single)
	g.want(b.name+".grad of the second biases", dDownBias, g.stackBias(b, "grad", b.fc[1]), single)
}
