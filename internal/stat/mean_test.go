package stat_test

import (
	"math"
	"testing"

	"quadrant/internal/stat"
)

func TestMeanError(t *testing.T) {
	mean, se := stat.MeanError([]float64{1, 0, 0, 1})
	near(t, "mean", mean, 0.5)
	near(t, "error", se, math.Sqrt(1.0/3)/2)
	mean, se = stat.MeanError([]float64{3})
	near(t, "mean of one", mean, 3)
	near(t, "error of one", se, 0)
	if mean, se = stat.MeanError(nil); !math.IsNaN(mean) || !math.IsNaN(se) {
		t.Errorf("of nothing: %v ± %v", mean, se)
	}
}
