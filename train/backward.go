package train

import (
	"fmt"

	"quadrant/kernels"
)

// play emits the gradient of op, whose formula op's own comment gives, from the gradient of
// what it wrote. saved is the residual stream after a norm's addition. An op whose result has
// no gradient, for nothing that the losses depend on reads it, has none.
func (c *compiler) play(op kernels.Op, saved kernels.Mat) {
	switch o := op.(type) {
	case *kernels.Embed:
		if g, ok := c.grad(o.Dst); ok {
			c.do(kernels.EmbedGrad{DTable: c.weight(o.Table), G: g, IDs: o.IDs})
		}
	case *kernels.NegExp:
		if g, ok := c.grad(o.Dst); ok {
			c.do(kernels.NegExpGrad{DX: c.weight(o.X), G: g, Y: o.Dst})
		}
	case *kernels.Add:
		c.pass(o.X, o.Dst)
	case *kernels.Copy:
		c.pass(o.X, o.Dst)
	case *kernels.Sum:
		c.sumOfTwo(o)
	case *kernels.RMSNorm:
		if g, ok := c.grad(o.Dst); ok {
			c.do(kernels.RMSNormGrad{DX: c.sum(o.X), DGain: c.weight(o.Gain), G: g, X: saved, Gain: o.Gain, Eps: o.Eps})
		}
		c.delta(o.Delta, o.X)
	case *kernels.LayerNorm:
		if g, ok := c.grad(o.Dst); ok {
			c.do(kernels.LayerNormGrad{
				DX: c.sum(o.X), DGain: c.weight(o.Gain), DBias: c.weightIf(o.Bias), G: g, X: saved, Gain: o.Gain, Eps: o.Eps,
			})
		}
		c.delta(o.Delta, o.X)
	case *kernels.MatMul:
		if g, ok := c.grad(o.Dst); ok {
			c.do(kernels.MatMulGradB{DB: c.weight(o.B), DBias: c.weightIf(o.Bias), G: g, A: o.A})
			c.do(kernels.MatMulGradA{DA: c.slot(o.A), G: g, B: o.B})
		}
	case *kernels.Activation:
		if g, ok := c.grad(o.Dst); ok {
			c.do(kernels.ActivationGrad{DX: c.slot(o.X), DMul: c.slotIf(o.Mul), G: g, X: o.X, Mul: o.Mul, Act: o.Act})
		}
	case *kernels.ConvSiLU, *kernels.Scan, *kernels.RotaryStore, *kernels.Attend:
		c.playSequence(op)
	case *kernels.Route, *kernels.ExpertChoice, *kernels.GroupedMatMul, *kernels.Combine, *kernels.ScatterAdd, *kernels.BalanceLoss:
		c.playExperts(op)
	case *kernels.Zero, *kernels.ArgMax, *kernels.Sinkhorn, *kernels.HashRoute, *kernels.Sort, *kernels.LimitLoad, *kernels.Average, *kernels.BiasStep:
		// constants, choices, and what is learned without gradients
	default:
		panic(fmt.Sprintf("train: %T has no gradient here", op))
	}
}

// delta is the gradient of what a norm added to x first: x's own.
func (c *compiler) delta(delta, x kernels.Mat) {
	if !delta.None() {
		c.pass(delta, x)
	}
}

func (c *compiler) sumOfTwo(o *kernels.Sum) {
	g, ok := c.grad(o.Dst)
	if !ok {
		return
	}
	c.do(kernels.Sum{Dst: c.slot(o.X), X: g, Scale: o.Scale})
	if !o.Y.None() {
		c.do(kernels.Sum{Dst: c.slot(o.Y), X: g, Scale: o.Scale})
	}
}

