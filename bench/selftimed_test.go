package bench_test

import (
	"errors"
	"testing"
	"time"

	"quadrant/bench"
	"quadrant/kernels"
	"quadrant/kernels/ref"
	"quadrant/results"
)

// A selfTimed device takes a microsecond for each op, by its own clock.
type selfTimed struct {
	watcher
	ops, longest, evicted int
	none                  error
}

func (d *selfTimed) TimesItself() error { return d.none }
func (d *selfTimed) CacheBytes() int64  { return 1 << 20 }
func (d *selfTimed) Evict(kernels.Mat)  { d.evicted++ }
func (d *selfTimed) Do(op kernels.Op)   { d.ops++; d.watcher.Do(op) }
func (d *selfTimed) Time(do, before func()) (float64, error) {
	if before != nil {
		before()
	}
	d.ops = 0
	do()
	d.longest = max(d.longest, d.ops)
	return float64(d.ops) * 1e-6, d.Sync()
}
func (d *selfTimed) ReadRate(m kernels.Mat) (float64, error) { return float64(m.Bytes()), nil }
func (d *selfTimed) CopyRate(dst, src kernels.Mat) (float64, error) {
	if dst.Off == src.Off || dst.Bytes() != src.Bytes() || !dst.Contiguous() {
		return 0, errors.New("no copy")
	}
	return 2 * float64(src.Bytes()), nil
}
func (d *selfTimed) MultiplyAddRate(t kernels.Type) (float64, error) { return 1 + float64(t), nil }

// Ops of a device with a clock take what that clock says: warm ones again and again on the same
// operands, cold ones once each on their own after caches are emptied. It shows its ceilings.
func TestSelfTimed(t *testing.T) {
	for _, cold := range []bool{false, true} {
		d := &selfTimed{watcher: watcher{Device: ref.New(), b: map[int]bool{}}}
		var rs []results.Result
		ms := bench.Measurer{Device: d, Clock: ticking(), Write: func(r ...results.Result) error {
			rs = append(rs, r...)
			return nil
		}}
		var cases []bench.KernelCase
		for _, c := range tiny(t) {
			if c.Op == "matmul" && c.Cold == cold && c.DType == kernels.F32 && c.Of == "tiny-mamba in" {
				cases = append(cases, c)
				break
			}
		}
		if err := ms.Kernels(t.Context(), bench.KernelPlan{Cases: cases, Repeats: 2, Sample: time.Second, Cold: 4 << 20}); err != nil {
			t.Fatal(err)
		}
		places, evictions := 1, 0
		ops := 256 // the most that are timed at a time
		if cold {
			places = 4 << 20 / (4*512*128 + 4*128)
			ops, evictions = places, 3 // one to learn the time, one each round
		}
		if len(d.b) != places || d.longest != ops || d.evicted != evictions {
			t.Errorf("cold %v: weights at %d places, %d ops at a time, caches emptied %d times; want %d, %d and %d", cold, len(d.b), d.longest, d.evicted, places, ops, evictions)
		}
		got := map[string]float64{}
		for _, r := range rs {
			if err := r.Validate(); err != nil {
				t.Error(err)
			}
			got[r.Metric+" "+r.Subject.DType] = r.Values[0]
		}
		want := map[string]float64{
			"op_time f32": 1e-6, "read_rate ": 4 << 20, "copy_rate ": 4 << 20,
			"multiply_add_rate ": 1 + float64(kernels.F32), "multiply_add_rate bf16": 1 + float64(kernels.BF16), "multiply_add_rate f16": 1 + float64(kernels.F16),
		}
		for name, v := range want {
			if e := got[name] - v; e > 1e-12 || e < -1e-12 {
				t.Errorf("%s is %v, want %v", name, got[name], v)
			}
		}
		if len(got) != len(want) {
			t.Errorf("metrics %v", got)
		}
	}
}

// A device whose clock is missing is timed by the host, as any other.
func TestSelfTimedWithoutClock(t *testing.T) {
	d := &selfTimed{watcher: watcher{Device: ref.New(), b: map[int]bool{}}, none: errors.New("no clock")}
	n := 0
	ms := bench.Measurer{Device: d, Clock: ticking(), Write: func(...results.Result) error { n++; return nil }}
	if err := ms.Kernels(t.Context(), bench.KernelPlan{Cases: tiny(t)[:1], Repeats: 1, Sample: time.Millisecond, Cold: 1 << 20}); err != nil || n != 1 || d.longest != 0 {
		t.Errorf("%d results, %d ops by the device's clock, %v", n, d.longest, err)
	}
}
