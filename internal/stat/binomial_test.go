package stat

import (
	"math"
	"testing"
)

// Clopper and Pearson's intervals, from tables.
func TestBinomialInterval(t *testing.T) {
	for _, c := range []struct {
		right, n int
		lo, hi   float64
	}{
		{0, 10, 0, 0.3085}, {10, 10, 0.6915, 1}, {5, 10, 0.1871, 0.8129}, {1, 100, 0.0003, 0.0545}, {81, 263, 0.2527, 0.3676}, {0, 0, 0, 1},
	} {
		lo, hi := BinomialInterval(c.right, c.n, 0.95)
		if math.Abs(lo-c.lo) > 5e-5 || math.Abs(hi-c.hi) > 5e-5 {
			t.Errorf("%d of %d: %.4f to %.4f, want %.4f to %.4f", c.right, c.n, lo, hi, c.lo, c.hi)
		}
	}
}
