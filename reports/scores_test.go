package reports_test

import (
	"errors"
	"math"
	"testing"

	"quadrant/reports"
	"quadrant/results"
)

// answered are results of a model in a task: right of n questions.
func answered(m sampleModel, task string, right, n int) results.Result {
	marks := make([]float64, n)
	for i := range right {
		marks[i] = 1
	}
	return m.result("acc", results.Point{Task: task, Data: "aaaaaaaaaa"}, marks...)
}

func guessing(task string, p float64) results.Result {
	r := sampleModel{name: "chance", family: "baseline"}.result("chance", results.Point{Task: task, Data: "aaaaaaaaaa"}, p)
	return r
}

// A panel for each task and the average of models that have all, guessing as a level line,
// and the latest of two runs.
func TestScores(t *testing.T) {
	ms := fourModels()
	rs := []results.Result{
		answered(ms[0], "piqa", 10, 100), answered(ms[0], "piqa", 60, 100), answered(ms[0], "arc_easy", 30, 100),
		answered(ms[3], "piqa", 70, 100), guessing("piqa", 0.5),
	}
	c := figure(t, "fig3-score-parameters", rs)
	if len(c.Panels) != 3 || c.Panels[0].Title != "arc_easy" || c.Panels[1].Title != "piqa" || c.Panels[2].Title != "average" {
		t.Fatalf("panels %+v", c.Panels)
	}
	piqa := c.Panels[1].Lines.Series
	if len(piqa) != 3 || piqa[2].Name != "chance" || len(piqa[2].Points) != 2 || piqa[2].Points[0].Y != 0.5 || piqa[2].Points[1].Y != 0.5 {
		t.Fatalf("series %+v", piqa)
	}
	p := piqa[0].Points[0]
	se := math.Sqrt(0.6 * 0.4 / 99) // of 100 questions
	if math.Abs(p.X-340.123456) > 1e-9 || p.Y != 0.6 || math.Abs(p.Lo-(0.6-1.959964*se)) > 1e-9 || math.Abs(p.Hi-(0.6+1.959964*se)) > 1e-9 || p.N != 100 {
		t.Errorf("point %+v", p)
	}
	average := c.Panels[2].Lines.Series
	if len(average) != 1 || math.Abs(average[0].Points[0].Y-0.45) > 1e-12 {
		t.Errorf("average %+v", average)
	}

	// Against work, which only one of them has: at the context nearest to 1024.
	flops := func(context int, v float64) results.Result {
		return ms[3].result("flops", results.Point{Context: context, Convention: "exact"}, v)
	}
	c = figure(t, "score-flops", append(rs, flops(1<<17, 9e9), flops(1024, 7e8), flops(1, 5e8)))
	if len(c.Panels) != 1 || c.Panels[0].Lines.Series[0].Points[0].X != 7e8 {
		t.Errorf("panels %+v", c.Panels)
	}
	// Against the work of training, of those that were trained here.
	trained := ms[3].result("training_flops", results.Point{Step: 10, Convention: "exact"}, 3e15)
	c = figure(t, "fig4-score-training", append(rs, trained))
	if len(c.Panels) != 1 || c.Panels[0].Lines.Series[0].Points[0].X != 3e15 || c.Panels[0].X.Label != "Training work" {
		t.Errorf("panels %+v", c.Panels)
	}
	if _, err := tryFigure(t, "fig4-score-training", rs); !errors.Is(err, reports.ErrNoData) {
		t.Errorf("error %v without FLOPs of training", err)
	}
	trained.Values = nil
	if _, err := tryFigure(t, "fig4-score-training", append(rs, trained)); err == nil || errors.Is(err, reports.ErrNoData) {
		t.Errorf("error %v of training without a number", err)
	}
	if _, err := tryFigure(t, "score-flops", rs); !errors.Is(err, reports.ErrNoData) {
		t.Errorf("error %v without FLOPs", err)
	}
}

func TestScoreTable(t *testing.T) {
	ms := fourModels()
	table, err := reports.ScoreTable([]results.Result{
		answered(ms[0], "piqa", 60, 100), answered(ms[0], "arc_easy", 30, 100), answered(ms[3], "piqa", 1, 1),
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range table.Rows {
		for _, cell := range row {
			got = append(got, cell.Text)
		}
	}
	want := []string{"matched-transformer-340m", "340M", "340M", "0.600 ± 0.049", "0.300 ± 0.046", "0.450", "blackmamba-1.5b", "344M", "1.46B", "1.000", "", ""}
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Fatalf("cells %q, want %q", got, want)
		}
	}
	if _, err := reports.ScoreTable(nil); !errors.Is(err, reports.ErrNoData) {
		t.Errorf("error %v of no results", err)
	}
}
