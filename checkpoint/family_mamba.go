package checkpoint

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"quadrant/arch"
	"quadrant/kernels"
)

// neoxTokenizer is what Mamba, BlackMamba and Pythia were trained with; their folders do
// not always hold it.
const neoxTokenizer = "gpt-neox-20b"

// mambaEps is the eps of norms in state-spaces/mamba and Zyphra/BlackMamba, which their
// configs do not say (mamba_ssm/modules/block.py, mixer_seq_simple.py).
const mambaEps = 1e-5

// mamba is the format of state-spaces/mamba (mamba_ssm/models/config_mamba.py and
// mixer_seq_simple.py at e9594ce).
var mamba = family{
	name: "mamba", project: "state-spaces/mamba", tokenizer: neoxTokenizer,
	is: func(s *settings) bool {
		return s.has("d_model") && s.has("n_layer") && !s.has("model_type")
	},
	config: mambaConfig, write: writeMamba, twin: "lm_head.weight",
	parts: func(c arch.Config, at place) []part { return mambaParts(c, at, "backbone.embedding.weight") },
}

// gatedMultiple is what state-spaces/mamba rounds the width of its MLPs up to
// (mamba_ssm/modules/mlp.py).
const gatedMultiple = 128

func mambaConfig(s *settings, _ Options) arch.Config {
	ssm := s.under("ssm_cfg")
	for _, key := range slices.Sorted(maps.Keys(ssm.keys)) {
		switch key {
		case "layer", "d_state", "d_conv", "expand", "dt_rank", "bias", "conv_bias":
		case "dt_min", "dt_max", "dt_init", "dt_scale", "dt_init_floor", "use_fast_path": // of initialisation and speed
		default:
			s.failf("ssm_cfg.%s is not supported", key)
		}
	}
	if layer := ssm.stringOr("layer", "Mamba1"); layer != "Mamba1" {
		s.failf("ssm_cfg.layer is %q: only Mamba1 mixers are supported, not Mamba2 and others", layer)
	}
	if list, ok := s.keys["attn_layer_idx"].([]any); s.has("attn_layer_idx") && (!ok || len(list) > 0) {
		s.failf("attn_layer_idx is %.60q: hybrids with attention layers are not supported", fmt.Sprint(s.keys["attn_layer_idx"]))
	}
	dim, vocab, multiple := s.int("d_model"), s.int("vocab_size"), s.intOr("pad_vocab_size_multiple", 8)
	if multiple < 1 {
		s.failf("pad_vocab_size_multiple is %d, want at least 1", multiple)
		multiple = 1
	}
	norm := rms(mambaEps)
	if !s.boolOr("rms_norm", true) {
		norm = layerNorm(mambaEps)
	}
	m := arch.Mamba{
		Inner: int(ssm.floatOr("expand", 2) * float64(dim)), State: ssm.intOr("d_state", 16), Conv: ssm.intOr("d_conv", 4),
		Rank: rank(ssm, "dt_rank", dim), Bias: ssm.boolOr("bias", false), ConvBias: ssm.boolOr("conv_bias", true),
	}
	s.errs = append(s.errs, ssm.errs...)
	hidden := s.intOr("d_intermediate", 0)
	return arch.Config{
		Vocab: (vocab + multiple - 1) / multiple * multiple, Dim: dim, Norm: norm, FinalNorm: norm, TiedHead: s.boolOr("tie_embeddings", true),
		Layers: repeat(s.layers("n_layer"), func() arch.Layer {
			mixer := m
			l := arch.Layer{Sequence: arch.Sequence{Mamba: &mixer}}
			if hidden != 0 {
				l.Channel.MLP = &arch.MLP{Hidden: (hidden + gatedMultiple - 1) / gatedMultiple * gatedMultiple, Act: kernels.SiLU, Gate: arch.SecondHalf}
			}
			return l
		}),
	}
}

// rank is the width of the step size's projection, by default a 16th of the model's.
func rank(s *settings, key string, dim int) int {
	if v := s.keys[key]; v == nil || v == any("auto") {
		return (dim + 15) / 16
	}
	return s.intOr(key, 0)
}

