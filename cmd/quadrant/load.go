package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"quadrant/arch"
	"quadrant/checkpoint"
	"quadrant/configs"
	"quadrant/flops"
	"quadrant/hub"
	"quadrant/kernels"
	"quadrant/results"
)

// modelUsage says what --model takes.
const modelUsage = "--model takes a preset's name ('quadrant models' lists them), a YAML file, a checkpoint's folder, or ORG/NAME that was pulled"

// findModel returns the model that --model means: a preset's name, a YAML file, the folder
// of a checkpoint or one of several files of weights in it, or ORG/NAME, with or without
// @REVISION, that lies in the hub's cache.
func findModel(name string) (configs.Preset, error) {
	if name == "" {
		return configs.Preset{}, misuse(errors.New("no model named: " + modelUsage))
	}
	info, err := os.Stat(name)
	if checkpoint.IsWeights(name) || err == nil && info.IsDir() {
		return openCheckpoint(name)
	}
	ext := filepath.Ext(name)
	if _, notRef := hub.ParseRef(name); notRef == nil && err != nil && ext != ".yaml" && ext != ".yml" {
		dir, err := hub.Find(name)
		if err != nil {
			return configs.Preset{}, err
		}
		p, err := openCheckpoint(dir)
		p.Name = name // the folder is named after a commit
		return p, err
	}
	return configs.Open(name)
}

// openCheckpoint is findModel for a checkpoint. Its weights need not be there yet.
func openCheckpoint(path string) (configs.Preset, error) {
	c, err := checkpoint.Open(path, checkpoint.Options{})
	if err != nil {
		return configs.Preset{}, err
	}
	name := path
	if abs, err := filepath.Abs(path); err == nil {
		name = filepath.Base(abs)
		if info, err := os.Stat(abs); err == nil && !info.IsDir() { // weights of several types in one folder
			name = filepath.Join(filepath.Base(filepath.Dir(abs)), name)
		}
	}
	return configs.Preset{
		Name: name, Group: c.Family(), Source: "checkpoint " + path, Tokenizer: c.Tokenizer(), Config: c.Config, Checkpoint: path,
	}, nil
}

// checkpointOf opens p's checkpoint with the options that the flags give, and is nil where
// p has none.
func (a *app) checkpointOf(p configs.Preset) (*checkpoint.Checkpoint, error) {
	var o checkpoint.Options
	if a.expertAct != "" {
		if err := o.ExpertAct.UnmarshalText([]byte(a.expertAct)); err != nil || o.ExpertAct != kernels.GELU && o.ExpertAct != kernels.SiLU {
			return nil, misusef("--expert-act %q: want gelu or silu", a.expertAct)
		}
	}
	switch {
	case p.Checkpoint != "":
		return checkpoint.Open(p.Checkpoint, o)
	case o.ExpertAct != 0:
		return nil, misusef("--expert-act chooses how a BlackMamba checkpoint is read: %s is none, and says its own", p.Name)
	}
	return nil, nil
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

// dtypeUsage says what --dtype takes where the model may be a checkpoint.
const dtypeUsage = "f32, bf16, f16; if not given, a checkpoint's own, and f32 for others"

func parseTypes(dtype string) (arch.Types, error) {
	t, err := kernels.ParseFloat(dtype)
	return arch.Types{Weights: t, Cache: t}, misuse(err)
}

// A typed preset is one with the types that its memory has.
type typed struct {
	configs.Preset
	types arch.Types
}

// typesOf gives p the types that --dtype says or, where it was not given, those of its
// checkpoint: the type of most bytes of the matrices. Others, and a config.json without
// weights, are F32.
func (a *app) typesOf(p configs.Preset, dtype string) (typed, error) {
	if dtype != "" {
		types, err := parseTypes(dtype)
		return typed{p, types}, err
	}
	c, err := a.checkpointOf(p)
	if c == nil || err != nil {
		return typed{p, arch.Types{}}, err
	}
	if _, err := checkpoint.FindWeights(c.Path); err != nil {
		return typed{p, arch.Types{}}, nil
	}
	all, err := c.MatrixTypes()
	if len(all) == 0 || err != nil {
		return typed{p, arch.Types{}}, err
	}
	if len(all) > 1 {
		a.log.Info(fmt.Sprintf("%s has matrices of %s: all are kept as %v, the type of most bytes; --dtype chooses another", p.Name, join(all), all[0]))
	}
	return typed{p, arch.Types{Weights: all[0], Cache: all[0]}}, nil
}

// typesOfAll is typesOf for a list.
func (a *app) typesOfAll(presets []configs.Preset, dtype string) ([]typed, error) {
	var all []typed
	for _, p := range presets {
		t, err := a.typesOf(p, dtype)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// join lists types in words: "f16 and f32".
func join(types []kernels.Type) string {
	var names []string
	for _, t := range types {
		names = append(names, t.String())
	}
	return strings.Join(names, " and ")
}

// need is the bytes that a model takes, without scratch.
func need(p configs.Preset, s size) (int64, error) {
	t, err := countAt(p, s.maxLen, s.types)
	return t.Params.Bytes + int64(s.seqs)*t.StateBytes, err
}

// build makes the model on dev: with the weights of its checkpoint, or random ones.
func (a *app) build(dev kernels.Device, p configs.Preset, types arch.Types) (*arch.Model, error) {
	c, err := a.checkpointOf(p)
	if err != nil {
		return nil, err
	}
	if c != nil {
		a.log.Debug("loading weights", "model", p.Name, "from", c.Source())
		return c.Load(dev, types)
	}
	m, err := arch.New(p.Config, dev, types)
	if err != nil {
		return nil, err
	}
	a.log.Debug("drawing random weights", "model", p.Name, "seed", a.seed)
	m.Init(a.seed)
	return m, nil
}

// subject describes a model as results name it.
func (a *app) subject(p configs.Preset, types arch.Types) (results.Subject, error) {
	weights := fmt.Sprintf("random, seed %d", a.seed)
	c, err := a.checkpointOf(p)
	if err != nil {
		return results.Subject{}, err
	}
	if c != nil {
		weights, p.Config = c.Source(), c.Config
	}
	var meter flops.Meter
	m, err := arch.New(p.Config, &meter, types)
	if err != nil {
		return results.Subject{}, err
	}
	n := m.Count()
	return results.Subject{
		Model: p.Name, Family: string(p.Config.Family()), Total: n.Total, Active: n.Active,
		DType: types.Weights.String(), Weights: weights, Outline: outline(p.Config),
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
	name := map[kernels.Act]string{kernels.SiLU: "SiLU", kernels.GELU: "GELU", kernels.GELUTanh: "GELU (tanh)", kernels.ReLU: "ReLU"}[m.Act]
	if m.Gate != arch.Ungated {
		name = "gated " + name
	}
	return fmt.Sprintf("hidden %d, %s", m.Hidden, name)
}

// countAt counts the generation of one token after n−1 others: the state then holds n.
func countAt(p configs.Preset, n int, types arch.Types) (flops.Tally, error) {
	return flops.Count(p.Config, flops.Work{Seqs: 1, Context: n - 1, Tokens: 1, Types: types, LastLogits: true})
}
