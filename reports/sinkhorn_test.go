package reports_test

import (
	"fmt"
	"testing"

	"quadrant/results"
)

// A line is a model, over its layers and seeds; models without Sinkhorn have none.
func TestSinkhornFigure(t *testing.T) {
	var rs []results.Result
	add := func(model, metric string, seed, layer, step int, values ...float64) {
		rs = append(rs, results.Result{
			Schema: results.Schema, Metric: metric, Values: values,
			Subject: results.Subject{Model: model, Family: "mamba-moe", Weights: fmt.Sprintf("trained on text, seed %d", seed)},
			Point:   results.Point{Step: step, Layer: &layer, Phase: "training", Corpus: "text"},
		})
	}
	for seed := 1; seed <= 2; seed++ {
		for layer := 1; layer <= 3; layer += 2 {
			add("columns first", "training_sinkhorn_iterations", seed, layer, 20, 1, 3)
			add("columns first", "training_expert_tokens", seed, layer, 20, 10, 30)
			add("ones", "training_sinkhorn_iterations", seed, layer, 10, 4, float64(2*seed+layer))
			add("ones", "training_expert_tokens", seed, layer, 10, 10, 10)
			add("hash", "training_expert_tokens", seed, layer, 10, 0, 10)
		}
	}
	c := figure(t, "sinkhorn", rs)
	if len(c.Panels) != 2 {
		t.Fatalf("%d panels, want iterations and loads", len(c.Panels))
	}
	for i, want := range [][2]float64{{2, 4.5}, {1.5, 1}} { // (4 + 3, 5, 5, 7) / 2 on average
		series := c.Panels[i].Lines.Series
		if len(series) != 2 || len(series[0].Points) != 1 || series[0].Points[0].Y != want[0] || series[1].Points[0].Y != want[1] {
			t.Errorf("panel %d has %+v, want columns first at %v and ones at %v", i, series, want[0], want[1])
		}
	}
}
