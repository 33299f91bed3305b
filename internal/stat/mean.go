package stat

import (
	"math"

	gonum "gonum.org/v1/gonum/stat"
)

// MeanError is the mean of xs and its standard error: the standard deviation with n-1
// degrees of freedom over the root of n. Of one sample the error is 0; of none both are
// NaN.
func MeanError(xs []float64) (mean, se float64) {
	if len(xs) < 2 {
		return gonum.Mean(xs, nil), 0 * gonum.Mean(xs, nil)
	}
	mean, sd := gonum.MeanStdDev(xs, nil)
	return mean, sd / math.Sqrt(float64(len(xs)))
}
