package ref_test

import (
	"math"
	"slices"
	"testing"

	"quadrant/kernels"
	"quadrant/kernels/ref"
)

// TestTrainingDefinitions holds what training uses, and is no gradient, against numbers
// worked out by hand.
func TestTrainingDefinitions(t *testing.T) {
	for name, test := range map[string]func(t *testing.T){
		"Sum": func(t *testing.T) {
			dst := mat(1, 2, 1, 2)
			do(t, kernels.Sum{Dst: dst, X: dst, Y: mat(1, 2, 10, 20), Scale: 2})
			wantFloats(t, dst, 22, 44)
			do(t, kernels.Sum{Dst: dst, X: dst, Scale: 0.5})
			wantFloats(t, dst, 11, 22)
		},
		"CrossEntropy": func(t *testing.T) {
			loss, logits := mat(2, 1, 9, 9), mat(2, 2, math.Log(3), 0, 7, 7)
			do(t, kernels.CrossEntropy{Loss: loss, Logits: logits, Targets: ids(2, 1, 1, -1), Scale: 2})
			wantFloats(t, loss, math.Log(4), 0) // a quarter for the target
			wantFloats(t, logits, 1.5, -1.5, 0, 0)
		},
		"Attend keeps the logarithm of its sum": func(t *testing.T) {
			lse := mat(2, 1)
			do(t, kernels.Attend{
				Dst: mat(2, 1), Q: mat(2, 1, 1, 1), K: mat(2, 1, 0, math.Log(3)), V: mat(2, 1), LSE: lse, Seqs: 1, HeadDim: 1, Scale: 1,
			})
			wantFloats(t, lse, 0, math.Log(4))
		},
		"Route scales gates": func(t *testing.T) {
			experts, gates := ids(1, 1), mat(1, 1)
			do(t, kernels.Route{Experts: experts, Gates: gates, Logits: mat(1, 2, 0, -1), Score: kernels.SigmoidScore, GateScale: 3})
			wantFloats(t, gates, 1.5)
		},
		"Combine without gates": func(t *testing.T) {
			dst := mat(2, 1)
			do(t, kernels.Combine{Dst: dst, Src: mat(4, 1, 1, 10, 100, 1000), Places: ids(4, 1, 3, 0, 2, 1)})
			wantFloats(t, dst, 1001, 110)
		},
		"BalanceLoss": func(t *testing.T) {
			// Both tokens go to the first expert, and p is ¾ there.
			loss, grad := mat(1, 2), mat(2, 2)
			do(t, kernels.BalanceLoss{
				Loss: loss, Grad: grad, Logits: mat(2, 2, math.Log(3), 0, math.Log(3), 0), Experts: ids(2, 1, 0, 0), Balance: 1, Z: 1,
			})
			log := math.Log(4)
			wantFloats(t, loss, 1.5, log*log)
			one, other := (2*0.75*0.25+2*log*0.75)/2, (-2*0.75*0.25+2*log*0.25)/2
			wantFloats(t, grad, one, other, one, other)
		},
		"HashRoute": func(t *testing.T) {
			experts, gates := ids(3, 2), mat(3, 2)
			do(t, kernels.HashRoute{Experts: experts, Gates: gates, IDs: ids(3, 1, 0, 1, 2), Of: 8})
			wantInts(t, experts, 0, 1, 7, 0, 6, 7) // 40503 and 15470 mod 8
			wantFloats(t, gates, .5, .5, .5, .5, .5, .5)
		},
		"LimitLoad": func(t *testing.T) {
			gates := mat(3, 1, 7, 8, 9)
			do(t, kernels.LimitLoad{Gates: gates, Places: ids(3, 1, 1, 2, 0), Offsets: ids(3, 1, 0, 1, 3), Experts: ids(3, 1, 1, 1, 0), Capacity: 1})
			wantFloats(t, gates, 7, 0, 9)
		},
		"ExpertChoice": func(t *testing.T) {
			// p of the first expert is ½, ¾, ½ and ¼, its places 2 of 4.
			slots, offsets, gates := ids(4, 1), ids(3, 1), mat(4, 1)
			log3 := math.Log(3)
			do(t, kernels.ExpertChoice{Slots: slots, Offsets: offsets, Gates: gates, Logits: mat(4, 2, 0, 0, log3, 0, 0, 0, 0, log3), K: 1, GateScale: 2})
			wantInts(t, offsets, 0, 2, 4)
			wantInts(t, slots, 0, 1, 0, 3)
			wantFloats(t, gates, 1, 1.5, 1, 1.5)
		},
		"ScatterAdd": func(t *testing.T) {
			dst := mat(3, 1)
			do(t, kernels.ScatterAdd{Dst: dst, Src: mat(3, 1, 1, 10, 100), Gates: mat(3, 1, 1, 2, 3), Slots: ids(3, 1, 0, 4, 5), Offsets: ids(3, 1, 0, 2, 3), K: 2})
			wantFloats(t, dst, 1, 0, 320)
		},
		"SquareSum": func(t *testing.T) {
			dst := mat(1, 1, 9)
			do(t, kernels.SquareSum{Dst: dst, X: mat(2, 3, 1, 2, 3, 4, 5, 6).ColRange(1, 3)})
			wantFloats(t, dst, 4+9+25+36)
		},
		"AdamW": func(t *testing.T) {
			w, m, v := mat(1, 1, 1), mat(1, 1), mat(1, 1)
			op := kernels.AdamW{W: w, Grad: mat(1, 1, 2), M: m, V: v, Rate: .125, Beta1: .5, Beta2: .75, Eps: 1, Decay: .5, GradScale: .5, Step: 1}
			do(t, op)
			wantFloats(t, m, .5) // of 1
			wantFloats(t, v, .25)
			wantFloats(t, w, 1-.125*(1./2+.5))
			op.Grad, op.Step = mat(1, 1, -2), 2
			do(t, op)
			wantFloats(t, m, -.25)
			wantFloats(t, v, .4375)
			wantFloats(t, w, .875-.125*(-.25/.75/2+.5*.875))
		},
		"Average": func(t *testing.T) {
			dst := mat(1, 1, 1)
			do(t, kernels.Average{Dst: dst, X: mat(1, 1, 5), Rate: .25})
			wantFloats(t, dst, 2)
		},
		"BiasStep": func(t *testing.T) {
			bias := mat(1, 3, 1, 1, 1)
			do(t, kernels.BiasStep{Bias: bias, Offsets: ids(4, 1, 0, 3, 4, 6), Rate: .25})
			wantFloats(t, bias, .75, 1.25, 1)
		},
	} {
		t.Run(name, test)
	}
}

