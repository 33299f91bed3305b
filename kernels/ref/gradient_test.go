package ref_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"quadrant/kernels"
	"quadrant/kernels/ref"
)

// The tests below hold every gradient op against central differences of the op that it is
// the gradient of, in float64.

// A derivation is an op as a function of the operands that have a gradient. The op's other
// operands are frozen: indices, and the choice of a router.
type derivation struct {
	inputs []input
	// forward computes the outputs from the inputs as they are, which it leaves so.
	forward func() []kernels.Mat
	// backward computes the inputs' gradients d from those of the outputs.
	backward func(g, d []kernels.Mat)
}

type input struct {
	kernels.Mat
	added bool // its gradient is added to, rather than set
}

func activations(ms ...kernels.Mat) (all []input) {
	for _, m := range ms {
		all = append(all, input{m, false})
	}
	return all
}

func weights(ms ...kernels.Mat) (all []input) {
	for _, m := range ms {
		all = append(all, input{m, true})
	}
	return all
}

// A source is random numbers for operands.
type source struct{ *rand.Rand }

func newSource() source { return source{rand.New(rand.NewPCG(1, 2))} }

func (s source) normal(rows, cols int) kernels.Mat {
	m := mat(rows, cols)
	for i := range m.Mem.([]float64) {
		m.Mem.([]float64)[i] = s.NormFloat64()
	}
	return m
}

// check compares, for random g, the derivative of ⟨g, outputs⟩ along random directions v,
// of each input alone and of all at once, with ⟨d, v⟩. The difference is of fourth order,
// so that neither its own error nor rounding is near the limit.
func (o derivation) check(t *testing.T, s source) {
	t.Helper()
	const directions = 3
	worst := 0.0
	for range directions {
		g := o.forward()
		for _, m := range g {
			copy(m.Mem.([]float64), s.normal(m.Rows, m.Cols).Mem.([]float64))
		}
		d := o.gradients(s, g)
		v := make([][]float64, len(o.inputs))
		var sum, size float64
		for i, in := range o.inputs {
			v[i] = ref.Float64s(s.normal(in.Rows, in.Cols))
			one := make([][]float64, len(o.inputs))
			one[i] = v[i]
			along, scale := dot(d[i], v[i]), norm(products(d[i], v[i]))
			worst = max(worst, o.compare(t, fmt.Sprint("input ", i), o.slope(one, g), along, scale))
			sum, size = sum+along, math.Hypot(size, scale)
		}
		worst = max(worst, o.compare(t, "all inputs", o.slope(v, g), sum, size))
	}
	t.Logf("off by %.2g at most", worst)
}

// compare returns how far a slope is from what a gradient says, in parts of the size of the
// sum that it is.
func (o derivation) compare(t *testing.T, what string, slope, along, scale float64) float64 {
	t.Helper()
	off := math.Abs(slope-along) / max(scale, math.Abs(slope), 1e-9)
	if !(off <= 1e-6) {
		t.Errorf("%s: the slope is %v, the gradient says %v", what, slope, along)
	}
	return off
}

// gradients runs backward. What is set is full of NaN before, and what is added to holds
// numbers, which are taken away after.
func (o derivation) gradients(s source, g []kernels.Mat) [][]float64 {
	var d []kernels.Mat
	var before, results [][]float64
	for _, in := range o.inputs {
		m := all(in.Rows, in.Cols, math.NaN())
		if in.added {
			m = s.normal(in.Rows, in.Cols)
		}
		d, before = append(d, m), append(before, ref.Float64s(m))
	}
	o.backward(g, d)
	for i, m := range d {
		result := ref.Float64s(m)
		for j := range result {
			if o.inputs[i].added {
				result[j] -= before[i][j]
			}
		}
		results = append(results, result)
	}
	return results
}

