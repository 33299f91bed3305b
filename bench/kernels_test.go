package bench_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"quadrant/bench"
	"quadrant/kernels"
	"quadrant/kernels/cpu"
	"quadrant/kernels/ref"
	"quadrant/results"
)

func tiny(t *testing.T) []bench.KernelCase {
	t.Helper()
	s, ok := bench.SizesNamed("tiny")
	if !ok {
		t.Fatal("there are no tiny sizes")
	}
	return s.Cases([]kernels.Type{kernels.F32, kernels.BF16, kernels.F16})
}

// A watcher keeps where the weights of products lay.
type watcher struct {
	kernels.Device
	b map[int]bool // their offsets
}

func (w *watcher) Do(op kernels.Op) {
	if m, ok := op.(*kernels.MatMul); ok {
		w.b[m.B.Off] = true
	}
	w.Device.Do(op)
}

// Every case is an op that the checks and the float64 device accept, has a cost, and a name
// of its own.
func TestKernelCases(t *testing.T) {
	cases := tiny(t)
	dev := ref.New()
	var rs []results.Result
	ms := bench.Measurer{Device: dev, Clock: ticking(), Write: func(r ...results.Result) error {
		rs = append(rs, r...)
		return nil
	}}
	// A tick is a millisecond, so that a sample is an execution or two.
	if err := ms.Kernels(t.Context(), bench.KernelPlan{Cases: cases, Repeats: 1, Sample: time.Millisecond, Cold: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	if len(rs) != len(cases) {
		t.Fatalf("%d results of %d cases", len(rs), len(cases))
	}
	seen := map[string]bool{}
	for i, r := range rs {
		if err := r.Validate(); err != nil {
			t.Errorf("%v: %v", cases[i], err)
		}
		if seen[r.Key()] {
			t.Errorf("two cases are %v", cases[i])
		}
		seen[r.Key()] = true
		if r.Point.Bytes < 1 || r.Point.Footprint < 1 || !slices.Contains(bench.Ops, r.Point.Op) || r.Values[0] <= 0 {
			t.Errorf("%v: %+v %v", cases[i], r.Point, r.Values)
		}
	}
	for _, op := range bench.Ops {
		if !slices.ContainsFunc(cases, func(c bench.KernelCase) bool { return c.Op == op }) {
			t.Errorf("no case of %s", op)
		}
	}
}

// All sizes have cases of one name each, and their memory can be counted.
func TestSizes(t *testing.T) {
	for _, s := range bench.AllSizes {
		cases := s.Cases([]kernels.Type{kernels.F32, kernels.BF16, kernels.F16})
		names := map[string]bool{}
		for _, c := range cases {
			if names[c.String()] {
				t.Errorf("%s: two cases are %v", s.Name, c)
			}
			names[c.String()] = true
		}
		plan := bench.KernelPlan{Cases: cases, Cold: 1 << 28}
		if n := plan.Memory(); n < 3<<28 || n > 8<<30 {
			t.Errorf("%s: %d bytes of operands", s.Name, n)
		}
	}
}

// A warm case has the same operands each time; a cold one goes through all that there is
// room for.
func TestColdGoesThroughMemory(t *testing.T) {
	for _, cold := range []bool{false, true} {
		w := &watcher{Device: ref.New(), b: map[int]bool{}}
		ms := bench.Measurer{Device: w, Clock: ticking(), Write: func(...results.Result) error { return nil }}
		cases := slices.DeleteFunc(tiny(t), func(c bench.KernelCase) bool {
			return c.Cold != cold || c.DType != kernels.F32 || !strings.HasPrefix(c.String(), "matmul m=1 n=512 k=128")
		})
		if len(cases) != 1 {
			t.Fatalf("cases %v", cases)
		}
		if err := ms.Kernels(t.Context(), bench.KernelPlan{Cases: cases, Repeats: 1, Sample: 4 * time.Millisecond, Cold: 4 << 20}); err != nil {
			t.Fatal(err)
		}
		want := 1
		if cold {
			want = 4 << 20 / (4*512*128 + 4*128) // a set is the weights and a row of inputs
		}
		if len(w.b) != want {
			t.Errorf("cold %v: weights at %d places, want %d", cold, len(w.b), want)
		}
	}
}

// Ceilings are measured in every round, by each gauge in its own name; what is known is not
// measured again.
func TestCeilingsAndResume(t *testing.T) {
	dev, err := cpu.Open("", 2)
	if err != nil {
		t.Fatal(err)
	}
	one, err := cpu.Open("", 1)
	if err != nil {
		t.Fatal(err)
	}
	var got []results.Result
	ms := bench.Measurer{Device: dev, Env: results.Env{Device: dev.Name(), Threads: 2}, Clock: time.Now, Write: func(rs ...results.Result) error {
		got = append(got, rs...)
		return nil
	}}
	plan := bench.KernelPlan{
		Cases: tiny(t)[:2], Repeats: 3, Sample: 10 * time.Microsecond, Cold: 5 << 20,
		Gauges: []bench.Gauge{{Device: dev, Env: ms.Env}, {Device: one, Env: results.Env{Device: dev.Name(), Threads: 1}}},
	}
	ctx, stop := context.WithCancel(t.Context())
	ms.Progress = func(done, _ int) {
		if done == 7 {
			stop()
		}
	}
	if err := ms.Kernels(ctx, plan); !errors.Is(err, context.Canceled) || len(got) != 7 {
		t.Fatalf("stopped with %d results, %v; want 7", len(got), err)
	}
	ms.Progress = nil
	ms.Have = func(r results.Result) bool {
		return slices.ContainsFunc(got, func(g results.Result) bool { return g.Key() == r.Key() })
	}
	if err := ms.Kernels(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, r := range got {
		if err := r.Validate(); err != nil || r.Values[0] <= 0 {
			t.Errorf("%+v: %v", r, err)
		}
		count[r.Metric]++
	}
	// 1, 4 and 5 MiB are read, by two gauges, three times.
	if len(results.Latest(got)) != len(got) || count["read_rate"] != 18 || count["multiply_add_rate"] != 6 || count["op_time"] != 6 {
		t.Errorf("results of %v, %d different of %d", count, len(results.Latest(got)), len(got))
	}
}

func TestKernelPlanErrors(t *testing.T) {
	good := bench.KernelPlan{Cases: tiny(t), Repeats: 1, Sample: 1, Cold: 1 << 20}
	for want, edit := range map[string]func(p *bench.KernelPlan){
		"no operations": func(p *bench.KernelPlan) { p.Cases = nil },
		"repeats is 0":  func(p *bench.KernelPlan) { p.Repeats = 0 },
		"samples of 0s": func(p *bench.KernelPlan) { p.Sample = 0 },
		"12 bytes":      func(p *bench.KernelPlan) { p.Cold = 12 },
	} {
		p := good
		edit(&p)
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
}
