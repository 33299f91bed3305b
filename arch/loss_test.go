package arch_test

import (
	"math"
	"slices"
	"testing"

	"quadrant/arch"
	"quadrant/kernels"
	"quadrant/kernels/ref"
)

// losses runs Session.Loss on a fresh session of m.
func losses(t *testing.T, s *arch.Session, dev kernels.Device, ids, targets []int32, scale float32) []float32 {
	t.Helper()
	in, want, out := dev.Alloc(kernels.I32, len(ids), 1), dev.Alloc(kernels.I32, len(ids), 1), dev.Alloc(kernels.F32, len(ids), 1)
	kernels.Put(dev, in, ids)
	kernels.Put(dev, want, targets)
	s.Loss(out, in, want, scale)
	if err := dev.Sync(); err != nil {
		t.Fatal(err)
	}
	got := make([]float32, len(ids))
	kernels.Get(dev, got, out)
	return got
}

// The loss is the cross entropy of the logits that Forward gives, also where there are more
// rows than are held at a time, and nothing where there is no target.
func TestLossIsThatOfTheLogits(t *testing.T) {
	for _, name := range []string{"transformer", "mamba-moe", "gpt-neox"} {
		for _, n := range []int{9, 280} { // 2·280 rows are more than one chunk
			dev := ref.New()
			m := build(t, models()[name], dev, arch.Types{})
			ids, targets := tokens(2*n), tokens(2*n + 1)[1:]
			targets[3] = -1
			logits := run(t, m, dev, 2, ids, n)
			var want []float32
			for i, target := range targets {
				row, sum := logits[i*vocab:(i+1)*vocab], 0.0
				for _, l := range row {
					sum += math.Exp(float64(l))
				}
				if target < 0 {
					want = append(want, 0)
				} else {
					want = append(want, float32(math.Log(sum)-float64(row[target])))
				}
			}
			near(t, losses(t, m.Open(2, n), dev, ids, targets, 1), want)
		}
	}
}

// A session that keeps its activations computes the same, and can be reset.
func TestKeep(t *testing.T) {
	dev := openCPU(t)
	for name, cfg := range models() {
		m := build(t, cfg, dev, arch.Types{})
		ids := tokens(2 * 20)
		want := run(t, m, dev, 2, ids, 20)
		s := m.Open(2, 20)
		s.Keep = true
		for range 2 {
			s.Reset()
			if got := feed(t, s, dev, 2, ids, 20); !slices.Equal(got, want) {
				t.Errorf("%s: kept activations change the logits", name)
			}
		}
	}
}