// slope is the derivative of ⟨g, outputs⟩ along v; a nil part of v is none.
func (o derivation) slope(v [][]float64, g []kernels.Mat) float64 {
	const h = 1e-3
	at := func(step float64) float64 {
		for i, in := range o.inputs {
			for j, dv := range v[i] {
				in.Mem.([]float64)[j] += step * dv
			}
		}
		value := 0.0
		for i, m := range o.forward() {
			value += dot(ref.Float64s(g[i]), ref.Float64s(m))
		}
		for i, in := range o.inputs {
			for j, dv := range v[i] {
				in.Mem.([]float64)[j] -= step * dv
			}
		}
		return value
	}
	return (8*(at(h)-at(-h)) - (at(2*h) - at(-2*h))) / (12 * h)
}

func products(a, b []float64) []float64 {
	all := make([]float64, len(a))
	for i := range a {
		all[i] = a[i] * b[i]
	}
	return all
}

func norm(a []float64) float64 { return math.Sqrt(dot(a, a)) }

func TestGradientsOfBasics(t *testing.T) {
	s := newSource()
	t.Run("Sum", func(t *testing.T) {
		x, y := s.normal(3, 5), s.normal(3, 5)
		derivation{activations(x, y), func() []kernels.Mat {
			dst := mat(3, 5)
			do(t, kernels.Sum{Dst: dst, X: x, Y: y, Scale: 0.5})
			return []kernels.Mat{dst}
		}, func(g, d []kernels.Mat) {
			do(t, kernels.Sum{Dst: d[0], X: g[0], Scale: 0.5}, kernels.Copy{Dst: d[1], X: d[0]})
		}}.check(t, s)
	})
	t.Run("Embed", func(t *testing.T) {
		table, tokens := s.normal(4, 3), ids(5, 1, 1, 3, 1, 0, 1)
		derivation{weights(table), func() []kernels.Mat {
			dst := mat(5, 3)
			do(t, kernels.Embed{Dst: dst, Table: table, IDs: tokens})
			return []kernels.Mat{dst}
		}, func(g, d []kernels.Mat) {
			do(t, kernels.EmbedGrad{DTable: d[0], G: g[0], IDs: tokens})
		}}.check(t, s)
	})
	t.Run("NegExp", func(t *testing.T) {
		x, y := s.normal(3, 5), mat(3, 5)
		derivation{weights(x), func() []kernels.Mat {
			dst := mat(3, 5)
			do(t, kernels.NegExp{Dst: dst, X: x})
			return []kernels.Mat{dst}
		}, func(g, d []kernels.Mat) {
			do(t, kernels.NegExp{Dst: y, X: x}, kernels.NegExpGrad{DX: d[0], G: g[0], Y: y})
		}}.check(t, s)
	})
}

// TestGradientsOfNorms: the second output is the residual stream, which goes on past the
// norm; its gradient is what the op adds to.
func TestGradientsOfNorms(t *testing.T) {
	s := newSource()
	x, delta, gain, bias := s.normal(4, 7), s.normal(4, 7), s.normal(1, 7), s.normal(1, 7)
	stream := func() kernels.Mat { // with delta
		sum := mat(4, 7)
		do(t, kernels.Sum{Dst: sum, X: x, Y: delta, Scale: 1})
		return sum
	}
	t.Run("RMSNorm", func(t *testing.T) {
		derivation{append(activations(x, delta), weights(gain)...), func() []kernels.Mat {
			dst, after := mat(4, 7), clone(x)
			do(t, kernels.RMSNorm{Dst: dst, X: after, Delta: delta, Gain: gain, Eps: 0.1})
			return []kernels.Mat{dst, after}
		}, func(g, d []kernels.Mat) {
			do(t,
				kernels.Copy{Dst: d[0], X: g[1]},
				kernels.RMSNormGrad{DX: d[0], DGain: d[2], G: g[0], X: stream(), Gain: gain, Eps: 0.1},
				kernels.Copy{Dst: d[1], X: d[0]})
		}}.check(t, s)
	})
	t.Run("LayerNorm", func(t *testing.T) {
		derivation{append(activations(x, delta), weights(gain, bias)...), func() []kernels.Mat {
			dst, after := mat(4, 7), clone(x)
			do(t, kernels.LayerNorm{Dst: dst, X: after, Delta: delta, Gain: gain, Bias: bias, Eps: 0.1})
			return []kernels.Mat{dst, after}
		}, func(g, d []kernels.Mat) {
			do(t,
				kernels.Copy{Dst: d[0], X: g[1]},
				kernels.LayerNormGrad{DX: d[0], DGain: d[2], DBias: d[3], G: g[0], X: stream(), Gain: gain, Eps: 0.1},
				kernels.Copy{Dst: d[1], X: d[0]})
		}}.check(t, s)
	})
}

