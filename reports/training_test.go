package reports_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"quadrant/reports"
	"quadrant/results"
)

// bits is a result of bits per byte after a step of 10 tokens.
func bits(m, family, choice, domain string, step int, v float64) results.Result {
	return results.Result{
		Schema: results.Schema, Metric: "training_bits_per_byte", Values: []float64{v}, Subject: results.Subject{Model: m, Family: family},
		Point: results.Point{Step: step, Tokens: 10 * step, Choice: choice, Domain: domain, Corpus: "text"},
	}
}

// A line is the mean over domains, with the choice of routers that training learned; counts
// of bytes are a line across.
func TestTrainingFigure(t *testing.T) {
	rs := []results.Result{
		bits("moe", "mamba-moe", "argmax", "a", 2, 9), bits("moe", "mamba-moe", "ema_bias", "a", 2, 3), bits("moe", "mamba-moe", "ema_bias", "b", 2, 4),
		bits("moe", "mamba-moe", "ema_bias", "b", 1, 6), bits("moe", "mamba-moe", "ema_bias", "a", 1, 7), bits("moe", "mamba-moe", "sinkhorn", "a", 2, 1),
		bits("5-gram", "n-gram", "", "a", 2, 2), bits("5-gram", "n-gram", "", "b", 2, 3),
	}
	c := figure(t, "training", rs)
	if len(c.Panels) != 1 || len(c.Panels[0].Lines.Series) != 2 {
		t.Fatalf("%d panels, want one of two lines", len(c.Panels))
	}
	for i, want := range [][2][2]float64{{{10, 6.5}, {20, 3.5}}, {{10, 2.5}, {20, 2.5}}} {
		ps := c.Panels[0].Lines.Series[i].Points
		if len(ps) != 2 || ps[0].X != want[0][0] || ps[0].Y != want[0][1] || ps[1].X != want[1][0] || ps[1].Y != want[1][1] {
			t.Errorf("%s has points %v, want %v", c.Panels[0].Lines.Series[i].Name, ps, want)
		}
	}
	f, _ := reports.FigureNamed("training")
	if _, err := f.Make(rs[:3]); err != nil {
		t.Error(err)
	}
	if _, err := f.Make(rs[:4]); err == nil || !strings.Contains(err.Error(), "has 1 domains, and elsewhere 2") {
		t.Errorf("error %v, want one that says that a domain is missing", err)
	}
}

// Verdicts follow from the numbers.
func TestTrainingTable(t *testing.T) {
	table, err := reports.TrainingTable([]results.Result{
		bits("a", "transformer", "", "x", 1, 9), bits("a", "transformer", "", "x", 2, 3), bits("b", "mamba", "", "x", 2, 2.99), bits("c", "mamba-moe", "argmax", "x", 2, 2.5),
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range table.Rows {
		got = append(got, row[0].Text+" "+row[4].Text+" "+row[5].Text+" "+row[6].Text)
	}
	if want := "c 2.5000  best|b 2.9900 0.4900 worse|a 3.0000 0.0100 too small to order"; strings.Join(got, "|") != want {
		t.Errorf("rows %q, want %q", got, want)
	}
	if _, err := reports.TrainingTable(nil); !errors.Is(err, reports.ErrNoData) {
		t.Errorf("error %v, want that there is no data", err)
	}
}

// Of a model with many layers the first and the last are shown, step by step.
func TestExpertsInTraining(t *testing.T) {
	m := fourModels()[3]
	c := figure(t, "experts-training", m.training(2, rand.New(rand.NewPCG(1, 2))))
	if len(c.Panels) != 2 || c.Panels[0].Note != "layer 1" || c.Panels[1].Note != "layer 7" {
		t.Fatalf("%d panels, want those of layers 1 and 7", len(c.Panels))
	}
	s := c.Panels[0].Shares
	if len(s.Bars) != 8 || s.Bars[0] != "100" || len(s.Parts) != 8 {
		t.Errorf("bars %v of %d parts", s.Bars, len(s.Parts))
	}
	for _, bar := range s.Share {
		sum := 0.0
		for _, v := range bar {
			sum += v
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Errorf("shares sum to %v", sum)
		}
	}
}
