package arch_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"quadrant/arch"
	"quadrant/kernels"
	"quadrant/kernels/cpu"
)

const vocab = 40

// models are small configs of every kind: the four architectures in the shape of the
// models that made them known, then hybrids and options. Another is one more line.
func models() map[string]arch.Config {
	rms, layerNorm := arch.Norm{Kind: arch.RMSNorm, Eps: 1e-5}, arch.Norm{Kind: arch.LayerNorm, Bias: true, Eps: 1e-5}
	attention := arch.Sequence{Attention: &arch.Attention{Heads: 4, KVHeads: 2, HeadDim: 8, Rotary: &arch.Rotary{Dim: 8, Base: 10000}}}
	neox := arch.Sequence{Attention: &arch.Attention{Heads: 2, KVHeads: 2, HeadDim: 16, Rotary: &arch.Rotary{Dim: 4, Base: 10000}, QKVBias: true, OutBias: true}}
	mamba := arch.Sequence{Mamba: &arch.Mamba{Inner: 48, State: 4, Conv: 4, Rank: 3, ConvBias: true}}
	swiglu := arch.MLP{Hidden: 40, Act: kernels.SiLU, Gate: arch.FirstHalf}
	mlp := arch.Channel{MLP: &swiglu}
	plain := arch.Channel{MLP: &arch.MLP{Hidden: 64, Act: kernels.GELU, Gate: arch.Ungated, Bias: true}}
	mixtral := arch.Channel{MoE: &arch.MoE{Experts: 4, Expert: swiglu, Router: arch.Router{TopK: 2, Score: kernels.SoftmaxTopKScore}}}
	switched := arch.Channel{MoE: &arch.MoE{
		Experts: 4, Expert: arch.MLP{Hidden: 24, Act: kernels.GELU, Gate: arch.FirstHalf},
		Router: arch.Router{TopK: 1, Score: kernels.SigmoidScore, Bias: true, Sinkhorn: &arch.Sinkhorn{Temperature: 0.5, ColumnFirst: true, MaxIterations: 8, Tolerance: 0.01}},
	}}
	biased := arch.Channel{MoE: &arch.MoE{
		Experts: 3, Expert: arch.MLP{Hidden: 24, Act: kernels.GELUTanh, Gate: arch.SecondHalf, Bias: true},
		Router: arch.Router{TopK: 3, Score: kernels.SoftmaxScore},
	}}
	routed := func(r arch.Router) arch.Channel {
		return arch.Channel{MoE: &arch.MoE{Experts: 4, Expert: swiglu, Router: r}}
	}
	hash := routed(arch.Router{TopK: 2, Hash: true, Capacity: 1})
	ema := routed(arch.Router{TopK: 1, Score: kernels.SigmoidScore, GateScale: 2, Input: arch.BothInput, Inference: arch.EMABiasInference,
		Sinkhorn: &arch.Sinkhorn{Temperature: 1, MaxIterations: 8, Tolerance: 1e-4, Absolute: true}})
	lossFree := routed(arch.Router{TopK: 2, Score: kernels.SigmoidScore, Input: arch.EmbeddingInput, LossFree: &arch.LossFree{Rate: 0.01}, ZLoss: 0.001})
	of := func(final arch.Norm, layers ...arch.Layer) arch.Config {
		return arch.Config{Vocab: vocab, Dim: 32, Norm: rms, FinalNorm: final, TiedHead: true, Layers: layers}
	}
	gptNeoX := arch.Config{Vocab: vocab, Dim: 32, Norm: layerNorm, FinalNorm: layerNorm, HeadBias: true, Layers: []arch.Layer{
		{Sequence: neox, Channel: plain, Parallel: true}, {Sequence: neox, Channel: plain, Parallel: true},
	}}
	return map[string]arch.Config{
		"transformer":     of(rms, arch.Layer{Sequence: attention, Channel: mlp}, arch.Layer{Sequence: attention, Channel: mlp}),
		"mamba":           of(rms, arch.Layer{Sequence: mamba}, arch.Layer{Sequence: mamba}, arch.Layer{Sequence: mamba}),
		"transformer-moe": of(rms, arch.Layer{Sequence: attention, Channel: mixtral}, arch.Layer{Sequence: attention, Channel: mixtral}),
		"mamba-moe":       of(layerNorm, arch.Layer{Sequence: mamba}, arch.Layer{Channel: switched}, arch.Layer{Sequence: mamba}, arch.Layer{Channel: switched}),
		"gpt-neox":        gptNeoX,
		"hybrid": of(rms, arch.Layer{Sequence: mamba, Channel: mlp}, arch.Layer{Sequence: attention, Channel: switched, Parallel: true},
			arch.Layer{Sequence: mamba, Channel: biased, Parallel: true}),
		"routers": of(rms, arch.Layer{Sequence: mamba, Channel: hash}, arch.Layer{Sequence: attention, Channel: ema}, arch.Layer{Channel: lossFree}),
	}
}

