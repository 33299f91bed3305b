package flops_test

import (
	"maps"
	"slices"
	"testing"

	"quadrant/arch"
	"quadrant/flops"
	"quadrant/kernels"
	"quadrant/train"
)

// trainingByHand is each part's FLOPs in a step on one sequence of n tokens: the forward pass,
// the loss, and the gradients.
func trainingByHand(mambas, moes bool, n int64) map[string]int64 {
	pairs := n * (n + 1) / 2
	p := byHand(mambas, moes, 0, n)
	p["embedding"] = n * H                      // added to the rows of the table
	p["norm"] += n * (12*H*2*layers + (15+1)*H) // RMSNorms; the final LayerNorm with its bias
	p["head"] += 2*2*n*H*V + n*(6*V+3)          // two products; the loss with its gradient
	if mambas {
		p["projections"] += layers * n * (2*(2*H*2*I+2*I*(R+2*N)+2*R*I+2*I*H) + I) // two contributions to u are added
		p["conv"] += layers * n * I * ((2*K - 1) + 8 + (2*K - 1) + 2*K + 2)
		p["scan"] += layers * n * I * (20*N + 4 + 6 + 2 + 4 + 11) // states again and back; softplus, Δu, dt bias, skip, gate
		p["scan"] += layers * (2 + 2) * I * N                     // A from A_log, and back
	} else {
		p["projections"] *= 3
		p["attention"] += layers * (pairs*heads*(10*d+6) + n*2*heads*d + n*3*(heads+kv)*d)
	}
	mlp := int64(12*H*F + (8+3)*F)
	if moes {
		p["router"] += layers * n * (2*2*H*E + E + 6*top + H)        // bias; scores; its share of the input's gradient is added
		p["experts"] += layers * n * (top*mlp + 3*top*H + (top-1)*H) // gates and outputs; each token's choices are summed
	} else {
		p["mlp"] += layers * n * mlp
	}
	return p
}

// A step on the meter counts what is written by hand, for all four architectures, and is near
// three times its forward pass, which published counts take it for.
func TestTrainingEqualsClosedForm(t *testing.T) {
	for name, c := range map[string]struct {
		cfg         arch.Config
		mamba, moes bool
	}{
		"transformer": {config(attention, mlp), false, false}, "transformer-moe": {config(attention, moe), false, true},
		"mamba": {config(mamba, mlp), true, false}, "mamba-moe": {config(mamba, moe), true, true},
	} {
		for _, n := range []int64{1, 17, 600} { // the last takes more than one chunk of logits
			var m flops.Meter
			l, err := train.NewLearner(c.cfg, &m)
			if err != nil {
				t.Fatal(err)
			}
			ids := make([]int32, n)
			for range 2 {
				m.Reset() // the first step opens a session, which derives A once more
				if _, err := l.Step(ids, ids, 1, 1); err != nil {
					t.Fatal(err)
				}
			}
			if want := trainingByHand(c.mamba, c.moes, n); !maps.Equal(m.Parts, want) {
				t.Errorf("%s, %d tokens:\ngot  %v\nwant %v", name, n, m.Parts, want)
			}
			forward := int64(0)
			for _, f := range byHand(c.mamba, c.moes, 0, n) {
				forward += f
			}
			if ratio := float64(m.FLOPs) / float64(forward); n > 100 && (ratio < 2.9 || ratio > 3.25) {
				t.Errorf("%s, %d tokens: %.3f times the forward pass", name, n, ratio)
			}
		}
	}
}

// Layers that are computed again cost their forward pass once more: all of it but the embedding,
// the head with its norm, and the additions that the first norm of each layer had made.
func TestRecomputeEqualsClosedForm(t *testing.T) {
	for name, c := range map[string]struct {
		cfg         arch.Config
		mamba, moes bool
	}{
		"transformer": {config(attention, mlp), false, false}, "transformer-moe": {config(attention, moe), false, true},
		"mamba": {config(mamba, mlp), true, false}, "mamba-moe": {config(mamba, moe), true, true},
	} {
		const n = 40
		want := trainingByHand(c.mamba, c.moes, n)
		for part, again := range byHand(c.mamba, c.moes, 0, n) {
			switch part {
			case "head":
			case "norm":
				want[part] += n * (4*H*2*layers + H*layers)
			default:
				want[part] += again
			}
		}
		var m flops.Meter
		l, err := train.NewLearner(c.cfg, &m)
		if err != nil {
			t.Fatal(err)
		}
		l.Recompute(true)
		ids := make([]int32, n)
		for range 2 {
			m.Reset()
			if _, err := l.Step(ids, ids, 1, 1); err != nil {
				t.Fatal(err)
			}
		}
		if !maps.Equal(m.Parts, want) {
			t.Errorf("%s:\ngot  %v\nwant %v", name, m.Parts, want)
		}
	}
}

