package reports

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"quadrant/reports/chart"
	"quadrant/results"
)

// drawArchitectures draws the first model of each family from its outline.
func drawArchitectures(rs []results.Result) (picture, error) {
	rs = slices.DeleteFunc(slices.Clone(rs), func(r results.Result) bool { return len(r.Subject.Outline) == 0 })
	if len(rs) == 0 {
		return picture{}, fmt.Errorf("%w: no result has the outline of its model (subject.outline)", ErrNoData)
	}
	c := chart.Chart{Width: chart.Double}
	var drawn []results.Result
	var said []string
	for _, f := range families {
		i := slices.IndexFunc(rs, func(r results.Result) bool { return r.Subject.Family == f.name })
		if i < 0 {
			continue
		}
		r := rs[i]
		flow, err := flowOf(r.Subject.Outline)
		if err != nil {
			return picture{}, fmt.Errorf("%s: %w", r.Subject.Model, err)
		}
		drawn = append(drawn, r)
		c.Panels = append(c.Panels, chart.Panel{
			Title:   f.title,
			Note:    r.Subject.Model + "\n" + size(modelOf(r)),
			Diagram: &chart.Diagram{Flow: flow},
		})
		said = append(said, fmt.Sprintf("%s: %s, %s.", f.title, r.Subject.Model, size(modelOf(r))))
	}
	if len(c.Panels) == 0 {
		return picture{}, fmt.Errorf("%w: no result has a family of %s", ErrNoData, familyNames())
	}
	switch len(c.Panels) {
	case 1:
		c.Width = chart.Single
	case 5:
		c.Columns = 3 // five side by side are too narrow to read
	}
	return picture{chart: c, said: said, conditions: []string{
		"from the outlines of the models measured",
		dates(drawn),
		"commit " + list(drawn, "not recorded", named("", shortCommit)),
	}}, nil
}

func familyNames() string {
	var names []string
	for _, f := range families {
		names = append(names, f.name)
	}
	return strings.Join(names, ", ")
}

// flowOf is a model from its embedding to its head.
func flowOf(outline []results.Group) ([]chart.Node, error) {
	flow := []chart.Node{{Box: &chart.Box{Text: "Embedding", Tint: chart.Gray}}}
	for i, g := range outline {
		var nodes []chart.Node
		for j, l := range g.Layers {
			own, err := layerNodes(l)
			if err != nil {
				return nil, fmt.Errorf("outline: group %d: layer %d: %w", i, j, err)
			}
			nodes = append(nodes, own...)
		}
		switch {
		case g.Repeat < 1 || len(nodes) == 0:
			return nil, fmt.Errorf("outline: group %d repeats %d layers %d times", i, len(g.Layers), g.Repeat)
		case g.Repeat == 1:
			flow = append(flow, nodes...)
		default:
			flow = append(flow, chart.Node{Repeat: &chart.Repeat{Times: g.Repeat, Flow: nodes}})
		}
	}
	return append(flow,
		chart.Node{Box: &chart.Box{Text: "Norm", Tint: chart.Gray}},
		chart.Node{Box: &chart.Box{Text: "Head", Tint: chart.Gray}}), nil
}

// layerNodes are a layer's mixers one after the other or, if it is parallel, side by side.
func layerNodes(l results.Layer) ([]chart.Node, error) {
	var branches [][]chart.Box
	for _, b := range []*results.Block{l.Sequence, l.Channel} {
		if b != nil {
			branches = append(branches, branchOf(*b))
		}
	}
	if len(branches) == 0 {
		return nil, errors.New("neither a sequence mixer nor a channel mixer")
	}
	if l.Parallel {
		return []chart.Node{{Add: &chart.Add{Branches: branches}}}, nil
	}
	var nodes []chart.Node
	for _, b := range branches {
		nodes = append(nodes, chart.Node{Add: &chart.Add{Branches: [][]chart.Box{b}}})
	}
	return nodes, nil
}

// kinds is what blocks are called and how they look.
var kinds = map[string]chart.Box{
	"attention": {Text: "Attention", Tint: chart.Blue},
	"mamba":     {Text: "Mamba", Tint: chart.Orange},
	"mlp":       {Text: "MLP", Tint: chart.Green},
	"moe":       {Text: "MoE", Tint: chart.Purple, Many: true},
}

// branchOf is a mixer after its norm.
func branchOf(b results.Block) []chart.Box {
	box, ok := kinds[b.Kind]
	if !ok {
		box = chart.Box{Text: b.Kind, Tint: chart.Gray}
	}
	box.Detail = b.Detail
	if b.Norm == "" {
		return []chart.Box{box}
	}
	return []chart.Box{{Text: b.Norm, Tint: chart.Gray}, box}
}
