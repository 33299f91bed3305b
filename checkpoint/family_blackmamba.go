package checkpoint

import (
	"fmt"
	"strings"

	"quadrant/arch"
	"quadrant/kernels"
)

// blackMamba is the format of Zyphra/BlackMamba (mamba_config.py, mamba_model.py,
// mamba_block.py, switch_mlp.py at 5c8cddd), whose names are Megatron-LM's.
var blackMamba = family{
	name: "blackmamba", project: "Zyphra/BlackMamba", tokenizer: neoxTokenizer,
	is: func(s *settings) bool {
		return s.has("mamba_moe_layers") || s.has("conv_dimension") && s.has("expansion_factor")
	},
	config: blackMambaConfig, write: writeBlackMamba, parts: blackMambaParts,
}

func blackMambaConfig(s *settings, o Options) arch.Config {
	dim, bias := s.int("hidden_size"), s.boolOr("add_bias_linear", false) // "bias" is ignored by the released code
	n := s.layers("num_layers")
	mamba := arch.Mamba{
		Inner: int(s.float("expansion_factor") * float64(dim)), State: s.int("state_size"), Conv: s.int("conv_dimension"),
		Rank: (dim + 15) / 16, Bias: bias, ConvBias: true,
	}
	expert := arch.MLP{Hidden: s.intOr("ffn_hidden_size", 0), Act: kernels.GELU, Gate: arch.Ungated, Bias: bias}
	if s.boolOr("swiglu", false) { // turns on gating; the activation stays F.gelu
		expert.Gate = arch.FirstHalf
	}
	if o.ExpertAct != 0 {
		expert.Act = o.ExpertAct
	}
	if !s.boolOr("rms_norm", true) {
		s.failf("rms_norm is false: the released code crashes on it, so what it means is not known")
	}
	kinds := moeLayers(s, n)
	layers := make([]arch.Layer, n)
	for i := range layers {
		if kinds == nil {
			layers[i].Sequence.Mamba = &mamba
			continue
		}
		layers[i] = blackMambaLayer(s, fmt.Sprintf("mamba_moe_layers[%d]", i), kinds[i], n, mamba, expert)
	}
	return arch.Config{
		Vocab: s.int("vocab_size"), Dim: dim, Norm: rms(mambaEps), FinalNorm: layerNorm(mambaEps), TiedHead: true, HeadBias: bias, Layers: layers,
	}
}

// moeLayers are the kinds of n layers, or nil where all are Mamba.
func moeLayers(s *settings, n int) []string {
	switch v := s.keys["mamba_moe_layers"].(type) {
	case nil:
		return nil
	case string:
		if v == "" {
			return nil
		}
	case []any:
		if len(v) == 0 {
			return nil
		}
		if len(v) != n {
			s.failf("mamba_moe_layers has %d entries, but num_layers is %d", len(v), n)
			return nil
		}
		kinds := make([]string, n)
		for i := range v {
			kind, ok := v[i].(string)
			if !ok || kind == "" {
				s.failf("mamba_moe_layers[%d] is %.40q, want a string such as \"r\" or \"8\"", i, fmt.Sprint(v[i]))
				return nil
			}
			kinds[i] = kind
		}
		return kinds
	}
	s.failf("mamba_moe_layers is %.60q, want a list of strings", fmt.Sprint(s.keys["mamba_moe_layers"]))
	return nil
}

// blackMambaLayer follows mamba_block.py to the letter: "r" is Mamba, "r" and more is
// Mamba with an MLP (second letter 1) or experts beside it; otherwise a first letter 1 is
// an MLP and any other experts, as many as the last letter says: "16" is an MLP.
func blackMambaLayer(s *settings, what, kind string, layers int, mamba arch.Mamba, expert arch.MLP) arch.Layer {
	var l arch.Layer
	channel := kind
	if kind[0] == 'r' {
		l.Sequence.Mamba = &mamba
		channel = kind[1:]
		l.Parallel = channel != ""
	}
	switch {
	case channel == "":
	case channel[0] == '1':
		l.Channel.MLP = &expert
	default:
		last := channel[len(channel)-1]
		if last < '1' || last > '9' {
			s.failf("%s is %.40q, want a number of experts from 1 to 9 as its last letter", what, kind)
			return l
		}
		l.Channel.MoE = &arch.MoE{Experts: s.pieces(what, int(last-'0'), layers), Expert: expert, Router: blackMambaRouter()}
	}
	return l
}

