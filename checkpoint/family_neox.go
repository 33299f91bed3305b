package checkpoint

import (
	"fmt"
	"strings"

	"quadrant/arch"
	"quadrant/kernels"
)

// neox is GPT-NeoX and Pythia in the format of transformers (configuration_gpt_neox.py,
// modeling_gpt_neox.py at 5728b5ad).
var neox = family{
	name: "gpt_neox", project: "huggingface/transformers, model_type gpt_neox", tokenizer: neoxTokenizer,
	is: modelType("gpt_neox"), config: neoxConfig, write: writeNeoX, parts: neoxParts, twin: "embed_out.weight",
	skip: func(name string) bool { // tables of old versions: the causal mask, its value, the angles
		if !strings.HasPrefix(name, "gpt_neox.layers.") {
			return false
		}
		return strings.HasSuffix(name, ".attention.bias") || strings.HasSuffix(name, ".attention.masked_bias") ||
			strings.HasSuffix(name, ".attention.rotary_emb.inv_freq")
	},
}

func neoxConfig(s *settings, _ Options) arch.Config {
	n, dim := s.layers("num_hidden_layers"), s.int("hidden_size")
	heads := s.pieces("num_attention_heads", s.int("num_attention_heads"), n)
	head := s.share("num_attention_heads", dim, heads)
	norm := layerNorm(s.floatOr("layer_norm_eps", 1e-5))
	a := arch.Attention{Heads: heads, KVHeads: heads, HeadDim: head, OutBias: s.boolOr("attention_bias", true)}
	a.QKVBias = a.OutBias
	base := ropeBase(s, "rotary_emb_base")
	part := s.floatOr("rotary_pct", s.floatOr("partial_rotary_factor", s.under("rope_parameters").floatOr("partial_rotary_factor", 0.25)))
	if rotary := int(float64(head) * part); rotary != 0 {
		a.Rotary = &arch.Rotary{Dim: rotary, Base: base}
	}
	mlp := arch.MLP{Hidden: s.int("intermediate_size"), Act: s.act("hidden_act", "gelu"), Gate: arch.Ungated, Bias: true}
	parallel := s.boolOr("use_parallel_residual", true)
	return arch.Config{
		Vocab: s.int("vocab_size"), Dim: dim, Norm: norm, FinalNorm: norm, TiedHead: s.boolOr("tie_word_embeddings", false),
		Layers: transformerLayers(n, a, arch.Channel{MLP: &mlp}, parallel),
	}
}

// transformerLayers makes n layers that are alike but share nothing.
func transformerLayers(n int, a arch.Attention, channel arch.Channel, parallel bool) []arch.Layer {
	return repeat(n, func() arch.Layer {
		a := a
		if a.Rotary != nil {
			r := *a.Rotary
			a.Rotary = &r
		}
		l := arch.Layer{Sequence: arch.Sequence{Attention: &a}, Parallel: parallel}
		if channel.MLP != nil {
			m := *channel.MLP
			l.Channel.MLP = &m
		}
		if channel.MoE != nil {
			m := *channel.MoE
			l.Channel.MoE = &m
		}
		return l
	})
}

// ropeBase is the base of the rotary angles, by whichever of its names is used. Anything
// that changes the angles is refused: it would be wrong without a word.
func ropeBase(s *settings, names ...string) float64 {
	for _, key := range []string{"rope_scaling", "rope_parameters"} {
		scaling := s.under(key)
		kind := scaling.stringOr("rope_type", scaling.stringOr("type", "default"))
		if kind != "default" || scaling.has("factor") {
			s.failf("%s of type %q is not supported: only plain rotary positions are", key, kind)
		}
		s.errs = append(s.errs, scaling.errs...)
	}
	for _, name := range append(names, "rope_theta") {
		if s.has(name) {
			return s.floatOr(name, 0)
		}
	}
	return s.under("rope_parameters").floatOr("rope_theta", 10000)
}

