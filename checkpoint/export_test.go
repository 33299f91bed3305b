package checkpoint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"quadrant/arch"
	"quadrant/configs"
	"quadrant/kernels"
)

// bytesByName are the weights of m as they lie in memory.
func bytesByName(dev kernels.Device, m *arch.Model) map[string][]byte {
	all := map[string][]byte{}
	m.Params(func(name string, p *arch.Param) {
		b := make([]byte, p.Bytes())
		dev.Read(b, p.Mat)
		all[name] = b
	})
	return all
}

func wantSameWeights(t *testing.T, got, want map[string][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d weights, want %d", len(got), len(want))
	}
	for name := range want {
		if !bytes.Equal(got[name], want[name]) {
			t.Errorf("%s is not what was exported", name)
		}
	}
}

// roundTrip exports m and loads it again.
func roundTrip(t *testing.T, dev kernels.Device, m *arch.Model, types arch.Types, e Export, o Options) (string, *arch.Model) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	if err := e.Write(dir, dev, m); err != nil {
		t.Fatal(err)
	}
	c, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := sameModel(m.Config, c.Config); err != nil {
		t.Errorf("the config that was exported is another: %v", err)
	}
	back, err := c.Load(dev, types)
	if err != nil {
		t.Fatal(err)
	}
	wantSameWeights(t, bytesByName(dev, back), bytesByName(dev, m))
	wantFiles(t, filepath.Dir(dir), "model")
	return dir, back
}

// Models of all families, of all types, come back bit for bit, with the tensors that the
// reference's file has.
func TestExportGolden(t *testing.T) {
	needGolden(t)
	dev := openCPU(t)
	for _, name := range goldenFamilies {
		c, err := Open(filepath.Join(golden, name), Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, types := range []arch.Types{{}, {Weights: kernels.BF16, Cache: kernels.BF16}, {Weights: kernels.F16, Cache: kernels.F16}} {
			m, err := c.Load(dev, types)
			if err != nil {
				t.Fatal(err)
			}
			dir, _ := roundTrip(t, dev, m, types, Export{Family: c.Family()}, Options{})
			if name == "mamba" {
				hf, _ := roundTrip(t, dev, m, types, Export{Family: "mamba-hf"}, Options{})
				if c, err := Open(hf, Options{}); err != nil || c.Family() != "mamba-hf" {
					t.Errorf("exported as mamba-hf: %+v, %v", c, err)
				}
			}
			if types.Weights != kernels.F32 {
				continue
			}
			got, err := ReadSafetensors(filepath.Join(dir, "model.safetensors"))
			if err != nil {
				t.Fatal(err)
			}
			want, err := ReadSafetensors(filepath.Join(golden, name, "model.safetensors"))
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Tensors) != len(want.Tensors) {
				t.Errorf("%s: %d tensors, want %d", name, len(got.Tensors), len(want.Tensors))
			}
			for _, w := range want.Tensors {
				if g, ok := got.Tensor(w.Name); !ok || !slices.Equal(g.Shape, w.Shape) || !bytes.Equal(g.Data, w.Data) {
					t.Errorf("%s: %s %v is not the reference's", name, w.Name, g.Shape)
				}
			}
		}
	}
}

// Models with every kind of layer and bias, which no golden folder has.
func TestExportOddModels(t *testing.T) {
	dev := openCPU(t)
	for _, text := range []string{
		blackMambaOf(`"r","8","1","r1","r4"`, true, true),
		blackMambaOf(`"r","3","1","r1","r2"`, false, false),
		`{"d_model": 24, "n_layer": 3, "vocab_size": 37, "ssm_cfg": {"d_state": 4, "dt_rank": 3, "expand": 1.5, "bias": true, "conv_bias": false, "d_conv": 2},
			"rms_norm": false, "d_intermediate": 100, "tie_embeddings": false}`,
		`{"model_type": "mamba", "hidden_size": 24, "num_hidden_layers": 2, "vocab_size": 37, "time_step_rank": 5, "use_bias": true, "tie_word_embeddings": false, "layer_norm_epsilon": 1e-6}`,
		`{"model_type": "gpt_neox", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24, "vocab_size": 40,
			"use_parallel_residual": false, "hidden_act": "gelu_fast", "rotary_pct": 1, "rotary_emb_base": 12345.5, "tie_word_embeddings": true, "attention_bias": false}`,
		`{"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6, "intermediate_size": 24,
			"vocab_size": 40, "attention_bias": true, "mlp_bias": true, "tie_word_embeddings": true, "rms_norm_eps": 3e-5}`,
		`{"model_type": "mixtral", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 1, "intermediate_size": 24,
			"vocab_size": 40, "num_local_experts": 5, "num_experts_per_tok": 3, "tie_word_embeddings": true}`,
	} {
		f, c, err := parseConfig([]byte(text), Options{})
		if err != nil {
			t.Error(err)
			continue
		}
		for _, types := range []arch.Types{{}, {Weights: kernels.BF16}, {Weights: kernels.F16}} {
			m, err := arch.New(c, dev, types)
			if err != nil {
				t.Fatal(err)
			}
			m.Init(7)
			shuffle(dev, m)
			roundTrip(t, dev, m, types, Export{Family: f.name}, Options{})
		}
	}
}

