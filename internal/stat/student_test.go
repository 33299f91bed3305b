package stat_test

import (
	"math"
	"testing"

	"quadrant/internal/stat"
)

// t(0.975) of 2 and 4 degrees of freedom are 4.302653 and 2.776445, as printed in tables.
func TestMeanInterval(t *testing.T) {
	for _, c := range []struct {
		xs     []float64
		lo, hi float64
	}{
		{[]float64{1, 2, 3}, 2 - 4.302653/math.Sqrt(3), 2 + 4.302653/math.Sqrt(3)},
		{[]float64{-2, -1, 0, 1, 2}, -2.776445 * math.Sqrt(0.5), 2.776445 * math.Sqrt(0.5)},
	} {
		if r := stat.MeanInterval(c.xs, 0.95); math.Abs(r.Lo-c.lo) > 1e-6 || math.Abs(r.Hi-c.hi) > 1e-6 {
			t.Errorf("%v gives %v, want %v to %v", c.xs, r, c.lo, c.hi)
		}
	}
	if r := stat.MeanInterval([]float64{7}, 0.95); !math.IsInf(r.Lo, -1) || !math.IsInf(r.Hi, 1) {
		t.Errorf("one sample gives %v", r)
	}
}
