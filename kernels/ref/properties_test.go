package ref_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"quadrant/kernels"
	"quadrant/kernels/ref"
)

// size draws the length of an axis, small ones most often.
func size(t *rapid.T, name string) int { return rapid.IntRange(1, 12).Draw(t, name) }

// normal returns a matrix of normally distributed numbers, from a seed that is drawn.
func normal(t *rapid.T, rows, cols int) kernels.Mat {
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	m := mat(rows, cols)
	for i := range rows * cols {
		m.Mem.([]float64)[i] = r.NormFloat64()
	}
	return m
}

// all returns a matrix of one number.
func all(rows, cols int, x float64) kernels.Mat {
	return mat(rows, cols, slices.Repeat([]float64{x}, rows*cols)...)
}

func wantNear(t *rapid.T, what string, got, want []float64) {
	if !(distance(got, want) <= 1e-10) {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// A headShape is a step of attention.
type headShape struct{ seqs, n, past, kvHeads, perKV, dim int }

func drawHeads(t *rapid.T) headShape {
	return headShape{
		seqs: rapid.IntRange(1, 3).Draw(t, "seqs"), n: size(t, "n"), past: rapid.IntRange(0, 5).Draw(t, "past"),
		kvHeads: rapid.IntRange(1, 3).Draw(t, "kv heads"), perKV: rapid.IntRange(1, 3).Draw(t, "per kv head"), dim: size(t, "dim"),
	}
}

func TestSoftmaxSumsToOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHeads(t)
		width, rows := h.kvHeads*h.dim, h.seqs*(h.past+h.n)
		dst := mat(h.seqs*h.n, width*h.perKV)
		do(t, kernels.Attend{
			Dst: dst, Q: normal(t, dst.Rows, dst.Cols), K: normal(t, rows, width), V: all(rows, width, 3),
			Seqs: h.seqs, Past: h.past, HeadDim: h.dim, Scale: 2,
		})
		wantNear(t, "attention to values that are all 3", ref.Float64s(dst), ref.Float64s(all(dst.Rows, dst.Cols, 3)))
	})
}

func TestAttentionToOneKeyIsItsValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seqs, width := size(t, "seqs"), size(t, "width")
		dst, v := mat(seqs, width), normal(t, seqs, width)
		do(t, kernels.Attend{Dst: dst, Q: normal(t, seqs, width), K: normal(t, seqs, width), V: v, Seqs: seqs, HeadDim: width, Scale: 1})
		wantNear(t, "attention", ref.Float64s(dst), ref.Float64s(v))
	})
}

// TestRotationKeepsAngles: the product of a query and a key depends on their distance
// only, and lengths do not change.
func TestRotationKeepsAngles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pairs := rapid.IntRange(1, 4).Draw(t, "pairs")
		q, k := normal(t, 1, 2*pairs), normal(t, 1, 2*pairs)
		turned := func(m kernels.Mat, position int) []float64 {
			cache := mat(position+1, m.Cols)
			do(t, kernels.RotaryStore{
				Q: mat(1, m.Cols), K: mat(1, m.Cols, ref.Float64s(m)...), V: m, KCache: cache, VCache: mat(position+1, m.Cols),
				Seqs: 1, Past: position, HeadDim: m.Cols, Rotary: m.Cols, Base: 10000,
			})
			return ref.Float64s(cache.RowRange(position, position+1))
		}
		at, gap, later := rapid.IntRange(0, 50).Draw(t, "at"), rapid.IntRange(0, 9).Draw(t, "gap"), rapid.IntRange(0, 50).Draw(t, "later")
		wantNear(t, "product", []float64{dot(turned(q, at+gap), turned(k, at))}, []float64{dot(turned(q, at+gap+later), turned(k, at+later))})
		wantNear(t, "square", []float64{dot(turned(q, at), turned(q, at))}, []float64{dot(ref.Float64s(q), ref.Float64s(q))})
	})
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

