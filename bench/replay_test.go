package bench_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"quadrant/arch"
	"quadrant/bench"
	"quadrant/kernels"
	"quadrant/kernels/cpu"
	"quadrant/results"
)

// routed is a model of two MoE layers of 4 experts, two for each token, on a steered device.
func routed(t *testing.T) (*bench.Steered, bench.Case) {
	t.Helper()
	dev, err := cpu.Open("", 1)
	if err != nil {
		t.Fatal(err)
	}
	norm := arch.Norm{Kind: arch.RMSNorm, Eps: 1e-5}
	mamba := arch.Sequence{Mamba: &arch.Mamba{Inner: 16, State: 4, Conv: 4, Rank: 1}}
	moe := arch.Channel{MoE: &arch.MoE{
		Experts: 4, Expert: arch.MLP{Hidden: 8, Act: kernels.SiLU, Gate: arch.FirstHalf},
		Router: arch.Router{TopK: 2, Score: kernels.SoftmaxTopKScore},
	}}
	steered := &bench.Steered{Device: dev}
	m, err := arch.New(arch.Config{Vocab: 20, Dim: 8, Norm: norm, FinalNorm: norm, TiedHead: true, Layers: []arch.Layer{
		{Sequence: mamba, Channel: moe}, {Sequence: mamba}, {Channel: moe},
	}}, steered, arch.Types{})
	if err != nil {
		t.Fatal(err)
	}
	m.Init(3)
	return steered, bench.Case{Subject: results.Subject{Model: "routed"}, Model: m}
}

func replayPlan() bench.ReplayPlan {
	p := bench.ReplayPlan{Corpus: "text", Tokenizer: "bytes", Prompt: 10, Batch: 3, Repeats: 4, Seed: 1}
	for i := range int32(30) {
		p.IDs = append(p.IDs, i*i%19)
	}
	return p
}

// Every routing is timed once a round, in turns, and loads are those that it is named for.
func TestReplay(t *testing.T) {
	ms, got := measurer(t)
	dev, c := routed(t)
	p := replayPlan()
	if err := ms.Replay(t.Context(), dev, c, p); err != nil {
		t.Fatal(err)
	}
	loads, order := map[string][]float64{}, ""
	for _, r := range *got {
		if err := r.Validate(); err != nil {
			t.Fatal(err)
		}
		if r.Metric == "replay" {
			order += fmt.Sprintf("%d%c", r.Point.Run, r.Point.Routing[0])
			if r.Values[0] != 0.001 { // nothing but the pass lies between two looks at the clock
				t.Errorf("a pass of %v s", r.Values)
			}
			continue
		}
		sum := 0.0
		for _, n := range r.Values {
			sum += n
		}
		if sum != 60 || r.Point.TopK != 2 {
			t.Errorf("%s, layer %d: %v, want 60 choices, two per token", r.Point.Routing, *r.Point.Layer, r.Values)
		}
		loads[fmt.Sprint(r.Point.Routing, *r.Point.Layer)] = slices.Sorted(slices.Values(r.Values))
	}
	if want := "1r1u1z1s2u2z2s2r3z3s3r3u4s4r4u4z"; order != want {
		t.Errorf("order %s, want %s", order, want)
	}
	for _, layer := range []string{"0", "2"} {
		if got := loads["single"+layer]; !slices.Equal(got, []float64{0, 0, 30, 30}) {
			t.Errorf("single: %v", got)
		}
		if got := loads["uniform"+layer]; !slices.Equal(got, []float64{15, 15, 15, 15}) {
			t.Errorf("uniform: %v", got)
		}
		if got := loads["zipf"+layer]; got[3] <= got[0] {
			t.Errorf("zipf: %v", got)
		}
	}
}

