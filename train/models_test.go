package train_test

import (
	"math/rand/v2"

	"quadrant/arch"
	"quadrant/kernels"
)

const vocab = 23

// models are tiny models of the four architectures, of layers in parallel, of both sequence
// mixers in one, and of every kind of router.
func models() map[string]arch.Config {
	rms, layerNorm := arch.Norm{Kind: arch.RMSNorm, Eps: 1e-5}, arch.Norm{Kind: arch.LayerNorm, Bias: true, Eps: 1e-5}
	attention := arch.Sequence{Attention: &arch.Attention{Heads: 4, KVHeads: 2, HeadDim: 4, Rotary: &arch.Rotary{Dim: 4, Base: 10000}}}
	neox := arch.Sequence{Attention: &arch.Attention{Heads: 2, KVHeads: 2, HeadDim: 8, Rotary: &arch.Rotary{Dim: 2, Base: 10000}, QKVBias: true, OutBias: true}}
	mamba := arch.Sequence{Mamba: &arch.Mamba{Inner: 24, State: 4, Conv: 4, Rank: 3, ConvBias: true}}
	bare := arch.Sequence{Mamba: &arch.Mamba{Inner: 20, State: 3, Conv: 1, Rank: 1, Bias: true}}
	swiglu := arch.MLP{Hidden: 20, Act: kernels.SiLU, Gate: arch.FirstHalf}
	mlp := arch.Channel{MLP: &swiglu}
	plain := arch.Channel{MLP: &arch.MLP{Hidden: 24, Act: kernels.GELU, Gate: arch.Ungated, Bias: true}}
	of := func(norm, final arch.Norm, tied bool, layers ...arch.Layer) arch.Config {
		return arch.Config{Vocab: vocab, Dim: 16, Norm: norm, FinalNorm: final, TiedHead: tied, HeadBias: !tied, Layers: layers}
	}
	experts := func(expert arch.MLP, r arch.Router) arch.Channel {
		return arch.Channel{MoE: &arch.MoE{Experts: 4, Expert: expert, Router: r}}
	}
	sinkhorn := &arch.Sinkhorn{Temperature: 0.5, ColumnFirst: true, MaxIterations: 8, Tolerance: 0.01}
	blackMamba := arch.Router{TopK: 1, Score: kernels.SigmoidScore, Bias: true, Sinkhorn: sinkhorn, Inference: arch.EMABiasInference, GateScale: 2}
	mixtral := arch.Router{TopK: 2, Score: kernels.SoftmaxTopKScore, BalanceLoss: 0.02}
	geglu := arch.MLP{Hidden: 12, Act: kernels.GELUTanh, Gate: arch.SecondHalf, Bias: true}

	all := map[string]arch.Config{
		"transformer":     of(rms, rms, true, arch.Layer{Sequence: attention, Channel: mlp}, arch.Layer{Sequence: attention, Channel: mlp}),
		"mamba":           of(rms, rms, true, arch.Layer{Sequence: mamba}, arch.Layer{Sequence: mamba}),
		"transformer-moe": of(rms, rms, false, arch.Layer{Sequence: attention, Channel: experts(swiglu, mixtral)}, arch.Layer{Sequence: attention, Channel: experts(swiglu, mixtral)}),
		"mamba-moe": of(rms, layerNorm, true, arch.Layer{Sequence: mamba}, arch.Layer{Channel: experts(swiglu, blackMamba)},
			arch.Layer{Sequence: mamba}, arch.Layer{Channel: experts(swiglu, blackMamba)}),
		"parallel": of(layerNorm, layerNorm, false, arch.Layer{Sequence: neox, Channel: plain, Parallel: true}, arch.Layer{Sequence: neox, Channel: plain, Parallel: true}),
		"hybrid": of(rms, rms, true, arch.Layer{Sequence: mamba, Channel: mlp}, arch.Layer{Sequence: attention, Channel: experts(geglu, blackMamba), Parallel: true},
			arch.Layer{Sequence: bare, Channel: experts(geglu, mixtral), Parallel: true}, arch.Layer{Channel: plain}),
	}
	for name, r := range map[string]arch.Router{
		"softmax":       {TopK: 1, Score: kernels.SoftmaxScore, BalanceLoss: 0.01, ZLoss: 0.001},
		"both":          {TopK: 2, Score: kernels.SoftmaxScore, Input: arch.BothInput, ZLoss: 0.01},
		"embedding":     {TopK: 1, Score: kernels.SigmoidScore, Input: arch.EmbeddingInput, Sinkhorn: sinkhorn},
		"loss-free":     {TopK: 2, Score: kernels.SigmoidScore, LossFree: &arch.LossFree{Rate: 1e-9}},
		"capacity":      {TopK: 2, Score: kernels.SigmoidScore, Capacity: 0.75},
		"hash":          {TopK: 2, Hash: true},
		"megatron":      {TopK: 2, Score: kernels.SoftmaxScore, Sinkhorn: &arch.Sinkhorn{Temperature: 1, MaxIterations: 50, Tolerance: 1e-4, Absolute: true}},
		"expert-choice": {TopK: 2, Score: kernels.SoftmaxScore, GateScale: 1.5, ExpertChoice: true},
		"unbalanced":    {TopK: 1, Score: kernels.SigmoidScore, Bias: true},
	} {
		all["router "+name] = of(rms, rms, true, arch.Layer{Sequence: mamba, Channel: experts(geglu, r)}, arch.Layer{Sequence: attention, Channel: experts(swiglu, r)})
	}
	return all
}

func tokens(n int, seed uint64) []int32 {
	r := rand.New(rand.NewPCG(seed, 7))
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = r.Int32N(vocab)
	}
	return ids
}
