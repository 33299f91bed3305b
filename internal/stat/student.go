package stat

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// MeanInterval returns Student's interval for the mean of what xs are samples of, which holds
// it with the probability want if they are normal: the mean and t times its standard error to
// either side. Of fewer than two samples it is infinite.
func MeanInterval(xs []float64, want float64) Range {
	mean, se := MeanError(xs)
	if len(xs) < 2 {
		return Range{math.Inf(-1), math.Inf(1)}
	}
	t := distuv.StudentsT{Sigma: 1, Nu: float64(len(xs) - 1)}.Quantile((1 + want) / 2)
	return Range{mean - t*se, mean + t*se}
}
