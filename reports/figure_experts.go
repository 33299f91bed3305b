package reports

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"quadrant/internal/stat"
	"quadrant/reports/chart"
	"quadrant/results"
)

// A routing is where the router of each layer of one model sent the tokens of one text.
type routing struct {
	title, note string
	setting     string      // what tells it from others of the model, "" if nothing does
	layers      []layerLoad // in order
	experts     int         // of the layer that has most
}

// A layerLoad is what the experts of a layer received.
type layerLoad struct {
	index   int
	tokens  []float64
	balance stat.Balance
}

// routings divides results of metric expert_tokens by model and setting.
func routings(rs []results.Result) ([]routing, error) {
	var all []routing
	models := lines(rs)
	facets, err := split(rs, byCorpus, byPhase, byDType, byDevice)
	if err != nil {
		return nil, err
	}
	for _, l := range models {
		for _, f := range facets {
			own := slices.DeleteFunc(slices.Clone(f.results), func(r results.Result) bool { return modelOf(r) != l.model })
			if len(own) == 0 {
				continue
			}
			r, err := newRouting(own)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", l.name, err)
			}
			r.title, r.note, r.setting = l.name, l.note, f.label
			if f.label != "" {
				r.note += ", " + f.label
			}
			all = append(all, r)
		}
	}
	return all, nil
}

func newRouting(rs []results.Result) (routing, error) {
	var out routing
	for _, r := range rs {
		if r.Point.Layer == nil {
			return out, fmt.Errorf("point.layer is missing")
		}
		b, err := stat.NewBalance(r.Values)
		if err != nil {
			return out, fmt.Errorf("layer %d: %w", *r.Point.Layer, err)
		}
		out.layers = append(out.layers, layerLoad{*r.Point.Layer, r.Values, b})
		out.experts = max(out.experts, b.Experts)
	}
	slices.SortStableFunc(out.layers, func(a, b layerLoad) int { return a.index - b.index })
	for i := 1; i < len(out.layers); i++ {
		if a, b := out.layers[i-1], out.layers[i]; a.index == b.index {
			if !slices.Equal(a.tokens, b.tokens) {
				return out, fmt.Errorf("layer %d is given twice, with %v and %v tokens: keep one", a.index, a.tokens, b.tokens)
			}
		}
	}
	out.layers = slices.CompactFunc(out.layers, func(a, b layerLoad) bool { return a.index == b.index })
	return out, nil
}

// names are the layers' and experts' numbers.
func (r routing) names() (layers, experts []string) {
	for _, l := range r.layers {
		layers = append(layers, strconv.Itoa(l.index))
	}
	for e := range r.experts {
		experts = append(experts, strconv.Itoa(e))
	}
	return layers, experts
}

// expertChart draws each routing in a panel; models with few layers side by side.
func expertChart(rs []results.Result, panel func(routing) chart.Panel) (picture, error) {
	all, err := routings(rs)
	if err != nil {
		return picture{}, err
	}
	if len(all) > mostPanels {
		return picture{}, fmt.Errorf("results hold %d models and texts, a figure shows at most %d: choose among them", len(all), mostPanels)
	}
	most := 0
	c := chart.Chart{Width: chart.Double, Columns: 1}
	for _, r := range all {
		most = max(most, len(r.layers))
		c.Panels = append(c.Panels, panel(r))
	}
	switch {
	case most <= 8 && len(all) == 1:
		c.Width = chart.Single
	case most <= 8:
		c.Columns = 2
	}
	return picture{chart: c, said: noise(all), conditions: conditions(rs, byCorpus, byPhase)}, nil
}

func drawExpertBalance(rs []results.Result) (picture, error) { return expertChart(rs, sharesPanel) }

func sharesPanel(r routing) chart.Panel {
	layers, experts := r.names()
	s := &chart.Shares{Bars: layers, Parts: experts, Legend: "Expert", AboveIs: "max/mean"}
	for _, l := range r.layers {
		bar := make([]float64, r.experts)
		for e := range bar {
			bar[e] = math.NaN()
			if e < len(l.tokens) {
				bar[e] = l.tokens[e] / l.balance.Tokens
			}
		}
		s.Share = append(s.Share, bar)
		s.Above = append(s.Above, chart.Ratio(l.balance.MaxLoad))
	}
	return chart.Panel{Title: r.title, Note: r.note, X: chart.Axis{Label: "Layer"}, Y: chart.Axis{Label: "Tokens", Unit: "%"}, Shares: s}
}

func drawExpertHeatmap(rs []results.Result) (picture, error) { return expertChart(rs, heatPanel) }

func heatPanel(r routing) chart.Panel {
	layers, experts := r.names()
	h := &chart.Heat{Columns: layers, Rows: experts, Legend: "Tokens / mean"}
	for e := range experts {
		var row []float64
		for _, l := range r.layers {
			v := math.NaN()
			if e < len(l.tokens) {
				v = l.tokens[e] / l.balance.Tokens * float64(len(l.tokens))
			}
			row = append(row, v)
		}
		h.Value = append(h.Value, row)
	}
	return chart.Panel{Title: r.title, Note: r.note, X: chart.Axis{Label: "Layer"}, Y: chart.Axis{Label: "Expert"}, Heat: h}
}

// noise says how uneven fair choices would look by chance, in the layer where that is
// most.
func noise(all []routing) []string {
	most := 0.0
	for _, r := range all {
		for _, l := range r.layers {
			most = max(most, stat.NoiseFloor(l.balance.Experts, l.balance.Tokens))
		}
	}
	return []string{fmt.Sprintf("Even fair choices would by chance give the busiest expert up to about %s times the mean.", chart.Ratio(1+most))}
}