// playSequence is play for the ops of sequence mixers.
func (c *compiler) playSequence(op kernels.Op) {
	switch o := op.(type) {
	case *kernels.ConvSiLU:
		if g, ok := c.grad(o.Dst); ok {
			c.do(kernels.ConvSiLUGrad{
				DX: c.slot(o.X), DW: c.weight(o.W), DBias: c.weightIf(o.Bias), G: g, X: o.X, W: o.W, Bias: o.Bias, Seqs: o.Seqs,
			})
		}
	case *kernels.Scan:
		if g, ok := c.grad(o.Dst); ok {
			c.do(kernels.ScanGrad{
				DA: c.sum(o.A), DX: c.slot(o.X), DDt: c.slot(o.Dt), DB: c.slot(o.B), DC: c.slot(o.C), DZ: c.slotIf(o.Z),
				DD: c.weightIf(o.D), DDtBias: c.weightIf(o.DtBias),
				G: g, X: o.X, Dt: o.Dt, A: o.A, B: o.B, C: o.C, D: o.D, Z: o.Z, DtBias: o.DtBias, Starts: o.Starts, Seqs: o.Seqs,
			})
		}
	case *kernels.RotaryStore:
		q, ok := c.grad(o.Q)
		if !ok {
			return
		}
		k, _ := c.grad(o.KCache)
		v, _ := c.grad(o.VCache)
		c.do(kernels.RotaryGrad{
			DQ: q, DK: c.slot(o.K), DV: c.slot(o.V), DKCache: k, DVCache: v,
			Seqs: o.Seqs, HeadDim: o.HeadDim, Rotary: o.Rotary, Base: o.Base,
		})
	case *kernels.Attend:
		if g, ok := c.grad(o.Dst); ok {
			c.do(kernels.AttendGrad{
				DQ: c.slot(o.Q), DK: c.slot(o.K), DV: c.slot(o.V), G: g, Out: o.Dst, Q: o.Q, K: o.K, V: o.V, LSE: o.LSE,
				Seqs: o.Seqs, HeadDim: o.HeadDim, Scale: o.Scale,
			})
		}
	}
}

// playExperts is play for the ops of a mixture of experts.
func (c *compiler) playExperts(op kernels.Op) {
	switch o := op.(type) {
	case *kernels.Route:
		if g, ok := c.grad(o.Gates); ok {
			c.do(kernels.RouteGrad{DLogits: c.slot(o.Logits), G: g, Experts: o.Experts, Gates: o.Gates, Logits: o.Logits, Score: o.Score})
		}
	case *kernels.ExpertChoice:
		if g, ok := c.grad(o.Gates); ok {
			c.do(kernels.ExpertChoiceGrad{DLogits: c.slot(o.Logits), G: g, Gates: o.Gates, Slots: o.Slots, Offsets: o.Offsets, Logits: o.Logits, K: o.K})
		}
	case *kernels.ScatterAdd:
		if g, ok := c.grad(o.Dst); ok {
			c.do(kernels.ScatterAddGrad{DSrc: c.slot(o.Src), DGates: c.slot(o.Gates), G: g, Src: o.Src, Gates: o.Gates, Slots: o.Slots, K: o.K})
		}
	case *kernels.BalanceLoss:
		c.do(kernels.Copy{Dst: c.slot(o.Logits), X: o.Grad})
	case *kernels.Combine:
		if g, ok := c.grad(o.Dst); ok {
			c.do(kernels.CombineGrad{DSrc: c.slot(o.Src), DGates: c.slotIf(o.Gates), G: g, Src: o.Src, Places: o.Places, Gates: o.Gates})
		}
	case *kernels.GroupedMatMul:
		g, ok := c.grad(o.Dst)
		if !ok {
			return
		}
		c.do(kernels.GroupedMatMulGradB{DB: c.weight(o.B), DBias: c.weightIf(o.Bias), G: g, A: o.A, Offsets: o.Offsets, Slots: o.Slots, K: o.K})
		if o.Slots.None() {
			c.do(kernels.GroupedMatMulGradA{DA: c.slot(o.A), G: g, B: o.B, Offsets: o.Offsets})
			return
		}
		each := c.pool.take(g.Rows, o.A.Cols) // the gradient of A's rows, place by place
		c.do(kernels.GroupedMatMulGradA{DA: each.Mat, G: g, B: o.B, Offsets: o.Offsets})
		c.do(c.gather(c.slot(o.A), each.Mat, o))
		c.pool.drop(each)
	}
}

// gather is the op that sums src, the gradient of o's places, to that of its tokens.
func (c *compiler) gather(dst, src kernels.Mat, o *kernels.GroupedMatMul) kernels.Op {
	for _, r := range c.ops {
		switch by := r.op.(type) {
		case *kernels.Sort:
			if sameMat(by.Slots, o.Slots) {
				return kernels.Combine{Dst: dst, Src: src, Places: by.Places}
			}
		case *kernels.ExpertChoice:
			if sameMat(by.Slots, o.Slots) {
				return kernels.ScatterAdd{Dst: dst, Src: src, Slots: by.Slots, Offsets: by.Offsets, K: by.K}
			}
		}
	}
	panic(fmt.Sprintf("train: slots %v that no op of this step made", o.Slots))
}
