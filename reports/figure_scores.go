package reports

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"quadrant/internal/stat"
	"quadrant/reports/chart"
	"quadrant/results"
)

// baseline is the family of what is no model: guessing, and counts of bytes.
const baseline = "baseline"

var (
	byTask  = named("task", func(r results.Result) string { return r.Point.Task })
	byShots = field{"shots", func(r results.Result) value { return value{r.Point.Shots, fmt.Sprintf("%d-shot", r.Point.Shots)} }}
	// byAsked tells apart runs of one task that asked other questions, such as fewer.
	byAsked = named("questions", func(r results.Result) string { return r.Point.Data[:min(8, len(r.Point.Data))] })
)

// drawScoresByParameters draws accuracy against what a token uses of a model.
func drawScoresByParameters(rs []results.Result) (picture, error) {
	x := chart.Axis{Label: "Active parameters (millions)", Scale: chart.Log10}
	return drawScores(rs, x, func(r results.Result) (float64, bool) { return float64(r.Subject.Active) / 1e6, r.Subject.Active > 0 })
}

// drawScoresByTraining draws accuracy against the work of training, of models that were
// trained here: the paper's figure 4.
func drawScoresByTraining(rs []results.Result) (picture, error) {
	work := map[model]float64{}
	for _, r := range withMetric(rs, "training_flops") {
		if len(r.Values) != 1 || r.Values[0] <= 0 {
			return picture{}, fmt.Errorf("the training FLOPs of %s are %v, want one number above 0", r.Subject.Model, r.Values)
		}
		work[modelOf(r)] = r.Values[0]
	}
	x := chart.Axis{Label: "Training work", Unit: "FLOP", Scale: chart.Log10}
	return drawScores(rs, x, func(r results.Result) (float64, bool) {
		w, ok := work[modelOf(r)]
		return w, ok
	})
}

// drawScoresByFLOPs draws accuracy against the work of a token, which other results of the
// same model hold.
func drawScoresByFLOPs(rs []results.Result) (picture, error) {
	work := map[model]results.Result{}
	for _, r := range withMetric(rs, "flops") {
		if r.Point.Part != "" || len(r.Values) != 1 || r.Values[0] <= 0 {
			continue
		}
		// Of several contexts the one nearest to what evaluation counts at.
		if w, ok := work[modelOf(r)]; !ok || distance(r) < distance(w) {
			work[modelOf(r)] = r
		}
	}
	x := chart.Axis{Label: "Forward work per token", Unit: "FLOP", Scale: chart.Log10}
	return drawScores(rs, x, func(r results.Result) (float64, bool) {
		w, ok := work[modelOf(r)]
		if !ok {
			return 0, false
		}
		return w.Values[0], true
	})
}

// scoreContext is the context at which evaluation counts the work of a token.
const scoreContext = 1024

func distance(r results.Result) float64 {
	return math.Abs(math.Log2(float64(1+r.Point.Context) / (1 + scoreContext)))
}

// drawScores draws a panel for each task, and their average where there are several.
func drawScores(rs []results.Result, x chart.Axis, at func(results.Result) (float64, bool)) (picture, error) {
	y := chart.Axis{Label: "Accuracy"}
	scored := withMetric(rs, "acc")
	shown := slices.DeleteFunc(slices.Clone(scored), func(r results.Result) bool {
		_, ok := at(r)
		return r.Subject.Family == baseline || !ok || r.Point.Task == ""
	})
	if len(shown) == 0 {
		return picture{}, fmt.Errorf("%w: none of %d results has the accuracy of a model and its %s; measure them with %q",
			ErrNoData, len(rs), strings.ToLower(x.Label[:1])+x.Label[1:], "quadrant eval --out")
	}
	fields := []field{byTask, byShots, byAsked}
	facets, err := split(shown, fields...)
	if err != nil {
		return picture{}, err
	}
	all := lines(shown)
	var panels []chart.Panel
	for _, f := range facets {
		ss, err := series(all, f.results, func(own []results.Result) ([]chart.Point, error) { return scorePoint(own, at) })
		if err != nil {
			return picture{}, err
		}
		panels = append(panels, chart.Panel{Title: facetTitle(f, facets), X: x, Y: y, Lines: &chart.Lines{Series: append(ss, baselines(rs, f.results[0], ss)...)}})
	}
	said := []string{sizes, "Bars are 95 % intervals by the standard error over questions."}
	if len(facets) > 1 {
		if ss := averages(panels, len(all)); len(ss) > 0 {
			panels = append(panels, chart.Panel{Title: "average", X: x, Y: y, Lines: &chart.Lines{Series: ss}})
			said = append(said, "The average is over the tasks shown, of models that have a score in each.")
		}
	}
	return picture{
		chart:      chart.Chart{Width: widthFor(panels), Columns: columnsFor(panels), Panels: panels},
		said:       said,
		conditions: conditions(shown, byShots),
	}, nil
}

