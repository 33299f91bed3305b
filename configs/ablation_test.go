package configs

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAblations reads every ablation that is built in and compares the list with the files.
func TestAblations(t *testing.T) {
	files, err := ablations.ReadDir("ablations")
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, f := range files {
		have = append(have, strings.TrimSuffix(f.Name(), ".yaml"))
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(AblationNames())), slices.Sorted(slices.Values(have))); diff != "" {
		t.Errorf("names (-) and files (+):\n%s", diff)
	}
	for _, name := range AblationNames() {
		a, err := OpenAblation(name)
		if err != nil {
			t.Error(err)
		} else if a.Name != name || len(a.About) < 20 || a.Base.Name == "" || a.Training.Steps == 0 {
			t.Errorf("%s is %+v", name, a)
		}
	}
}

const validAblation = `name: mine
about: Whether it helps.
base: {preset: nano-mamba-moe}
axes:
  experts: [2, 8]
  router: [sinkhorn, none]
  activation: [geglu]
design: each
match: total_params
seeds: 2
training: {steps: 5, lr: 1e-3, corpus: [a, b]}
`

func TestParseAblation(t *testing.T) {
	a, err := ParseAblation("a.yaml", []byte(validAblation))
	if err != nil {
		t.Fatal(err)
	}
	a.Base = Preset{Name: a.Base.Name}
	want := Ablation{
		Name: "mine", About: "Whether it helps.", Base: Preset{Name: "nano-mamba-moe"}, Design: Each, Match: MatchTotalParams, Seeds: 2,
		Axes:     Axes{Experts: []int{2, 8}, Router: []RouterKind{SinkhornRouter, ArgmaxRouter}, Activation: []Activation{GeGLU}},
		Training: Training{Steps: 5, LR: 1e-3, Corpus: []string{"a", "b"}},
	}
	if diff := cmp.Diff(want, a); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseAblationErrors(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{validAblation, "", "configs: a.yaml:1:1: is empty"},
		{"name: mine", "name: ../mine", `configs: a.yaml: name is missing or "../mine"`},
		{"name: mine\n", "", "name is missing"},
		{"seeds: 2", "seeds: 0", "seeds is 0, want 1 to 1000"},
		{"seeds: 2", "seed: 2", `a.yaml:10:1: field "seed" is unknown, want one of name, about, base, axes,`},
		{"none]", "some]", `a.yaml:6:22: axes.router[1]: router "some" is unknown: want one of sinkhorn, switch, loss_free, hash, none`},
		{"[2, 8]", "[2, many]", `a.yaml:5:16: axes.experts[1]: have "many", want a whole number`},
		{"geglu", "glu", `activation "glu" is unknown: want one of swiglu,`},
		{"design: each", "design: all", `design "all" is unknown: want one of grid, each`},
		{"total_params", "params", `match "params" is unknown: want one of tokens, active_params, total_params, train_flops`},
		{"steps: 5", "steps: -5", "training.steps is -5, want more than 0"},
		{"preset: nano-mamba-moe", "preset: nano-mamba-mo", "base.preset: configs: preset \"nano-mamba-mo\" is unknown: did you mean"},
		{"{preset: nano-mamba-moe}", "{}", "base: want one of preset (a name) and model"},
		{"{preset: nano-mamba-moe}", "{model: {name: a}}", "base.model: group is missing"},
	} {
		_, err := ParseAblation("a.yaml", []byte(strings.Replace(validAblation, c.old, c.new, 1)))
		wantError(t, err, c.want)
	}
}

func FuzzParseAblation(f *testing.F) {
	f.Add([]byte(validAblation))
	f.Fuzz(func(t *testing.T, data []byte) {
		if a, err := ParseAblation("a.yaml", data); err == nil && (a.Base.Config.Validate() != nil || a.Seeds < 1) {
			t.Errorf("accepted %q", data)
		}
	})
}