func TestConvolutionWithOneTapIsSiLU(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, dim, taps := size(t, "n"), size(t, "dim"), rapid.IntRange(1, 5).Draw(t, "taps")
		x, dst, want, w := normal(t, n, dim), mat(n, dim), mat(n, dim), mat(dim, taps)
		for d := range dim {
			w.Mem.([]float64)[d*taps+taps-1] = 1 // of the current token
		}
		do(t,
			kernels.ConvSiLU{Dst: dst, X: x, W: w, State: normal(t, taps-1, dim), Seqs: 1},
			kernels.Activation{Dst: want, X: x, Act: kernels.SiLU})
		wantNear(t, "convolution", ref.Float64s(dst), ref.Float64s(want))
	})
}

// TestConvolutionInTwoSteps: what is carried in the state makes two steps one.
func TestConvolutionInTwoSteps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seqs, n, dim, taps := rapid.IntRange(1, 3).Draw(t, "seqs"), size(t, "n"), size(t, "dim"), rapid.IntRange(1, 5).Draw(t, "taps")
		op := kernels.ConvSiLU{W: normal(t, dim, taps), Bias: normal(t, 1, dim), Seqs: seqs}
		x, state := normal(t, seqs*n, dim), normal(t, seqs*(taps-1), dim)
		run := func(from, to int, state kernels.Mat) (dst kernels.Mat) {
			dst = mat(seqs*(to-from), dim)
			op.Dst, op.X, op.State = dst, tokens(x, seqs, from, to), state
			do(t, op)
			return dst
		}
		at := rapid.IntRange(0, n-1).Draw(t, "split")
		whole, split := clone(state), clone(state)
		want := run(0, n, whole)
		if at > 0 {
			wantNear(t, "first step", ref.Float64s(run(0, at, split)), ref.Float64s(tokens(want, seqs, 0, at)))
		}
		wantNear(t, "second step", ref.Float64s(run(at, n, split)), ref.Float64s(tokens(want, seqs, at, n)))
		wantNear(t, "state", ref.Float64s(split), ref.Float64s(whole))
	})
}

// TestScanInTwoSteps is the same of a scan.
func TestScanInTwoSteps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seqs, n, dim, states := rapid.IntRange(1, 3).Draw(t, "seqs"), size(t, "n"), size(t, "dim"), size(t, "states")
		a, d, bias := mat(dim, states), normal(t, 1, dim), normal(t, 1, dim)
		do(t, kernels.NegExp{Dst: a, X: normal(t, dim, states)})
		x, dt, z := normal(t, seqs*n, dim), normal(t, seqs*n, dim), normal(t, seqs*n, dim)
		b, c, state := normal(t, seqs*n, states), normal(t, seqs*n, states), normal(t, seqs*dim, states)
		run := func(from, to int, state kernels.Mat) (dst kernels.Mat) {
			dst = mat(seqs*(to-from), dim)
			part := func(m kernels.Mat) kernels.Mat { return tokens(m, seqs, from, to) }
			do(t, kernels.Scan{
				Dst: dst, X: part(x), Dt: part(dt), B: part(b), C: part(c), Z: part(z),
				A: a, D: d, DtBias: bias, State: state, Seqs: seqs,
			})
			return dst
		}
		at := rapid.IntRange(0, n-1).Draw(t, "split")
		whole, split := clone(state), clone(state)
		want := run(0, n, whole)
		if at > 0 {
			wantNear(t, "first step", ref.Float64s(run(0, at, split)), ref.Float64s(tokens(want, seqs, 0, at)))
		}
		wantNear(t, "second step", ref.Float64s(run(at, n, split)), ref.Float64s(tokens(want, seqs, at, n)))
		wantNear(t, "state", ref.Float64s(split), ref.Float64s(whole))
	})
}

// tokens is a copy of tokens from … to−1 of every sequence in m.
func tokens(m kernels.Mat, seqs, from, to int) kernels.Mat {
	n := m.Rows / seqs
	var part []float64
	for s := range seqs {
		part = append(part, ref.Float64s(m.RowRange(s*n+from, s*n+to))...)
	}
	return mat(seqs*(to-from), m.Cols, part...)
}

func clone(m kernels.Mat) kernels.Mat { return mat(m.Rows, m.Cols, ref.Float64s(m)...) }