func TestGradientsOfProducts(t *testing.T) {
	s := newSource()
	t.Run("MatMul", func(t *testing.T) {
		a, b, bias := s.normal(5, 4), s.normal(3, 4), s.normal(1, 3)
		derivation{append(activations(a), weights(b, bias)...), func() []kernels.Mat {
			dst := mat(5, 3)
			do(t, kernels.MatMul{Dst: dst, A: a, B: b, Bias: bias})
			return []kernels.Mat{dst}
		}, func(g, d []kernels.Mat) {
			do(t, kernels.MatMulGradA{DA: d[0], G: g[0], B: b}, kernels.MatMulGradB{DB: d[1], DBias: d[2], G: g[0], A: a})
		}}.check(t, s)
	})
	for _, act := range []kernels.Act{kernels.SiLU, kernels.GELU, kernels.GELUTanh, kernels.ReLU} {
		t.Run(act.String(), func(t *testing.T) {
			x, mul := s.normal(5, 4), s.normal(5, 4)
			for i, v := range x.Mem.([]float64) { // away from the bend of ReLU
				x.Mem.([]float64)[i] = v + math.Copysign(0.1, v)
			}
			derivation{activations(x, mul), func() []kernels.Mat {
				gated, plain := mat(5, 4), mat(5, 4)
				do(t, kernels.Activation{Dst: gated, X: x, Mul: mul, Act: act}, kernels.Activation{Dst: plain, X: x, Act: act})
				return []kernels.Mat{gated, plain}
			}, func(g, d []kernels.Mat) {
				plain := mat(5, 4)
				do(t,
					kernels.ActivationGrad{DX: d[0], DMul: d[1], G: g[0], X: x, Mul: mul, Act: act},
					kernels.ActivationGrad{DX: plain, G: g[1], X: x, Act: act},
					kernels.Add{Dst: d[0], X: plain})
			}}.check(t, s)
		})
	}
}

// TestGradientOfCrossEntropy: the gradient that the op writes is that of Scale·Σ Loss, so
// what comes from above it is the same for every row.
func TestGradientOfCrossEntropy(t *testing.T) {
	s := newSource()
	logits, targets := s.normal(4, 6), ids(4, 1, 5, -1, 0, 2)
	run := func(after kernels.Mat) kernels.Mat {
		loss := mat(4, 1)
		do(t, kernels.CrossEntropy{Loss: loss, Logits: after, Targets: targets, Scale: 0.25})
		return mat(1, 1, dot(ref.Float64s(loss), []float64{0.25, 0.25, 0.25, 0.25}))
	}
	derivation{activations(logits), func() []kernels.Mat { return []kernels.Mat{run(clone(logits))} },
		func(g, d []kernels.Mat) {
			grad := clone(logits)
			run(grad)
			for i, v := range ref.Float64s(grad) {
				d[0].Mem.([]float64)[i] = g[0].Mem.([]float64)[0] * v
			}
		}}.check(t, s)
}

func TestGradientsOfMamba(t *testing.T) {
	s := newSource()
	for _, n := range []int{1, 2, 9} { // with four taps
		t.Run(fmt.Sprint("ConvSiLU of ", n), func(t *testing.T) {
			const seqs, dim, taps = 2, 3, 4
			x, w, bias := s.normal(seqs*n, dim), s.normal(dim, taps), s.normal(1, dim)
			derivation{append(activations(x), weights(w, bias)...), func() []kernels.Mat {
				dst := mat(seqs*n, dim)
				do(t, kernels.ConvSiLU{Dst: dst, X: x, W: w, Bias: bias, State: mat(seqs*(taps-1), dim), Seqs: seqs})
				return []kernels.Mat{dst}
			}, func(g, d []kernels.Mat) {
				do(t, kernels.ConvSiLUGrad{DX: d[0], DW: d[1], DBias: d[2], G: g[0], X: x, W: w, Bias: bias, Seqs: seqs})
			}}.check(t, s)
		})
	}
	for _, n := range []int{1, 63, 64, 65, 130} { // around a chunk
		t.Run(fmt.Sprint("Scan of ", n), func(t *testing.T) { scanDerivation(t, s, n).check(t, s) })
	}
}

