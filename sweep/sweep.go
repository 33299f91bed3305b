// Package sweep makes models of an ablation: a base model changed along axes, with hidden
// sizes solved so that what is said to be equal is. It trains nothing.
package sweep

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"quadrant/arch"
	"quadrant/configs"
	"quadrant/flops"
)

// A Cell is one model of an ablation and how it is trained.
type Cell struct {
	Name   string // what tells it from others: "experts=4,top_k=2", or "base" where no values of the axes are the base's
	Base   bool   // it is the model that others are compared with
	Config arch.Config
	LR     float64 // peak learning rate
	Params arch.Count
	FLOPs  float64 // forward pass per token, by every op, averaged over a context
}

// Setting is what an ablation leaves open.
type Setting struct {
	Context int     // tokens of a sequence
	LR      float64 // of the base
}

// maxCells bounds what axes may ask for.
const maxCells = 500

// A draft is a cell before its hidden sizes are solved.
type draft struct {
	name string
	cfg  arch.Config
	lr   float64
}

// Plan returns the cells of a in the order of its axes. One of them is the base: that whose
// values are the base's or, if there is none, one more before the others.
func Plan(a configs.Ablation, s Setting) ([]Cell, error) {
	base := draft{name: "base", cfg: a.Base.Config, lr: s.LR}
	drafts, err := drafts(a, base)
	if err != nil {
		return nil, fmt.Errorf("sweep: %s: %w", a.Name, err)
	}
	target, err := measure(base.cfg, s.Context)
	if err != nil {
		return nil, fmt.Errorf("sweep: %s: base: %w", a.Name, err)
	}
	var cells []Cell
	for _, d := range drafts {
		c := Cell{Name: d.name, Base: d.same(base), LR: d.lr}
		if c.Config, err = match(d.cfg, a.Match, target, s.Context); err == nil {
			err = c.Config.Trainable()
		}
		if err == nil {
			err = c.count(s.Context)
		}
		if err != nil {
			return nil, fmt.Errorf("sweep: %s: cell %s: %w", a.Name, d.name, err)
		}
		cells = append(cells, c)
	}
	return cells, nil
}

func (c *Cell) count(context int) error {
	t, err := measure(c.Config, context)
	c.Params, c.FLOPs = t.Params, float64(t.FLOPs)/float64(context)
	return err
}

// measure counts a model's parameters, and its FLOPs in reading one context.
func measure(cfg arch.Config, context int) (flops.Tally, error) {
	return flops.Count(cfg, flops.Work{Seqs: 1, Tokens: context})
}

// drafts are all cells of a, none twice.
func drafts(a configs.Ablation, base draft) ([]draft, error) {
	axes := axesOf(a.Axes)
	if len(axes) == 0 {
		return nil, fmt.Errorf("axes is missing or empty, want values of at least one setting")
	}
	for _, x := range axes {
		if err := x.check(); err != nil {
			return nil, err
		}
	}
	all, err := combine(axes, a.Design, base)
	if err != nil {
		return nil, err
	}
	hasBase := false
	for i, d := range all {
		hasBase = hasBase || d.same(base)
		for _, e := range all[:i] {
			if d.same(e) {
				return nil, fmt.Errorf("cells %s and %s are the same model", e.name, d.name)
			}
		}
	}
	if !hasBase {
		all = append([]draft{base}, all...)
	}
	return all, nil
}

// combine puts values of the axes together as the design says.
func combine(axes []axis, design configs.Design, base draft) ([]draft, error) {
	if design == configs.Each {
		var all []draft
		for _, x := range axes {
			part, err := grid([]axis{x}, base)
			if err != nil {
				return nil, err
			}
			for _, d := range part {
				if !d.same(base) { // which stands once for all axes
					all = append(all, d)
				}
			}
		}
		return all, nil
	}
	return grid(axes, base)
}

// grid is all values of each axis with all of the others; the last changes fastest.
func grid(axes []axis, base draft) ([]draft, error) {
	cells := 1
	for _, x := range axes {
		if cells *= len(x.values); cells > maxCells {
			return nil, fmt.Errorf("axes make more than %d cells: take fewer values, or design: each", maxCells)
		}
	}
	all := make([]draft, 0, cells)
	for n := range cells {
		picked := make([]value, len(axes))
		for i := len(axes) - 1; i >= 0; i-- {
			picked[i] = axes[i].values[n%len(axes[i].values)]
			n /= len(axes[i].values)
		}
		d, err := base.with(picked)
		if err != nil {
			return nil, err
		}
		d.name = nameOf(axes, picked)
		all = append(all, d)
	}
	return all, nil
}

// nameOf is the name of the cell that takes picked of axes: the values of those that differ
// among cells or, if none do, all.
func nameOf(axes []axis, picked []value) string {
	several := slices.ContainsFunc(axes, func(x axis) bool { return len(x.values) > 1 })
	var names []string
	for i, v := range picked {
		if len(axes[i].values) > 1 || !several {
			names = append(names, v.text)
		}
	}
	return strings.Join(names, ",")
}

// with is d changed by values, in their order, under a name that has them all.
func (d draft) with(values []value) (draft, error) {
	d.cfg = clone(d.cfg)
	var names []string
	for _, v := range values {
		names = append(names, v.text)
	}
	d.name = strings.Join(names, ",")
	for _, v := range values {
		if err := v.apply(&d); err != nil {
			return d, fmt.Errorf("cell %s: %s: %w", d.name, v.text, err)
		}
	}
	if err := d.cfg.Validate(); err != nil {
		return d, fmt.Errorf("cell %s: %w", d.name, err)
	}
	return d, nil
}

func (d draft) same(e draft) bool {
	return d.lr == e.lr && reflect.DeepEqual(explicit(d.cfg), explicit(e.cfg))
}

// explicit is c with what a router that does not say it stands for.
func explicit(c arch.Config) arch.Config {
	c = clone(c)
	for _, l := range c.Layers {
		if m := l.Channel.MoE; m != nil && !m.Router.Hash {
			r := &m.Router
			r.Input, r.Inference = max(r.Input, arch.HiddenInput), max(r.Inference, arch.ArgmaxInference)
			if r.GateScale == 0 {
				r.GateScale = 1
			}
		}
	}
	return c
}

// clone copies v, a config or a part of one, and all it points to.
func clone[T any](v T) T {
	text, err := json.Marshal(v)
	var copied T
	if err == nil {
		err = json.Unmarshal(text, &copied)
	}
	if err != nil {
		panic(fmt.Sprintf("sweep: a config that is valid has no JSON: %v", err))
	}
	return copied
}
