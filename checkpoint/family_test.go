package checkpoint

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"quadrant/arch"
	"quadrant/configs"
	"quadrant/kernels"
)

// configs of published models, as models.md quotes them.
const (
	blackMamba15 = `{"num_layers": 30, "hidden_size": 1152, "state_size": 16, "conv_dimension": 4, "vocab_size": 50304, "expansion_factor": 2,
		"mamba_moe_layers": ["r","8","r","8","r","8","r","8","r","8","r","8","r","8","r","8","r","8","r","8","r","8","r","8","r","8","r","8","r","8"],
		"ffn_hidden_size": 3072, "bias": false, "add_bias_linear": false, "swiglu": true, "max_sequence_length": 2048}`
	mamba130 = `{"d_model": 768, "n_layer": 24, "vocab_size": 50277, "ssm_cfg": {}, "rms_norm": true, "residual_in_fp32": true,
		"fused_add_norm": true, "pad_vocab_size_multiple": 8}`
	mamba130HF = `{"model_type": "mamba", "architectures": ["MambaForCausalLM"], "hidden_size": 768, "num_hidden_layers": 24, "state_size": 16,
		"conv_kernel": 4, "expand": 2, "intermediate_size": 1536, "time_step_rank": 48, "use_bias": false, "use_conv_bias": true,
		"layer_norm_epsilon": 1e-05, "vocab_size": 50280, "d_model": 768, "n_layer": 24, "ssm_cfg": {}}`
	pythia410 = `{"architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox", "hidden_act": "gelu", "hidden_size": 1024,
		"intermediate_size": 4096, "layer_norm_eps": 1e-05, "max_position_embeddings": 2048, "num_attention_heads": 16, "num_hidden_layers": 24,
		"rotary_emb_base": 10000, "rotary_pct": 0.25, "tie_word_embeddings": false, "use_parallel_residual": true, "vocab_size": 50304}`
)

// The published configs give the models that this program's presets were written to be.
func TestConfigsArePresets(t *testing.T) {
	for _, c := range []struct{ family, preset, text string }{
		{"blackmamba", "blackmamba-1.5b", blackMamba15},
		{"mamba", "mamba-130m", mamba130},
		{"mamba-hf", "mamba-130m", mamba130HF},
		{"gpt_neox", "pythia-410m", pythia410},
	} {
		f, got, err := parseConfig([]byte(c.text), Options{})
		if err != nil {
			t.Error(err)
			continue
		}
		want, err := configs.Load(c.preset)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.Config, got); diff != "" || f.name != c.family {
			t.Errorf("%s is of family %s; -preset +config:\n%s", c.preset, f.name, diff)
		}
	}
}

const smallBlackMamba = `{"num_layers": %d, "hidden_size": 32, "state_size": 4, "conv_dimension": 4, "vocab_size": 40, "expansion_factor": 2,
	"mamba_moe_layers": [%s], "ffn_hidden_size": 24, "bias": %[3]v, "add_bias_linear": %[3]v, "swiglu": %[4]v, "max_sequence_length": 64}`

func blackMambaOf(kinds string, bias, gated bool) string {
	return fmt.Sprintf(smallBlackMamba, len(strings.Split(kinds, ",")), kinds, bias, gated)
}

