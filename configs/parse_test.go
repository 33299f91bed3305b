package configs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"quadrant/arch"
	"quadrant/kernels"
)

// valid is a small preset; tests break it one line at a time.
const valid = `name: my
group: mine
source: made up
tokenizer: bytes
vocab: 256
d_model: 64
norm: {kind: rms, eps: 1e-5}
final_norm: {kind: rms, eps: 1e-5}
layers:
  - repeat: 1
    layers:
      - sequence: {mamba: {d_inner: 128, d_state: 16, d_conv: 4, dt_rank: 4}}
  - repeat: 2
    layers:
      - sequence: {attention: {heads: 4, kv_heads: 2, head_dim: 16, rotary: {dim: 16, base: 10000}}}
        channel: {mlp: {hidden: 128, act: silu, gate: first}}
      - channel:
          moe:
            experts: 4
            expert: {hidden: 64, act: relu, gate: none}
            router: {top_k: 2, score: softmax}
`

func TestParse(t *testing.T) {
	p, err := Parse("my.yaml", []byte(valid))
	if err != nil {
		t.Fatal(err)
	}
	var kinds string
	for _, l := range p.Config.Layers {
		switch {
		case l.Sequence.Mamba != nil:
			kinds += "m"
		case l.Channel.MoE != nil:
			kinds += "e"
		default:
			kinds += "t"
		}
	}
	if p.Name != "my" || p.Group != "mine" || p.Source != "made up" || kinds != "mtete" {
		t.Errorf("got %+v with layers %s", p, kinds)
	}
}

