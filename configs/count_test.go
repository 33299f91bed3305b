package configs

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"quadrant/arch"
)

// count adds up the parameters of a model by hand: all of them, and those that one token
// uses. A tied head is counted once; the embedding is counted whole in both.
func count(c arch.Config) (total, active int) {
	total = c.Vocab*c.Dim + norm(c.FinalNorm, c.Dim)
	if !c.TiedHead {
		total += c.Vocab * c.Dim
	}
	if c.HeadBias {
		total += c.Vocab
	}
	idle := 0
	for _, l := range c.Layers {
		if a := l.Sequence.Attention; a != nil {
			q, kv := a.Heads*a.HeadDim, a.KVHeads*a.HeadDim
			total += norm(c.Norm, c.Dim) + c.Dim*(q+2*kv) + q*c.Dim
			total += when(a.QKVBias, q+2*kv) + when(a.OutBias, c.Dim)
		}
		if m := l.Sequence.Mamba; m != nil {
			total += norm(c.Norm, c.Dim) + 2*m.Inner*c.Dim + c.Dim*m.Inner // in, out
			total += m.Inner*m.Conv + when(m.ConvBias, m.Inner)
			total += (m.Rank+2*m.State)*m.Inner + m.Inner*m.Rank + m.Inner // x, dt, dt bias
			total += m.Inner*m.State + m.Inner                             // A, D
			total += when(m.Bias, 2*m.Inner+c.Dim)
		}
		if p := l.Channel.MLP; p != nil {
			total += norm(c.Norm, c.Dim) + mlp(*p, c.Dim)
		}
		if e := l.Channel.MoE; e != nil {
			total += norm(c.Norm, c.Dim) + e.Experts*c.Dim + when(e.Router.Bias, e.Experts)
			total += e.Experts * mlp(e.Expert, c.Dim)
			idle += (e.Experts - e.Router.TopK) * mlp(e.Expert, c.Dim)
		}
	}
	return total, total - idle
}

func norm(n arch.Norm, dim int) int { return dim + when(n.Bias, dim) }

func mlp(m arch.MLP, dim int) int {
	up := m.Hidden
	if m.Gate != arch.Ungated {
		up *= 2
	}
	return up*dim + dim*m.Hidden + when(m.Bias, up+dim)
}

func when(yes bool, n int) int {
	if yes {
		return n
	}
	return 0
}

// TestCounts compares with published numbers of parameters: those of BlackMamba and
// Mamba in spec/models.md, those of Pythia in the table of its README.
func TestCounts(t *testing.T) {
	for name, want := range map[string][2]int{
		"blackmamba-1.5b": {1_458_462_072, 343_694_712},
		"blackmamba-2.8b": {2_783_213_584, 628_770_832},
		"mamba-130m":      {129_135_360, 129_135_360},
		"mamba-370m":      {371_516_416, 371_516_416},
		"mamba-790m":      {793_204_224, 793_204_224},
		"mamba-1.4b":      {1_372_178_432, 1_372_178_432},
		"mamba-2.8b":      {2_768_345_600, 2_768_345_600},
		"pythia-70m":      {70_426_624, 70_426_624},
		"pythia-160m":     {162_322_944, 162_322_944},
		"pythia-410m":     {405_334_016, 405_334_016},
		"pythia-1b":       {1_011_781_632, 1_011_781_632},
		"pythia-1.4b":     {1_414_647_808, 1_414_647_808},
		"pythia-2.8b":     {2_775_208_960, 2_775_208_960},
	} {
		p, err := Load(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if total, active := count(p.Config); total != want[0] || active != want[1] {
			t.Errorf("%s has %d parameters, %d active, want %d and %d", name, total, active, want[0], want[1])
		}
	}
	for _, p := range All() {
		total, active := count(p.Config)
		t.Logf("%-29s %-15s %3d layers %13d total %13d active", p.Name, p.Config.Family(), len(p.Config.Layers), total, active)
	}
}

// TestMatched compares active parameters: within 1 % of blackmamba-1.5b's, and within
// 3 % of each other for the quartets made here.
func TestMatched(t *testing.T) {
	const reference = 343_694_712
	quartets := map[string][]int{"tiny": nil, "90m": nil}
	for _, p := range All() {
		_, active := count(p.Config)
		if off := math.Abs(float64(active)/reference - 1); p.Group == "matched" && off > 0.01 {
			t.Errorf("%s has %d active parameters, %.2f %% off %d, want at most 1 %%", p.Name, active, 100*off, reference)
		}
		if _, ok := quartets[p.Group]; ok {
			quartets[p.Group] = append(quartets[p.Group], active)
		}
	}
	about := map[string]float64{"tiny": 1e6, "90m": 90e6}
	for group, active := range quartets {
		least, most := float64(slices.Min(active)), float64(slices.Max(active))
		if len(active) != 4 || most/least > 1.03 || least < 0.9*about[group] || most > 1.1*about[group] {
			t.Errorf("models of group %s have %d active parameters, want 4 models within 3 %%, about %g", group, active, about[group])
		}
	}
}

// TestQuartetsDifferInMixersOnly keeps each quartet a comparison of two choices.
func TestQuartetsDifferInMixersOnly(t *testing.T) {
	for group, name := range map[string]string{"tiny": "tiny-%s", "90m": "%s-90m"} {
		families := map[arch.Family]bool{}
		var first arch.Config
		for _, p := range All() {
			if p.Group != group {
				continue
			}
			c := p.Config
			if families[c.Family()] = true; p.Name != fmt.Sprintf(name, c.Family()) {
				t.Errorf("%s is a %s", p.Name, c.Family())
			}
			c.Layers = nil
			if len(families) == 1 {
				first = c
			}
			if c.Dim != first.Dim || c.Vocab != first.Vocab || c.Norm != first.Norm || c.FinalNorm != first.FinalNorm || !c.TiedHead || c.HeadBias {
				t.Errorf("%s is %+v without its layers, want %+v", p.Name, c, first)
			}
		}
		if len(families) != 4 {
			t.Errorf("there are %d architectures of group %s, want 4", len(families), group)
		}
	}
}