// facetTitle is the task, and more only where another facet has the same.
func facetTitle(f facet, all []facet) string {
	task := f.results[0].Point.Task
	same := 0
	for _, other := range all {
		if other.results[0].Point.Task == task {
			same++
		}
	}
	if same > 1 {
		return f.label
	}
	return task
}

// scorePoint is the accuracy of one model in one task.
func scorePoint(own []results.Result, at func(results.Result) (float64, bool)) ([]chart.Point, error) {
	r := own[len(own)-1] // the latest of several runs
	x, _ := at(r)
	mean, se := stat.MeanError(r.Values)
	return []chart.Point{scored(x, mean, se, len(r.Values))}, nil
}

// normal95 is how many standard errors hold 95 % of a normal distribution.
const normal95 = 1.959964

func scored(x, mean, se float64, n int) chart.Point {
	p := chart.Point{X: x, Y: mean, Lo: mean, Hi: mean, N: n}
	if se > 0 {
		p.Lo, p.Hi, p.Coverage = max(0, mean-normal95*se), min(1, mean+normal95*se), wanted
	}
	return p
}

// margin is how far lines of baselines reach beyond the models, as a factor.
const margin = 1.5

// baselines are level lines of what is no model, in the task of r.
func baselines(rs []results.Result, r results.Result, ss []chart.Series) []chart.Series {
	lo, hi := math.Inf(1), 0.0
	for _, s := range ss {
		lo, hi = min(lo, s.Points[0].X), max(hi, s.Points[0].X)
	}
	lo, hi = lo/margin, hi*margin
	var all []chart.Series
	dashes := []chart.Dash{chart.Dotted, chart.DashDot, chart.Dashed}
	for _, b := range rs {
		if b.Metric != "acc" && b.Metric != "chance" || !isBaselineOf(b, r) {
			continue
		}
		if slices.ContainsFunc(all, func(s chart.Series) bool { return s.Name == b.Subject.Model }) {
			continue
		}
		v := b.Values[0]
		look := chart.Look{Color: chart.Gray, Dash: dashes[len(all)%len(dashes)], Mark: chart.Cross, Shade: len(all)}
		all = append(all, chart.Series{Name: b.Subject.Model, Look: look, Points: []chart.Point{{X: lo, Y: v, Lo: v, Hi: v}, {X: hi, Y: v, Lo: v, Hi: v}}})
	}
	return all
}

// averages are the means over panels of the first n lines that are in each.
func averages(panels []chart.Panel, n int) []chart.Series {
	var means []chart.Series
	for _, s := range panels[0].Lines.Series[:min(n, len(panels[0].Lines.Series))] {
		if len(s.Points) != 1 {
			continue
		}
		sum, squares, questions, in := 0.0, 0.0, 0, 0
		for _, p := range panels {
			for _, other := range p.Lines.Series {
				if other.Name == s.Name && len(other.Points) == 1 {
					pt := other.Points[0]
					se := (pt.Hi - pt.Lo) / 2 / normal95
					sum, squares, questions, in = sum+pt.Y, squares+se*se, questions+pt.N, in+1
				}
			}
		}
		if in == len(panels) {
			k := float64(in)
			s.Points = []chart.Point{scored(s.Points[0].X, sum/k, math.Sqrt(squares)/k, questions)}
			means = append(means, s)
		}
	}
	return means
}
