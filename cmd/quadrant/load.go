package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"quadrant/arch"
	"quadrant/configs"
	"quadrant/flops"
	"quadrant/kernels"
	"quadrant/results"
)

// findModel returns the config that --model means: a preset's name or a YAML file.
func findModel(name string) (configs.Preset, error) {
	if name == "" {
		return configs.Preset{}, misuse(errors.New("no model named: --model takes a preset's name ('quadrant models' lists them) or a YAML file"))
	}
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return configs.Preset{}, fmt.Errorf("%s is a folder: this version does not load checkpoints; --model takes a preset's name or a YAML file", name)
	}
	return configs.Open(name)
}

// findModels is findModel for a list.
func findModels(names []string) ([]configs.Preset, error) {
	var all []configs.Preset
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return nil, misusef("model %s is named twice", name)
		}
		p, err := findModel(name)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// A size is what decides how much memory a model takes.
type size struct {
	types        arch.Types
	seqs, maxLen int
}

func parseTypes(dtype string) (arch.Types, error) {
	t, err := kernels.ParseFloat(dtype)
	return arch.Types{Weights: t, Cache: t}, misuse(err)
}

// need is the bytes that a model takes, without scratch.
func need(p configs.Preset, s size) (int64, error) {
	t, err := countAt(p, s.maxLen, s.types)
	return t.Params.Bytes + int64(s.seqs)*t.StateBytes, err
}

// build makes the model with random weights on dev.
func (a *app) build(dev kernels.Device, p configs.Preset, types arch.Types) (*arch.Model, error) {
	m, err := arch.New(p.Config, dev, types)
	if err != nil {
		return nil, err
	}
	a.log.Debug("drawing random weights", "model", p.Name, "seed", a.seed)
	m.Init(a.seed)
	return m, nil
}

// subject describes a preset with random weights, as results name it.
func (a *app) subject(p configs.Preset, types arch.Types) (results.Subject, error) {
	var meter flops.Meter
	m, err := arch.New(p.Config, &meter, types)
	if err != nil {
		return results.Subject{}, err
	}
	n := m.Count()
	return results.Subject{
		Model: p.Name, Family: string(p.Config.Family()), Total: n.Total, Active: n.Active,
		DType: types.Weights.String(), Weights: fmt.Sprintf("random, seed %d", a.seed), Outline: outline(p.Config),
	}, nil
}

// outline is the shape of a config as a diagram draws it: its layers as the shortest
// pattern that repeats, or runs of equal layers where no pattern does.
func outline(c arch.Config) []results.Group {
	n := len(c.Layers)
	describe := func(layers []arch.Layer) (all []results.Layer) {
		for _, l := range layers {
			all = append(all, describeLayer(c, l))
		}
		return all
	}
	for period := 1; period <= n/2; period++ {
		if n%period == 0 && slices.EqualFunc(c.Layers[period:], c.Layers[:n-period], sameLayer) {
			return []results.Group{{Repeat: n / period, Layers: describe(c.Layers[:period])}}
		}
	}
	var groups []results.Group
	for i := 0; i < n; {
		j := i + 1
		for j < n && sameLayer(c.Layers[i], c.Layers[j]) {
			j++
		}
		groups = append(groups, results.Group{Repeat: j - i, Layers: describe(c.Layers[i : i+1])})
		i = j
	}
	return groups
}

func sameLayer(a, b arch.Layer) bool { return reflect.DeepEqual(a, b) }

func describeLayer(c arch.Config, l arch.Layer) results.Layer {
	norm := map[arch.NormKind]string{arch.RMSNorm: "RMSNorm", arch.LayerNorm: "LayerNorm"}[c.Norm.Kind]
	out := results.Layer{Parallel: l.Parallel}
	if at := l.Sequence.Attention; at != nil {
		detail := fmt.Sprintf("%d heads of %d", at.Heads, at.HeadDim)
		if at.KVHeads != at.Heads {
			detail += fmt.Sprintf(", %d KV heads", at.KVHeads)
		}
		out.Sequence = &results.Block{Kind: "attention", Detail: detail, Norm: norm}
	}
	if m := l.Sequence.Mamba; m != nil {
		out.Sequence = &results.Block{Kind: "mamba", Detail: fmt.Sprintf("d_inner %d, d_state %d", m.Inner, m.State), Norm: norm}
	}
	if m := l.Channel.MLP; m != nil {
		out.Channel = &results.Block{Kind: "mlp", Detail: describeMLP(*m), Norm: norm}
	}
	if m := l.Channel.MoE; m != nil {
		detail := fmt.Sprintf("%d experts, top-%d, %s", m.Experts, m.Router.TopK, describeMLP(m.Expert))
		out.Channel = &results.Block{Kind: "moe", Detail: detail, Norm: norm}
	}
	return out
}

func describeMLP(m arch.MLP) string {
	name := strings.ToUpper(m.Act.String())
	if m.Gate != arch.Ungated {
		name = "gated " + name
	}
	return fmt.Sprintf("hidden %d, %s", m.Hidden, name)
}

// countAt counts the generation of one token after n−1 others: the state then holds n.
func countAt(p configs.Preset, n int, types arch.Types) (flops.Tally, error) {
	return flops.Count(p.Config, flops.Work{Seqs: 1, Context: n - 1, Tokens: 1, Types: types, LastLogits: true})
}
