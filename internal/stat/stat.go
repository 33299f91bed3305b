// Package stat holds the statistics that reports print of raw measurements. Nothing here
// assumes a distribution: a clock's readings are skewed and have outliers, so the median
// and its interval by order statistics describe them.
package stat

import (
	"math"
	"slices"
	"sort"

	"gonum.org/v1/gonum/stat/distuv"
)

// Median returns the middle of xs, or the mean of the middle two; NaN if there are none.
// xs is not changed and must not contain NaN.
func Median(xs []float64) float64 { return Quantile(xs, 0.5) }

// Quantile returns the value below which a fraction p of xs lies, interpolated between
// neighbours: type 7 of Hyndman and Fan (1996), which R and NumPy use. p is held to
// 0 … 1. It is NaN if there are no xs, which must not contain NaN.
func Quantile(xs []float64, p float64) float64 {
	if len(xs) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(xs))
	at := min(max(p, 0), 1) * float64(len(s)-1)
	i := int(at)
	if i == len(s)-1 {
		return s[i]
	}
	f := at - float64(i)
	return min(s[i]+f*(s[i+1]-s[i]), s[i+1]) // never falls as p grows, rounding included
}

// An Interval is a confidence interval of a median.
type Interval struct {
	Lo, Hi   float64 // two of the samples
	Coverage float64 // the probability that it holds the true median, from 0 to 1
	N        int     // samples
}

// MedianInterval returns the narrowest interval [k-th smallest, k-th largest] of xs that
// holds the true median with at least the probability want, whatever the distribution
// that the samples are drawn from, if it is continuous and they are independent. Coverage
// is the probability of that very interval. Where there are too few samples for want, the
// interval is the whole range, and Coverage is what that reaches: 0 for one sample, 0.75
// for three, 0.9375 for five. It takes six to reach 0.95.
func MedianInterval(xs []float64, want float64) Interval {
	n := len(xs)
	if n == 0 {
		return Interval{Lo: math.NaN(), Hi: math.NaN()}
	}
	s := slices.Sorted(slices.Values(xs))
	// Coverage falls as k grows: find the first k that is too narrow.
	k := sort.Search((n+1)/2, func(i int) bool { return orderCoverage(n, i+1) < want })
	k = max(k, 1)
	return Interval{Lo: s[k-1], Hi: s[n-k], Coverage: orderCoverage(n, k), N: n}
}

// orderCoverage is the probability that the median lies between the k-th smallest and
// the k-th largest of n samples: that of k to n-k heads in n throws of a coin.
func orderCoverage(n, k int) float64 {
	if 2*k > n {
		return 0
	}
	return 1 - 2*distuv.Binomial{N: float64(n), P: 0.5}.CDF(float64(k-1))
}