// TestScanKeepsStarts: what a scan keeps is the state that scans of its first tokens end in.
func TestScanKeepsStarts(t *testing.T) {
	s := newSource()
	const seqs, n, dim, states = 2, 2*kernels.ScanChunk + 1, 2, 3
	x, dt, b, c := s.normal(seqs*n, dim), s.normal(seqs*n, dim), s.normal(seqs*n, states), s.normal(seqs*n, states)
	a, before := all(dim, states, -.1), s.normal(seqs*dim, states)
	run := func(length int, starts kernels.Mat) (state kernels.Mat) {
		state = clone(before)
		part := func(m kernels.Mat) kernels.Mat { return tokens(m, seqs, 0, length) }
		do(t, kernels.Scan{
			Dst: mat(seqs*length, dim), X: part(x), Dt: part(dt), A: a, B: part(b), C: part(c), State: state, Starts: starts, Seqs: seqs,
		})
		return state
	}
	starts := mat(kernels.ScanStarts(seqs, n, dim), states)
	run(n, starts)
	for i, want := range []kernels.Mat{before, run(kernels.ScanChunk, kernels.Mat{}), run(2*kernels.ScanChunk, kernels.Mat{})} {
		if got := tokens(starts, seqs, i*dim, (i+1)*dim); !slices.Equal(ref.Float64s(got), ref.Float64s(want)) {
			t.Errorf("before chunk %d: got %v, want %v", i, ref.Float64s(got), ref.Float64s(want))
		}
	}
}

// TestSinkhornIsCapped where d₁ is beyond any float, and d₁ never settles.
func TestSinkhornIsCapped(t *testing.T) {
	bias, iterations := mat(1, 2), ids(1, 1)
	do(t, kernels.Sinkhorn{
		Bias: bias, Iterations: iterations, Logits: mat(2, 2, 0, 2000, 1000, 4000), Temperature: 1,
		Absolute: true, MaxIterations: 7, Tolerance: 1e-4,
	})
	wantInts(t, iterations, 7)
	for _, b := range ref.Float64s(bias) {
		if math.IsNaN(b) || math.IsInf(b, 0) {
			t.Errorf("the bias is %v", ref.Float64s(bias))
		}
	}
}
