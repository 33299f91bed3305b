package reports

import (
	"fmt"
	"slices"
	"strconv"

	"quadrant/reports/chart"
	"quadrant/results"
)

// choicePreferred is the order in which figures that show one choice of routers take it:
// those that a token's text alone decides, the one that training learned first. Sinkhorn's,
// which depends on the batch, is shown in tables only.
var choicePreferred = []string{"ema_bias", "loss_free", "hash", "argmax", ""}

// preferred returns those of rs in which each model's routers choose in the preferred way.
func preferred(rs []results.Result) []results.Result {
	best := map[model]int{}
	rank := func(r results.Result) int { return slices.Index(choicePreferred, r.Point.Choice) }
	for _, r := range rs {
		if i := rank(r); i >= 0 {
			if old, ok := best[modelOf(r)]; !ok || i < old {
				best[modelOf(r)] = i
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(rs), func(r results.Result) bool {
		i, ok := best[modelOf(r)]
		return !ok || rank(r) != i
	})
}

// A reading is the mean over domains of a model's bits per byte after some tokens.
type reading struct {
	tokens, step int
	bits         float64
	choice       string
}

// readings are those of one model, by tokens. Every domain counts alike.
func readings(rs []results.Result) ([]reading, error) {
	groups := group(rs, func(r results.Result) int { return r.Point.Tokens })
	var all []reading
	domains := 0
	for _, g := range groups {
		sum := reading{tokens: g[0].Point.Tokens, step: g[0].Point.Step, choice: g[0].Point.Choice}
		seen := map[string]bool{}
		for _, r := range g {
			if len(r.Values) != 1 || seen[r.Point.Domain] {
				return nil, fmt.Errorf("%s after %d tokens: domain %q has %d values or is given twice, want one", r.Subject.Model, r.Point.Tokens, r.Point.Domain, len(r.Values))
			}
			seen[r.Point.Domain] = true
			sum.bits += r.Values[0] / float64(len(g))
		}
		domains = max(domains, len(g))
		all = append(all, sum)
	}
	for i, g := range groups {
		if len(g) != domains {
			return nil, fmt.Errorf("%s after %d tokens has %d domains, and elsewhere %d: it was interrupted; go on with the run", g[0].Subject.Model, all[i].tokens, len(g), domains)
		}
	}
	slices.SortFunc(all, func(a, b reading) int { return a.tokens - b.tokens })
	return all, nil
}

// byText is what bits per byte are of, without how far training had come.
var byText = named("text", func(r results.Result) string { return r.Point.Corpus })

// drawTraining draws bits per byte against tokens read, a line for each model, and one
// across for what counts of bytes reach.
func drawTraining(rs []results.Result) (picture, error) {
	rs = preferred(rs)
	if len(rs) == 0 {
		return picture{}, fmt.Errorf("every result is of routers that choose by batch: validate with another choice")
	}
	least, most := rs[0].Point.Tokens, 0
	for _, r := range rs {
		least, most = min(least, r.Point.Tokens), max(most, r.Point.Tokens)
	}
	x := chart.Axis{Label: "Tokens read in training"}
	y := chart.Axis{Label: "Bits per byte, held-out text"}
	panels, err := linePanels(rs, []field{byText}, x, y, func(own []results.Result) ([]chart.Point, error) {
		all, err := readings(own)
		var ps []chart.Point
		for _, r := range all {
			ps = append(ps, chart.Point{X: float64(r.tokens), Y: r.bits, Lo: r.bits, Hi: r.bits})
		}
		if len(ps) == 1 && own[0].Subject.Family == "n-gram" { // one number: a line across
			end := ps[0]
			ps[0].X, end.X = float64(least), float64(most)
			if least < most {
				ps = append(ps, end)
			}
		}
		return ps, err
	})
	if err != nil {
		return picture{}, err
	}
	return picture{
		chart:      chart.Chart{Width: widthFor(panels), Columns: columnsFor(panels), Panels: panels},
		said:       []string{sizes, "A line is one run of training, the mean over the domains of its text; n-grams counted what the models read by the end."},
		conditions: conditions(rs, byText),
	}, nil
}

// drawExpertTraining draws, for each layer of each model, the shares of its experts as
// training goes on.
func drawExpertTraining(rs []results.Result) (picture, error) {
	c := chart.Chart{Width: chart.Double, Columns: 2}
	for _, l := range lines(rs) {
		own := slices.DeleteFunc(slices.Clone(rs), func(r results.Result) bool { return modelOf(r) != l.model })
		layers := group(own, func(r results.Result) int {
			if r.Point.Layer == nil {
				return -1
			}
			return *r.Point.Layer
		})
		for _, of := range shown(layers) {
			p, err := expertTrainingPanel(of)
			if err != nil {
				return picture{}, fmt.Errorf("%s: %w", l.name, err)
			}
			p.Title = l.name
			c.Panels = append(c.Panels, p)
		}
	}
	if len(c.Panels) > mostPanels {
		return picture{}, fmt.Errorf("results hold %d layers of models to show, a figure shows at most %d: choose among them", len(c.Panels), mostPanels)
	}
	return picture{chart: c, said: []string{"Of models with many layers, the first and the last are shown."}, conditions: conditions(rs, byText)}, nil
}

// shown are the layers of a model that a figure has room for.
func shown(layers [][]results.Result) [][]results.Result {
	slices.SortFunc(layers, func(a, b []results.Result) int { return layerOf(a[0]) - layerOf(b[0]) })
	if len(layers) <= 2 {
		return layers
	}
	return [][]results.Result{layers[0], layers[len(layers)-1]}
}

func layerOf(r results.Result) int {
	if r.Point.Layer == nil {
		return -1
	}
	return *r.Point.Layer
}

func expertTrainingPanel(rs []results.Result) (chart.Panel, error) {
	slices.SortStableFunc(rs, func(a, b results.Result) int { return a.Point.Step - b.Point.Step })
	all := make([]layerLoad, 0, len(rs))
	s := &chart.Shares{Legend: "Expert", AboveIs: "max/mean"}
	for i, r := range rs {
		if r.Point.Layer == nil || i > 0 && r.Point.Step == rs[i-1].Point.Step {
			return chart.Panel{}, fmt.Errorf("step %d: point.layer is missing, or the step is given twice", r.Point.Step)
		}
		one, err := newRouting([]results.Result{r})
		if err != nil {
			return chart.Panel{}, err
		}
		all = append(all, one.layers[0])
		s.Bars = append(s.Bars, strconv.Itoa(r.Point.Step))
	}
	experts := all[0].balance.Experts
	for e := range experts {
		s.Parts = append(s.Parts, strconv.Itoa(e))
	}
	for _, l := range all {
		if l.balance.Experts != experts {
			return chart.Panel{}, fmt.Errorf("layer %d has %d experts and %d", l.index, experts, l.balance.Experts)
		}
		share := make([]float64, experts)
		for e, n := range l.tokens {
			share[e] = n / l.balance.Tokens
		}
		s.Share, s.Above = append(s.Share, share), append(s.Above, chart.Ratio(l.balance.MaxLoad))
	}
	return chart.Panel{Note: fmt.Sprintf("layer %d", all[0].index), X: chart.Axis{Label: "Steps of training, up to"}, Y: chart.Axis{Label: "Tokens", Unit: "%"}, Shares: s}, nil
}
