package configs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"quadrant/arch"
	"quadrant/kernels"
)

// TestPresets loads every preset and compares the list with the files.
func TestPresets(t *testing.T) {
	files, err := presets.ReadDir("presets")
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, f := range files {
		have = append(have, strings.TrimSuffix(f.Name(), ".yaml"))
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(Names())), slices.Sorted(slices.Values(have))); diff != "" {
		t.Errorf("names (-) and files (+):\n%s", diff)
	}
	groups := []string{}
	for _, p := range All() {
		if i := slices.Index(groups, p.Group); i < 0 {
			groups = append(groups, p.Group)
		} else if i != len(groups)-1 {
			t.Errorf("%s is not listed with the others of group %s", p.Name, p.Group)
		}
		if strings.ContainsAny(p.Source, "\n") || len(p.Source) < 20 {
			t.Errorf("%s: source is %q, want one line", p.Name, p.Source)
		}
	}
	for i, p := range All() {
		if p.Name != names[i] {
			t.Errorf("presets/%s.yaml is named %s", names[i], p.Name)
		}
	}
}

func TestBlackMamba(t *testing.T) {
	p, err := Load("blackmamba-1.5b")
	if err != nil {
		t.Fatal(err)
	}
	c := p.Config
	if p.Tokenizer != "gpt-neox-20b" || len(c.Layers) != 30 || c.Family() != arch.MambaMoE {
		t.Errorf("tokenizer %s, %d layers, %s", p.Tokenizer, len(c.Layers), c.Family())
	}
	if want := (arch.Norm{Kind: arch.LayerNorm, Bias: true, Eps: 1e-5}); c.FinalNorm != want {
		t.Errorf("final norm is %+v, want %+v", c.FinalNorm, want)
	}
	mamba := arch.Layer{Sequence: arch.Sequence{Mamba: &arch.Mamba{Inner: 2304, State: 16, Conv: 4, Rank: 72, ConvBias: true}}}
	moe := arch.Layer{Channel: arch.Channel{MoE: &arch.MoE{
		Experts: 8,
		Expert:  arch.MLP{Hidden: 3072, Act: kernels.GELU, Gate: arch.FirstHalf},
		Router: arch.Router{TopK: 1, Score: kernels.SigmoidScore, Bias: true,
			Sinkhorn: &arch.Sinkhorn{Temperature: 0.5, ColumnFirst: true, MaxIterations: 8, Tolerance: 0.01}},
	}}}
	for i, l := range c.Layers {
		if diff := cmp.Diff([]arch.Layer{mamba, moe}[i%2], l); diff != "" {
			t.Errorf("layer %d (-want +got):\n%s", i, diff)
		}
	}
}

// TestLayersAreSeparate changes one of several repeated layers.
func TestLayersAreSeparate(t *testing.T) {
	p, err := Load("tiny-mamba-moe")
	if err != nil {
		t.Fatal(err)
	}
	p.Config.Layers[1].Channel.MoE.Router.Sinkhorn.MaxIterations = 77
	if n := p.Config.Layers[3].Channel.MoE.Router.Sinkhorn.MaxIterations; n != 8 {
		t.Errorf("another layer changed too, to %d", n)
	}
	if q, _ := Load("tiny-mamba-moe"); q.Config.Layers[1].Channel.MoE.Router.Sinkhorn.MaxIterations != 8 {
		t.Error("the preset changed")
	}
}

func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "my.yaml")
	data, err := presets.ReadFile("presets/tiny-mamba.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	want, err := Open("tiny-mamba")
	if err != nil {
		t.Fatal(err)
	}
	got, err := Open(path)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for model, want := range map[string]string{
		"tiny-mamba.yaml":    "configs: open tiny-mamba.yaml: no such file",
		"some/where":         "configs: open some/where: no such file",
		"blackmamba-1.5":     `configs: preset "blackmamba-1.5" is unknown: did you mean blackmamba-1.5b?`,
		"BlackMamba-1.5B":    "did you mean blackmamba-1.5b?",
		"tyny-mamba":         "did you mean tiny-mamba?",
		"mamba-moe":          "did you mean mamba-moe-130m, mamba-moe-90m, tiny-mamba-moe, nano-mamba-moe?",
		"gpt-5":              "want a .yaml file or one of blackmamba-1.5b, blackmamba-2.8b,",
		"":                   "want a .yaml file or one of",
		"../presets/unknown": "no such file",
	} {
		_, err := Open(model)
		wantError(t, err, want)
	}
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case err == nil || !strings.Contains(err.Error(), want):
		t.Errorf("got error %v, want one with %q", err, want)
	case strings.Contains(err.Error(), "\n"):
		t.Errorf("error %q has more than one line", err)
	}
}
