package train_test

import (
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"quadrant/arch"
	"quadrant/kernels"
	"quadrant/kernels/device"
	"quadrant/kernels/ref"
	"quadrant/train"
)

// small is a model with every kind of mixer.
func small() arch.Config {
	norm := arch.Norm{Kind: arch.RMSNorm, Eps: 1e-5}
	mlp := arch.MLP{Hidden: 12, Act: kernels.SiLU, Gate: arch.FirstHalf}
	return arch.Config{
		Vocab: 16, Dim: 8, Norm: norm, FinalNorm: norm, TiedHead: true,
		Layers: []arch.Layer{
			{Sequence: arch.Sequence{Attention: &arch.Attention{Heads: 2, KVHeads: 2, HeadDim: 4, Rotary: &arch.Rotary{Dim: 4, Base: 100}}}, Channel: arch.Channel{MLP: &mlp}},
			{Sequence: arch.Sequence{Mamba: &arch.Mamba{Inner: 16, State: 4, Conv: 3, Rank: 2, ConvBias: true}}},
			{Channel: arch.Channel{MoE: &arch.MoE{Experts: 4, Expert: mlp, Router: arch.Router{
				TopK: 1, Score: kernels.SigmoidScore, GateScale: 2, Bias: true, Input: arch.BothInput, Inference: arch.EMABiasInference,
				Sinkhorn: &arch.Sinkhorn{Temperature: 1, ColumnFirst: true, MaxIterations: 8, Tolerance: 0.01},
			}}}},
		},
	}
}

// pattern is a source of sequences in which each token but the first follows from the one
// before.
type pattern struct{ vocab int }

func (pattern) Err() error { return nil }

func (p pattern) Describe() string { return "pattern" }

func (p pattern) Sequence(at int64, ids, targets []int32) {
	id := int32((at*7 + 3) % int64(p.vocab))
	for t := range ids {
		ids[t] = id
		id = (id*5 + 3) % int32(p.vocab)
		targets[t] = id
	}
}

func options(steps int) train.Options {
	return train.Options{
		Context: 8, Batch: 4, Accumulate: 1, AdamW: train.DefaultAdamW,
		Schedule: train.Schedule{Shape: train.Cosine, Peak: 0.02, Floor: 0.1, Steps: steps, Warmup: steps / 10},
	}
}

