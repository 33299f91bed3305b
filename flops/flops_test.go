package flops_test

import (
	"maps"
	"slices"
	"testing"

	"quadrant/arch"
	"quadrant/flops"
	"quadrant/kernels"
)

// The models below are written twice: as configs, and as sums written by hand. vocab V,
// d_model H; experts of width F.
const (
	V, H, F      = 100, 32, 48
	heads, kv, d = 4, 2, 8      // attention
	I, N, R, K   = 64, 16, 2, 4 // Mamba
	E, top       = 8, 2         // experts
	layers       = 3
)

func config(sequence arch.Sequence, channel arch.Channel) arch.Config {
	norm := arch.Norm{Kind: arch.RMSNorm, Eps: 1e-5}
	return arch.Config{
		Vocab: V, Dim: H, Norm: norm, FinalNorm: arch.Norm{Kind: arch.LayerNorm, Bias: true, Eps: 1e-5}, TiedHead: true,
		Layers: slices.Repeat([]arch.Layer{{Sequence: sequence, Channel: channel}}, layers),
	}
}

var (
	attention = arch.Sequence{Attention: &arch.Attention{Heads: heads, KVHeads: kv, HeadDim: d, Rotary: &arch.Rotary{Dim: d, Base: 10000}}}
	mamba     = arch.Sequence{Mamba: &arch.Mamba{Inner: I, State: N, Conv: K, Rank: R, ConvBias: true}}
	expert    = arch.MLP{Hidden: F, Act: kernels.SiLU, Gate: arch.FirstHalf}
	mlp       = arch.Channel{MLP: &expert}
	moe       = arch.Channel{MoE: &arch.MoE{Experts: E, Expert: expert, Router: arch.Router{TopK: top, Score: kernels.SigmoidScore, Bias: true}}}
)

// byHand is each part's FLOPs for n tokens after past others, in one sequence.
func byHand(mambas, moes bool, past, n int64) map[string]int64 {
	pairs := n*past + n*(n+1)/2
	norms := n * (4*H*2*layers + 7*H) // RMSNorm 4 each, the final LayerNorm 7
	norms += n * H * 2 * layers       // additions to the residual stream
	p := map[string]int64{"embedding": 0, "norm": norms, "head": 2 * n * H * V}
	if mambas {
		p["projections"] = layers * n * (2*H*2*I + 2*I*(R+2*N) + 2*R*I + 2*I*H)
		p["conv"] = layers * n * I * (2*K + 4)
		p["scan"] = layers * n * I * (7*N + 2 + 1 + 1 + 3 + 5) // skip, Δu, dt bias, softplus, gate
	} else {
		p["projections"] = layers * n * 2 * H * (heads*d + 2*kv*d + heads*d)
		p["attention"] = layers * (pairs*heads*(4*d+6) + n*3*(heads+kv)*d)
	}
	mlp := int64(6*H*F + 5*F)
	if moes {
		p["router"] = layers * n * (2*H*E + E + E*top + 3*top)
		p["experts"] = layers * n * (top*mlp + (2*top-1)*H)
	} else {
		p["mlp"] = layers * n * mlp
	}
	return p
}

func TestMeterEqualsClosedForm(t *testing.T) {
	for name, c := range map[string]struct {
		cfg         arch.Config
		mamba, moes bool
	}{
		"transformer": {config(attention, mlp), false, false}, "transformer-moe": {config(attention, moe), false, true},
		"mamba": {config(mamba, mlp), true, false}, "mamba-moe": {config(mamba, moe), true, true},
	} {
		for _, at := range []struct{ past, n int64 }{{0, 1}, {0, 17}, {40, 1}, {40, 9}} {
			got, err := flops.Count(c.cfg, flops.Work{Seqs: 1, Context: int(at.past), Tokens: int(at.n)})
			if err != nil {
				t.Fatal(err)
			}
			want := byHand(c.mamba, c.moes, at.past, at.n)
			if !maps.Equal(got.Parts, want) {
				t.Errorf("%s, %d tokens after %d:\ngot  %v\nwant %v", name, at.n, at.past, got.Parts, want)
			}
			total := int64(0)
			for part, n := range got.Parts {
				total += n
				if !slices.Contains(flops.Parts, part) {
					t.Errorf("part %q is not in Parts", part)
				}
			}
			if total != got.FLOPs || total != got.Cost.FLOPs() {
				t.Errorf("%s: parts add up to %d, total is %d, cost %d", name, total, got.FLOPs, got.Cost.FLOPs())
			}
		}
	}
}

// The conventions' published formulas, per token.
func TestConventions(t *testing.T) {
	mambaMoE := config(mamba, moe)
	for name, want := range map[string]int64{
		"paper": layers*(I*(11*N+4*R+1)+6*I*H+2*I*K+top*6*F*H+2*E) + 2*H*V,
		"gu9":   layers*(2*H*2*I+2*I*(R+2*N)+2*R*I+2*I*H+2*I*K+I*(9*N+2)+top*6*F*H+2*E*H) + 2*H*V,
	} {
		c, err := flops.ConventionNamed(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := flops.Count(mambaMoE, flops.Work{Seqs: 1, Tokens: 1, Convention: c})
		if err != nil {
			t.Fatal(err)
		}
		if got.FLOPs != want {
			t.Errorf("%s: %d FLOPs, by hand %d", name, got.FLOPs, want)
		}
	}
	if _, err := flops.ConventionNamed("exakt"); err == nil {
		t.Error("an unknown convention is no error")
	}
}

// State is what the models' definitions say: two rows of keys and values per token, or a
// constant.
func TestStateBytes(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  arch.Config
		want func(n int64) int64
	}{
		"transformer": {config(attention, mlp), func(n int64) int64 { return layers * 2 * kv * d * 4 * n }},
		"mamba":       {config(mamba, mlp), func(int64) int64 { return layers * (I*N + I*(K-1)) * 4 }},
	} {
		for _, n := range []int{1, 2048} {
			got, err := flops.Count(c.cfg, flops.Work{Seqs: 3, Context: n - 1, Tokens: 1})
			if err != nil {
				t.Fatal(err)
			}
			if want := c.want(int64(n)); got.StateBytes != want {
				t.Errorf("%s: %d bytes at %d tokens, want %d", name, got.StateBytes, n, want)
			}
		}
	}
}

// A decode step reads every active weight once and, of experts, only those chosen.
func TestDecodeReadsActiveWeights(t *testing.T) {
	for name, cfg := range map[string]arch.Config{"dense": config(mamba, mlp), "moe": config(attention, moe)} {
		got, err := flops.Count(cfg, flops.Work{Seqs: 1, Context: 10, Tokens: 1})
		if err != nil {
			t.Fatal(err)
		}
		// The tied embedding is read as the head, and one row of it as the embedding;
		// A is read in place of A_log.
		if want := 4 * (got.Params.Active + H); got.Cost.Weight != want {
			t.Errorf("%s: %d bytes of weights read, want %d", name, got.Cost.Weight, want)
		}
	}
}

func TestWorkErrors(t *testing.T) {
	for _, w := range []flops.Work{{}, {Seqs: 1, Tokens: -1}, {Seqs: 1, Tokens: 1, Context: -1}} {
		if _, err := flops.Count(config(mamba, mlp), w); err == nil {
			t.Errorf("%+v is no error", w)
		}
	}
}
