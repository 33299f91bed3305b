package arch_test

import (
	"math"
	"strings"
	"testing"

	"quadrant/arch"
	"quadrant/kernels"
)

func TestFamily(t *testing.T) {
	want := map[string]arch.Family{
		"transformer": arch.DenseTransformer, "gpt-neox": arch.DenseTransformer, "mamba": arch.DenseMamba,
		"transformer-moe": arch.TransformerMoE, "mamba-moe": arch.MambaMoE, "hybrid": arch.Hybrid, "routers": arch.Hybrid,
	}
	for name, cfg := range models() {
		if got := cfg.Family(); got != want[name] {
			t.Errorf("%s is of family %q, want %q", name, got, want[name])
		}
	}
}

// Each way to get a config wrong is told with the field and the numbers.
func TestValidate(t *testing.T) {
	mamba := func(c *arch.Config) *arch.Mamba { return c.Layers[0].Sequence.Mamba }
	router := func(c *arch.Config) *arch.Router { return &c.Layers[1].Channel.MoE.Router }
	for _, c := range []struct {
		model, want string
		spoil       func(c *arch.Config)
	}{
		{"mamba", "vocab is missing or 0", func(c *arch.Config) { c.Vocab = 0 }},
		{"mamba", "d_model is -3, want 1 to", func(c *arch.Config) { c.Dim = -3 }},
		{"mamba", "number of layers is missing or 0", func(c *arch.Config) { c.Layers = nil }},
		{"mamba", "norm.kind is missing, want one of rms, layer", func(c *arch.Config) { c.Norm.Kind = 0 }},
		{"mamba", "final_norm.eps is missing or 0", func(c *arch.Config) { c.FinalNorm.Eps = 0 }},
		{"mamba", "norm.bias is true, but an rms norm has no bias", func(c *arch.Config) { c.Norm.Bias = true }},
		{"mamba", "layers[0].sequence.mamba.dt_rank is missing or 0", func(c *arch.Config) { mamba(c).Rank = 0 }},
		{"mamba", "layers[0].sequence.mamba.d_inner is 1073741824, want 1 to", func(c *arch.Config) { mamba(c).Inner = 1 << 30 }},
		{"mamba", "layers[1] has no sequence (attention, mamba) and no channel", func(c *arch.Config) { c.Layers[1] = arch.Layer{} }},
		{"mamba", "layers[2].parallel is true", func(c *arch.Config) { c.Layers[2].Parallel = true }},
		{"transformer", "layers[0].sequence has both attention and mamba", func(c *arch.Config) { c.Layers[0].Sequence.Mamba = &arch.Mamba{} }},
		{"transformer", "layers[0].channel has both mlp and moe", func(c *arch.Config) { c.Layers[0].Channel.MoE = &arch.MoE{} }},
		{"transformer", "3 kv_heads do not divide 4 heads", func(c *arch.Config) { c.Layers[0].Sequence.Attention.KVHeads = 3 }},
		{"transformer", "rotary.dim is 10, want an even number from 2 to head_dim 8", func(c *arch.Config) { c.Layers[0].Sequence.Attention.Rotary.Dim = 10 }},
		{"transformer", "rotary.base is missing or 0", func(c *arch.Config) { c.Layers[0].Sequence.Attention.Rotary.Base = 0 }},
		{"transformer", "mlp.act is missing", func(c *arch.Config) { c.Layers[0].Channel.MLP.Act = 0 }},
		{"transformer", "mlp.gate is missing", func(c *arch.Config) { c.Layers[0].Channel.MLP.Gate = 0 }},
		{"mamba-moe", "router.top_k is 5, but there are 4 experts", func(c *arch.Config) { c.Layers[1].Channel.MoE.Router.TopK = 5 }},
		{"mamba-moe", "router.score is missing", func(c *arch.Config) { c.Layers[1].Channel.MoE.Router.Score = 0 }},
		{"mamba-moe", "sinkhorn: temperature is 0", func(c *arch.Config) { c.Layers[1].Channel.MoE.Router.Sinkhorn.Temperature = 0 }},
		{"mamba-moe", "router has 2 of sinkhorn, loss_free, hash and expert_choice", func(c *arch.Config) { router(c).LossFree = &arch.LossFree{Rate: 0.1} }},
		{"mamba-moe", "router.gate_scale is -1", func(c *arch.Config) { router(c).GateScale = -1 }},
		{"mamba-moe", "router.balance_loss is NaN", func(c *arch.Config) { router(c).BalanceLoss = float32(math.NaN()) }},
		{"mamba-moe", "router.z_loss is -0.1", func(c *arch.Config) { router(c).ZLoss = -0.1 }},
		{"mamba-moe", "router.capacity is +Inf", func(c *arch.Config) { router(c).Capacity = float32(math.Inf(1)) }},
		{"mamba-moe", "router.inference is ema_bias, but it has no sinkhorn", func(c *arch.Config) {
			router(c).Sinkhorn, router(c).Inference = nil, arch.EMABiasInference
		}},
		{"mamba-moe", "router.loss_free.rate is missing or 0", func(c *arch.Config) { router(c).Sinkhorn, router(c).LossFree = nil, &arch.LossFree{} }},
		{"mamba-moe", "router has 2 of sinkhorn, loss_free, hash and expert_choice", func(c *arch.Config) { router(c).ExpertChoice = true }},
		{"mamba-moe", "router.expert_choice fills experts evenly", func(c *arch.Config) {
			*router(c) = arch.Router{TopK: 1, Score: kernels.SigmoidScore, ExpertChoice: true}
		}},
		{"mamba-moe", "router.inference is expert_choice, but it has no expert_choice", func(c *arch.Config) {
			*router(c) = arch.Router{TopK: 1, Score: kernels.SoftmaxScore, Inference: arch.ExpertChoiceInference}
		}},
		{"routers", "router.hash routes by token ids: it goes with top_k and capacity only", func(c *arch.Config) { c.Layers[0].Channel.MoE.Router.Bias = true }},
		{"mamba-moe", "experts is missing or 0", func(c *arch.Config) { c.Layers[1].Channel.MoE.Experts = 0 }},
	} {
		cfg := models()[c.model]
		if err := cfg.Validate(); err != nil {
			t.Fatalf("%s: %v", c.model, err)
		}
		c.spoil(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.model, err, c.want)
		}
		if _, err := arch.New(cfg, openCPU(t), arch.Types{}); err == nil {
			t.Errorf("%s: New takes it", c.want)
		}
	}
}