// shuffle makes weights that are all alike, as norms and biases are at first, different.
func shuffle(dev kernels.Device, m *arch.Model) {
	n := 0
	m.Params(func(_ string, p *arch.Param) {
		values := make([]float32, p.Len())
		for i := range values {
			n++
			values[i] = float32(n % 251)
		}
		kernels.Put(dev, p.Mat, values)
	})
}

// Presets go where there is a family for them, and where there is none it is said why.
func TestExportPresets(t *testing.T) {
	for preset, want := range map[string]string{
		"blackmamba-1.5b": "blackmamba", "mamba-2.8b": "mamba", "pythia-1.4b": "gpt_neox", "tiny-mamba": "mamba", "tiny-transformer": "llama",
		"tiny-mamba-moe": "quadrant", "nano-mamba-mlp": "quadrant",
	} {
		p, err := configs.Load(preset)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Export{}.Fits(p.Config)
		if err != nil || got != want {
			t.Errorf("%s fits %q (%v), want %s", preset, got, err, want)
		}
	}
	p, _ := configs.Load("tiny-mamba-moe")
	_, err := Export{Family: "blackmamba"}.Fits(p.Config)
	if err == nil || !strings.Contains(err.Error(), "no family") || !strings.Contains(err.Error(), "blackmamba: its config.json cannot say that final_norm is") {
		t.Errorf("tiny-mamba-moe: %v; want the reason", err)
	}
	_, err = Export{Family: "bert"}.Fits(p.Config)
	wantError(t, err, `family "bert" is unknown`)
	p, _ = configs.Load("tiny-mamba")
	if got, err := (Export{Family: "mamba-hf"}).Fits(p.Config); err != nil || got != "mamba-hf" {
		t.Errorf("tiny-mamba as mamba-hf: %q, %v", got, err)
	}
}

// Every preset is one of the program's own family, which says all of its config, what routers
// do in training included, and no more than that.
func TestOwnFamilySaysAll(t *testing.T) {
	for _, p := range configs.All() {
		text := appendJSON(nil, writeQuadrant(p.Config))
		f, c, err := parseConfig(text, Options{})
		if diff := cmp.Diff(p.Config, c); err != nil || f != &quadrant || diff != "" {
			t.Errorf("%s: %v; -preset +config:\n%s", p.Name, err, diff)
		}
	}
	_, _, err := parseConfig([]byte(`{"model_type": "quadrant", "config": {"vocab": 3, "layer": []}}`), Options{})
	wantError(t, err, `unknown field "layer"`)
	_, _, err = parseConfig([]byte(`{"model_type": "quadrant"}`), Options{})
	wantError(t, err, "vocab is missing")
}

// A model of the program's own family comes back bit for bit.
func TestOwnFamilyRoundTrip(t *testing.T) {
	dev := openCPU(t)
	p, err := configs.Load("nano-mamba-moe")
	if err != nil {
		t.Fatal(err)
	}
	m, err := arch.New(p.Config, dev, arch.Types{})
	if err != nil {
		t.Fatal(err)
	}
	m.Init(1)
	dir := filepath.Join(t.TempDir(), "model")
	if err := (Export{}).Write(dir, dev, m); err != nil {
		t.Fatal(err)
	}
	c, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	back, err := c.Load(dev, arch.Types{})
	if err != nil || c.Tokenizer() != "bytes" {
		t.Fatal(c.Tokenizer(), err)
	}
	wantSameWeights(t, bytesByName(dev, back), bytesByName(dev, m))
}

// A folder that is in use is left alone, and a failure leaves nothing behind.
func TestExportIsAtomic(t *testing.T) {
	dev := openCPU(t)
	_, c, err := parseConfig([]byte(mambaOnly), Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := arch.New(c, dev, arch.Types{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	used := filepath.Join(dir, "used")
	if err := os.MkdirAll(filepath.Join(used, "x"), 0o777); err != nil {
		t.Fatal(err)
	}
	wantError(t, Export{}.Write(used, dev, m), "exists and is not empty")
	wantError(t, Export{Copy: []string{filepath.Join(dir, "absent")}}.Write(filepath.Join(dir, "new"), dev, m), "no such file")
	wantError(t, Export{}.Write(filepath.Join(dir, "no", "where"), dev, m), "no such file")
	wantFiles(t, dir, "used")
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := (Export{}).Write(filepath.Join(dir, "empty"), dev, m); err != nil {
		t.Error(err)
	}
	wantFiles(t, filepath.Join(dir, "empty"), "config.json", "model.safetensors")
	var keys map[string]any
	text, _ := os.ReadFile(filepath.Join(dir, "empty", "config.json"))
	if err := json.Unmarshal(text, &keys); err != nil || fmt.Sprint(keys["mamba_moe_layers"]) != "[r r]" {
		t.Errorf("config.json is %s (%v)", text, err)
	}
}
