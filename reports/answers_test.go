package reports_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"quadrant/reports"
	"quadrant/results"
)

// answers is a test of one run, with right answers to 100 questions.
func answers(task, model string, seed, step int, right float64) results.Result {
	return results.Result{
		Schema: results.Schema, Metric: "answers", Values: []float64{right, 100},
		Subject: results.Subject{Model: model, Family: "transformer", Total: 7, Active: 5, Weights: fmt.Sprintf("trained here, seed %d", seed)},
		Point:   results.Point{Phase: "mqar", Corpus: task, Step: step, Batch: 16, Window: 64},
	}
}

func guess(task string, chance float64) results.Result {
	return results.Result{
		Schema: results.Schema, Metric: "chance", Values: []float64{chance},
		Subject: results.Subject{Model: "chance", Family: "baseline"}, Point: results.Point{Phase: "mqar", Corpus: task, Window: 64},
	}
}

// What is said of models follows from their runs: seeds are paired, and one orders nothing.
func TestAnswersTable(t *testing.T) {
	rs := []results.Result{
		answers("hard", "b", 1, 4, 50), answers("hard", "b", 2, 4, 60), answers("hard", "b", 3, 4, 70), // 10 under a, each
		answers("hard", "a", 1, 2, 1), answers("hard", "a", 1, 4, 60), answers("hard", "a", 2, 4, 70), answers("hard", "a", 3, 4, 80), // an earlier test does not count
		answers("hard", "c", 1, 4, 20), answers("hard", "c", 2, 4, 50), answers("hard", "c", 3, 4, 95), // 5 under b on average, but as it comes
		answers("hard", "d", 9, 4, 0), guess("hard", 0.25), guess("other", 0.5),
		answers("easy", "a", 1, 4, 100), answers("easy", "b", 1, 4, 90),
	}
	table, err := reports.AnswersTable(rs, func(r results.Result) string { return "known of " + r.Subject.Model })
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range table.Rows {
		var words []string
		for _, cell := range row {
			words = append(words, cell.Text)
		}
		got = append(got, strings.Join(words, " "))
	}
	want := []string{
		"hard a 7 5 4 3 0.700 0.452 0.948 0.600 0 of 3 0.250 300    best known of a",
		"hard b 7 5 4 3 0.600 0.352 0.848 0.500 0 of 3 0.250 300 0.100 0.100 0.100 behind known of b",
		"hard c 7 5 4 3 0.550 0.000 1.000 0.200 1 of 3 0.250 300 0.050 -0.642 0.742 within the noise of seeds known of c",
		"hard d 7 5 4 1 0.000 0.000 0.036 0.000 0 of 1 0.250 100    no seed in common known of d",
		"easy a 7 5 4 1 1.000 0.964 1.000 1.000 1 of 1  100    best known of a",
		"easy b 7 5 4 1 0.900 0.824 0.951 0.900 1 of 1  100 0.100   of one seed (n=1) known of b",
	}
	if !slices.Equal(got, want) {
		t.Errorf("rows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	bare, err := reports.AnswersTable(rs, nil)
	if err != nil || len(bare.Columns) != len(table.Columns)-1 {
		t.Errorf("without literature: %d columns, %v", len(bare.Columns), err)
	}
	if _, err := reports.AnswersTable([]results.Result{guess("hard", 0.25)}, nil); !errors.Is(err, reports.ErrNoData) {
		t.Errorf("error %v", err)
	}
	for _, r := range []results.Result{answers("hard", "a", 1, 4, 61), {Schema: results.Schema, Metric: "answers", Values: []float64{1}, Subject: results.Subject{Model: "x"}}} {
		if _, err := reports.AnswersTable(append(slices.Clone(rs), r), nil); err == nil || !strings.Contains(err.Error(), "given twice, want right and asked") {
			t.Errorf("error %v", err)
		}
	}
}

// A panel is a task, a point the mean over seeds, and guessing a line across.
func TestAnswersFigure(t *testing.T) {
	c := figure(t, "synthetic", []results.Result{
		answers("hard", "a", 1, 2, 10), answers("hard", "a", 2, 2, 30), answers("hard", "a", 1, 4, 40), answers("hard", "a", 2, 4, 60),
		answers("easy", "b", 1, 8, 50), guess("hard", 0.25),
	})
	if len(c.Panels) != 2 || c.Panels[0].Title != "easy" || c.Panels[1].Title != "hard" {
		t.Fatalf("%d panels, want one for each task", len(c.Panels))
	}
	easy, hard := c.Panels[0].Lines.Series, c.Panels[1].Lines.Series
	if len(easy) != 1 || len(hard) != 2 || hard[1].Name != "chance" {
		t.Fatalf("lines %v and %v, want chance where it is known", easy, hard)
	}
	ps := hard[0].Points
	if len(ps) != 2 || ps[0].X != 2 || math.Abs(ps[0].Y-0.2) > 1e-12 || ps[1].X != 4 || ps[1].N != 2 || ps[1].Lo != 0 || ps[1].Hi != 1 {
		t.Errorf("points %v", ps)
	}
	if across := hard[1].Points; len(across) != 2 || across[0].Y != 0.25 || across[1].X != 4 {
		t.Errorf("chance is %v", across)
	}
	if p := easy[0].Points[0]; p.N != 1 || math.Abs(p.Lo-0.398) > 1e-3 || math.Abs(p.Hi-0.602) > 1e-3 {
		t.Errorf("of one seed, %v, want an interval over questions", p)
	}
}
