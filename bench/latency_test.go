package bench_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"quadrant/arch"
	"quadrant/bench"
	"quadrant/kernels"
	"quadrant/kernels/cpu"
	"quadrant/results"
)

func cases(t *testing.T, dev kernels.Device, names ...string) (all []bench.Case) {
	t.Helper()
	norm := arch.Norm{Kind: arch.RMSNorm, Eps: 1e-5}
	for _, name := range names {
		m, err := arch.New(arch.Config{Vocab: 20, Dim: 8, Norm: norm, FinalNorm: norm, TiedHead: true, Layers: []arch.Layer{
			{Sequence: arch.Sequence{Mamba: &arch.Mamba{Inner: 16, State: 4, Conv: 4, Rank: 1}}},
		}}, dev, arch.Types{})
		if err != nil {
			t.Fatal(err)
		}
		m.Init(1)
		all = append(all, bench.Case{Subject: results.Subject{Model: name}, Model: m})
	}
	return all
}

// A ticking clock goes on by a millisecond at every look, so that a reading counts looks.
func ticking() bench.Clock {
	at := time.Unix(0, 0)
	return func() time.Time {
		at = at.Add(time.Millisecond)
		return at
	}
}

func measurer(t *testing.T) (*bench.Measurer, *[]results.Result) {
	t.Helper()
	dev, err := cpu.Open("", 1)
	if err != nil {
		t.Fatal(err)
	}
	var got []results.Result
	return &bench.Measurer{Device: dev, Clock: ticking(), Write: func(rs ...results.Result) error {
		got = append(got, rs...)
		return nil
	}}, &got
}

func TestLatencyKeepsEverySampleAndAlternates(t *testing.T) {
	ms, got := measurer(t)
	plan := bench.Plan{Gens: []int{4, 10}, Prompt: 3, Batch: 2, Repeats: 2}
	if err := ms.Latency(t.Context(), cases(t, ms.Device, "a", "b", "c"), plan); err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, r := range *got {
		if r.Metric == "prefill" {
			order = append(order, r.Subject.Model)
		}
		if r.Point.Prompt != 3 || r.Point.Batch != 2 || r.Validate() != nil {
			t.Errorf("result %+v", r)
		}
		switch r.Metric {
		case "token":
			if len(r.Values) != 9 || !near(r.Values[0], 0.001) {
				t.Errorf("%d token times, the first %v s; want 9 of 0.001 s", len(r.Values), r.Values[0])
			}
		case "generation":
			if want := 0.001 * float64(r.Point.Gen); !near(r.Values[0], want) {
				t.Errorf("generating %d tokens took %v s by a clock that says %v", r.Point.Gen, r.Values[0], want)
			}
		}
	}
	if want := []string{"a", "b", "c", "b", "c", "a"}; !slices.Equal(order, want) {
		t.Errorf("runs in the order %v, want %v", order, want)
	}
	if len(*got) != 6*4 {
		t.Errorf("%d results, want prefill, token and two generation of 6 runs", len(*got))
	}
}

func near(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 }

func TestLatencyResumes(t *testing.T) {
	ms, got := measurer(t)
	plan := bench.Plan{Gens: []int{5}, Prompt: 1, Batch: 1, Repeats: 3}
	stop := errors.New("stopped")
	write := ms.Write
	ms.Write = func(rs ...results.Result) error {
		if len(*got) >= 6 { // two runs of three results
			return stop
		}
		return write(rs...)
	}
	cs := cases(t, ms.Device, "a", "b")
	if err := ms.Latency(t.Context(), cs, plan); !errors.Is(err, stop) {
		t.Fatalf("error %v, want %v", err, stop)
	}
	have := make(map[string]bool)
	for _, r := range *got {
		have[r.Key()] = true
	}
	ms.Have = func(r results.Result) bool { return have[r.Key()] }
	ms.Write = write
	if err := ms.Latency(t.Context(), cs, plan); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, r := range *got {
		if seen[r.Key()] {
			t.Errorf("%s of %s, run %d, was measured twice", r.Metric, r.Subject.Model, r.Point.Run)
		}
		seen[r.Key()] = true
	}
	if len(seen) != 2*3*3 {
		t.Errorf("%d different results, want 18", len(seen))
	}
}

func TestLatencyStopsWhenTold(t *testing.T) {
	ms, _ := measurer(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ms.Latency(ctx, cases(t, ms.Device, "a"), bench.Plan{Gens: []int{5}, Prompt: 1, Batch: 1, Repeats: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

func TestPlanErrors(t *testing.T) {
	ms, _ := measurer(t)
	for _, p := range []bench.Plan{
		{}, {Gens: []int{0}, Prompt: 1, Batch: 1, Repeats: 1}, {Gens: []int{4, 2}, Prompt: 1, Batch: 1, Repeats: 1},
		{Gens: []int{4}, Prompt: -1, Batch: 1, Repeats: 1}, {Gens: []int{4}, Prompt: 1, Batch: 0, Repeats: 1},
	} {
		if err := ms.Latency(t.Context(), nil, p); err == nil {
			t.Errorf("%+v is no error", p)
		}
	}
}
