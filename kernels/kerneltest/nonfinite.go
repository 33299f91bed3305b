package kerneltest

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"quadrant/kernels"
)

// RunNonFinite is Run for the cases of [NonFiniteCases].
func RunNonFinite(t *testing.T, open func() kernels.Device, tol func(c Case) Tolerance) {
	run(t, NonFiniteCases(), open, tol)
}

// NonFiniteCases returns cases in which one element of one operand is a NaN or an infinity.
// Of each op there is one for every operand that the op computes with. They test what package
// kernels says of such numbers: what they take no part in is as right as ever, and what they
// make NaN or infinite in kernels/ref is not a number that looks right.
func NonFiniteCases() []Case { return slices.Clone(nonFinite()) }

var nonFinite = sync.OnceValue(func() []Case {
	var s suite
	for _, p := range []struct {
		name string
		x    float64
	}{{"nan", math.NaN()}, {"inf", math.Inf(1)}, {"-inf", math.Inf(-1)}} {
		s.nonFinite(p.name, p.x)
	}
	slices.SortStableFunc(s.cases, func(a, b Case) int { return strings.Compare(a.Op(), b.Op()) })
	return s.cases
})

// nonFinite adds the cases in which x is planted.
func (s *suite) nonFinite(name string, x float64) {
	// plant adds a case for each of the first n operands that run marks.
	plant := func(op string, operands int, run func(b *bench)) {
		for i := range operands {
			s.include(Case{
				Name:    fmt.Sprintf("%s/%s in operand %d", op, name, i),
				variant: variant{name: name, place: columns, odd: x, into: i + 1},
				run:     run,
			})
		}
	}
	s.nonFiniteRows(plant)
	s.nonFiniteChoices(plant)
	s.nonFiniteProducts(plant)
	s.nonFiniteSequences(plant)
}

func (s *suite) nonFiniteRows(plant func(op string, operands int, run func(b *bench))) {
	const rows, cols = 5, 67
	plant("Add", 2, func(b *bench) {
		b.do(kernels.Add{Dst: b.update("dst", b.marked(rows, cols)), X: b.in("x", b.marked(rows, cols))})
	})
	plant("NegExp", 1, func(b *bench) {
		b.do(kernels.NegExp{Dst: b.out("dst", kernels.F32, rows, cols), X: b.in("x", b.marked(rows, cols))})
	})
	plant("RMSNorm", 3, func(b *bench) {
		b.do(kernels.RMSNorm{
			Dst: b.out("dst", kernels.F32, rows, cols), X: b.update("x", b.marked(rows, cols)),
			Delta: b.in("delta", b.marked(rows, cols)), Gain: b.in("gain", b.marked(1, cols)), Eps: eps,
		})
	})
	plant("LayerNorm", 4, func(b *bench) {
		b.do(kernels.LayerNorm{
			Dst: b.out("dst", kernels.F32, rows, cols), X: b.update("x", b.marked(rows, cols)),
			Delta: b.in("delta", b.marked(rows, cols)), Gain: b.in("gain", b.marked(1, cols)),
			Bias: b.in("bias", b.marked(1, cols)), Eps: eps,
		})
	})
	for _, act := range []kernels.Act{kernels.SiLU, kernels.GELU, kernels.GELUTanh, kernels.ReLU} {
		plant(fmt.Sprintf("Activation/%v", act), 2, func(b *bench) {
			b.do(kernels.Activation{
				Act: act, Dst: b.out("dst", kernels.F32, rows, cols),
				X: b.in("x", b.marked(rows, cols)), Mul: b.in("mul", b.marked(rows, cols)),
			})
		})
	}
	plant("Combine", 2, func(b *bench) {
		a := b.assign(rows, 2, 4, "random")
		b.do(kernels.Combine{
			Dst: b.out("dst", kernels.F32, rows, cols), Src: b.in("src", b.marked(2*rows, cols)),
			Places: b.in("places", ints(2*rows, 1, a.places)), Gates: b.in("gates", b.marked(rows, 2)),
		})
	})
}

