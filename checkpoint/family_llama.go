package checkpoint

import (
	"fmt"

	"quadrant/arch"
	"quadrant/kernels"
)

// llama is Llama in the format of transformers (configuration_llama.py, modeling_llama.py
// at 5728b5ad), whose query and key rows are in half-split rotary order, not Meta's.
var llama = family{
	name: "llama", project: "huggingface/transformers, model_type llama",
	is: modelType("llama"), config: llamaConfig, write: writeLlama, parts: llamaParts, twin: "lm_head.weight",
	skip: oldRotary,
}

// mixtral is Llama's attention with a mixture of experts (configuration_mixtral.py,
// modeling_mixtral.py at 5728b5ad).
var mixtral = family{
	name: "mixtral", project: "huggingface/transformers, model_type mixtral",
	is: modelType("mixtral"), config: mixtralConfig, write: writeMixtral, parts: llamaParts, twin: "lm_head.weight",
	skip: oldRotary,
}

// oldRotary tells whether a tensor is the table of angles that old versions saved.
func oldRotary(name string) bool {
	var layer int
	var rest string
	n, _ := fmt.Sscanf(name, "model.layers.%d.%s", &layer, &rest)
	return n == 2 && rest == "self_attn.rotary_emb.inv_freq"
}

// llamaBody is the config but for its channel mixers.
func llamaBody(s *settings, bias bool, eps, theta float64) (arch.Config, arch.Attention, int) {
	n, dim := s.layers("num_hidden_layers"), s.int("hidden_size")
	heads := s.pieces("num_attention_heads", s.int("num_attention_heads"), n)
	a := arch.Attention{Heads: heads, KVHeads: s.intOr("num_key_value_heads", heads), HeadDim: s.intOr("head_dim", 0), QKVBias: bias, OutBias: bias}
	if !s.has("head_dim") {
		a.HeadDim = s.share("num_attention_heads", dim, heads)
	}
	for _, of := range []*settings{s, s.under("rope_parameters")} {
		if f := of.floatOr("partial_rotary_factor", 1); f != 1 {
			s.failf("partial_rotary_factor is %v, want 1", f)
		}
	}
	base := ropeBase(s)
	if !s.has("rope_theta") && !s.under("rope_parameters").has("rope_theta") {
		base = theta
	}
	a.Rotary = &arch.Rotary{Dim: a.HeadDim, Base: base}
	norm := rms(s.floatOr("rms_norm_eps", eps))
	return arch.Config{
		Vocab: s.int("vocab_size"), Dim: dim, Norm: norm, FinalNorm: norm, TiedHead: s.boolOr("tie_word_embeddings", false),
	}, a, n
}

func llamaConfig(s *settings, _ Options) arch.Config {
	c, a, n := llamaBody(s, s.boolOr("attention_bias", false), 1e-6, 10000)
	mlp := arch.MLP{Hidden: s.int("intermediate_size"), Act: s.act("hidden_act", "silu"), Gate: arch.FirstHalf, Bias: s.boolOr("mlp_bias", false)}
	c.Layers = transformerLayers(n, a, arch.Channel{MLP: &mlp}, false)
	return c
}

func mixtralConfig(s *settings, _ Options) arch.Config {
	if s.has("sliding_window") {
		s.failf("sliding_window is %v: attention to only the last tokens is not supported", s.keys["sliding_window"])
	}
	c, a, n := llamaBody(s, false, 1e-5, 1e6)
	moe := arch.MoE{
		Experts: s.pieces("num_local_experts", s.intOr("num_local_experts", 8), n),
		Expert:  arch.MLP{Hidden: s.int("intermediate_size"), Act: s.act("hidden_act", "silu"), Gate: arch.FirstHalf},
		Router:  arch.Router{TopK: s.intOr("num_experts_per_tok", 2), Score: kernels.SoftmaxTopKScore},
	}
	c.Layers = transformerLayers(n, a, arch.Channel{MoE: &moe}, false)
	return c
}

func writeLlama(c arch.Config) any {
	mlp := first(c, mlpOf)
	v := writeLlamaBody(c, "llama", "LlamaForCausalLM", mlp)
	v["attention_bias"], v["mlp_bias"] = first(c, attentionOf).QKVBias, mlp.Bias
	return v
}

func writeMixtral(c arch.Config) any {
	moe := first(c, moeOf)
	v := writeLlamaBody(c, "mixtral", "MixtralForCausalLM", moe.Expert)
	v["num_local_experts"], v["num_experts_per_tok"], v["sliding_window"] = moe.Experts, moe.Router.TopK, nil
	return v
}

