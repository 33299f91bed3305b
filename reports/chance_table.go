package reports

import (
	"fmt"
	"slices"

	"quadrant/internal/stat"
	"quadrant/results"
)

// ChanceTable says of every model and task whether its accuracy is above chance: only where
// the 95 % interval of right answers (Clopper and Pearson's) excludes it. What counting bytes reaches stands beside. A
// question with ties among the likeliest answers counts as a share, and shares that do not
// make a whole answer are left out of the interval. The error wraps [ErrNoData] if no result
// is a score with baselines.
func ChanceTable(rs []results.Result) (Table, error) {
	scored := slices.DeleteFunc(withMetric(rs, "acc"), func(r results.Result) bool { return r.Point.Task == "" || r.Subject.Family == baseline })
	grams := baselineNames(rs)
	t := Table{
		Caption: "Is it above chance? Accuracy with its 95 % interval. A greedy answer has no chance worth naming: 0.",
		Columns: []Column{
			{Key: "model", Name: "Model"}, {Key: "task", Name: "Task"}, {Key: "questions", Name: "Questions", Right: true},
			{Key: "acc", Name: "Accuracy", Right: true}, {Key: "interval", Name: "Interval"}, {Key: "chance", Name: "Chance", Right: true},
		},
	}
	for _, name := range grams {
		t.Columns = append(t.Columns, Column{Key: key(name), Name: name, Right: true})
	}
	t.Columns = append(t.Columns, Column{Key: "verdict", Name: "Verdict"})
	for _, l := range lines(scored) {
		own := slices.DeleteFunc(slices.Clone(scored), func(r results.Result) bool { return modelOf(r) != l.model })
		for _, asked := range group(own, func(r results.Result) [2]string { return [2]string{r.Point.Task, r.Point.Data} }) {
			r := asked[len(asked)-1] // the latest of several runs
			if row, ok := chanceRow(rs, r, l.name, grams); ok {
				t.Rows = append(t.Rows, row)
			}
		}
	}
	if len(t.Rows) == 0 {
		return t, fmt.Errorf("reports: %w: none of %d results is a score beside its baselines; measure some with %q", ErrNoData, len(rs), "quadrant eval --out")
	}
	return t, t.check()
}

// chanceRow is the row of a score, if baselines of the same questions are known.
func chanceRow(rs []results.Result, r results.Result, name string, grams []string) ([]Cell, bool) {
	chance, _ := baselineOf(rs, r, "chance", "chance")
	known := chance > 0
	var counted []Cell
	for _, g := range grams {
		v, ok := baselineOf(rs, r, g, "acc")
		if !ok {
			counted = append(counted, Cell{})
			continue
		}
		known = true
		counted = append(counted, Number(v, 3))
	}
	if !known {
		return nil, false
	}
	mean, _ := stat.MeanError(r.Values)
	n := len(r.Values)
	lo, hi := stat.BinomialInterval(int(mean*float64(n)+1e-9), n, wanted)
	verdict := "not above chance"
	if lo > chance {
		verdict = "above chance"
	}
	row := []Cell{Text(name), Text(r.Point.Task), Int(n), Number(mean, 3), Text(fmt.Sprintf("%.3f to %.3f", lo, hi)), Number(chance, 3)}
	return append(append(row, counted...), Text(verdict)), true
}

// baselineNames are the names of what was counted rather than learned, in alphabetical order.
func baselineNames(rs []results.Result) []string {
	var names []string
	for _, r := range rs {
		if r.Subject.Family == baseline && r.Metric == "acc" && !slices.Contains(names, r.Subject.Model) {
			names = append(names, r.Subject.Model)
		}
	}
	slices.Sort(names)
	return names
}

// baselineOf is what the baseline called name has in the questions of r.
func baselineOf(rs []results.Result, r results.Result, name, metric string) (float64, bool) {
	for _, b := range rs {
		if b.Subject.Model == name && b.Metric == metric && isBaselineOf(b, r) {
			return b.Values[0], true
		}
	}
	return 0, false
}

// isBaselineOf reports whether b is what no model has in the questions of r.
func isBaselineOf(b, r results.Result) bool {
	return b.Subject.Family == baseline && len(b.Values) == 1 &&
		b.Point.Task == r.Point.Task && b.Point.Data == r.Point.Data && b.Point.Shots == r.Point.Shots
}