func writeMamba(c arch.Config) any {
	m, mlp := first(c, mambaOf), first(c, mlpOf)
	ssm := map[string]any{}
	for key, v := range map[string]struct{ is, usual any }{
		"d_state": {m.State, 16}, "d_conv": {m.Conv, 4}, "bias": {m.Bias, false}, "conv_bias": {m.ConvBias, true},
		"expand": {ratio(m.Inner, c.Dim), json.Number("2")}, "dt_rank": {m.Rank, (c.Dim + 15) / 16},
	} {
		if v.is != v.usual {
			ssm[key] = v.is
		}
	}
	v := map[string]any{
		"d_model": c.Dim, "n_layer": len(c.Layers), "vocab_size": c.Vocab, "ssm_cfg": ssm, "rms_norm": c.Norm.Kind == arch.RMSNorm,
		"residual_in_fp32": true, "fused_add_norm": true, "pad_vocab_size_multiple": 8,
	}
	if c.Vocab%8 != 0 {
		v["pad_vocab_size_multiple"] = 1
	}
	if mlp.Hidden != 0 {
		v["d_intermediate"] = mlp.Hidden
	}
	if !c.TiedHead {
		v["tie_embeddings"] = false
	}
	return v
}

// ratio is a/b as a whole number where it is one, and otherwise so that int(ratio × b)
// is a.
func ratio(a, b int) json.Number {
	if b < 1 {
		return "0"
	}
	if a%b == 0 {
		return json.Number(fmt.Sprint(a / b))
	}
	r := float64(a) / float64(b)
	if int(r*float64(b)) < a {
		r = (float64(a) + 0.5) / float64(b)
	}
	return json.Number(fmt.Sprint(r))
}

func mambaParts(c arch.Config, at place, embedding string) []part {
	if at.layer < 0 {
		switch at.name {
		case "embed":
			return one(embedding, c.Vocab, c.Dim)
		case "head":
			return one("lm_head.weight", c.Vocab, c.Dim)
		case "final_norm.gain":
			return one("backbone.norm_f.weight", c.Dim)
		case "final_norm.bias":
			return one("backbone.norm_f.bias", c.Dim)
		}
		return nil
	}
	layer, l := fmt.Sprintf("backbone.layers.%d.", at.layer), c.Layers[at.layer]
	switch at.name {
	case "sequence_norm.gain":
		return one(layer+"norm.weight", c.Dim)
	case "sequence_norm.bias":
		return one(layer+"norm.bias", c.Dim)
	case "channel_norm.gain":
		return one(layer+"norm2.weight", c.Dim)
	case "channel_norm.bias":
		return one(layer+"norm2.bias", c.Dim)
	case "mlp.in":
		return one(layer+"mlp.fc1.weight", 2*l.Channel.MLP.Hidden, c.Dim)
	case "mlp.out":
		return one(layer+"mlp.fc2.weight", c.Dim, l.Channel.MLP.Hidden)
	}
	return mixerParts(layer+"mixer.", l.Sequence.Mamba, c.Dim, at.name)
}

// mixerParts are the tensors of a Mamba mixer, named alike in all its families
// (mamba_ssm/modules/mamba_simple.py).
func mixerParts(prefix string, m *arch.Mamba, dim int, name string) []part {
	if m == nil {
		return nil
	}
	e, n, r := m.Inner, m.State, m.Rank
	switch name {
	case "mamba.in":
		return one(prefix+"in_proj.weight", 2*e, dim)
	case "mamba.in_bias":
		return one(prefix+"in_proj.bias", 2*e)
	case "mamba.conv":
		return one(prefix+"conv1d.weight", e, 1, m.Conv)
	case "mamba.conv_bias":
		return one(prefix+"conv1d.bias", e)
	case "mamba.x":
		return one(prefix+"x_proj.weight", r+2*n, e)
	case "mamba.dt":
		return one(prefix+"dt_proj.weight", e, r)
	case "mamba.dt_bias":
		return one(prefix+"dt_proj.bias", e)
	case "mamba.a_log":
		return one(prefix+"A_log", e, n)
	case "mamba.d":
		return one(prefix+"D", e)
	case "mamba.out":
		return one(prefix+"out_proj.weight", dim, e)
	case "mamba.out_bias":
		return one(prefix+"out_proj.bias", dim)
	}
	return nil
}