// TestScanOfConstants: with the same input at every token, the state is a geometric sum.
func TestScanOfConstants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, dt, a := size(t, "n"), rapid.Float64Range(-5, 5).Draw(t, "dt"), -rapid.Float64Range(0.1, 3).Draw(t, "a")
		dst, state := mat(n, 1), mat(1, 1)
		do(t, kernels.Scan{
			Dst: dst, X: all(n, 1, 2), Dt: all(n, 1, dt), A: all(1, 1, a), B: all(n, 1, 3), C: all(n, 1, 5), State: state, Seqs: 1,
		})
		delta := math.Log1p(math.Exp(dt))
		decay := math.Exp(delta * a)
		want := make([]float64, n)
		for i := range want {
			want[i] = 5 * delta * 2 * 3 * (1 - math.Pow(decay, float64(i+1))) / (1 - decay)
		}
		wantNear(t, "outputs", ref.Float64s(dst), want)
		wantNear(t, "state", ref.Float64s(state), []float64{want[n-1] / 5})
	})
}

func TestNormsScaleAndShift(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows, dim := size(t, "rows"), rapid.IntRange(2, 12).Draw(t, "dim")
		x, gain := normal(t, rows, dim), all(1, dim, 1)
		rms, layer := mat(rows, dim), mat(rows, dim)
		do(t, kernels.RMSNorm{Dst: rms, X: x, Gain: gain}, kernels.LayerNorm{Dst: layer, X: x, Gain: gain})
		for i := range rows {
			r, l := ref.Float64s(rms.RowRange(i, i+1)), ref.Float64s(layer.RowRange(i, i+1))
			one := ref.Float64s(all(1, dim, 1))
			wantNear(t, "mean squares and mean", []float64{dot(r, r), dot(l, l), dot(l, one)}, []float64{float64(dim), float64(dim), 0})
		}
	})
}

// TestSinkhornBalances: the bias makes a plan whose rows sum to 1/T have columns that sum
// to 1/E.
func TestSinkhornBalances(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		logits, temperature := normal(t, size(t, "tokens"), size(t, "experts")), float32(rapid.SampledFrom([]float64{0.5, 1}).Draw(t, "temperature"))
		bias := sinkhorn(t, logits, temperature, rapid.Bool().Draw(t, "column first"), 2000)
		sums := make([]float64, logits.Cols)
		for i := range logits.Rows {
			weights, sum := make([]float64, logits.Cols), 0.0
			for e, l := range ref.Float64s(logits.RowRange(i, i+1)) {
				weights[e] = math.Exp((l + bias[e]) / float64(temperature))
				sum += weights[e]
			}
			for e, w := range weights {
				sums[e] += w / sum / float64(logits.Rows) * float64(logits.Cols)
			}
		}
		if d := distance(sums, slices.Repeat([]float64{1}, logits.Cols)); !(d <= 2e-6) {
			t.Fatalf("columns sum to %v of their share", sums)
		}
	})
}

// TestSinkhornCancelsOffsets: at every iteration, what is added to an expert's logits is
// taken from its bias if columns come first, and what is added to a token's changes
// nothing if rows do.
func TestSinkhornCancelsOffsets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		logits, iterations := normal(t, size(t, "tokens"), size(t, "experts")), rapid.IntRange(0, 4).Draw(t, "iterations")
		perToken, perExpert := ref.Float64s(normal(t, 1, logits.Rows)), ref.Float64s(normal(t, 1, logits.Cols))
		byToken, byExpert := clone(logits), clone(logits)
		mean := dot(perExpert, ref.Float64s(all(1, logits.Cols, 1/float64(logits.Cols))))
		for i := range logits.Len() {
			byToken.Mem.([]float64)[i] += perToken[i/logits.Cols]
			byExpert.Mem.([]float64)[i] += perExpert[i%logits.Cols]
		}
		wantNear(t, "bias by token", sinkhorn(t, byToken, 1, false, iterations), sinkhorn(t, logits, 1, false, iterations))
		want := sinkhorn(t, logits, 1, true, iterations)
		for e := range want {
			want[e] -= perExpert[e] - mean
		}
		wantNear(t, "bias by expert", sinkhorn(t, byExpert, 1, true, iterations), want)
	})
}

func sinkhorn(t *rapid.T, logits kernels.Mat, temperature float32, columnFirst bool, iterations int) []float64 {
	bias := mat(1, logits.Cols)
	do(t, kernels.Sinkhorn{
		Bias: bias, Logits: logits, Temperature: temperature, ColumnFirst: columnFirst, MaxIterations: iterations, Tolerance: 1e-6,
	})
	return ref.Float64s(bias)
}