// The kinds of layer follow the released code to the letter.
func TestBlackMambaLayers(t *testing.T) {
	_, c, err := parseConfig([]byte(blackMambaOf(`"r","8","1","r1","r4","16","r16","28","r12"`, false, true)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range c.Layers {
		var parts []string
		if l.Sequence.Mamba != nil {
			parts = append(parts, "mamba")
		}
		if l.Channel.MLP != nil {
			parts = append(parts, "mlp")
		}
		if l.Channel.MoE != nil {
			parts = append(parts, fmt.Sprint("moe", l.Channel.MoE.Experts))
		}
		if l.Parallel != (len(parts) == 2) {
			parts = append(parts, "not parallel")
		}
		got = append(got, strings.Join(parts, "+"))
	}
	want := []string{"mamba", "moe8", "mlp", "mamba+mlp", "mamba+moe4", "mlp", "mamba+mlp", "moe8", "mamba+mlp"}
	if !slices.Equal(got, want) {
		t.Errorf("layers are %q, want %q", got, want)
	}
	for _, text := range []string{
		strings.Replace(mambaOnly, `[]`, `""`, 1), mambaOnly, strings.Replace(mambaOnly, `"mamba_moe_layers": [], `, "", 1),
	} {
		_, c, err := parseConfig([]byte(text), Options{})
		if err != nil || len(c.Layers) != 2 || c.Layers[0].Sequence.Mamba == nil || c.Layers[1].Channel != (arch.Channel{}) {
			t.Errorf("%s: %+v, %v; want two Mamba layers", text, c.Layers, err)
		}
	}
}

const mambaOnly = `{"num_layers": 2, "hidden_size": 32, "state_size": 4, "conv_dimension": 4, "vocab_size": 40, "expansion_factor": 2, "mamba_moe_layers": [], "ffn_hidden_size": 24, "swiglu": true}`

// The names of all tensors of a model with every kind of layer, as the reference's loader
// has them (models.md, section 4).
func TestBlackMambaNames(t *testing.T) {
	text := blackMambaOf(`"r","2","1","r1","r2"`, true, true)
	mixer := "A_log[64 4] D[64] conv1d.bias[64] conv1d.weight[64 1 4] dt_proj.bias[64] dt_proj.weight[64 2] in_proj.bias[128] in_proj.weight[128 32] " +
		"out_proj.bias[32] out_proj.weight[32 64] x_proj.weight[10 64]"
	mlp := "linear_fc1.bias[48] linear_fc1.weight[48 32] linear_fc2.bias[32] linear_fc2.weight[32 24]"
	moe := "router.bias[2] router.weight[2 32] " + under("local_experts.0.", mlp) + " " + under("local_experts.1.", mlp)
	wantNames(t, text, strings.Join([]string{
		"embedding.word_embeddings.weight[40 32] decoder.final_layernorm.weight[32] decoder.final_layernorm.bias[32] output_layer.bias[40]",
		under("decoder.layers.0.", "norm.weight[32] "+under("mixer.", mixer)),
		under("decoder.layers.1.", "norm.weight[32] "+under("mixer.", moe)),
		under("decoder.layers.2.", "norm.weight[32] "+under("mixer.", mlp)),
		under("decoder.layers.3.", "norm.weight[32] norm_moe.weight[32] "+under("mixer.", mixer)+" "+under("moe.", mlp)),
		under("decoder.layers.4.", "norm.weight[32] norm_moe.weight[32] "+under("mixer.", mixer)+" "+under("moe.", moe)),
	}, " "))
}

// splitNames separates names such as "a[2 3]".
func splitNames(list string) []string {
	var names []string
	for _, item := range strings.SplitAfter(list, "]") {
		if item = strings.TrimSpace(item); item != "" {
			names = append(names, item)
		}
	}
	return names
}

func under(prefix, list string) string {
	names := splitNames(list)
	for i := range names {
		names[i] = prefix + names[i]
	}
	return strings.Join(names, " ")
}

// wantNames compares the tensors that a config asks for with a list.
func wantNames(t *testing.T, text, list string) {
	t.Helper()
	var got []string
	for _, p := range partsOf(t, text) {
		got = append(got, fmt.Sprint(p.tensor, p.shape))
	}
	want := splitNames(list)
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tensors (-want +got):\n%s", diff)
	}
}

func partsOf(t *testing.T, text string) (parts []part) {
	t.Helper()
	f, c, err := parseConfig([]byte(text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := arch.New(c, shapes{}, arch.Types{})
	if err != nil {
		t.Fatal(err)
	}
	all, err := f.weights(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range all {
		parts = append(parts, w.parts...)
	}
	return parts
}

// A state-spaces model with MLPs, and transformers with all biases.
func TestOtherNames(t *testing.T) {
	wantNames(t, `{"d_model": 32, "n_layer": 1, "vocab_size": 37, "ssm_cfg": {"d_state": 4, "dt_rank": 3, "bias": true, "conv_bias": false}, "rms_norm": false,
		"d_intermediate": 100, "tie_embeddings": false}`,
		"backbone.embedding.weight[40 32] lm_head.weight[40 32] backbone.norm_f.weight[32] backbone.norm_f.bias[32] "+under("backbone.layers.0.",
			"norm.weight[32] norm.bias[32] norm2.weight[32] norm2.bias[32] mlp.fc1.weight[256 32] mlp.fc2.weight[32 128] "+under("mixer.",
				"A_log[64 4] D[64] conv1d.weight[64 1 4] dt_proj.bias[64] dt_proj.weight[64 3] in_proj.bias[128] in_proj.weight[128 32] out_proj.bias[32] out_proj.weight[32 64] x_proj.weight[11 64]")))
	wantNames(t, `{"model_type": "mamba", "hidden_size": 32, "num_hidden_layers": 1, "vocab_size": 37, "state_size": 4, "time_step_rank": "auto"}`,
		"backbone.embeddings.weight[37 32] backbone.norm_f.weight[32] "+under("backbone.layers.0.", "norm.weight[32] "+under("mixer.",
			"A_log[64 4] D[64] conv1d.weight[64 1 4] conv1d.bias[64] dt_proj.bias[64] dt_proj.weight[64 2] in_proj.weight[128 32] out_proj.weight[32 64] x_proj.weight[10 64]")))
	wantNames(t, `{"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 24,
		"vocab_size": 40, "attention_bias": true, "mlp_bias": true, "tie_word_embeddings": true, "rms_norm_eps": 1e-5}`,
		"model.embed_tokens.weight[40 32] model.norm.weight[32] "+under("model.layers.0.", "input_layernorm.weight[32] post_attention_layernorm.weight[32] "+
			"self_attn.q_proj.weight[32 32] self_attn.q_proj.bias[32] self_attn.k_proj.weight[16 32] self_attn.k_proj.bias[16] self_attn.v_proj.weight[16 32] self_attn.v_proj.bias[16] "+
			"self_attn.o_proj.weight[32 32] self_attn.o_proj.bias[32] mlp.gate_proj.weight[24 32] mlp.gate_proj.bias[24] mlp.up_proj.weight[24 32] mlp.up_proj.bias[24] "+
			"mlp.down_proj.weight[32 24] mlp.down_proj.bias[32]"))
}

func TestConfigErrors(t *testing.T) {
	edit := func(text string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(text) }
	const llama = `{"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 24, "vocab_size": 40, "x": 0}`
	const mixtral = `{"model_type": "mixtral", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 24, "vocab_size": 40, "x": 0}`
	for _, c := range []struct {
		text  string
		wants []string
	}{
		{`[]`, []string{"want an object"}},
		{`{"a": 1} 2`, []string{"something follows"}},
		{`{"a": 1, "a": 2}`, []string{`name "a" occurs twice`}},
		{`{"a": ` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`, []string{"nested more than 100 deep"}},
		{`{"model_type": "bert", "architectures": ["BertModel"]}`, []string{"bert BertModel", "want one of blackmamba, mamba, mamba-hf, gpt_neox, llama, mixtral"}},
		{`{"model_type": "llama"}`, []string{"hidden_size is missing", "num_hidden_layers is missing", "vocab_size is missing", "intermediate_size is missing"}},
		{edit(mamba130, `"ssm_cfg": {}`, `"ssm_cfg": {"layer": "Mamba2"}, "attn_layer_idx": [3, 7]`), []string{"only Mamba1", "attn_layer_idx", "hybrids"}},
		{edit(mamba130, `"ssm_cfg": {}`, `"ssm_cfg": {"headdim": 64}`), []string{"ssm_cfg.headdim is not supported"}},
		{edit(mamba130, `"n_layer": 24`, `"n_layer": 1000000000`), []string{"n_layer is 1000000000, want 1 to 4096"}},
		{edit(mamba130, `"n_layer": 24`, `"n_layer": "24"`), []string{`n_layer is "24", want a number`}},
		{edit(mamba130, `768`, `-768`), []string{"d_model is -768"}},
		{edit(mamba130, `768`, `1e300`), []string{"d_model"}},
		{edit(mamba130HF, `"vocab_size"`, `"hidden_act": "gelu", "vocab_size"`), []string{"only silu"}},
		{edit(blackMamba15, `"8"]`, `"x"]`), []string{`mamba_moe_layers[29] is "x", want a number of experts`}},
		{edit(blackMamba15, `"8"]`, `8]`), []string{`mamba_moe_layers[29] is "8", want a string`}},
		{edit(blackMamba15, `"num_layers": 30`, `"num_layers": 31`), []string{"has 30 entries, but num_layers is 31"}},
		{edit(blackMamba15, `"ffn_hidden_size": 3072`, `"ffn_hidden_size": null`), []string{"hidden is missing or 0"}},
		{edit(llama, `"x": 0`, `"rope_scaling": {"rope_type": "llama3", "factor": 8.0}`), []string{`rope_scaling of type "llama3" is not supported`}},
		{edit(llama, `"x": 0`, `"rope_scaling": {"type": "linear", "factor": 2}`), []string{`rope_scaling of type "linear" is not supported`}},
		{edit(llama, `"x": 0`, `"rope_parameters": {"rope_type": "yarn"}`), []string{`rope_parameters of type "yarn" is not supported`}},
		{edit(llama, `"x": 0`, `"num_key_value_heads": 3`), []string{"3 kv_heads do not divide 4 heads"}},
		{edit(llama, `"num_attention_heads": 4`, `"num_attention_heads": 5`), []string{"5 num_attention_heads do not divide 32"}},
		{edit(llama, `"x": 0`, `"hidden_act": "quick_gelu"`), []string{`hidden_act is "quick_gelu", want one of`}},
		{edit(mixtral, `"x": 0`, `"sliding_window": 4096`), []string{"sliding_window is 4096"}},
		{edit(mixtral, `"x": 0`, `"num_local_experts": 2000000000`), []string{"num_local_experts is 2000000000"}},
		{edit(pythia410, `"rotary_pct": 0.25`, `"rotary_pct": 0.2`), nil},
		{edit(pythia410, `"rotary_pct": 0.25`, `"rotary_pct": 0.24`), []string{"rotary.dim is 15"}},
	} {
		_, _, err := parseConfig([]byte(c.text), Options{})
		if c.wants == nil {
			wantError(t, err, "")
		}
		for _, want := range c.wants {
			wantError(t, err, want)
		}
	}
}

// rope_parameters is how transformers 5 writes what rope_theta was.
func TestRopeParameters(t *testing.T) {
	_, c, err := parseConfig([]byte(`{"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 24,
		"vocab_size": 40, "rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}}`), Options{})
	if err != nil || c.Layers[0].Sequence.Attention.Rotary.Base != 500000 {
		t.Errorf("%+v, %v; want base 500000", c.Layers, err)
	}
}

func FuzzConfigJSON(f *testing.F) {
	for _, text := range []string{blackMamba15, mamba130, mamba130HF, pythia410, mambaOnly, blackMambaOf(`"r1","r2","1","r"`, true, false),
		`{"model_type": "mixtral", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 24, "vocab_size": 40}`,
		`{"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 24, "vocab_size": 40, "rope_scaling": null}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		family, c, err := parseConfig(text, Options{})
		if err != nil {
			return
		}
		if err := c.Validate(); err != nil {
			t.Fatalf("an invalid config was let through: %v", err)
		}
		m, err := arch.New(c, shapes{}, arch.Types{Weights: kernels.BF16})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := family.weights(m); err != nil {
			t.Error(err)
		}
		_, _ = family.fits(c)
	})
}