// each runs f on every model in float32, bf16 and f16.
func each(t *testing.T, f func(t *testing.T, m *arch.Model, dev kernels.Device)) {
	for name, cfg := range models() {
		for _, w := range []kernels.Type{kernels.F32, kernels.BF16, kernels.F16} {
			t.Run(fmt.Sprintf("%s/%v", name, w), func(t *testing.T) {
				dev := openCPU(t)
				f(t, build(t, cfg, dev, arch.Types{Weights: w, Cache: w}), dev)
			})
		}
	}
}

func openCPU(t *testing.T) *cpu.Device {
	dev, err := cpu.Open("", 0)
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

// build returns a model with random weights, the same for every device.
func build(t *testing.T, cfg arch.Config, dev kernels.Device, types arch.Types) *arch.Model {
	t.Helper()
	m, err := arch.New(cfg, dev, types)
	if err != nil {
		t.Fatal(err)
	}
	m.Init(1)
	return m
}

// run feeds ids to a fresh session in steps of the given lengths and returns the logits
// of every position, sequence by sequence.
func run(t *testing.T, m *arch.Model, dev kernels.Device, seqs int, ids []int32, steps ...int) []float32 {
	t.Helper()
	n := len(ids) / seqs
	return feed(t, m.Open(seqs, n), dev, seqs, ids, steps...)
}

func feed(t *testing.T, s *arch.Session, dev kernels.Device, seqs int, ids []int32, steps ...int) []float32 {
	t.Helper()
	n := len(ids) / seqs
	all := make([]float32, seqs*n*vocab)
	at := 0
	for _, step := range steps {
		in, out := dev.Alloc(kernels.I32, seqs*step, 1), dev.Alloc(kernels.F32, seqs*step, vocab)
		var part []int32
		for q := range seqs {
			part = append(part, ids[q*n+at:q*n+at+step]...)
		}
		kernels.Put(dev, in, part)
		s.Forward(out, in)
		if err := dev.Sync(); err != nil {
			t.Fatal(err)
		}
		got := make([]float32, seqs*step*vocab)
		kernels.Get(dev, got, out)
		for q := range seqs {
			copy(all[(q*n+at)*vocab:], got[q*step*vocab:(q+1)*step*vocab])
		}
		at += step
	}
	return all
}

func tokens(n int) []int32 {
	r := rand.New(rand.NewPCG(7, 7))
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = r.Int32N(vocab)
	}
	return ids
}

// near wants got within 1e-4 of the standard deviation of want.
func near(t *testing.T, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d values, want %d", len(got), len(want))
	}
	mean, squares := 0.0, 0.0
	for _, v := range want {
		mean += float64(v) / float64(len(want))
	}
	for _, v := range want {
		squares += (float64(v) - mean) * (float64(v) - mean) / float64(len(want))
	}
	bound := 1e-4 * math.Sqrt(squares)
	worst, at := 0.0, 0
	for i := range want {
		if d := math.Abs(float64(got[i] - want[i])); !(d <= worst) {
			worst, at = d, i
		}
	}
	if !(worst <= bound) || bound == 0 {
		t.Errorf("element %d is %v, want %v: off by %.2g, allowed %.2g", at, got[at], want[at], worst, bound)
	}
}

// Reading a prompt whole, in pieces and token by token are the same function.
func TestPrefillEqualsDecode(t *testing.T) {
	each(t, func(t *testing.T, m *arch.Model, dev kernels.Device) {
		ids := tokens(2 * 21)
		whole := run(t, m, dev, 2, ids, 21)
		near(t, run(t, m, dev, 2, ids, slices.Repeat([]int{1}, 21)...), whole)
		near(t, run(t, m, dev, 2, ids, 3, 1, 2, 9, 6), whole)
	})
}

// The logits of the last position alone are those of the last of all positions.
func TestLastLogits(t *testing.T) {
	each(t, func(t *testing.T, m *arch.Model, dev kernels.Device) {
		ids := tokens(3 * 7)
		all := run(t, m, dev, 3, ids, 7)
		in, out := dev.Alloc(kernels.I32, 21, 1), dev.Alloc(kernels.F32, 3, vocab)
		kernels.Put(dev, in, ids)
		m.Open(3, 7).Forward(out, in)
		got := make([]float32, 3*vocab)
		kernels.Get(dev, got, out)
		for q := range 3 {
			near(t, got[q*vocab:(q+1)*vocab], all[(q*7+6)*vocab:(q*7+7)*vocab])
		}
	})
}

// No position sees a later token, and every later one sees an earlier change.
func TestCausal(t *testing.T) {
	each(t, func(t *testing.T, m *arch.Model, dev kernels.Device) {
		ids := tokens(12)
		before := run(t, m, dev, 1, ids, 12)
		ids[5] = (ids[5] + 1) % vocab
		after := run(t, m, dev, 1, ids, 12)
		if !slices.Equal(after[:5*vocab], before[:5*vocab]) {
			t.Error("logits before a token depend on it")
		}
		for p := 5; p < 12; p++ {
			if slices.Equal(after[p*vocab:(p+1)*vocab], before[p*vocab:(p+1)*vocab]) {
				t.Errorf("logits at %d do not depend on the token at 5", p)
			}
		}
	})
}