func scanDerivation(t *testing.T, s source, n int) derivation {
	const seqs, dim, states = 2, 3, 4
	x, dt, z := s.normal(seqs*n, dim), s.normal(seqs*n, dim), s.normal(seqs*n, dim)
	b, c := s.normal(seqs*n, states), s.normal(seqs*n, states)
	a, skip, bias := s.normal(dim, states), s.normal(1, dim), s.normal(1, dim)
	for i, v := range a.Mem.([]float64) {
		a.Mem.([]float64)[i] = -0.1 - math.Abs(v)
	}
	starts := mat(kernels.ScanStarts(seqs, n, dim), states)
	run := func() kernels.Mat {
		dst := mat(seqs*n, dim)
		do(t, kernels.Scan{
			Dst: dst, X: x, Dt: dt, A: a, B: b, C: c, D: skip, Z: z, DtBias: bias,
			State: mat(seqs*dim, states), Starts: starts, Seqs: seqs,
		})
		return dst
	}
	return derivation{append(activations(x, dt, b, c, z), weights(a, skip, bias)...),
		func() []kernels.Mat { return []kernels.Mat{run()} },
		func(g, d []kernels.Mat) {
			run()
			do(t, kernels.ScanGrad{
				DX: d[0], DDt: d[1], DB: d[2], DC: d[3], DZ: d[4], DA: d[5], DD: d[6], DDtBias: d[7],
				G: g[0], X: x, Dt: dt, A: a, B: b, C: c, D: skip, Z: z, DtBias: bias, Starts: starts, Seqs: seqs,
			})
		}}
}

// TestGradientsOfAttention is that of grouped-query attention, with a cache longer than the
// step, and of the rotation before it.
func TestGradientsOfAttention(t *testing.T) {
	s := newSource()
	const seqs, n, length, kvHeads, perKV, dim, rotary, base = 2, 5, 7, 2, 2, 6, 4, 100
	const width, scale = kvHeads * dim, 0.7
	t.Run("RotaryStore", func(t *testing.T) {
		q, k, v := s.normal(seqs*n, perKV*width), s.normal(seqs*n, width), s.normal(seqs*n, width)
		derivation{activations(q, k, v), func() []kernels.Mat {
			turned, kCache, vCache := clone(q), mat(seqs*length, width), mat(seqs*length, width)
			do(t, kernels.RotaryStore{
				Q: turned, K: clone(k), V: v, KCache: kCache, VCache: vCache, Seqs: seqs, HeadDim: dim, Rotary: rotary, Base: base,
			})
			return []kernels.Mat{turned, kCache, vCache}
		}, func(g, d []kernels.Mat) {
			do(t,
				kernels.Copy{Dst: d[0], X: g[0]},
				kernels.RotaryGrad{DQ: d[0], DK: d[1], DV: d[2], DKCache: g[1], DVCache: g[2], Seqs: seqs, HeadDim: dim, Rotary: rotary, Base: base})
		}}.check(t, s)
	})
	t.Run("Attend", func(t *testing.T) {
		q, k, v := s.normal(seqs*n, perKV*width), s.normal(seqs*length, width), s.normal(seqs*length, width)
		lse := mat(seqs*n, kvHeads*perKV)
		run := func() kernels.Mat {
			dst := mat(q.Rows, q.Cols)
			do(t, kernels.Attend{Dst: dst, Q: q, K: k, V: v, LSE: lse, Seqs: seqs, HeadDim: dim, Scale: scale})
			return dst
		}
		derivation{activations(q, k, v), func() []kernels.Mat { return []kernels.Mat{run()} },
			func(g, d []kernels.Mat) {
				out := run()
				do(t, // the rest of the cache counts for nothing, and is not set
					kernels.Zero{Dst: d[1]}, kernels.Zero{Dst: d[2]},
					kernels.AttendGrad{
						DQ: d[0], DK: d[1], DV: d[2], G: g[0], Out: out, Q: q, K: k, V: v, LSE: lse, Seqs: seqs, HeadDim: dim, Scale: scale,
					})
			}}.check(t, s)
	})
}

