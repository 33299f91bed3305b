package sweep

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"quadrant/arch"
	"quadrant/configs"
)

var nano = Setting{Context: 128, LR: 4e-3}

func plan(t *testing.T, yaml string) []Cell {
	t.Helper()
	a, err := configs.ParseAblation("a.yaml", []byte("name: a\nbase: {preset: nano-mamba-moe}\n"+yaml))
	if err != nil {
		t.Fatal(err)
	}
	cells, err := Plan(a, nano)
	if err != nil {
		t.Fatal(err)
	}
	return cells
}

func names(cells []Cell) (all []string) {
	for _, c := range cells {
		name := c.Name
		if c.Base {
			name += "*"
		}
		all = append(all, name)
	}
	return all
}

func TestPlan(t *testing.T) {
	for yaml, want := range map[string]string{
		"axes: {experts: [4, 8]}":                              "experts=4 experts=8*",
		"axes: {experts: [4, 16]}":                             "base* experts=4 experts=16",
		"axes: {experts: [4, 8], top_k: [1, 2]}":               "experts=4,top_k=1 experts=4,top_k=2 experts=8,top_k=1* experts=8,top_k=2",
		"axes: {experts: [4, 8], top_k: [1, 2]}\ndesign: each": "base* experts=4 top_k=2",
		"axes: {lr: [2e-3, 4e-3]}":                             "lr=0.002 lr=0.004*",
		"axes: {router: [hash, sinkhorn]}":                     "router=hash router=sinkhorn*",
		"axes: {input: [hidden, both], gate_scale: [1, 2]}":    "input=hidden,gate_scale=1 input=hidden,gate_scale=2 input=both,gate_scale=1 input=both,gate_scale=2*",
		"axes: {moe_every: [1, 0], parallel: [false]}":         "moe_every=1* moe_every=0",
		"axes: {activation: [swiglu, gelu]}":                   "activation=swiglu* activation=gelu",
	} {
		if got := strings.Join(names(plan(t, yaml)), " "); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", yaml, got, want)
		}
	}
}

// What a base does not say is what it stands for.
func TestPlanWithDefaults(t *testing.T) {
	a, err := configs.ParseAblation("a.yaml", []byte("name: a\nbase: {preset: tiny-mamba-moe}\naxes: {input: [hidden, both], gate_scale: [1]}"))
	if err != nil {
		t.Fatal(err)
	}
	if r := a.Base.Config.Layers[1].Channel.MoE.Router; r.Input != 0 || r.GateScale != 0 {
		t.Fatalf("the preset says %+v", r)
	}
	cells, err := Plan(a, nano)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(names(cells), " "); got != "input=hidden* input=both" {
		t.Errorf("got %s", got)
	}
}

// Planning leaves the base as it was, and cells share nothing with each other.
func TestPlanChangesNothingElse(t *testing.T) {
	a, err := configs.OpenAblation("router")
	if err != nil {
		t.Fatal(err)
	}
	before := clone(a.Base.Config)
	cells, err := Plan(a, nano)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a.Base.Config, before) {
		t.Error("the base changed")
	}
	cells[0].Config.Layers[1].Channel.MoE.Expert.Hidden = 1
	if cells[1].Config.Layers[1].Channel.MoE.Expert.Hidden == 1 || cells[0].Config.Layers[3].Channel.MoE.Expert.Hidden == 1 {
		t.Error("cells or layers share experts")
	}
	routers := map[string]string{}
	for _, c := range cells {
		r := c.Config.Layers[1].Channel.MoE.Router
		routers[c.Name] = r.TrainingChoice() + " " + r.InferenceChoice()
	}
	for name, want := range map[string]string{
		"router=sinkhorn": "sinkhorn ema_bias", "router=switch": "argmax argmax", "router=loss_free": "loss_free loss_free", "router=hash": "hash hash", "router=none": "argmax argmax",
		"router=expert_choice": "expert_choice argmax",
	} {
		if routers[name] != want {
			t.Errorf("%s chooses by %q, want %q", name, routers[name], want)
		}
	}
}

// Every ablation that is built in can be planned, with one base and what is said to be equal
// equal to half a percent.
func TestBuiltIn(t *testing.T) {
	for _, name := range configs.AblationNames() {
		a, err := configs.OpenAblation(name)
		if err != nil {
			t.Fatal(err)
		}
		cells, err := Plan(a, nano)
		if err != nil {
			t.Error(err)
			continue
		}
		i := slices.IndexFunc(cells, func(c Cell) bool { return c.Base })
		if i < 0 || len(cells) < 3 {
			t.Errorf("%s has cells %v", name, names(cells))
			continue
		}
		for _, c := range cells {
			if a.Match == configs.MatchTrainFLOPs && math.Abs(c.FLOPs/cells[i].FLOPs-1) > tolerance {
				t.Errorf("%s: %s takes %v FLOPs per token, the base %v", name, c.Name, c.FLOPs, cells[i].FLOPs)
			}
		}
	}
}

