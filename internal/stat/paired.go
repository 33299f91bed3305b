package stat

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/floats"
	gonum "gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// McNemar returns the two-sided p-value of McNemar's exact test (1947) of two models that
// answered the same questions: onlyA is how many the first alone got right, onlyB the
// second alone. Where both are equally good, each discordant question is a throw of a
// coin; p is the probability of a split at least as uneven.
func McNemar(onlyA, onlyB int) float64 {
	n := float64(onlyA + onlyB)
	return min(1, 2*distuv.Binomial{N: n, P: 0.5}.CDF(float64(min(onlyA, onlyB))))
}

// A Range is an interval of values that a bootstrap gave.
type Range struct{ Lo, Hi float64 }

// Excludes reports whether v lies outside r.
func (r Range) Excludes(v float64) bool { return v < r.Lo || v > r.Hi }

// Bootstrap returns the interval that holds the middle share, such as 0.95, of the values
// of Σx/Σw over draws resamples of the pairs (x, w) with replacement: the percentile
// interval of Efron (1979). For a mean, w is nil. For one seed it is always the same.
func Bootstrap(x, w []float64, draws int, share float64, seed uint64) (Range, error) {
	switch {
	case len(x) == 0:
		return Range{}, fmt.Errorf("stat: bootstrap of nothing")
	case w != nil && len(w) != len(x):
		return Range{}, fmt.Errorf("stat: bootstrap of %d values with %d weights", len(x), len(w))
	case draws < 1 || !(share > 0 && share < 1):
		return Range{}, fmt.Errorf("stat: bootstrap of %d draws for a share of %v: want at least 1, and 0 to 1", draws, share)
	}
	r := rand.New(rand.NewPCG(seed, 0x626f6f74)) // another stream than other uses of the seed
	values := make([]float64, draws)
	for i := range values {
		values[i] = resample(r, x, w)
	}
	return Range{Quantile(values, (1-share)/2), Quantile(values, (1+share)/2)}, nil
}

// resample is Σx/Σw over as many pairs as there are, drawn with replacement.
func resample(r *rand.Rand, x, w []float64) float64 {
	n := uint64(len(x))
	sum, weight := 0.0, float64(n)
	if w == nil {
		for range x {
			sum += x[r.Uint64N(n)]
		}
		return sum / weight
	}
	weight = 0
	for range x {
		i := r.Uint64N(n)
		sum, weight = sum+x[i], weight+w[i]
	}
	return sum / weight
}

// RatioError is the standard error of Σx/Σw by the delta method (for a mean, where w is
// nil, of the mean): that of the residuals x − w·Σx/Σw. It is NaN for fewer than two.
func RatioError(x, w []float64) float64 {
	n := float64(len(x))
	if w == nil {
		return gonum.StdDev(x, nil) / math.Sqrt(n)
	}
	total := floats.Sum(w)
	ratio := floats.Sum(x) / total
	residuals := make([]float64, len(x))
	for i := range x {
		residuals[i] = x[i] - ratio*w[i]
	}
	return gonum.StdDev(residuals, nil) * math.Sqrt(n) / total
}

// MinimumDetectable is the least true difference that a two-sided test at level alpha
// finds with the given power, where the estimate of the difference is normal with
// standard error se: (z(1−alpha/2) + z(power))·se.
func MinimumDetectable(se, alpha, power float64) float64 {
	z := distuv.UnitNormal.Quantile
	return (z(1-alpha/2) + z(power)) * se
}
