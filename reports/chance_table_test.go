package reports_test

import (
	"errors"
	"slices"
	"testing"

	"quadrant/reports"
	"quadrant/results"
)

// A verdict follows from the interval: 33 of 100 do not tell from a chance of a quarter, 60 do,
// and a task without baselines of the same questions has no row.
func TestChanceTable(t *testing.T) {
	ms := fourModels()
	gram := sampleModel{name: "5-gram", family: "baseline"}.result("acc", results.Point{Task: "cloze4", Data: "aaaaaaaaaa"}, 0.4)
	rs := []results.Result{
		answered(ms[0], "cloze4", 33, 100), answered(ms[1], "cloze4", 60, 100), answered(ms[1], "piqa", 60, 100),
		guessing("cloze4", 0.25), gram,
	}
	table, err := reports.ChanceTable(rs)
	if err != nil {
		t.Fatal(err)
	}
	var verdicts []string
	for _, row := range table.Rows {
		verdicts = append(verdicts, row[len(row)-1].Text)
		if row[1].Text != "cloze4" || row[5].Text != "0.250" || row[6].Text != "0.400" {
			t.Errorf("row %v", row)
		}
	}
	if !slices.Equal(verdicts, []string{"not above chance", "above chance"}) {
		t.Errorf("verdicts %q", verdicts)
	}
	if _, err := reports.ChanceTable(rs[:3]); !errors.Is(err, reports.ErrNoData) {
		t.Errorf("without baselines: %v", err)
	}
}