// Two experts of half the size: matched by hand. Active parameters of a layer's experts are
// k·3·d·f; the router's and all else stay.
func TestMatchByHand(t *testing.T) {
	for match, want := range map[string]int{"active_params": 50, "train_flops": 50, "total_params": 100, "tokens": 100} {
		cells := plan(t, "match: "+match+"\naxes: {top_k: [1, 2]}")
		base, got := cells[0], cells[1]
		if h := got.Config.Layers[1].Channel.MoE.Expert.Hidden; h != want {
			t.Errorf("%s: hidden is %d, want %d", match, h, want)
		}
		if match == "active_params" && got.Params.Active != base.Params.Active {
			t.Errorf("%d active parameters, want %d", got.Params.Active, base.Params.Active)
		}
	}
	// 8·3·64·100 = 4·3·64·200, and the router's 65 weights of 4 experts are missing
	cells := plan(t, "match: total_params\naxes: {experts: [8, 4]}")
	if h := cells[1].Config.Layers[1].Channel.MoE.Expert.Hidden; h < 200 || h > 201 {
		t.Errorf("4 experts of %d have as many parameters as 8 of 100", h)
	}
	// an ungated MLP has two matrices where a gated has three
	cells = plan(t, "match: total_params\naxes: {activation: [swiglu, gelu]}")
	if h := cells[1].Config.Layers[1].Channel.MoE.Expert.Hidden; h != 150 {
		t.Errorf("ungated experts have %d columns, want 150", h)
	}
}

func TestLayers(t *testing.T) {
	kinds := func(c arch.Config) (s string) {
		for _, l := range c.Layers {
			if l.Parallel {
				s += "|"
			}
			switch {
			case l.Sequence.Attention != nil:
				s += "a"
			case l.Sequence.Mamba != nil:
				s += "m"
			}
			switch {
			case l.Channel.MoE != nil:
				s += "e"
			case l.Channel.MLP != nil:
				s += "f"
			}
		}
		return s
	}
	for yaml, want := range map[string][]string{
		"axes: {moe_every: [0, 1, 2, 4]}":                {"mfmfmfmf", "memememe", "mfmemfme", "mfmfmfme"},
		"axes: {parallel: [false, true]}":                {"memememe", "|me|me|me|me"},
		"axes: {attention_ratio: [0, 0.25, 0.5, 1]}":     {"memememe", "meaememe", "aemeaeme", "aeaeaeae"},
		"axes: {moe_every: [2], parallel: [true]}":       {"memememe", "|mf|me|mf|me"},
		"axes: {expand: [1], d_state: [4], d_conv: [2]}": {"memememe", "memememe"},
	} {
		for i, c := range plan(t, yaml) {
			if got := kinds(c.Config); got != want[i] {
				t.Errorf("%s: cell %s is %s, want %s", yaml, c.Name, got, want[i])
			}
		}
	}
	m := plan(t, "axes: {expand: [3], d_state: [4], d_conv: [2]}")[1].Config.Layers[2].Sequence.Mamba
	if m.Inner != 192 || m.State != 4 || m.Conv != 2 {
		t.Errorf("got %+v", m)
	}
	s := plan(t, "axes: {iterations: [3], column_first: [false], absolute: [true]}")[1].Config.Layers[1].Channel.MoE.Router.Sinkhorn
	if s.MaxIterations != 3 || s.ColumnFirst || !s.Absolute {
		t.Errorf("got %+v", s)
	}
	if hidden := plan(t, "axes: {top_k: [2]}")[0].Config; hidden.Layers[1].Channel.MoE.Router.TopK != 1 {
		t.Error("the base has the axis's value")
	}
}

func TestPlanErrors(t *testing.T) {
	for yaml, want := range map[string]string{
		"seeds: 1":                                    "sweep: a: axes is missing or empty",
		"axes: {experts: [4, 4]}":                     "axes.experts: experts=4 is there twice",
		"axes: {experts: [4], top_k: [5]}":            "cell experts=4,top_k=5: layers[1].channel.moe.router.top_k is 5, but there are 4 experts",
		"axes: {router: [hash], input: [both]}":       "cell router=hash,input=both: layers[1].channel.moe.router.hash routes by token ids",
		"axes: {router: [none], iterations: [3]}":     "iterations=3: the model has no router that Sinkhorn balances",
		"axes: {moe_every: [0], experts: [3]}":        "experts=3: the model has no mixture of experts",
		"axes: {moe_every: [5]}":                      "the model has 4 channel mixers only",
		"axes: {attention_ratio: [1], d_state: [3]}":  "d_state=3: the model has no Mamba layer",
		"axes: {attention_ratio: [0.3]}":              "0.3 of 4 sequence mixers is no number of them",
		"axes: {expand: [0.01]}":                      "d_inner would be 0.64, want a whole number",
		"axes: {lr: [0]}":                             "want a learning rate above 0",
		"axes: {d_state: [64]}\nmatch: train_flops":   "cell d_state=64: no hidden size makes its train_flops",
		"axes: {experts: [0]}":                        "experts is missing or 0",
		"axes: {input: [hidden], moe_every: [1, -1]}": "want a model with a mixture of experts",
		"axes: {moe_every: [0, 5]}\ndesign: grid":     "moe_every=5",
		"axes: {moe_every: [3, 4], parallel: [true, false], experts: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], lr: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]}": "more than 500 cells",
	} {
		a, err := configs.ParseAblation("a.yaml", []byte("name: a\nbase: {preset: nano-mamba-moe}\n"+yaml))
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := Plan(a, nano); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", yaml, err, want)
		}
	}
}
