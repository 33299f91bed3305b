package bench

import (
	"fmt"
	"math"

	"quadrant/kernels"
)

// A KernelCase is an operation at one size.
type KernelCase struct {
	Op    string       // one of Ops
	Shape string       // of its operands: "m=512 n=3072 k=768"
	Of    string       // whose size that is, "" where it is nobody's
	DType kernels.Type // of its weights or caches; F32 where it has none
	Cold  bool         // operands come from memory, and not from where the last repetition left them

	build func(o *operands) kernels.Op
}

func (c KernelCase) String() string {
	s := fmt.Sprintf("%s %s %v", c.Op, c.Shape, c.DType)
	if c.Cold {
		s += " cold"
	}
	return s
}

func matMulCase(m, n, k int, t kernels.Type, of string) KernelCase {
	return KernelCase{Op: "matmul", Shape: fmt.Sprintf("m=%d n=%d k=%d", m, n, k), Of: of, DType: t, build: func(o *operands) kernels.Op {
		return kernels.MatMul{Dst: o.output(m, n), A: o.input(m, k), B: o.weights(t, n, k)}
	}}
}

// groupedCase sends each token to one expert: one after the other in decoding, evenly and at
// random in a prompt.
func groupedCase(m, n, k, experts int, t kernels.Type, of string) KernelCase {
	shape := fmt.Sprintf("m=%d n=%d k=%d of %d", m, n, k, experts)
	return KernelCase{Op: "grouped_matmul", Shape: shape, Of: of, DType: t, build: func(o *operands) kernels.Op {
		slots, offsets := o.spread(m, experts)
		return kernels.GroupedMatMul{
			Dst: o.output(m, n), A: o.input(m, k), B: o.stacked(t, experts, n, k),
			Slots: slots, Offsets: offsets, K: 1,
		}
	}}
}

func scanCase(n, inner, states int) KernelCase {
	return KernelCase{Op: "scan", Shape: fmt.Sprintf("T=%d D=%d N=%d", n, inner, states), build: func(o *operands) kernels.Op {
		return kernels.Scan{
			Dst: o.output(n, inner), X: o.input(n, inner), Dt: o.input(n, inner), A: o.negative(inner, states),
			B: o.input(n, states), C: o.input(n, states), D: o.input(1, inner), Z: o.input(n, inner), DtBias: o.input(1, inner),
			State: o.state(inner, states), Seqs: 1,
		}
	}}
}

func convCase(n, inner, taps int) KernelCase {
	return KernelCase{Op: "conv_silu", Shape: fmt.Sprintf("T=%d D=%d K=%d", n, inner, taps), build: func(o *operands) kernels.Op {
		return kernels.ConvSiLU{
			Dst: o.output(n, inner), X: o.input(n, inner), W: o.input(inner, taps), Bias: o.input(1, inner),
			State: o.state(taps-1, inner), Seqs: 1,
		}
	}}
}

// attendCase has heads in queries, of which keys' heads share as many each.
func attendCase(n, past, heads, keys, dim int, t kernels.Type) KernelCase {
	shape := fmt.Sprintf("T=%d after %d, %d heads of %d", n, past, heads, dim)
	if keys < heads {
		shape += fmt.Sprintf(" share keys of %d", keys)
	}
	return KernelCase{Op: "attend", Shape: shape, DType: t, build: func(o *operands) kernels.Op {
		return kernels.Attend{
			Dst: o.output(n, heads*dim), Q: o.input(n, heads*dim),
			K: o.weights(t, past+n, keys*dim), V: o.weights(t, past+n, keys*dim),
			Seqs: 1, Past: past, HeadDim: dim, Scale: float32(1 / math.Sqrt(float64(dim))),
		}
	}}
}

