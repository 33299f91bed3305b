package chart

import (
	"fmt"
	"math"
)

// lineChart has panels of n series, from a formula.
func lineChart(width Width, panels, n int, name, note string) Chart {
	c := Chart{Width: width, Columns: 2, Note: "test data, not measured · " + note}
	for p := range panels {
		l := &Lines{}
		for i := range n {
			s := Series{
				Name: fmt.Sprintf("%s-%d", name, i), Note: note,
				Look: Look{Color: Color(i % 8), Mark: Mark(i % 7), Dash: Dash(i % 4), Shade: i / 3, Hollow: i%2 == 0},
			}
			for k := range 9 {
				x := 16 * math.Exp2(float64(k))
				y := (0.01 + 1e-5*x) * x * float64(i+1)
				s.Points = append(s.Points, Point{X: x, Y: y, Lo: 0.8 * y, Hi: 1.3 * y, N: 5, Coverage: 0.9375})
			}
			l.Series = append(l.Series, s)
		}
		panel := Panel{X: Axis{Label: "Tokens generated", Scale: Log2}, Y: Axis{Label: "Generation latency", Unit: "s", Scale: Log10}, Lines: l}
		if panels > 1 {
			panel.Title = fmt.Sprintf("batch %d", p+1)
		}
		c.Panels = append(c.Panels, panel)
	}
	return c
}

func numerals(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

// expertChart has bars or a heat map of experts in layers.
func expertChart(width Width, layers, experts int, heat bool) Chart {
	load := func(layer, expert int) float64 { return 1 + 0.9*math.Sin(float64(7*layer+3*expert)) }
	p := Panel{Title: "a-model", Note: "Mamba-MoE, 344M/1.46B", X: Axis{Label: "Layer"}, Y: Axis{Label: "Tokens"}}
	if heat {
		p.Heat = &Heat{Columns: numerals(layers), Rows: numerals(experts), Legend: "Tokens / mean"}
		for e := range experts {
			row := make([]float64, layers)
			for l := range row {
				row[l] = load(l, e)
			}
			p.Heat.Value = append(p.Heat.Value, row)
		}
		return Chart{Width: width, Panels: []Panel{p}}
	}
	p.Shares = &Shares{Bars: numerals(layers), Parts: numerals(experts), Legend: "Expert", AboveIs: "max/mean"}
	for l := range layers {
		bar, sum := make([]float64, experts), 0.0
		for e := range bar {
			bar[e] = load(l, e)
			sum += bar[e]
		}
		for e := range bar {
			bar[e] /= sum
		}
		p.Shares.Share = append(p.Shares.Share, bar)
		p.Shares.Above = append(p.Shares.Above, "1.23")
	}
	return Chart{Width: width, Panels: []Panel{p}}
}

func diagramChart(panels int) Chart {
	mixer := func(text, detail string) []Box {
		return []Box{{Text: "RMSNorm", Tint: Gray}, {Text: text, Detail: detail, Tint: Blue, Many: text == "MoE"}}
	}
	attention, moe := mixer("Attention", "18 heads of 64"), mixer("MoE", "8 experts, top-1, hidden 3072")
	flow := []Node{
		{Box: &Box{Text: "Embedding"}},
		{Repeat: &Repeat{Times: 120, Flow: []Node{
			{Add: &Add{Branches: [][]Box{attention, moe}}},
			{Add: &Add{Branches: [][]Box{attention}}},
			{Repeat: &Repeat{Times: 2, Flow: []Node{{Add: &Add{Branches: [][]Box{moe}}}}}},
		}}},
		{Box: &Box{Text: "Head"}},
	}
	c := Chart{Width: Double}
	for range panels {
		c.Panels = append(c.Panels, Panel{Title: "Mamba-MoE", Note: "a-model\n1.46B parameters, 344M active", Diagram: &Diagram{Flow: flow}})
	}
	return c
}

// sampleCharts are charts of every kind, with little and with much on them.
func sampleCharts() map[string]Chart {
	all := map[string]Chart{
		"diagram of one": diagramChart(1), "diagram of four": diagramChart(4),
		"mixed": {Width: Double, Columns: 2, Panels: append(expertChart(Double, 6, 8, true).Panels, append(expertChart(Double, 6, 8, false).Panels, lineChart(Double, 1, 3, "a", "b").Panels...)...)},
	}
	for _, n := range []int{1, 4, 8} {
		all[fmt.Sprintf("lines of %d", n)] = lineChart(Single, 1, n, "transformer", "Dense transformer, 340M")
		all[fmt.Sprintf("long names of %d", n)] = lineChart(Single, 1, n, "a-transformer-with-a-name-as-long-as-a-column-is-wide", "Transformer-MoE, 344M/1.46B")
		all[fmt.Sprintf("panels of %d", n)] = lineChart(Double, n, n, "matched-transformer-moe-340m", "Transformer-MoE, 344M/1.46B")
	}
	for _, size := range [][2]int{{1, 1}, {2, 4}, {8, 8}, {18, 8}, {18, 16}, {32, 64}} {
		for _, width := range []Width{Single, Double} {
			all[fmt.Sprintf("shares of %v, width %d", size, width)] = expertChart(width, size[0], size[1], false)
			all[fmt.Sprintf("heat of %v, width %d", size, width)] = expertChart(width, size[0], size[1], true)
		}
	}
	return all
}
