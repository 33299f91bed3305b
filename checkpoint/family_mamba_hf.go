package checkpoint

import "quadrant/arch"

// mambaHF is the same model as state-spaces/mamba in the format of transformers
// (configuration_mamba.py, modeling_mamba.py at 5728b5ad): other keys, and one other name.
var mambaHF = family{
	name: "mamba-hf", project: "huggingface/transformers, model_type mamba", tokenizer: neoxTokenizer,
	is: modelType("mamba"), config: mambaHFConfig, write: writeMambaHF, twin: "lm_head.weight",
	parts: func(c arch.Config, at place) []part { return mambaParts(c, at, "backbone.embeddings.weight") },
}

func mambaHFConfig(s *settings, _ Options) arch.Config {
	dim := s.int("hidden_size")
	if act := s.stringOr("hidden_act", "silu"); act != "silu" {
		s.failf("hidden_act is %q: only silu is supported in Mamba mixers", act)
	}
	m := arch.Mamba{
		Inner: s.intOr("intermediate_size", int(s.floatOr("expand", 2)*float64(dim))), State: s.intOr("state_size", 16), Conv: s.intOr("conv_kernel", 4),
		Rank: rank(s, "time_step_rank", dim), Bias: s.boolOr("use_bias", false), ConvBias: s.boolOr("use_conv_bias", true),
	}
	norm := rms(s.floatOr("layer_norm_epsilon", 1e-5))
	return arch.Config{
		Vocab: s.int("vocab_size"), Dim: dim, Norm: norm, FinalNorm: norm, TiedHead: s.boolOr("tie_word_embeddings", true),
		Layers: repeat(s.layers("num_hidden_layers"), func() arch.Layer {
			mixer := m
			return arch.Layer{Sequence: arch.Sequence{Mamba: &mixer}}
		}),
	}
}

func writeMambaHF(c arch.Config) any {
	m := first(c, mambaOf)
	return map[string]any{
		"model_type": "mamba", "architectures": []string{"MambaForCausalLM"}, "hidden_size": c.Dim, "num_hidden_layers": len(c.Layers),
		"vocab_size": c.Vocab, "state_size": m.State, "conv_kernel": m.Conv, "expand": ratio(m.Inner, c.Dim), "intermediate_size": m.Inner,
		"time_step_rank": m.Rank, "use_bias": m.Bias, "use_conv_bias": m.ConvBias, "hidden_act": "silu", "layer_norm_epsilon": c.Norm.Eps,
		"residual_in_fp32": true, "tie_word_embeddings": c.TiedHead,
	}
}