// The recorded loads are those of the routers, and replaying them changes no bit of the
// logits; other routings change them.
func TestReplayOfTheRecordIsTheModel(t *testing.T) {
	ms, got := measurer(t)
	dev, c := routed(t)
	p := replayPlan()
	logits := func() []float32 {
		in, out := dev.Alloc(kernels.I32, 30, 1), dev.Alloc(kernels.F32, 3, c.Model.Vocab)
		kernels.Put(dev, in, p.IDs)
		c.Model.Open(3, 10).Forward(out, in)
		values := make([]float32, out.Len())
		kernels.Get(dev, values, out)
		return values
	}
	want := logits()
	if err := ms.Replay(t.Context(), dev, c, p); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(logits(), want) {
		t.Error("the model is still steered after the replay")
	}
	for routing, same := range map[string]bool{bench.Recorded: true, bench.Uniform: false, bench.Single: false} {
		got, err := bench.LogitsUnder(dev, c.Model, p, routing)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Equal(got, want) != same {
			t.Errorf("%s: logits equal the model's: %v, want %v", routing, !same, same)
		}
	}
	if len(*got) == 0 {
		t.Error("nothing was written")
	}
}

// What is known is not measured again.
func TestReplayResumes(t *testing.T) {
	ms, got := measurer(t)
	dev, c := routed(t)
	p := replayPlan()
	p.Repeats = 2
	if err := ms.Replay(t.Context(), dev, c, p); err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, r := range *got {
		have[r.Key()] = true
	}
	*got = nil
	ms.Have = func(r results.Result) bool { return have[r.Key()] }
	if !ms.ReplayKnown(c.Subject, c.Model.Config, p) {
		t.Error("what was measured is not known")
	}
	p.Repeats = 3
	if ms.ReplayKnown(c.Subject, c.Model.Config, p) {
		t.Error("a third round is known")
	}
	if err := ms.Replay(t.Context(), dev, c, p); err != nil {
		t.Fatal(err)
	}
	if len(*got) != 4 || (*got)[0].Point.Run != 3 {
		t.Errorf("%d results more, want the third round's 4", len(*got))
	}
}

func TestReplayErrors(t *testing.T) {
	ms, _ := measurer(t)
	dev, c := routed(t)
	for want, change := range map[string]func(*bench.ReplayPlan){
		"prompt is 0":    func(p *bench.ReplayPlan) { p.Prompt = 0 },
		"repeats is 0":   func(p *bench.ReplayPlan) { p.Repeats = 0 },
		"has 30 tokens":  func(p *bench.ReplayPlan) { p.Batch = 4 },
		"token id 20 at": func(p *bench.ReplayPlan) { p.IDs[3] = 20 },
	} {
		p := replayPlan()
		change(&p)
		if err := ms.Replay(t.Context(), dev, c, p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
	dense := cases(t, dev, "dense")[0]
	if err := ms.Replay(t.Context(), dev, dense, replayPlan()); err == nil || !strings.Contains(err.Error(), "no mixture of experts") {
		t.Errorf("a dense model: error %v", err)
	}
}

// Choices are experts, none twice for a token, and Zipf's shares are 1/r over their sum.
func TestRoutings(t *testing.T) {
	for _, routing := range []string{bench.Uniform, bench.Zipf, bench.Single} {
		for _, k := range []int{1, 3, 5} {
			const tokens = 37
			chosen := bench.Route(routing, 7, tokens, 5, k)
			if len(chosen) != tokens*k {
				t.Fatalf("%s: %d choices, want %d", routing, len(chosen), tokens*k)
			}
			for own := range slices.Chunk(chosen, k) {
				s := slices.Sorted(slices.Values(own))
				if s[0] < 0 || s[k-1] > 4 || len(slices.Compact(s)) != k {
					t.Fatalf("%s: a token goes to %v", routing, own)
				}
			}
		}
	}
	counts := make([]float64, 4)
	const tokens = 50_000
	for _, e := range bench.Route(bench.Zipf, 1, tokens, 4, 1) {
		counts[e]++
	}
	slices.Sort(counts)
	for i, n := range counts {
		rank := float64(4 - i)
		want := tokens / rank / (1 + 1.0/2 + 1.0/3 + 1.0/4)
		if math.Abs(n-want) > 5*math.Sqrt(want) {
			t.Errorf("rank %v has %v tokens, want about %v", rank, n, want)
		}
	}
}
