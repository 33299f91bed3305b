package reports

import (
	"fmt"
	"slices"

	"quadrant/reports/chart"
	"quadrant/results"
)

// drawFLOPs draws the FLOPs of a token against the tokens before it.
func drawFLOPs(rs []results.Result) (picture, error) {
	whole := slices.DeleteFunc(slices.Clone(rs), func(r results.Result) bool { return r.Point.Part != "" })
	if len(whole) == 0 {
		return picture{}, fmt.Errorf("%w: all %d results are of parts of a model, want some of the whole", ErrNoData, len(rs))
	}
	y := chart.Axis{Label: "Work per token", Unit: "FLOP", Scale: chart.Log10}
	return drawCounts(whole, y, byPhase, byFLOPs)
}

// drawState draws the bytes that a sequence occupies against its tokens.
func drawState(rs []results.Result) (picture, error) {
	y := chart.Axis{Label: "State per sequence", Unit: "B", Scale: chart.Log2}
	return drawCounts(rs, y, byPhase, byDType)
}

// drawCounts draws what is counted, not measured: one value for each context.
func drawCounts(rs []results.Result, y chart.Axis, fields ...field) (picture, error) {
	x := chart.Axis{Label: "Context (tokens)", Scale: chart.Log2}
	shown := slices.DeleteFunc(slices.Clone(rs), func(r results.Result) bool { return r.Point.Context == 0 })
	said := []string{sizes}
	if len(shown) == 0 {
		return picture{}, fmt.Errorf("%w: all %d results are of an empty context, which a logarithmic axis does not show", ErrNoData, len(rs))
	}
	if len(shown) < len(rs) {
		said = append(said, "The empty context is left out: a logarithmic axis does not show it.")
	}
	if slices.ContainsFunc(shown, func(r results.Result) bool { return slices.Min(r.Values) <= 0 }) {
		y.Scale = chart.Linear
	}
	panels, err := linePanels(shown, fields, x, y, countPoints)
	if err != nil {
		return picture{}, err
	}
	return picture{
		chart:      chart.Chart{Width: widthFor(panels), Columns: columnsFor(panels), Panels: panels},
		said:       said,
		conditions: append([]string{"counted, not timed"}, conditions(shown, byPhase, byFLOPs)...),
	}, nil
}

// countPoints are the values of one model at each context.
func countPoints(rs []results.Result) ([]chart.Point, error) {
	groups := group(rs, func(r results.Result) int { return r.Point.Context })
	slices.SortFunc(groups, func(a, b []results.Result) int { return a[0].Point.Context - b[0].Point.Context })
	var ps []chart.Point
	for _, g := range groups {
		v := g[0].Values[0]
		for _, r := range g {
			if len(r.Values) != 1 {
				return nil, fmt.Errorf("%s at context %d: %d values, want one", r.Subject.Model, r.Point.Context, len(r.Values))
			}
			if r.Values[0] != v {
				return nil, fmt.Errorf("%s at context %d: counted as %v and as %v (commits %s and %s): keep one",
					r.Subject.Model, r.Point.Context, v, r.Values[0], shortCommit(g[0]), shortCommit(r))
			}
		}
		ps = append(ps, chart.Point{X: float64(g[0].Point.Context), Y: v, Lo: v, Hi: v})
	}
	return ps, nil
}
