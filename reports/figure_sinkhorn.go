package reports

import (
	"fmt"
	"slices"

	"quadrant/internal/stat"
	"quadrant/reports/chart"
	"quadrant/results"
)

// drawSinkhorn draws, for each model whose routers Sinkhorn balances, how many iterations it
// made as training went on, and how even the loads came out.
func drawSinkhorn(rs []results.Result) (picture, error) {
	all := rs
	rs = seedless(rs)
	iterated := withMetric(rs, "training_sinkhorn_iterations")
	has := map[model]bool{}
	for _, r := range iterated {
		has[modelOf(r)] = true
	}
	loads := slices.DeleteFunc(withMetric(rs, "training_expert_tokens"), func(r results.Result) bool { return !has[modelOf(r)] })

	x := chart.Axis{Label: "Steps of training, up to"}
	first, err := linePanels(iterated, []field{byText}, x, chart.Axis{Label: "Sinkhorn iterations"}, stepMeans(func(r results.Result) (float64, error) {
		mean, _ := stat.MeanError(r.Values)
		return mean, nil
	}))
	if err != nil {
		return picture{}, err
	}
	second, err := linePanels(loads, []field{byText}, x, chart.Axis{Label: "Busiest expert / mean"}, stepMeans(func(r results.Result) (float64, error) {
		b, err := stat.NewBalance(r.Values)
		return b.MaxLoad, err
	}))
	if err != nil {
		return picture{}, err
	}
	panels := append(first, second...)
	return picture{
		chart:      chart.Chart{Width: chart.Double, Columns: 2, Panels: panels},
		said:       []string{"A point is the mean over the steps since the point before, over layers and over seeds; loads are added up over those steps."},
		conditions: conditions(all, byText),
	}, nil
}

// seedless is rs without what tells runs of one model from another.
func seedless(rs []results.Result) []results.Result {
	rs = slices.Clone(rs)
	for i := range rs {
		rs[i].Subject.Weights = ""
	}
	return rs
}

// stepMeans are the means of what of makes of a model's results at each step.
func stepMeans(of func(results.Result) (float64, error)) func([]results.Result) ([]chart.Point, error) {
	return func(rs []results.Result) ([]chart.Point, error) {
		groups := group(rs, func(r results.Result) int { return r.Point.Step })
		slices.SortFunc(groups, func(a, b []results.Result) int { return a[0].Point.Step - b[0].Point.Step })
		var ps []chart.Point
		for _, g := range groups {
			var values []float64
			for _, r := range g {
				v, err := of(r)
				if err != nil {
					return nil, fmt.Errorf("%s, step %d: %w", r.Subject.Model, r.Point.Step, err)
				}
				values = append(values, v)
			}
			slices.Sort(values) // a mean by the values alone, in whatever order the results are
			mean, _ := stat.MeanError(values)
			ps = append(ps, chart.Point{X: float64(g[0].Point.Step), Y: mean, Lo: mean, Hi: mean})
		}
		return ps, nil
	}
}
