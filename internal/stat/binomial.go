package stat

import "gonum.org/v1/gonum/stat/distuv"

// BinomialInterval returns the interval of Clopper and Pearson (1934) for the probability of
// success, of which right of n trials were: it holds the true one with at least the
// probability want, whatever that is. It is 0 to 1 where there were no trials.
func BinomialInterval(right, n int, want float64) (lo, hi float64) {
	lo, hi = 0, 1
	tail, r, m := (1-want)/2, float64(right), float64(n)
	if right > 0 {
		lo = distuv.Beta{Alpha: r, Beta: m - r + 1}.Quantile(tail)
	}
	if right < n {
		hi = distuv.Beta{Alpha: r + 1, Beta: m - r}.Quantile(1 - tail)
	}
	return lo, hi
}
