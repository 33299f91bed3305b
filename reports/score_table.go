package reports

import (
	"fmt"
	"slices"

	"quadrant/internal/stat"
	"quadrant/results"
)

// ScoreTable has a row for each model and setting with its accuracy in every task, and
// their average where it has them all. The error wraps [ErrNoData] if there are none.
func ScoreTable(rs []results.Result) (Table, error) {
	t := Table{Caption: "Zero-shot accuracy; ± is the standard error over questions."}
	found := slices.DeleteFunc(withMetric(rs, "acc"), func(r results.Result) bool { return r.Point.Task == "" })
	if len(found) == 0 {
		return t, fmt.Errorf("reports: %w: none of %d results is a score; measure some with %q", ErrNoData, len(rs), "quadrant eval --out")
	}
	var tasks []string
	for _, r := range found {
		if !slices.Contains(tasks, r.Point.Task) {
			tasks = append(tasks, r.Point.Task)
		}
	}
	t.Columns = []Column{{Key: "model", Name: "Model"}, {Key: "params_active", Name: "Active", Right: true}, {Key: "params_total", Name: "Total", Right: true}}
	for _, k := range tasks {
		t.Columns = append(t.Columns, Column{Key: k, Name: k, Right: true})
	}
	t.Columns = append(t.Columns, Column{Key: "average", Name: "Average", Right: true})
	for _, g := range group(found, modelOf) {
		m := modelOf(g[0])
		row := []Cell{Text(m.name), {count(m.active), m.active}, {count(m.total), m.total}}
		if m.total == 0 {
			row[1], row[2] = Cell{}, Cell{}
		}
		sum, in := 0.0, 0
		for _, k := range tasks {
			i := lastOf(g, k)
			if i < 0 {
				row = append(row, Cell{})
				continue
			}
			mean, se := stat.MeanError(g[i].Values)
			sum, in = sum+mean, in+1
			cell := Cell{fmt.Sprintf("%.3f", mean), mean}
			if se > 0 {
				cell.Text += fmt.Sprintf(" ± %.3f", se)
			}
			row = append(row, cell)
		}
		if in == len(tasks) {
			row = append(row, Number(sum/float64(in), 3))
		} else {
			row = append(row, Cell{})
		}
		t.Rows = append(t.Rows, row)
	}
	return t, nil
}

// lastOf is the index of the latest result of a task, or -1.
func lastOf(rs []results.Result, task string) int {
	for i := len(rs) - 1; i >= 0; i-- {
		if rs[i].Point.Task == task {
			return i
		}
	}
	return -1
}
