package reports

import (
	"fmt"
	"slices"

	"quadrant/internal/stat"
	"quadrant/results"
)

// A dispatch is how the tokens of one text, or of a class of them, were sent to the experts of
// each layer of a model.
type dispatch struct {
	model  string           // its name, with what else tells it from others
	layers []results.Result // expert_tokens or class_expert_tokens, in order
}

// balanceFields are what results of one dispatch have in common, beside the model. Routers of a model may differ in how they choose.
var balanceFields = []field{
	byCorpus, byPhase, byDType, byDevice,
	named("class", func(r results.Result) string { return r.Point.Class }),
	named("window", func(r results.Result) string { return fmt.Sprint(r.Point.Window) }),
}

// dispatches divides results of a metric by model and setting.
func dispatches(rs []results.Result) ([]dispatch, error) {
	var all []dispatch
	for _, l := range lines(rs) {
		own := slices.DeleteFunc(slices.Clone(rs), func(r results.Result) bool { return modelOf(r) != l.model })
		for _, g := range group(own, func(r results.Result) string { return setting(r, balanceFields) }) {
			s := dispatch{model: l.name, layers: g}
			if d := describe(g[0], varying(rs, []field{byDType, byDevice})); d != "" {
				s.model += ", " + d
			}
			if err := s.sort(); err != nil {
				return nil, fmt.Errorf("%s: %w", s.model, err)
			}
			all = append(all, s)
		}
	}
	return all, nil
}

// sort puts layers in order. One that is given twice, the same, counts once.
func (s *dispatch) sort() error {
	for _, r := range s.layers {
		if r.Point.Layer == nil {
			return fmt.Errorf("point.layer is missing")
		}
	}
	slices.SortStableFunc(s.layers, func(a, b results.Result) int { return *a.Point.Layer - *b.Point.Layer })
	for i := 1; i < len(s.layers); i++ {
		if a, b := s.layers[i-1], s.layers[i]; *a.Point.Layer == *b.Point.Layer && !slices.Equal(a.Values, b.Values) {
			return fmt.Errorf("layer %d is given twice, with %v and %v tokens: keep one", *a.Point.Layer, a.Values, b.Values)
		}
	}
	s.layers = slices.CompactFunc(s.layers, func(a, b results.Result) bool { return *a.Point.Layer == *b.Point.Layer })
	return nil
}

// dropped is the rate of r's tokens that were dropped, from results of metric
// expert_dropped; an empty cell where none says.
func dropped(r results.Result, rs []results.Result, tokens float64) Cell {
	of := r
	of.Metric = "expert_dropped"
	for _, d := range rs {
		if d.Key() != of.Key() {
			continue
		}
		sum := 0.0
		for _, n := range d.Values {
			sum += n
		}
		return Number(sum/tokens, 3)
	}
	return Cell{}
}

// chances are the tests of s against blind choices: P and P by Holm of each layer. A layer
// that does not say to how many experts it sends a token has none.
func (s dispatch) chances() (tests []Cell, corrected []Cell, err error) {
	var ps []float64
	var of []int
	tests, corrected = make([]Cell, len(s.layers)), make([]Cell, len(s.layers))
	for i, r := range s.layers {
		if r.Point.TopK == 0 {
			continue
		}
		u, err := stat.TestUniform(r.Values, r.Point.TopK)
		if err != nil {
			return nil, nil, fmt.Errorf("%s, layer %d: %w", s.model, *r.Point.Layer, err)
		}
		ps, of = append(ps, u.P), append(of, i)
		tests[i] = probability(u.P)
	}
	for i, p := range stat.Holm(ps) {
		corrected[of[i]] = probability(p)
	}
	return tests, corrected, nil
}

func probability(p float64) Cell {
	if p < 1e-4 {
		return Cell{fmt.Sprintf("%.0e", p), p}
	}
	return Number(p, 4)
}

// balanceResults are the counts in rs, of whole texts or, if there are any, of classes.
func balanceResults(rs []results.Result) ([]dispatch, error) {
	whole, err := dispatches(withMetric(rs, "expert_tokens"))
	if err != nil {
		return nil, fmt.Errorf("reports: expert balance: %w", err)
	}
	classes, err := dispatches(withMetric(rs, "class_expert_tokens"))
	if err != nil {
		return nil, fmt.Errorf("reports: expert balance: %w", err)
	}
	if len(whole)+len(classes) == 0 {
		f, _ := FigureNamed("expert-balance")
		return nil, f.noData(len(rs))
	}
	return append(whole, classes...), nil
}