// actName is the name of an activation in transformers.
func actName(act kernels.Act) string {
	switch act {
	case kernels.GELUTanh:
		return "gelu_new"
	default:
		return act.String()
	}
}

func writeNeoX(c arch.Config) any {
	a, mlp := first(c, attentionOf), first(c, mlpOf)
	v := map[string]any{
		"model_type": "gpt_neox", "architectures": []string{"GPTNeoXForCausalLM"}, "hidden_size": c.Dim, "num_hidden_layers": len(c.Layers),
		"num_attention_heads": a.Heads, "intermediate_size": mlp.Hidden, "hidden_act": actName(mlp.Act), "vocab_size": c.Vocab,
		"layer_norm_eps": c.Norm.Eps, "use_parallel_residual": len(c.Layers) > 0 && c.Layers[0].Parallel, "attention_bias": a.QKVBias,
		"tie_word_embeddings": c.TiedHead, "max_position_embeddings": 2048, "rotary_pct": 0,
	}
	if a.Rotary != nil {
		v["rotary_pct"], v["rotary_emb_base"] = ratio(a.Rotary.Dim, a.HeadDim), a.Rotary.Base
	}
	return v
}

func neoxParts(c arch.Config, at place) []part {
	if at.layer < 0 {
		switch at.name {
		case "embed":
			return one("gpt_neox.embed_in.weight", c.Vocab, c.Dim)
		case "head":
			return one("embed_out.weight", c.Vocab, c.Dim)
		case "final_norm.gain":
			return one("gpt_neox.final_layer_norm.weight", c.Dim)
		case "final_norm.bias":
			return one("gpt_neox.final_layer_norm.bias", c.Dim)
		}
		return nil
	}
	layer, l := fmt.Sprintf("gpt_neox.layers.%d.", at.layer), c.Layers[at.layer]
	a, m := l.Sequence.Attention, l.Channel.MLP
	if a == nil || m == nil {
		return nil
	}
	width := a.Heads * a.HeadDim
	switch at.name {
	case "sequence_norm.gain":
		return one(layer+"input_layernorm.weight", c.Dim)
	case "sequence_norm.bias":
		return one(layer+"input_layernorm.bias", c.Dim)
	case "channel_norm.gain": // in parallel layers it is not after attention, whatever it is called
		return one(layer+"post_attention_layernorm.weight", c.Dim)
	case "channel_norm.bias":
		return one(layer+"post_attention_layernorm.bias", c.Dim)
	case "attention.qkv":
		return []part{{layer + "attention.query_key_value.weight", []int{3 * width, c.Dim}, byHead(a.Heads, a.HeadDim*c.Dim)}}
	case "attention.qkv_bias":
		return []part{{layer + "attention.query_key_value.bias", []int{3 * width}, byHead(a.Heads, a.HeadDim)}}
	case "attention.out":
		return one(layer+"attention.dense.weight", c.Dim, width)
	case "attention.out_bias":
		return one(layer+"attention.dense.bias", c.Dim)
	case "mlp.in":
		return one(layer+"mlp.dense_h_to_4h.weight", m.Hidden, c.Dim)
	case "mlp.in_bias":
		return one(layer+"mlp.dense_h_to_4h.bias", m.Hidden)
	case "mlp.out":
		return one(layer+"mlp.dense_4h_to_h.weight", c.Dim, m.Hidden)
	case "mlp.out_bias":
		return one(layer+"mlp.dense_4h_to_h.bias", c.Dim)
	}
	return nil
}

// byHead are the runs that make [Q | K | V] of what has q, k and v of each head together,
// each of size elements.
func byHead(heads, size int) []run {
	runs := make([]run, 0, 3*heads)
	for which := range 3 {
		for h := range heads {
			runs = append(runs, run{to: (which*heads + h) * size, at: (3*h + which) * size, n: size})
		}
	}
	return runs
}
