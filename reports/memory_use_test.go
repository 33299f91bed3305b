package reports

import (
	"strings"
	"testing"

	"quadrant/results"
)

// A figure of latency says in its caption which share of the memory's rate the longest runs of each model
// needed, and what tells them apart; without a measured rate it says nothing of it.
func TestMemoryUseInCaptions(t *testing.T) {
	of := func(metric string, gen, batch int, values ...float64) results.Result {
		return results.Result{
			Metric: metric, Values: values, Subject: results.Subject{Model: "a", DType: "f32", Total: 7, Active: 7},
			Env:   results.Env{Device: "cpu/go", Threads: 2},
			Point: results.Point{Prompt: 100, Gen: gen, Batch: batch, Run: 1},
		}
	}
	rs := []results.Result{
		of("generation", 2, 1, 0.1), of("generation", 4, 1, 0.3), of("token", 4, 1, 0.1, 0.1, 0.1, 0.1),
		of("token_bytes", 2, 1, 1), of("token_bytes", 4, 1, 5),
		of("generation", 4, 8, 0.6), of("token", 4, 8, 0.2, 0.2, 0.2, 0.2), of("token_bytes", 4, 8, 8),
	}
	rate := results.Result{Metric: "copy_rate", Env: results.Env{Device: "cpu/go", Threads: 2}, Values: []float64{100}}
	for _, name := range []string{"fig5-latency", "latency-per-token"} {
		f, _ := FigureNamed(name)
		const want = "bytes of a decode step need: a, batch 1 50 %; a, batch 8 40 %."
		c, err := f.Make(append(rs, rate))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(c.Caption, want) {
			t.Errorf("%s says %q, want %q in it", name, c.Caption, want)
		}
		if c, err = f.Make(rs); err != nil || strings.Contains(c.Caption, "utilisation") {
			t.Errorf("%s without a rate says %q, %v", name, c.Caption, err)
		}
	}
}