func rotaryCase(n, heads, dim, rotary int, t kernels.Type) KernelCase {
	shape := fmt.Sprintf("T=%d, %d of %d in %d heads", n, rotary, dim, heads)
	return KernelCase{Op: "rotary_store", Shape: shape, DType: t, build: func(o *operands) kernels.Op {
		return kernels.RotaryStore{
			Q: o.state(n, heads*dim), K: o.state(n, heads*dim), V: o.input(n, heads*dim),
			KCache: o.cache(t, n, heads*dim), VCache: o.cache(t, n, heads*dim),
			Seqs: 1, HeadDim: dim, Rotary: rotary, Base: 10000,
		}
	}}
}

// normCase adds to the residual stream, as the norms of a model do.
func normCase(op string, n, width int) KernelCase {
	return KernelCase{Op: op, Shape: fmt.Sprintf("T=%d d=%d", n, width), build: func(o *operands) kernels.Op {
		dst, x, delta, gain := o.output(n, width), o.state(n, width), o.input(n, width), o.input(1, width)
		if op == "rms_norm" {
			return kernels.RMSNorm{Dst: dst, X: x, Delta: delta, Gain: gain, Eps: 1e-5}
		}
		return kernels.LayerNorm{Dst: dst, X: x, Delta: delta, Gain: gain, Bias: o.input(1, width), Eps: 1e-5}
	}}
}

func activationCase(n, hidden int, act kernels.Act, gated bool) KernelCase {
	shape := fmt.Sprintf("T=%d d=%d %v", n, hidden, act)
	if gated {
		shape += " gated"
	}
	return KernelCase{Op: "activation", Shape: shape, build: func(o *operands) kernels.Op {
		a := kernels.Activation{Dst: o.output(n, hidden), X: o.input(n, hidden), Act: act}
		if gated {
			a.Mul = o.input(n, hidden)
		}
		return a
	}}
}

func addCase(n, width int) KernelCase {
	return KernelCase{Op: "add", Shape: fmt.Sprintf("T=%d d=%d", n, width), build: func(o *operands) kernels.Op {
		return kernels.Add{Dst: o.state(n, width), X: o.input(n, width)}
	}}
}

func embedCase(n, vocab, width int, t kernels.Type) KernelCase {
	return KernelCase{Op: "embed", Shape: fmt.Sprintf("T=%d of %d d=%d", n, vocab, width), DType: t, build: func(o *operands) kernels.Op {
		return kernels.Embed{Dst: o.output(n, width), Table: o.weights(t, vocab, width), IDs: o.ids(n, vocab)}
	}}
}

func argMaxCase(n, vocab int) KernelCase {
	return KernelCase{Op: "arg_max", Shape: fmt.Sprintf("T=%d d=%d", n, vocab), build: func(o *operands) kernels.Op {
		return kernels.ArgMax{Dst: o.alloc(kernels.I32, n, 1), X: o.input(n, vocab)}
	}}
}

func routeCase(n, experts int) KernelCase {
	return KernelCase{Op: "route", Shape: fmt.Sprintf("T=%d top 1 of %d", n, experts), build: func(o *operands) kernels.Op {
		return kernels.Route{Experts: o.alloc(kernels.I32, n, 1), Gates: o.output(n, 1), Logits: o.input(n, experts), Score: kernels.SigmoidScore}
	}}
}

func sortCase(n, experts int) KernelCase {
	return KernelCase{Op: "sort", Shape: fmt.Sprintf("T=%d of %d", n, experts), build: func(o *operands) kernels.Op {
		return kernels.Sort{
			Slots: o.alloc(kernels.I32, n, 1), Places: o.alloc(kernels.I32, n, 1), Offsets: o.alloc(kernels.I32, experts+1, 1),
			Experts: o.ids(n, experts),
		}
	}}
}

func combineCase(n, width int) KernelCase {
	return KernelCase{Op: "combine", Shape: fmt.Sprintf("T=%d d=%d", n, width), build: func(o *operands) kernels.Op {
		return kernels.Combine{Dst: o.output(n, width), Src: o.input(n, width), Places: o.permutation(n), Gates: o.input(n, 1)}
	}}
}