// TestGradientsOfRoutes: gates are scaled, and an expert with more than its capacity drops
// tokens. A step so small changes no choice.
func TestGradientsOfRoutes(t *testing.T) {
	s := newSource()
	const tokens, count, k = 6, 4, 2
	for _, score := range []kernels.Score{kernels.SigmoidScore, kernels.SoftmaxScore, kernels.SoftmaxTopKScore} {
		t.Run(score.String(), func(t *testing.T) {
			logits := mat(tokens, count)
			for i := range tokens { // far apart
				for e, place := range s.Perm(count) {
					logits.Mem.([]float64)[i*count+e] = float64(place) / 2
				}
			}
			run := func() (experts, gates kernels.Mat) {
				experts, gates = ids(tokens, k), mat(tokens, k)
				slots, places, offsets := ids(tokens*k, 1), ids(tokens*k, 1), ids(count+1, 1)
				do(t,
					kernels.Route{Experts: experts, Gates: gates, Logits: logits, Score: score, GateScale: 2.5},
					kernels.Sort{Slots: slots, Places: places, Offsets: offsets, Experts: experts},
					kernels.LimitLoad{Gates: gates, Places: places, Offsets: offsets, Experts: experts, Capacity: 2})
				return experts, gates
			}
			derivation{activations(logits), func() []kernels.Mat { _, gates := run(); return []kernels.Mat{gates} },
				func(g, d []kernels.Mat) {
					experts, gates := run()
					do(t, kernels.RouteGrad{DLogits: d[0], G: g[0], Experts: experts, Gates: gates, Logits: logits, Score: score})
				}}.check(t, s)
		})
	}
}

// TestGradientsOfExperts: one expert has no tokens.
func TestGradientsOfExperts(t *testing.T) {
	s := newSource()
	const tokens, k, count, in, out = 3, 2, 4, 3, 2
	slots, places, offsets := ids(tokens*k, 1), ids(tokens*k, 1), ids(count+1, 1)
	do(t, kernels.Sort{Slots: slots, Places: places, Offsets: offsets, Experts: ids(tokens, k, 3, 0, 0, 1, 3, 1)})
	b, bias := s.normal(count*out, in), s.normal(count, out)
	t.Run("GroupedMatMul of places", func(t *testing.T) {
		a := s.normal(tokens*k, in)
		derivation{append(activations(a), weights(b, bias)...), func() []kernels.Mat {
			dst := mat(tokens*k, out)
			do(t, kernels.GroupedMatMul{Dst: dst, A: a, B: b, Bias: bias, Offsets: offsets})
			return []kernels.Mat{dst}
		}, func(g, d []kernels.Mat) {
			do(t,
				kernels.GroupedMatMulGradA{DA: d[0], G: g[0], B: b, Offsets: offsets},
				kernels.GroupedMatMulGradB{DB: d[1], DBias: d[2], G: g[0], A: a, Offsets: offsets})
		}}.check(t, s)
	})
	t.Run("GroupedMatMul of tokens", func(t *testing.T) {
		a := s.normal(tokens, in)
		derivation{append(activations(a), weights(b, bias)...), func() []kernels.Mat {
			dst := mat(tokens*k, out)
			do(t, kernels.GroupedMatMul{Dst: dst, A: a, B: b, Bias: bias, Offsets: offsets, Slots: slots, K: k})
			return []kernels.Mat{dst}
		}, func(g, d []kernels.Mat) {
			gathered := mat(tokens*k, in)
			do(t,
				kernels.GroupedMatMulGradA{DA: gathered, G: g[0], B: b, Offsets: offsets},
				kernels.Combine{Dst: d[0], Src: gathered, Places: places},
				kernels.GroupedMatMulGradB{DB: d[1], DBias: d[2], G: g[0], A: a, Offsets: offsets, Slots: slots, K: k})
		}}.check(t, s)
	})
	src, gates := s.normal(tokens*k, out), s.normal(tokens, k)
	t.Run("Combine", func(t *testing.T) {
		derivation{activations(src, gates), func() []kernels.Mat {
			dst := mat(tokens, out)
			do(t, kernels.Combine{Dst: dst, Src: src, Places: places, Gates: gates})
			return []kernels.Mat{dst}
		}, func(g, d []kernels.Mat) {
			do(t, kernels.CombineGrad{DSrc: d[0], DGates: d[1], G: g[0], Src: src, Places: places, Gates: gates})
		}}.check(t, s)
	})
	t.Run("Combine without gates", func(t *testing.T) {
		derivation{activations(src), func() []kernels.Mat {
			dst := mat(tokens, out)
			do(t, kernels.Combine{Dst: dst, Src: src, Places: places})
			return []kernels.Mat{dst}
		}, func(g, d []kernels.Mat) {
			do(t, kernels.CombineGrad{DSrc: d[0], G: g[0], Places: places})
		}}.check(t, s)
	})
}