func TestNewRefusesIntegerWeights(t *testing.T) {
	if _, err := arch.New(models()["mamba"], openCPU(t), arch.Types{Weights: kernels.I32}); err == nil {
		t.Error("weights of integers are no error")
	}
}

func TestCheckIDs(t *testing.T) {
	cfg := models()["mamba"]
	if err := cfg.CheckIDs([]int32{0, vocab - 1}); err != nil {
		t.Error(err)
	}
	for want, id := range map[string]int32{"token id 40 at position 1 is out of range: the vocabulary has 40": vocab, "token id -1 at position 1": -1} {
		if err := cfg.CheckIDs([]int32{0, id}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// Weights do not depend on the number of goroutines that draw them or on the order of
// models, and another seed draws others.
func TestInitIsReproducible(t *testing.T) {
	dev := openCPU(t)
	weights := func(seed uint64) (all []float32) {
		m, err := arch.New(models()["hybrid"], dev, arch.Types{})
		if err != nil {
			t.Fatal(err)
		}
		m.Init(seed)
		m.Params(func(_ string, p *arch.Param) {
			v := make([]float32, p.Len())
			kernels.Get(dev, v, p.Mat)
			all = append(all, v...)
		})
		return all
	}
	a, again, b := weights(1), weights(1), weights(2)
	same := 0
	for i := range a {
		if a[i] != again[i] {
			t.Fatalf("value %d is %v and then %v", i, a[i], again[i])
		}
		if a[i] == b[i] {
			same++
		}
	}
	if same > len(a)/4 { // gains, biases and A_log are constants
		t.Errorf("%d of %d values do not depend on the seed", same, len(a))
	}
}