func (s *suite) nonFiniteChoices(plant func(op string, operands int, run func(b *bench))) {
	const rows, cols = 5, 67
	plant("ArgMax", 1, func(b *bench) {
		b.do(kernels.ArgMax{Dst: b.out("dst", kernels.I32, rows, 1), X: b.in("x", b.marked(rows, cols))})
	})
	for _, score := range []kernels.Score{kernels.SigmoidScore, kernels.SoftmaxScore, kernels.SoftmaxTopKScore} {
		plant(fmt.Sprintf("Route/%v", score), 2, func(b *bench) {
			b.do(kernels.Route{
				Experts: b.out("experts", kernels.I32, rows, 3), Gates: b.out("gates", kernels.F32, rows, 3),
				Logits: b.in("logits", b.marked(rows, 8)), Bias: b.in("bias", b.marked(1, 8)), Score: score,
			})
		})
	}
}

func (s *suite) nonFiniteProducts(plant func(op string, operands int, run func(b *bench))) {
	for _, t := range weightTypes {
		for _, rows := range []int{1, 5, 40} {
			plant(fmt.Sprintf("MatMul/%d/%v", rows, t), 3, func(b *bench) {
				b.do(kernels.MatMul{
					Dst: b.out("dst", kernels.F32, rows, 35), A: b.in("a", b.marked(rows, 67)),
					B: b.in("b", b.marked(35, 67).as(t)), Bias: b.in("bias", b.marked(1, 35)),
				})
			})
			plant(fmt.Sprintf("GroupedMatMul/%d/%v", rows, t), 2, func(b *bench) {
				a := b.assign(rows, 1, 2, "even")
				b.do(kernels.GroupedMatMul{
					Dst: b.out("dst", kernels.F32, rows, 35), A: b.in("a", b.marked(rows, 67)),
					B: b.in("b", b.marked(2*35, 67).as(t)), Offsets: b.in("offsets", ints(3, 1, a.offsets)),
				})
			})
		}
	}
}

func (s *suite) nonFiniteSequences(plant func(op string, operands int, run func(b *bench))) {
	const seqs, tokens, dim = 2, 5, 35
	plant("ConvSiLU", 4, func(b *bench) {
		b.do(kernels.ConvSiLU{
			Dst: b.out("dst", kernels.F32, seqs*tokens, dim), X: b.in("x", b.marked(seqs*tokens, dim)),
			W: b.in("w", b.marked(dim, 4)), Bias: b.in("bias", b.marked(1, dim)),
			State: b.update("state", b.marked(seqs*3, dim)), Seqs: seqs,
		})
	})
	for _, states := range []int{16, 7} {
		plant(fmt.Sprintf("Scan/%d states", states), 8, func(b *bench) {
			b.do(kernels.Scan{
				Dst: b.out("dst", kernels.F32, seqs*tokens, dim), X: b.in("x", b.marked(seqs*tokens, dim)),
				Dt: b.in("dt", b.marked(seqs*tokens, dim)), B: b.in("b", b.marked(seqs*tokens, states)),
				C: b.in("c", b.marked(seqs*tokens, states)), Z: b.in("z", b.marked(seqs*tokens, dim)),
				D: b.in("d", b.marked(1, dim)), DtBias: b.in("dtbias", b.marked(1, dim)),
				State: b.update("state", b.marked(seqs*dim, states)), A: b.in("a", b.decays(dim, states)), Seqs: seqs,
			})
		})
	}
	for _, a := range []attention{
		{seqs: 2, n: 1, past: 70, length: 72, kvHeads: 2, perKV: 2, dim: 16},
		{seqs: 1, n: 40, past: 3, length: 43, kvHeads: 1, perKV: 2, dim: 64},
	} {
		for _, t := range weightTypes {
			a.k, a.v = t, t
			plant(fmt.Sprintf("Attend/%v", a), 3, func(b *bench) {
				width := a.kvHeads * a.dim
				b.do(kernels.Attend{
					Dst: b.out("dst", kernels.F32, a.seqs*a.n, a.perKV*width), Q: b.in("q", b.marked(a.seqs*a.n, a.perKV*width)),
					K: b.in("k", b.marked(a.seqs*a.length, width).as(t)), V: b.in("v", b.marked(a.seqs*a.length, width).as(t)),
					Seqs: a.seqs, Past: a.past, HeadDim: a.dim, Scale: float32(1 / math.Sqrt(float64(a.dim))),
				})
			})
		}
	}
}

// marked returns normally distributed numbers. The variant says in which of a case's marked
// operands one of them is something else.
func (b *bench) marked(rows, cols int) matrix {
	m := b.normal(rows, cols)
	if b.marks++; b.marks == b.into {
		m.bits[b.rand.IntN(len(m.bits))] = math.Float32bits(float32(b.odd))
	}
	return m
}