// blackMambaRouter gates by the sigmoid of the chosen logit; its bias does not depend on
// add_bias_linear. How it chooses in training is the paper's (arXiv:2402.01771), in the
// numbers of this program's presets: the released code has it, but never calls it.
func blackMambaRouter() arch.Router {
	return arch.Router{
		TopK: 1, Score: kernels.SigmoidScore, Bias: true,
		Sinkhorn: &arch.Sinkhorn{Temperature: 0.5, ColumnFirst: true, MaxIterations: 8, Tolerance: 0.01},
	}
}

func writeBlackMamba(c arch.Config) any {
	m, expert := first(c, mambaOf), first(c, mlpOf)
	if moe := first(c, moeOf); moe.Experts > 0 {
		expert = moe.Expert
	}
	kinds := make([]string, len(c.Layers))
	for i, l := range c.Layers {
		if l.Sequence.Mamba != nil {
			kinds[i] = "r"
		}
		switch {
		case l.Channel.MLP != nil:
			kinds[i] += "1"
		case l.Channel.MoE != nil:
			kinds[i] += fmt.Sprint(l.Channel.MoE.Experts)
			if l.Channel.MoE.Experts == 1 {
				kinds[i] = strings.TrimSuffix(kinds[i], "1") + "01" // "1" is an MLP
			}
		}
	}
	return map[string]any{
		"num_layers": len(c.Layers), "hidden_size": c.Dim, "state_size": m.State, "conv_dimension": m.Conv, "vocab_size": c.Vocab,
		"expansion_factor": ratio(m.Inner, c.Dim), "mamba_moe_layers": kinds, "ffn_hidden_size": expert.Hidden, "bias": false,
		"add_bias_linear": c.HeadBias, "swiglu": expert.Gate == arch.FirstHalf, "max_sequence_length": 2048,
	}
}

func blackMambaParts(c arch.Config, at place) []part {
	if at.layer < 0 {
		switch at.name {
		case "embed":
			return one("embedding.word_embeddings.weight", c.Vocab, c.Dim)
		case "final_norm.gain":
			return one("decoder.final_layernorm.weight", c.Dim)
		case "final_norm.bias":
			return one("decoder.final_layernorm.bias", c.Dim)
		case "head_bias":
			return one("output_layer.bias", c.Vocab)
		}
		return nil
	}
	layer, l := fmt.Sprintf("decoder.layers.%d.", at.layer), c.Layers[at.layer]
	norm, channel := "norm.weight", layer+"mixer."
	if l.Parallel {
		norm, channel = "norm_moe.weight", layer+"moe."
	}
	switch at.name {
	case "sequence_norm.gain":
		return one(layer+"norm.weight", c.Dim)
	case "channel_norm.gain":
		return one(layer+norm, c.Dim)
	}
	if m := l.Channel.MLP; m != nil {
		if name, ok := strings.CutPrefix(at.name, "mlp."); ok {
			return megatronMLP(channel, *m, c.Dim, name, 0)
		}
	}
	if m := l.Channel.MoE; m != nil {
		switch at.name {
		case "moe.router.w":
			return one(channel+"router.weight", m.Experts, c.Dim)
		case "moe.router.bias":
			return one(channel+"router.bias", m.Experts)
		}
		if name, ok := strings.CutPrefix(at.name, "moe."); ok {
			var parts []part
			for e := range m.Experts {
				parts = append(parts, megatronMLP(fmt.Sprintf("%slocal_experts.%d.", channel, e), m.Expert, c.Dim, name, e)...)
			}
			return parts
		}
	}
	return mixerParts(layer+"mixer.", l.Sequence.Mamba, c.Dim, at.name)
}

// megatronMLP is the tensor of an MLP, or of the e-th of several that are stacked.
func megatronMLP(prefix string, m arch.MLP, dim int, name string, e int) []part {
	width := m.Hidden
	if m.Gate != arch.Ungated {
		width *= 2
	}
	switch name {
	case "in":
		return []part{slab(e*width*dim, prefix+"linear_fc1.weight", width, dim)}
	case "in_bias":
		return []part{slab(e*width, prefix+"linear_fc1.bias", width)}
	case "out":
		return []part{slab(e*dim*m.Hidden, prefix+"linear_fc2.weight", dim, m.Hidden)}
	case "out_bias":
		return []part{slab(e*dim, prefix+"linear_fc2.bias", dim)}
	}
	return nil
}
