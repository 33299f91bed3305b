package reports

import (
	"fmt"
	"slices"

	"quadrant/internal/stat"
	"quadrant/results"
)

// ReplayTable says what uneven routing costs, from results of metrics replay and
// replay_expert_tokens: a row for each routing of each model and size, with the median
// time of a pass. The ratio is the median, over rounds, of the time over that of the uniform
// routing in the same round, with the narrowest interval of 95 %, if there are rounds
// enough, or the whole range; coverage says which.
func ReplayTable(rs []results.Result) (Table, error) {
	t := Table{
		Caption: "The same forward pass with tokens sent to experts in several ways. max/mean: the busiest expert's tokens over the mean, averaged over layers; ratio: to uniform, median over rounds.",
		Columns: []Column{
			{Key: "model", Name: "Model"}, {Key: "dtype", Name: "Type"}, {Key: "device", Name: "Device"}, {Key: "threads", Name: "Threads", Right: true},
			{Key: "batch", Name: "Batch", Right: true}, {Key: "prompt", Name: "Prompt", Right: true}, {Key: "routing", Name: "Routing"},
			{Key: "max_over_mean", Name: "Max/mean", Right: true}, {Key: "runs", Name: "Runs", Right: true}, {Key: "median_s", Name: "Median", Right: true},
			{Key: "ratio", Name: "Ratio", Right: true}, {Key: "ratio_low", Name: "From", Right: true}, {Key: "ratio_high", Name: "To", Right: true},
			{Key: "coverage", Name: "Coverage", Right: true},
		},
	}
	loads := group(withMetric(rs, "replay_expert_tokens"), replayKey)
	for _, g := range group(withMetric(rs, "replay"), func(r results.Result) string { r.Point.Routing = ""; return replayKey(r) }) {
		uniform := map[int]float64{} // seconds by round
		for _, r := range g {
			if r.Point.Routing == "uniform" {
				uniform[r.Point.Run] = r.Values[0]
			}
		}
		routings := group(g, func(r results.Result) string { return r.Point.Routing })
		slices.SortStableFunc(routings, func(a, b []results.Result) int {
			return routingOrder(a[0]) - routingOrder(b[0])
		})
		for _, one := range routings {
			row, err := replayRow(one, uniform, loads)
			if err != nil {
				return t, fmt.Errorf("reports: replay: %s, %s: %w", one[0].Subject.Model, one[0].Point.Routing, err)
			}
			t.Rows = append(t.Rows, row)
		}
	}
	if len(t.Rows) == 0 {
		return t, fmt.Errorf("%w: none of %d results is of a replay: measure with quadrant replay --out", ErrNoData, len(rs))
	}
	return t, nil
}

func routingOrder(r results.Result) int {
	return slices.Index([]string{"uniform", "recorded", "zipf", "single"}, r.Point.Routing)
}

// replayKey is what repetitions and layers have in common.
func replayKey(r results.Result) string {
	r.Metric = ""
	r.Point.Run, r.Point.Layer, r.Point.TopK = 0, nil, 0
	return r.Key()
}

// replayRow is the row of one routing's repetitions.
func replayRow(rs []results.Result, uniform map[int]float64, loads [][]results.Result) ([]Cell, error) {
	var seconds, ratios []float64
	for _, r := range rs {
		seconds = append(seconds, r.Values[0])
		if u := uniform[r.Point.Run]; u > 0 {
			ratios = append(ratios, r.Values[0]/u)
		}
	}
	first, uneven := rs[0], Cell{}
	for _, g := range loads {
		if replayKey(g[0]) != replayKey(first) {
			continue
		}
		var layers []float64
		for _, l := range g {
			b, err := stat.NewBalance(l.Values)
			if err != nil {
				return nil, err
			}
			layers = append(layers, b.MaxLoad)
		}
		mean, _ := stat.MeanError(layers)
		uneven = Number(mean, 2)
	}
	row := []Cell{
		Text(first.Subject.Model), Text(first.Subject.DType), Text(first.Env.Device), Int(first.Env.Threads), Int(first.Point.Batch), Int(first.Point.Prompt),
		Text(first.Point.Routing), uneven, Int(len(seconds)), Quantity(stat.Median(seconds), "s"),
	}
	if len(ratios) == 0 {
		return append(row, Cell{}, Cell{}, Cell{}, Cell{}), nil
	}
	i := stat.MedianInterval(ratios, 0.95)
	return append(row, Number(stat.Median(ratios), 3), Number(i.Lo, 3), Number(i.Hi, 3), Cell{percent(i.Coverage), i.Coverage}), nil
}
