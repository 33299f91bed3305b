package evals_test

import (
	"slices"
	"strings"
	"testing"

	"quadrant/arch"
	"quadrant/evals"
	"quadrant/kernels"
	"quadrant/kernels/cpu"
)

func model(t *testing.T, channel arch.Channel) (*evals.Routes, *arch.Model) {
	t.Helper()
	dev, err := cpu.Open("", 1)
	if err != nil {
		t.Fatal(err)
	}
	norm := arch.Norm{Kind: arch.RMSNorm, Eps: 1e-5}
	mamba := arch.Sequence{Mamba: &arch.Mamba{Inner: 16, State: 4, Conv: 4, Rank: 1}}
	routes := &evals.Routes{Device: dev}
	m, err := arch.New(arch.Config{Vocab: 20, Dim: 8, Norm: norm, FinalNorm: norm, TiedHead: true, Layers: []arch.Layer{
		{Sequence: mamba}, {Channel: channel}, {Sequence: mamba, Channel: channel},
	}}, routes, arch.Types{})
	if err != nil {
		t.Fatal(err)
	}
	m.Init(3)
	return routes, m
}

var experts = arch.Channel{MoE: &arch.MoE{
	Experts: 4, Expert: arch.MLP{Hidden: 8, Act: kernels.SiLU, Gate: arch.FirstHalf},
	Router: arch.Router{TopK: 2, Score: kernels.SoftmaxTopKScore, Sinkhorn: &arch.Sinkhorn{Temperature: 1, MaxIterations: 50, Tolerance: 0.01}},
}}

func text(n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(i * i % 19)
	}
	return ids
}

// Every token is counted TopK times in every MoE layer, whatever the window.
func TestBalanceCountsEveryToken(t *testing.T) {
	routes, m := model(t, experts)
	for _, window := range []int{1, 7, 50, 1000} {
		done := 0
		loads, err := evals.Balance(t.Context(), routes, m, text(50), evals.BalanceOptions{Window: window, Progress: func(n int) { done = n }})
		if err != nil {
			t.Fatal(err)
		}
		if len(loads) != 2 || loads[0].Layer != 1 || loads[1].Layer != 2 || done != 50 {
			t.Fatalf("loads %v, progress %d", loads, done)
		}
		for _, l := range loads {
			sum := 0.0
			for _, n := range l.Tokens {
				sum += n
			}
			if sum != 100 {
				t.Errorf("window %d, layer %d: %v adds up to %v, want 100", window, l.Layer, l.Tokens, sum)
			}
		}
	}
}

// The counts are those of the choices that a pass over the text makes.
func TestBalanceEqualsRoutes(t *testing.T) {
	routes, m := model(t, experts)
	ids := text(30)
	loads, err := evals.Balance(t.Context(), routes, m, ids, evals.BalanceOptions{Window: 30})
	if err != nil {
		t.Fatal(err)
	}
	want := map[int][]float64{1: make([]float64, 4), 2: make([]float64, 4)}
	routes.See = func(layer int, experts []int32, k int) {
		if k != 2 || len(experts) != 2*30 {
			t.Errorf("layer %d: %d choices, %d per token", layer, len(experts), k)
		}
		for _, e := range experts {
			want[layer][e]++
		}
	}
	in, out := routes.Alloc(kernels.I32, 30, 1), routes.Alloc(kernels.F32, 30, m.Vocab)
	kernels.Put(routes, in, ids)
	m.Open(1, 30).Forward(out, in)
	for _, l := range loads {
		if !slices.Equal(l.Tokens, want[l.Layer]) {
			t.Errorf("layer %d: %v, want %v", l.Layer, l.Tokens, want[l.Layer])
		}
	}
}

// Routers choose more evenly as in training than as in inference.
func TestBalanceInTraining(t *testing.T) {
	routes, m := model(t, experts)
	worst := func(training bool) (worst float64) {
		loads, err := evals.Balance(t.Context(), routes, m, text(400), evals.BalanceOptions{Window: 400, Training: training})
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range loads {
			worst = max(worst, slices.Max(l.Tokens))
		}
		return worst
	}
	if a, b := worst(false), worst(true); b >= a {
		t.Errorf("the fullest expert has %v choices in training and %v in inference", b, a)
	}
}