func writeLlamaBody(c arch.Config, modelType, architecture string, mlp arch.MLP) map[string]any {
	a := first(c, attentionOf)
	v := map[string]any{
		"model_type": modelType, "architectures": []string{architecture}, "hidden_size": c.Dim, "num_hidden_layers": len(c.Layers),
		"num_attention_heads": a.Heads, "num_key_value_heads": a.KVHeads, "intermediate_size": mlp.Hidden, "hidden_act": actName(mlp.Act),
		"vocab_size": c.Vocab, "rms_norm_eps": c.Norm.Eps, "tie_word_embeddings": c.TiedHead, "max_position_embeddings": 2048,
	}
	if a.Heads*a.HeadDim != c.Dim {
		v["head_dim"] = a.HeadDim
	}
	if a.Rotary != nil {
		v["rope_theta"] = a.Rotary.Base
	}
	return v
}

func llamaParts(c arch.Config, at place) []part {
	if at.layer < 0 {
		switch at.name {
		case "embed":
			return one("model.embed_tokens.weight", c.Vocab, c.Dim)
		case "head":
			return one("lm_head.weight", c.Vocab, c.Dim)
		case "final_norm.gain":
			return one("model.norm.weight", c.Dim)
		}
		return nil
	}
	layer, l := fmt.Sprintf("model.layers.%d.", at.layer), c.Layers[at.layer]
	switch at.name {
	case "sequence_norm.gain":
		return one(layer+"input_layernorm.weight", c.Dim)
	case "channel_norm.gain":
		return one(layer+"post_attention_layernorm.weight", c.Dim)
	}
	if parts := llamaAttention(layer+"self_attn.", l.Sequence.Attention, c.Dim, at.name); parts != nil {
		return parts
	}
	if m := l.Channel.MLP; m != nil {
		return llamaMLP(layer+"mlp.", [3]string{"gate_proj", "up_proj", "down_proj"}, *m, c.Dim, "mlp.", at.name, 0)
	}
	if m := l.Channel.MoE; m != nil {
		if at.name == "moe.router.w" {
			return one(layer+"block_sparse_moe.gate.weight", m.Experts, c.Dim)
		}
		var parts []part
		for e := range m.Experts {
			prefix := fmt.Sprintf("%sblock_sparse_moe.experts.%d.", layer, e)
			parts = append(parts, llamaMLP(prefix, [3]string{"w1", "w3", "w2"}, m.Expert, c.Dim, "moe.", at.name, e)...)
		}
		return parts
	}
	return nil
}

func llamaAttention(prefix string, a *arch.Attention, dim int, name string) []part {
	if a == nil {
		return nil
	}
	q, kv := a.Heads*a.HeadDim, a.KVHeads*a.HeadDim
	switch name {
	case "attention.qkv":
		return []part{
			slab(0, prefix+"q_proj.weight", q, dim), slab(q*dim, prefix+"k_proj.weight", kv, dim), slab((q+kv)*dim, prefix+"v_proj.weight", kv, dim),
		}
	case "attention.qkv_bias":
		return []part{slab(0, prefix+"q_proj.bias", q), slab(q, prefix+"k_proj.bias", kv), slab(q+kv, prefix+"v_proj.bias", kv)}
	case "attention.out":
		return one(prefix+"o_proj.weight", dim, q)
	case "attention.out_bias":
		return one(prefix+"o_proj.bias", dim)
	}
	return nil
}

// llamaMLP are the tensors of an MLP, gate, value and output, or of the e-th of several
// that are stacked.
func llamaMLP(prefix string, names [3]string, m arch.MLP, dim int, kind, name string, e int) []part {
	f := m.Hidden
	switch name {
	case kind + "in":
		return []part{slab(2*e*f*dim, prefix+names[0]+".weight", f, dim), slab((2*e+1)*f*dim, prefix+names[1]+".weight", f, dim)}
	case kind + "in_bias":
		return []part{slab(2*e*f, prefix+names[0]+".bias", f), slab((2*e+1)*f, prefix+names[1]+".bias", f)}
	case kind + "out":
		return []part{slab(e*dim*f, prefix+names[2]+".weight", dim, f)}
	case kind + "out_bias":
		return []part{slab(e*dim, prefix+names[2]+".bias", dim)}
	}
	return nil
}