// All that a router can be told is read.
func TestParseRouters(t *testing.T) {
	for text, want := range map[string]arch.Router{
		"{top_k: 1, score: sigmoid, gate_scale: 2, bias: true, input: both, inference: ema_bias, z_loss: 1e-3, capacity: 1.25, " +
			"sinkhorn: {temperature: 0.5, column_first: true, max_iterations: 8, tolerance: 0.01, absolute: true}}": {
			TopK: 1, Score: kernels.SigmoidScore, GateScale: 2, Bias: true, Input: arch.BothInput, Inference: arch.EMABiasInference, ZLoss: 1e-3, Capacity: 1.25,
			Sinkhorn: &arch.Sinkhorn{Temperature: 0.5, ColumnFirst: true, MaxIterations: 8, Tolerance: 0.01, Absolute: true},
		},
		"{top_k: 2, score: softmax_topk, balance_loss: 0.01}":                {TopK: 2, Score: kernels.SoftmaxTopKScore, BalanceLoss: 0.01},
		"{top_k: 2, score: sigmoid, input: hidden, loss_free: {rate: 0.01}}": {TopK: 2, Score: kernels.SigmoidScore, Input: arch.HiddenInput, LossFree: &arch.LossFree{Rate: 0.01}},
		"{top_k: 1, hash: true}": {TopK: 1, Hash: true},
	} {
		p, err := Parse("my.yaml", []byte(strings.Replace(valid, "{top_k: 2, score: softmax}", text, 1)))
		if err != nil {
			t.Error(err)
			continue
		}
		if diff := cmp.Diff(want, p.Config.Layers[2].Channel.MoE.Router); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		// the YAML
		{valid, "", "configs: my.yaml:1:1: is empty"},
		{valid, "- 1\n", "configs: my.yaml:1:1: is a list, want fields"},
		{valid, "text", `my.yaml:1:1: have "text", want fields`},
		{valid, valid + "---\na: 1\n", "has 2 YAML documents, want 1"},
		{"group: mine", "name: mine", `my.yaml:2:1: not YAML: mapping key "name" already defined`},
		{"{kind: rms", "{kind: [rms", "my.yaml:7:"},
		{"score: softmax}", "score: softmax, inference: max}", `inference: inference "max" is unknown: want one of argmax, sinkhorn, ema_bias`},
		{"score: softmax}", "score: softmax, input: all}", `input: router input "all" is unknown: want one of hidden, embedding, both`},
		{"score: softmax}", "score: softmax, loss_free: {rat: 1}}", `field "rat" is unknown, want one of rate`},
		{"score: softmax}", "score: softmax, inference: ema_bias}", "layers[1].layers[1].channel.moe.router.inference is ema_bias, but it has no sinkhorn"},
		// fields and their types, with line, column and path
		{"vocab:", "vocabulary:", `my.yaml:5:1: field "vocabulary" is unknown, want one of name, group,`},
		{"d_conv:", "d_con:", `my.yaml:12:55: layers[0].layers[0].sequence.mamba: field "d_con" is unknown, want one of d_inner, d_state, d_conv, dt_rank, bias, conv_bias`},
		{"router:", "routr:", `my.yaml:21:13: layers[1].layers[1].channel.moe: field "routr" is unknown, want one of experts, expert, router`},
		{"vocab: 256", "vocab: lots", `my.yaml:5:8: vocab: have "lots", want a whole number`},
		{"vocab: 256", "vocab: 256.5", `my.yaml:5:8: vocab: have "256.5", want a whole number`},
		{"vocab: 256", `vocab: "256"`, `my.yaml:5:8: vocab: have "256", want a whole number`},
		{"vocab: 256", "vocab:", `vocab: has no value, want a whole number`},
		{"vocab: 256", "vocab: [256]", `vocab: is a list, want a whole number`},
		{"vocab: 256", "vocab: {a: 1}", `vocab: has fields, want a whole number`},
		{"vocab: 256", "vocab: &v 256", `vocab: is a YAML alias, anchor or tag`},
		{"name: my", "name: 3", `my.yaml:1:7: name: have "3", want text`},
		{"eps: 1e-5}\nlayers", "eps: small}\nlayers", `my.yaml:8:30: final_norm.eps: have "small", want a number`},
		{"eps: 1e-5}\nlayers", "eps: 1e60}\nlayers", `final_norm.eps: 1e60 is too large`},
		{"eps: 1e-5}\nlayers", "eps: .nan}\nlayers", `final_norm.eps: have ".nan", want a number`},
		{"eps: 1e-5}\nlayers", "eps: 1e-5, bias: yes}\nlayers", `final_norm.bias: have "yes", want true or false`},
		{"act: silu", "act: swish", `my.yaml:16:43: layers[1].layers[0].channel.mlp.act: activation "swish" is unknown: want one of silu`},
		{"mamba: {d_inner: 128, d_state: 16, d_conv: 4, dt_rank: 4}", "mamba: ", `layers[0].layers[0].sequence.mamba: has no value, want fields`},
		{valid[strings.Index(valid, "layers"):], "layers: 3", "my.yaml:9:9: layers: have \"3\", want a list"},
		// what is missing
		{"name: my\n", "", "configs: my.yaml: name is missing"},
		{"source: made up\n", "", "source is missing"},
		{"tokenizer: bytes\n", "", "tokenizer is missing"},
		{"vocab: 256\n", "", "vocab is missing or 0"},
		{"  - repeat: 2\n    layers", "  - layers", "layers[1].repeat is missing or 0, want at least 1"},
		{"dt_rank: 4", "dt_rank: 0", "layers[0].layers[0].sequence.mamba.dt_rank is missing or 0, want at least 1"},
		{valid[strings.Index(valid, "layers"):], "", "layers is missing or empty"},
		{valid[strings.Index(valid, "layers"):], "layers: [{repeat: 3}]", "layers[0].layers is missing or empty"},
		// what does not go together
		{"kv_heads: 2", "kv_heads: 3", "configs: my.yaml: layers[1].layers[0].sequence.attention: 3 kv_heads do not divide 4 heads"},
		{"top_k: 2", "top_k: 5", "layers[1].layers[1].channel.moe.router.top_k is 5, but there are 4 experts"},
		{"repeat: 2", "repeat: 5000", "layers[1]: 5000 × 2 layers after 1 are too many, want at most 10000 in all"},
		{"repeat: 2", "repeat: 99999999999999999999", "my.yaml:13:13: layers[1].repeat: "},
		{"tokenizer: bytes", "tokenizer: gpt2", `tokenizer "gpt2" is unknown, want one of bytes, gpt-neox-20b`},
		{"tokenizer: bytes", "tokenizer: gpt-neox-20b", "vocab is 256, but tokenizer gpt-neox-20b has 50277 tokens"},
	} {
		text := strings.Replace(valid, c.old, c.new, 1)
		if text == valid {
			t.Fatalf("%q is not in the preset", c.old)
		}
		_, err := Parse("my.yaml", []byte(text))
		wantError(t, err, c.want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(valid))
	for _, name := range names {
		data, err := presets.ReadFile("presets/" + name + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse("my.yaml", data)
		if err == nil {
			err = p.Config.Validate()
		} else if strings.Contains(err.Error(), "\n") || !strings.HasPrefix(err.Error(), "configs: my.yaml:") {
			t.Errorf("error is %q", err)
		} else {
			err = nil
		}
		if err != nil {
			t.Errorf("what was read is not valid: %v", err)
		}
	})
}