func newTrainer(t testing.TB, dev kernels.Device, source train.Source, o train.Options) *train.Trainer {
	t.Helper()
	l, err := train.NewLearner(small(), dev)
	if err != nil {
		t.Fatal(err)
	}
	l.Model().Init(1)
	tr, err := train.NewTrainer(l, source, o)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func steps(t testing.TB, tr *train.Trainer, n int) (last train.Record) {
	t.Helper()
	for range n {
		var err error
		if last, err = tr.Step(); err != nil {
			t.Fatal(err)
		}
	}
	return last
}

// bitsOf are all that a model keeps, as bits.
func bitsOf(tr *train.Trainer) (all []uint32) {
	tr.Learner().Model().Params(func(_ string, p *arch.Param) {
		v := make([]float32, p.Len())
		kernels.Get(tr.Learner().Device(), v, p.Mat)
		for _, f := range v {
			all = append(all, math.Float32bits(f))
		}
	})
	return all
}

func openCPU(t testing.TB) kernels.Device {
	t.Helper()
	dev, err := device.Open("cpu", 2)
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

// A model of every mixer learns what follows from what.
func TestTrainerLearns(t *testing.T) {
	tr := newTrainer(t, ref.New(), pattern{16}, options(120))
	first := steps(t, tr, 1)
	if math.Abs(first.Loss-math.Log(16)) > 0.3 {
		t.Errorf("the first loss is %v, want about that of guessing, %v", first.Loss, math.Log(16))
	}
	last := steps(t, tr, 119)
	if last.Loss > 0.1 || !tr.Done() || last.Step != 120 || last.Tokens != 120*32 {
		t.Errorf("after %d steps and %d tokens the loss is %v, want below 0.1", last.Step, last.Tokens, last.Loss)
	}
	if n := len(last.Routers); n != 1 {
		t.Fatalf("%d routers, want 1", n)
	}
	sum := int32(0)
	for _, load := range last.Routers[0].Loads {
		sum += load
	}
	if r := last.Routers[0]; r.Layer != 2 || sum != 32 || r.Iterations < 1 {
		t.Errorf("the router of layer %d gave %d tokens to experts, in %d iterations; want layer 2, 32 and some", r.Layer, sum, r.Iterations)
	}
}

// A step in two passes is a step in one, but for the rounding of sums, in a model whose
// routers do not look at the batch.
func TestAccumulate(t *testing.T) {
	run := func(batch, accumulate int) []uint32 {
		cfg := small()
		cfg.Layers = cfg.Layers[:2]
		l, err := train.NewLearner(cfg, ref.New())
		if err != nil {
			t.Fatal(err)
		}
		l.Model().Init(1)
		o := options(10)
		o.Batch, o.Accumulate = batch, accumulate
		tr, err := train.NewTrainer(l, pattern{16}, o)
		if err != nil {
			t.Fatal(err)
		}
		steps(t, tr, 3)
		return bitsOf(tr)
	}
	one, two := run(4, 1), run(2, 2)
	for i := range one {
		a, b := float64(math.Float32frombits(one[i])), float64(math.Float32frombits(two[i]))
		if math.Abs(a-b) > 1e-3*(0.01+math.Abs(a)) {
			t.Fatalf("weight %d is %v after steps of one pass, %v after steps of two", i, a, b)
		}
	}
}

// The norm of gradients is clipped: with a bound of nearly nothing, the moments stay near
// nothing, but Adam's steps are as large as ever; with a Clip of 0 there is no bound.
func TestOptimizerOptions(t *testing.T) {
	for _, bad := range []train.Options{
		{}, func() train.Options { o := options(5); o.AdamW.Beta1 = 1; return o }(), func() train.Options { o := options(5); o.Schedule.Peak = 0; return o }(),
	} {
		l, err := train.NewLearner(small(), ref.New())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := train.NewTrainer(l, pattern{16}, bad); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

// A run that diverges stops, and says at which step and in what.
func TestNotFinite(t *testing.T) {
	tr := newTrainer(t, ref.New(), pattern{16}, options(20))
	steps(t, tr, 2)
	tr.Learner().Model().Params(func(name string, p *arch.Param) {
		if name == "layers.1.mamba.dt_bias" {
			v := make([]float32, p.Len())
			kernels.Get(tr.Learner().Device(), v, p.Mat)
			v[3] = float32(math.NaN())
			kernels.Put(tr.Learner().Device(), p.Mat, v)
		}
	})
	_, err := tr.Step()
	bad := (*train.NotFinite)(nil)
	if !errors.As(err, &bad) || bad.Name != "layers.1.mamba.dt_bias" || bad.What != "weight" || !strings.Contains(err.Error(), "step 3") {
		t.Errorf("error %v, want one that names step 3 and the weight", err)
	}
}

// The same seed gives the same weights, another another.
func TestDeterministic(t *testing.T) {
	run := func(s train.Source) []uint32 {
		tr := newTrainer(t, openCPU(t), s, options(5))
		steps(t, tr, 5)
		return bitsOf(tr)
	}
	if !slices.Equal(run(pattern{16}), run(pattern{16})) {
		t.Error("two runs that are alike differ")
	}
	if slices.Equal(run(pattern{16}), run(pattern{15})) {
		t.Error("other text gives the same weights")
	}
}

// A run that is saved and goes on is the run that was not interrupted.
func TestSaveAndLoad(t *testing.T) {
	const total, at = 12, 7
	whole := newTrainer(t, openCPU(t), pattern{16}, options(total))
	steps(t, whole, total)

	dir := t.TempDir()
	first := newTrainer(t, openCPU(t), pattern{16}, options(total))
	for range at {
		steps(t, first, 1)
		if _, err := first.Save(dir, nil, nil, 2); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := train.Checkpoints(dir)
	if err != nil || len(kept) != 2 || !strings.HasSuffix(kept[1], "step-0000007") {
		t.Fatalf("kept %v, %v; want the last two", kept, err)
	}
	second := newTrainer(t, openCPU(t), pattern{16}, options(total))
	if err := second.Load(kept[1]); err != nil {
		t.Fatal(err)
	}
	if second.Steps() != at {
		t.Errorf("it goes on after step %d, want %d", second.Steps(), at)
	}
	steps(t, second, total-at)
	if !slices.Equal(bitsOf(whole), bitsOf(second)) {
		t.Error("the resumed run has other weights")
	}

	for want, tr := range map[string]*train.Trainer{
		"other settings": newTrainer(t, openCPU(t), pattern{16}, options(total+1)),
		"other data":     newTrainer(t, openCPU(t), other{pattern{16}}, options(total)),
	} {
		if err := tr.Load(kept[1]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	if err := os.Truncate(kept[1]+"/trainer.safetensors", 2000); err != nil {
		t.Fatal(err)
	}
	if err := second.Load(kept[1]); err == nil {
		t.Error("a state that was cut off is taken")
	}
}

type other struct{ pattern }

func (other) Describe() string { return "another pattern" }
