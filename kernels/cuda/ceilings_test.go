package cuda_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"quadrant/kernels"
	"quadrant/kernels/cuda"
	"quadrant/kernels/cuda/ptxsim"
)

// The kernels that show the ceilings do all the work that they are taken for: every word is read
// as often as asked for, every multiply-add is done.
func TestCeilingsDoTheirWork(t *testing.T) {
	dev := open(t, ptxsim.Backward)
	const n = 4 * 12345
	m := dev.Alloc(kernels.F32, 1, n)
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(i) * 1.37
	}
	kernels.Put(dev, m, values)
	const blocks, threads = 5, 256
	for _, rounds := range []int{1, 2, 3} {
		got, want := uint32(0), uint32(0)
		for _, x := range cuda.ReadAll(dev, m, rounds, blocks) {
			got ^= x
		}
		for i := range 8 * rounds * blocks * threads {
			for j := range 4 {
				want ^= math.Float32bits(values[(4*i+j)%n])
			}
		}
		if err := dev.Sync(); err != nil || got != want {
			t.Errorf("%v; %d rounds: exclusive or %#x, want %#x", err, rounds, got, want)
		}
	}
	for kernel, each := range map[string]float32{"fused": 16 * 8, "tensor_bf16": 8 * 4 * 16, "tensor_f16": 8 * 4 * 16, "wgmma_bf16": 96 * 64} {
		counted := cuda.MultiplyAdds(dev, kernel, 3, 2)
		if err := dev.Sync(); err != nil {
			t.Fatal(err)
		}
		for _, got := range counted {
			if got != 3*each {
				t.Fatalf("%s: a thread counts %v multiply-adds of 3 rounds, want %v", kernel, got, 3*each)
			}
		}
	}
}

// An instrumented driver has a clock that advances with launches of graphs and copies.
type instrumented struct {
	*counting
	marks  [2]int
	copied int
}

func (d *instrumented) Mark(i int) error {
	d.marks[i] = d.launched + d.copied
	return nil
}
func (d *instrumented) Elapsed() (float64, error) { return float64(d.marks[1]-d.marks[0]) / 1000, nil }
func (d *instrumented) CacheBytes() int64         { return 1 << 10 }
func (d *instrumented) UUID() string              { return "GPU-0" }
func (d *instrumented) CopyWithin(dst, src uint64, n int) error {
	d.copied++
	b := make([]byte, n)
	return errors.Join(d.CopyOut(b, src), d.CopyIn(dst, b))
}

// Between the marks is one run of the ops, as a graph, and what was to come before is not.
func TestTimeOfOps(t *testing.T) {
	drv := &instrumented{counting: &counting{driver: driver{machine(ptxsim.Forward)}}}
	dev, err := cuda.New(drv, cuda.Split)
	if err != nil {
		t.Fatal(err)
	}
	x, sum := dev.Alloc(kernels.F32, 1, 8), dev.Alloc(kernels.F32, 1, 8)
	kernels.Put(dev, x, []float32{1, 1, 1, 1, 1, 1, 1, 1})
	s := kernels.NewStream(dev)
	before := 0
	seconds, err := dev.Time(func() {
		for range 5 {
			s.Do(kernels.Add{Dst: sum, X: x})
		}
	}, func() {
		before++
		dev.Evict(x)
		drv.launched += 100
	})
	if err != nil || seconds != 1e-3 || before != 1 {
		t.Errorf("%v s, %v, before ran %d times; want one launch of a graph between the marks", seconds, err, before)
	}
	got := make([]float32, 8)
	kernels.Get(dev, got, sum)
	if got[7] != 15 {
		t.Errorf("%v additions, want three times five", got[7])
	}
	rate, err := dev.CopyRate(sum, x)
	if want := 2 * 32 / 1e-3; err != nil || math.Abs(rate-want) > 1e-6*want {
		t.Errorf("copies move %v B/s, %v; want %v", rate, err, want)
	}
	kernels.Get(dev, got, sum)
	if got[7] != 1 {
		t.Errorf("CopyRate left %v, want what it copies", got[7])
	}
}

// The simulator has no clock, and says so.
func TestSimulatorTellsNoTime(t *testing.T) {
	dev := open(t, ptxsim.Forward)
	if _, err := dev.Time(func() {}, nil); err == nil || !strings.Contains(err.Error(), "ptxsim has no clock") {
		t.Errorf("Time: %v", err)
	}
	if _, err := dev.MultiplyAddRate(kernels.F32); err == nil {
		t.Error("a rate without a clock")
	}
}