// TestGradientsOfExpertChoice freezes which tokens experts take.
func TestGradientsOfExpertChoice(t *testing.T) {
	const tokens, experts, k, dim = 7, 3, 2, 5
	s := newSource()
	logits, n := s.normal(tokens, experts), tokens*k
	slots, offsets := ids(n, 1), ids(experts+1, 1)
	choose := func() kernels.Mat {
		gates := mat(n, 1)
		do(t, kernels.ExpertChoice{Slots: slots, Offsets: offsets, Gates: gates, Logits: logits, K: k, GateScale: 1.5})
		return gates
	}
	choose()
	frozen := fmt.Sprint(slots.Mem)
	t.Run("ExpertChoice", func(t *testing.T) {
		derivation{activations(logits), func() []kernels.Mat {
			gates := choose()
			if fmt.Sprint(slots.Mem) != frozen {
				t.Fatal("the step changes the choice: take other logits")
			}
			return []kernels.Mat{gates}
		}, func(g, d []kernels.Mat) {
			do(t, kernels.ExpertChoiceGrad{DLogits: d[0], G: g[0], Gates: choose(), Slots: slots, Offsets: offsets, Logits: logits, K: k})
		}}.check(t, s)
	})
	src, gates := s.normal(n, dim), s.normal(n, 1)
	t.Run("ScatterAdd", func(t *testing.T) {
		derivation{activations(src, gates), func() []kernels.Mat {
			dst := mat(tokens, dim)
			do(t, kernels.ScatterAdd{Dst: dst, Src: src, Gates: gates, Slots: slots, Offsets: offsets, K: k})
			return []kernels.Mat{dst}
		}, func(g, d []kernels.Mat) {
			do(t, kernels.ScatterAddGrad{DSrc: d[0], DGates: d[1], G: g[0], Src: src, Gates: gates, Slots: slots, K: k})
		}}.check(t, s)
	})
}

// TestGradientOfBalanceLoss: the gradient that the op writes is that of the sum of both.
func TestGradientOfBalanceLoss(t *testing.T) {
	s := newSource()
	logits, experts := s.normal(5, 4), ids(5, 2, 0, 1, 0, 3, 1, 0, 2, 0, 0, 1)
	run := func() (loss, grad kernels.Mat) {
		loss, grad = mat(1, 2), mat(5, 4)
		do(t, kernels.BalanceLoss{Loss: loss, Grad: grad, Logits: logits, Experts: experts, Balance: 0.7, Z: 0.3})
		return loss, grad
	}
	derivation{activations(logits), func() []kernels.Mat {
		loss, _ := run()
		both := ref.Float64s(loss)
		return []kernels.Mat{mat(1, 1, both[0]+both[1])}
	}, func(g, d []kernels.Mat) {
		_, grad := run()
		for i, v := range ref.Float64s(grad) {
			d[0].Mem.([]float64)[i] = g[0].Mem.([]float64)[0] * v
		}
	}}.check(t, s)
}