// A step with layers that are computed again needs, for each layer more, its input and what the
// session keeps: keys and values or a state. Without, it needs all that the layer computes.
func TestRecomputeSavesMemory(t *testing.T) {
	const seqs, n, dim = 16, 128, 64 // half a chunk of scratch memory for each [T, d]
	heads := arch.Sequence{Attention: &arch.Attention{Heads: 4, KVHeads: 4, HeadDim: 16, Rotary: &arch.Rotary{Dim: 16, Base: 10000}}}
	wide := arch.Channel{MLP: &arch.MLP{Hidden: 192, Act: kernels.SiLU, Gate: arch.FirstHalf}}
	measure := func(layers int, again bool) int64 {
		cfg := config(heads, wide)
		cfg.Dim, cfg.Layers = dim, slices.Repeat(cfg.Layers[:1], layers)
		d := &counted{Device: &flops.Meter{}}
		l, err := train.NewLearner(cfg, d)
		if err != nil {
			t.Fatal(err)
		}
		l.Recompute(again)
		d.bytes = 0
		ids := make([]int32, seqs*n)
		if _, err := l.Step(ids, ids, seqs, 1); err != nil {
			t.Fatal(err)
		}
		return d.bytes
	}
	const matrix = 4 * seqs * n * dim // bytes
	perLayer := (measure(20, true) - measure(4, true)) / 16
	if want := int64(matrix * (1 + 2)); perLayer != want {
		t.Errorf("a layer more takes %d bytes, want %d: its input, keys and values", perLayer, want)
	}
	// Two inputs, two normed; q, k and v; what attention makes; of MLPs 6 and 3; the logarithms of heads' sums.
	want := int64(matrix*(2+2+3+1+6+3+2)) + 4*seqs*n*4
	if perLayer := (measure(20, false) - measure(4, false)) / 16; perLayer < want || perLayer > want*12/10 {
		t.Errorf("without, a layer more takes %d bytes, want %d and what does not fit into a chunk", perLayer, want)
	}
}

// counted is a device that adds up what is allocated.
type counted struct {
	kernels.Device
	bytes int64
}

func (c *counted) Alloc(t kernels.Type, rows, cols int) kernels.Mat {
	c.bytes += int64(t.Size()) * int64(rows) * int64(cols)
	return c.Device.Alloc(t, rows, cols)
}

// Where experts choose, the experts' work is that of tokens that choose as many; what differs
// is the choice itself, and that sums are over a token's places, however many those are.
func TestExpertChoiceEqualsClosedForm(t *testing.T) {
	cfg := config(mamba, moe)
	for i := range cfg.Layers {
		m := *cfg.Layers[i].Channel.MoE
		m.Router = arch.Router{TopK: top, Score: kernels.SoftmaxScore, GateScale: 2, Bias: true, ExpertChoice: true}
		cfg.Layers[i].Channel.MoE = &m
	}
	const n = 40
	var m flops.Meter
	l, err := train.NewLearner(cfg, &m)
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]int32, n)
	for range 2 {
		m.Reset()
		if _, err := l.Step(ids, ids, 1, 1); err != nil {
			t.Fatal(err)
		}
	}
	want := trainingByHand(true, true, n)
	want["router"] = layers * n * (3*2*H*E + 2*E + (6*E + 1 + 2*top) + (6*E + 2*top) + H) // products and bias; choice; its gradient; the input's share
	want["experts"] = layers * n * (top*int64(6*H*F+5*F) + top*int64(12*H*F+(8+3)*F) + 2*top*H + 3*top*H + top*H)
	if !maps.Equal(m.Parts, want) {
		t.Errorf("got  %v\nwant %v", m.Parts, want)
	}
}

// A step that is like the last on the same matrices allocates nothing on the host.
func TestTapeAllocatesNothing(t *testing.T) {
	for _, cfg := range []arch.Config{config(attention, moe), config(mamba, moe), config(mamba, mlp)} {
		l, err := train.NewLearner(cfg, &flops.Meter{})
		if err != nil {
			t.Fatal(err)
		}
		ids := make([]int32, 20)
		if n := testing.AllocsPerRun(5, func() {
			if _, err := l.Step(ids, ids, 2, 1); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("a step makes %v allocations, want none", n)
		}
	}
}