func TestBalanceErrors(t *testing.T) {
	routes, m := model(t, experts)
	for want, ids := range map[string][]int32{"0 tokens": {}, "token id 20 at position 1": {3, 20}, "token id -1": {-1}} {
		if _, err := evals.Balance(t.Context(), routes, m, ids, evals.BalanceOptions{Window: 4}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	routes, m = model(t, arch.Channel{MLP: &experts.MoE.Expert})
	if _, err := evals.Balance(t.Context(), routes, m, []int32{1}, evals.BalanceOptions{Window: 4}); err == nil || !strings.Contains(err.Error(), "no mixture of experts") {
		t.Errorf("error %v for a dense model", err)
	}
}

// The classes' counts add up to the whole, and each class has its tokens, topK times.
func TestBalanceByClass(t *testing.T) {
	routes, m := model(t, experts)
	ids := text(50)
	classes := make([]evals.Class, len(ids))
	sizes := make([]float64, len(evals.Classes))
	for i, id := range ids {
		classes[i] = evals.Class(id % 3)
		sizes[classes[i]]++
	}
	loads, err := evals.Balance(t.Context(), routes, m, ids, evals.BalanceOptions{Window: 13, Classes: classes})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range loads {
		whole := make([]float64, 4)
		for c, tally := range l.Classes {
			sum := 0.0
			for e, n := range tally.Tokens {
				whole[e] += n
				sum += n
			}
			if sum != 2*sizes[c] {
				t.Errorf("layer %d: %v tokens of class %v, want %v", l.Layer, sum, evals.Class(c), 2*sizes[c])
			}
		}
		if !slices.Equal(whole, l.Tokens) || l.TopK != 2 || l.Limited {
			t.Errorf("layer %d: classes add up to %v, all are %+v", l.Layer, whole, l)
		}
	}
	if _, err := evals.Balance(t.Context(), routes, m, ids, evals.BalanceOptions{Window: 13, Classes: classes[1:]}); err == nil {
		t.Error("a class fewer than tokens is taken")
	}
}

// What is dropped is what exceeds the capacity in each window: with ids alone deciding, it
// can be counted by hand.
func TestBalanceDrops(t *testing.T) {
	hash := arch.Channel{MoE: &arch.MoE{
		Experts: 4, Expert: arch.MLP{Hidden: 8, Act: kernels.SiLU, Gate: arch.FirstHalf},
		Router: arch.Router{TopK: 1, Hash: true, Capacity: 1},
	}}
	routes, m := model(t, hash)
	ids := []int32{7, 7, 7, 7, 7, 7, 7, 7, 7, 7} // windows of 8 and 2: 2 and 1 have room
	classes := make([]evals.Class, len(ids))
	classes[9] = evals.Digit
	for _, training := range []bool{false, true} {
		loads, err := evals.Balance(t.Context(), routes, m, ids, evals.BalanceOptions{Window: 8, Training: training, Classes: classes})
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range loads {
			want, last := 0.0, 0.0
			if training {
				want, last = 6+1, 1
			}
			if got := slices.Max(l.Dropped); got != want || slices.Max(l.Tokens) != 10 || l.Limited != training {
				t.Errorf("training %v: %+v, want %v dropped of 10", training, l, want)
			}
			if got := slices.Max(l.Classes[evals.Digit].Dropped); got != last {
				t.Errorf("training %v: %v of the last token dropped, want %v", training, got, last)
			}
		}
	}
}

// Experts that choose their tokens have even loads by definition: there is nothing to count,
// and it is said so. What tokens choose in inference is counted.
func TestBalanceOfExpertChoice(t *testing.T) {
	moe := *experts.MoE
	moe.Router = arch.Router{TopK: 2, Score: kernels.SoftmaxScore, ExpertChoice: true}
	routes, m := model(t, arch.Channel{MoE: &moe})
	_, err := evals.Balance(t.Context(), routes, m, text(50), evals.BalanceOptions{Window: 10, Training: true})
	if err == nil || !strings.Contains(err.Error(), "the experts of layer 1 choose their tokens") {
		t.Errorf("in training: %v", err)
	}
	loads, err := evals.Balance(t.Context(), routes, m, text(50), evals.BalanceOptions{Window: 10})
	if err != nil || len(loads) != 2 {
		t.Errorf("in inference: %v, %d layers", err, len(loads))
	}
}
