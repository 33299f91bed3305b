package reports

import (
	"fmt"
	"math"
	"slices"

	"quadrant/internal/stat"
	"quadrant/reports/chart"
	"quadrant/results"
)

// wanted is the coverage that intervals of medians should have. Fewer than six runs do
// not reach it; captions say what was reached.
const wanted = 0.95

// drawLatency draws seconds against tokens generated, a line for each model.
func drawLatency(all []results.Result) (picture, error) {
	rs := withMetric(all, "generation")
	fields := []field{byDevice, byMachine, byThreads, byDType, byBatch, byPrompt}
	x := chart.Axis{Label: "Tokens generated", Scale: chart.Log2}
	y := chart.Axis{Label: "Generation latency", Unit: "s", Scale: chart.Log10}
	panels, err := linePanels(rs, fields, x, y, latencyPoints)
	if err != nil {
		return picture{}, err
	}
	return picture{
		chart:      chart.Chart{Width: widthFor(panels), Columns: columnsFor(panels), Panels: panels},
		said:       append([]string{sizes}, memoryUse(rs, all)...),
		conditions: append(conditions(rs, byBatch, byPrompt), spread(panels, "run")),
	}, nil
}

// linePanels makes one panel for each setting, with a line for each model.
func linePanels(rs []results.Result, fields []field, x, y chart.Axis, points func([]results.Result) ([]chart.Point, error)) ([]chart.Panel, error) {
	facets, err := split(rs, fields...)
	if err != nil {
		return nil, err
	}
	all := lines(rs)
	var panels []chart.Panel
	for _, f := range facets {
		ss, err := series(all, f.results, points)
		if err != nil {
			return nil, err
		}
		if len(ss) > 0 {
			panels = append(panels, chart.Panel{Title: f.label, X: x, Y: y, Lines: &chart.Lines{Series: ss}})
		}
	}
	return panels, nil
}

// sizes explains the sizes in legends.
const sizes = "Sizes in the legend are parameters, active/total where they differ."

// mostInColumn is how many lines are legible in a picture of one column.
const mostInColumn = 4

func widthFor(panels []chart.Panel) chart.Width {
	if len(panels) == 1 && len(panels[0].Lines.Series) <= mostInColumn {
		return chart.Single
	}
	return chart.Double
}

func columnsFor(panels []chart.Panel) int {
	if n := len(panels); n == 3 || n > 4 {
		return 3
	}
	return 2
}

// latencyPoints are the medians over runs of one model at each number of tokens.
func latencyPoints(rs []results.Result) ([]chart.Point, error) {
	groups := group(rs, func(r results.Result) int { return r.Point.Gen })
	slices.SortFunc(groups, func(a, b []results.Result) int { return a[0].Point.Gen - b[0].Point.Gen })
	var ps []chart.Point
	for _, g := range groups {
		var seconds []float64
		for _, r := range g {
			if r.Point.Gen < 1 {
				return nil, fmt.Errorf("%s: point.gen is %d, want at least 1", r.Subject.Model, r.Point.Gen)
			}
			if len(r.Values) != 1 {
				return nil, fmt.Errorf("%s at %d tokens, run %d: %d values, want one", r.Subject.Model, r.Point.Gen, r.Point.Run, len(r.Values))
			}
			seconds = append(seconds, r.Values[0])
		}
		ps = append(ps, median(float64(g[0].Point.Gen), seconds))
	}
	return ps, nil
}

// median is the point that stands for samples at x.
func median(x float64, samples []float64) chart.Point {
	y := stat.Median(samples)
	i := stat.MedianInterval(samples, wanted)
	return chart.Point{X: x, Y: y, Lo: i.Lo, Hi: i.Hi, N: i.N, Coverage: i.Coverage}
}

// leastWindows is how many windows of context lengths a run is divided into at least.
const leastWindows = 8

// drawTokenLatency draws the time of a decode step against the tokens before it. Steps
// are summarised in windows of equal ratio, first within each run: the steps of one run
// are not independent, runs are.
func drawTokenLatency(all []results.Result) (picture, error) {
	rs := withMetric(all, "token")
	fields := []field{byDevice, byMachine, byThreads, byDType, byBatch}
	x := chart.Axis{Label: "Context (tokens)", Scale: chart.Log2}
	y := chart.Axis{Label: "Time per token", Unit: "s", Scale: chart.Log10}
	edges := windows(rs)
	panels, err := linePanels(rs, fields, x, y, func(own []results.Result) ([]chart.Point, error) {
		return windowPoints(own, edges), nil
	})
	if err != nil {
		return picture{}, err
	}
	return picture{
		chart: chart.Chart{Width: widthFor(panels), Columns: columnsFor(panels), Panels: panels},
		said: append([]string{sizes, fmt.Sprintf("Steps are summarised in %d windows of context length, by the median within each run and then over runs; a point lies at the middle step of its window.",
			len(edges)-1)}, memoryUse(rs, all)...),
		conditions: append(conditions(rs, byBatch, byPrompt), spread(panels, "run")),
	}, nil
}

// contextOf is how many tokens come before the one that decode step i of r reads: the
// prompt, and what was generated except the last.
func contextOf(r results.Result, i int) int { return r.Point.Prompt + r.Point.Context + i }

// windows divides the contexts of all rs into windows of equal ratio: their edges, each
// the first context of its window.
func windows(rs []results.Result) []int {
	first, last := math.MaxInt, 0
	for _, r := range rs {
		first = min(first, max(contextOf(r, 0), 1)) // a logarithmic axis has no 0
		last = max(last, contextOf(r, len(r.Values)-1))
	}
	octaves := math.Log2(float64(last+1) / float64(first))
	n := max(leastWindows, int(math.Ceil(2*octaves)))
	edges := []int{first}
	for k := 1; k <= n; k++ {
		edge := int(math.Round(float64(first) * math.Exp2(octaves*float64(k)/float64(n))))
		if edge > edges[len(edges)-1] {
			edges = append(edges, edge)
		}
	}
	return edges
}

// windowPoints are the medians over runs of the medians of each run in each window.
func windowPoints(rs []results.Result, edges []int) []chart.Point {
	var ps []chart.Point
	for w := range len(edges) - 1 {
		var runs, at []float64
		for _, r := range rs {
			start := contextOf(r, 0)
			from, to := max(edges[w]-start, 0), min(edges[w+1]-start, len(r.Values))
			if from >= to {
				continue
			}
			runs = append(runs, stat.Median(r.Values[from:to]))
			at = append(at, float64(start)+float64(from+to-1)/2)
		}
		if len(runs) > 0 {
			ps = append(ps, median(stat.Median(at), runs))
		}
	}
	return ps
}
