package reports_test

import (
	"errors"
	"strings"
	"testing"

	"quadrant/reports"
	"quadrant/results"
)

// A row for each layer and stretch of steps, in order whatever the order of results.
func TestTrainingBalanceTable(t *testing.T) {
	m := fourModels()[3]
	loads := func(layer, step int, tokens ...float64) results.Result {
		return m.result("training_expert_tokens", results.Point{Step: step, Layer: &layer, Phase: "training", Corpus: "text"}, tokens...)
	}
	rs := []results.Result{loads(3, 20, 4, 4), loads(1, 20, 1, 3), loads(1, 10, 8, 0)}
	table, err := reports.TrainingBalanceTable(rs)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range table.Rows {
		var cells []string
		for _, c := range row[1:] {
			cells = append(cells, c.Text)
		}
		got = append(got, strings.Join(cells, " "))
	}
	want := []string{
		"text 1 10 2 8 2.00 0.00 1.00 1 1.000 0.000 0.500",
		"text 1 20 2 4 1.50 0.50 0.50 0 0.500 0.811 0.250",
		"text 3 20 2 8 1.00 1.00 0.00 0 0.000 1.000 0.000",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("rows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if _, err := reports.TrainingBalanceTable(append(rs, loads(1, 10, 1, 1))); err == nil || !strings.Contains(err.Error(), "step 10") {
		t.Errorf("error %v of a step that is given twice", err)
	}
	if _, err := reports.TrainingBalanceTable(nil); !errors.Is(err, reports.ErrNoData) {
		t.Errorf("error %v of no results", err)
	}
}