// The first token still matters long after every convolution has passed it.
func TestFirstTokenMatters(t *testing.T) {
	each(t, func(t *testing.T, m *arch.Model, dev kernels.Device) {
		ids := tokens(40)
		before := run(t, m, dev, 1, ids, 40)
		ids[0] = (ids[0] + 1) % vocab
		after := run(t, m, dev, 1, ids, 40)
		if slices.Equal(after[39*vocab:], before[39*vocab:]) {
			t.Error("the last position does not depend on the first token")
		}
	})
}

// A sequence's logits are the same bit for bit alone and beside others.
func TestSequencesAreIndependent(t *testing.T) {
	each(t, func(t *testing.T, m *arch.Model, dev kernels.Device) {
		ids := tokens(3 * 9)
		together := run(t, m, dev, 3, ids, 5, 1, 3)
		for q := range 3 {
			if alone := run(t, m, dev, 1, ids[q*9:(q+1)*9], 5, 1, 3); !slices.Equal(alone, together[q*9*vocab:(q+1)*9*vocab]) {
				t.Errorf("sequence %d of 3 differs from the same alone", q)
			}
		}
	})
}

// A session that was reset is as good as new.
func TestReset(t *testing.T) {
	each(t, func(t *testing.T, m *arch.Model, dev kernels.Device) {
		ids := tokens(2 * 6)
		s := m.Open(2, 6)
		first := feed(t, s, dev, 2, ids, 4, 1, 1)
		s.Reset()
		if again := feed(t, s, dev, 2, ids, 4, 1, 1); !slices.Equal(again, first) {
			t.Error("a second run after Reset differs from the first")
		}
	})
}

// Greedy decoding with a cache or state chooses what full recomputation chooses.
func TestGreedyEqualsRecomputation(t *testing.T) {
	each(t, func(t *testing.T, m *arch.Model, dev kernels.Device) {
		ids := tokens(3)
		s := m.Open(1, 20)
		got := feed(t, s, dev, 1, ids, 3)
		for len(ids) < 20 {
			next := int32(argMax(got[len(got)-vocab:]))
			ids = append(ids, next)
			full := run(t, m, dev, 1, ids, len(ids))
			got = feed(t, s, dev, 1, []int32{next}, 1)
			near(t, got, full[len(full)-vocab:])
			if a, b := argMax(got), argMax(full[len(full)-vocab:]); a != b {
				t.Fatalf("token %d: decoding chooses %d, recomputation %d", len(ids), a, b)
			}
		}
	})
}

func argMax(x []float32) int {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return best
}

// The number of threads changes no bit.
func TestThreadsChangeNothing(t *testing.T) {
	for name, cfg := range models() {
		t.Run(name, func(t *testing.T) {
			var want []float32
			for _, threads := range []int{1, 2, 5} {
				dev, err := cpu.Open("", threads)
				if err != nil {
					t.Fatal(err)
				}
				got := run(t, build(t, cfg, dev, arch.Types{}), dev, 2, tokens(2*40), 38, 1, 1)
				if want != nil && !slices.Equal(got, want) {
					t.Errorf("%d threads compute other logits than 1", threads)
				}
				want = got
			}
		})
	}
}

// A decode step allocates nothing after the first.
func TestDecodeAllocatesNothing(t *testing.T) {
	each(t, func(t *testing.T, m *arch.Model, dev kernels.Device) {
		const length = 150
		s := m.Open(2, length)
		in, out := dev.Alloc(kernels.I32, 2, 1), dev.Alloc(kernels.F32, 2, vocab)
		if n := testing.AllocsPerRun(length-2, func() { s.Forward(out, in) }); n != 0 { // after a first, uncounted
			t.Errorf("a decode step makes %v allocations, want none", n)
		}
	})
}

// While training, Sinkhorn spreads tokens over experts more evenly than the argmax that
// inference takes.
func TestTrainingBalances(t *testing.T) {
	dev := openCPU(t)
	m := build(t, models()["mamba-moe"], dev, arch.Types{})
	ids := tokens(400)
	load := func(training bool) (worst int32) {
		w := &watcher{Device: dev}
		m, err := arch.New(m.Config, w, arch.Types{})
		if err != nil {
			t.Fatal(err)
		}
		m.Init(1)
		s := m.Open(1, len(ids))
		s.Training = training
		feed(t, s, w, 1, ids, len(ids))
		return slices.Max(w.loads)
	}
	argmax, balanced := load(false), load(true)
	if fair := int32(len(ids) / 4); balanced >= argmax || balanced > fair*3/2 {
		t.Errorf("the fullest expert has %d of %d tokens with Sinkhorn and %d by argmax; fair is %d", balanced, len(ids), argmax, fair)
	}
}

// A watcher keeps the number of tokens of each expert.
type watcher struct {
	kernels.Device
	loads []int32
}

func (w *watcher) Do(op kernels.Op) {
	w.Device.Do(op)
	if s, ok := op.(*kernels.Sort); ok {
		off := make([]int32, s.Offsets.Rows)
		kernels.Get(w.Device, off, s.Offsets)
		for e := range len(off) - 1 {
			w.loads = append(w.loads, off[e+1]-off[e])
		}
	}
}