// TestRouteIsASort: experts come in the order of their biased logits.
func TestRouteIsASort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows, experts := size(t, "tokens"), size(t, "experts")
		logits, bias, chosen := mat(rows, experts), mat(1, experts), ids(rows, experts)
		for _, m := range []kernels.Mat{logits, bias} {
			for i := range m.Mem.([]float64) {
				m.Mem.([]float64)[i] = float64(rapid.IntRange(-2, 2).Draw(t, "logit or bias"))
			}
		}
		gates := mat(rows, experts)
		do(t, kernels.Route{Experts: chosen, Gates: gates, Logits: logits, Bias: bias, Score: kernels.SoftmaxTopKScore})
		for i := range rows {
			want := make([]int32, experts)
			for e := range want {
				want[e] = int32(e)
			}
			sum := func(e int32) float64 { return logits.Mem.([]float64)[i*experts+int(e)] + bias.Mem.([]float64)[e] }
			slices.SortStableFunc(want, func(a, b int32) int { return int(sum(b) - sum(a)) })
			if got := chosen.Mem.([]int32)[i*experts:][:experts]; !slices.Equal(got, want) {
				t.Fatalf("token %d has experts %v, want %v", i, got, want)
			}
			wantNear(t, "sum of gates", []float64{dot(ref.Float64s(gates.RowRange(i, i+1)), ref.Float64s(all(1, experts, 1)))}, []float64{1})
		}
	})
}

// TestSortListsEverySlotOnce: Places is the inverse of Slots, and Offsets say whose place
// each is.
func TestSortListsEverySlotOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows, k, count := size(t, "tokens"), rapid.IntRange(1, 3).Draw(t, "k"), size(t, "experts")
		chosen, slots, places, offsets := drawExperts(t, rows, k, count)
		for e := range count {
			for place := offsets[e]; place < offsets[e+1]; place++ {
				slot := slots[place]
				if int(chosen[slot]) != e || places[slot] != place || (place > offsets[e] && slots[place-1] >= slot) {
					t.Fatalf("place %d of expert %d has slot %d, of expert %d, whose place is %d", place, e, slot, chosen[slot], places[slot])
				}
			}
		}
		if int(offsets[count]) != rows*k {
			t.Fatalf("%d places, want %d", offsets[count], rows*k)
		}
	})
}

func drawExperts(t *rapid.T, rows, k, count int) (chosen, slots, places, offsets []int32) {
	experts, s, p, o := ids(rows, k), ids(rows*k, 1), ids(rows*k, 1), ids(count+1, 1)
	chosen = experts.Mem.([]int32)
	for i := range chosen {
		chosen[i] = int32(rapid.IntRange(0, count-1).Draw(t, "expert"))
	}
	do(t, kernels.Sort{Slots: s, Places: p, Offsets: o, Experts: experts})
	return chosen, s.Mem.([]int32), p.Mem.([]int32), o.Mem.([]int32)
}

// TestDispatchAndBack: tokens sent to experts that do nothing, and brought back with gate
// 1, are as before; and Combine of one choice with gate 1 is a permutation.
func TestDispatchAndBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows, dim, count := size(t, "tokens"), size(t, "dim"), size(t, "experts")
		_, slots, places, offsets := drawExperts(t, rows, 1, count)
		identity := mat(count*dim, dim)
		for i := range count * dim {
			identity.Mem.([]float64)[i*dim+i%dim] = 1
		}
		x, sent, back := normal(t, rows, dim), mat(rows, dim), mat(rows, dim)
		do(t,
			kernels.GroupedMatMul{Dst: sent, A: x, B: identity, Offsets: ids(count+1, 1, offsets...), Slots: ids(rows, 1, slots...), K: 1},
			kernels.Combine{Dst: back, Src: sent, Places: ids(rows, 1, places...), Gates: all(rows, 1, 1)})
		wantNear(t, "tokens", ref.Float64s(back), ref.Float64s(x))
		for place, slot := range slots {
			wantNear(t, "a token at its place", ref.Float64s(sent.RowRange(place, place+1)), ref.Float64s(x.RowRange(int(slot), int(slot)+1)))
		}
	})
}