// dispatchColumns and cells say of what a row of both tables is.
func dispatchColumns() []Column {
	return []Column{
		{Key: "model", Name: "Model"}, {Key: "corpus", Name: "Text"}, {Key: "phase", Name: "Phase"}, {Key: "choice", Name: "Router"},
		{Key: "class", Name: "Tokens of"}, {Key: "layer", Name: "Layer", Right: true},
	}
}

func (s dispatch) cells(r results.Result) []Cell {
	class := r.Point.Class
	if class == "" {
		class = "all"
	}
	return []Cell{Text(s.model), Text(r.Point.Corpus), Text(r.Point.Phase), Text(r.Point.Choice), Text(class), Int(*r.Point.Layer)}
}

// evennessColumns and evenness are what tables say of a layer's counts.
func evennessColumns() []Column {
	return []Column{
		{Key: "experts", Name: "Experts", Right: true}, {Key: "tokens", Name: "Tokens", Right: true},
		{Key: "max_over_mean", Name: "Max/mean", Right: true}, {Key: "min_over_mean", Name: "Min/mean", Right: true},
		{Key: "maxvio", Name: "MaxVio", Right: true}, {Key: "dead", Name: "Dead", Right: true},
		{Key: "cv", Name: "CV", Right: true}, {Key: "entropy", Name: "Entropy", Right: true}, {Key: "gini", Name: "Gini", Right: true},
	}
}

func evenness(b stat.Balance) []Cell {
	return []Cell{
		Int(b.Experts), Number(b.Tokens, 0), Number(b.MaxLoad, 2), Number(b.MinLoad, 2), Number(b.MaxVio, 2), Int(b.Dead),
		Number(b.CV, 3), Number(b.Entropy, 3), Number(b.Gini, 3),
	}
}

// BalanceTable says how evenly each layer of each model spread its tokens, from results of
// metrics expert_tokens, class_expert_tokens and expert_dropped. The error wraps [ErrNoData]
// if there are none.
func BalanceTable(rs []results.Result) (Table, error) {
	t := Table{
		Caption: "Expert balance. max/mean: the busiest expert's tokens over the mean; dead: experts with less than a tenth of the mean; entropy: 1 is even; " +
			"drop: share of choices that an expert had no room for. P: probability of counts as uneven if every token had chosen blindly (χ²); Holm: corrected for as many layers.",
		Columns: append(append(dispatchColumns(), evennessColumns()...),
			Column{Key: "drop_rate", Name: "Drop", Right: true}, Column{Key: "p", Name: "P", Right: true}, Column{Key: "p_holm", Name: "Holm", Right: true}),
	}
	all, err := balanceResults(rs)
	if err != nil {
		return t, err
	}
	drops := withMetric(rs, "expert_dropped")
	for _, s := range all {
		tests, corrected, err := s.chances()
		if err != nil {
			return t, fmt.Errorf("reports: expert balance: %w", err)
		}
		for i, r := range s.layers {
			b, err := stat.NewBalance(r.Values)
			if err != nil {
				return t, fmt.Errorf("reports: expert balance: %s, layer %d: %w", s.model, *r.Point.Layer, err)
			}
			t.Rows = append(t.Rows, append(append(s.cells(r), evenness(b)...), dropped(r, drops, b.Tokens), tests[i], corrected[i]))
		}
	}
	return t, nil
}

// ExpertTable says what each expert was sent, from the results of [BalanceTable]: a row for
// each expert of each layer, with its share of the layer's tokens and its load, the share
// over an even one.
func ExpertTable(rs []results.Result) (Table, error) {
	t := Table{
		Caption: "Tokens of each expert. load: over the mean of the layer.",
		Columns: append(dispatchColumns(), Column{Key: "expert", Name: "Expert", Right: true}, Column{Key: "tokens", Name: "Tokens", Right: true},
			Column{Key: "share", Name: "Share", Right: true}, Column{Key: "load", Name: "Load", Right: true}),
	}
	all, err := balanceResults(rs)
	if err != nil {
		return t, err
	}
	for _, s := range all {
		for _, r := range s.layers {
			b, err := stat.NewBalance(r.Values)
			if err != nil {
				return t, fmt.Errorf("reports: expert balance: %s, layer %d: %w", s.model, *r.Point.Layer, err)
			}
			for e, n := range r.Values {
				share := n / b.Tokens
				t.Rows = append(t.Rows, append(s.cells(r), Int(e), Number(n, 0), Cell{percent(share), share}, Number(share*float64(b.Experts), 2)))
			}
		}
	}
	return t, nil
}
