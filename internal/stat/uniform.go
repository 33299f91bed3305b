package stat

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat/distuv"
)

// A Uniformity is a test of whether counts are as uneven as chance makes them: whether
// each token could have drawn its k experts of E blindly, every set of k as likely.
type Uniformity struct {
	// ChiSquare is Pearson's Σ(O−m)²/m with m the mean count, times (E−1)/(E−k): a token
	// takes an expert at most once, so counts scatter less than a multinomial's. With one
	// expert per token it is Pearson's own.
	ChiSquare float64
	Freedom   int     // E−1
	P         float64 // probability of a ChiSquare at least as large under blind draws
	Simulated bool    // P is of draws: the mean count is too small for the χ² distribution
}

// fewest is the mean count below which the χ² distribution is not trusted (Cochran, 1954),
// and draws is how often chance is then asked instead.
const fewest, draws = 5, 9999

// TestUniform tests counts, the tokens that each expert was sent where every token goes to
// perToken different experts. Where the mean count is below 5, P is that of a Monte Carlo
// test (Barnard, 1963), whose level is exact: (1 + draws at least as uneven)/(1 + draws)
// with 9999 draws, the same every time.
func TestUniform(counts []float64, perToken int) (Uniformity, error) {
	if _, err := NewBalance(counts); err != nil {
		return Uniformity{}, err
	}
	e, k, total := len(counts), perToken, floats.Sum(counts)
	tokens := total / float64(k)
	if k < 1 || k > e || tokens != math.Trunc(tokens) {
		return Uniformity{}, fmt.Errorf("stat: %v choices among %d experts, %d per token: want whole tokens, and 1 to %d experts of each", total, e, k, e)
	}
	if most := slices.Max(counts); most > tokens {
		return Uniformity{}, fmt.Errorf("stat: an expert has %v of %v tokens: a token takes an expert at most once", most, tokens)
	}
	u := Uniformity{Freedom: e - 1, P: 1}
	if k == e {
		return u, nil // there is nothing to choose
	}
	u.ChiSquare = chiSquare(counts, k)
	u.P = distuv.ChiSquared{K: float64(e - 1)}.Survival(u.ChiSquare)
	if total/float64(e) < fewest {
		u.Simulated = true
		u.P = simulate(e, k, int(tokens), u.ChiSquare)
	}
	return u, nil
}

func chiSquare(counts []float64, k int) float64 {
	e := float64(len(counts))
	mean, sum := floats.Sum(counts)/e, 0.0
	for _, n := range counts {
		sum += (n - mean) * (n - mean)
	}
	return sum / mean * (e - 1) / (e - float64(k))
}

// simulate is the share of blind draws at least as uneven as seen.
func simulate(experts, k, tokens int, seen float64) float64 {
	r := rand.New(rand.NewPCG(uint64(experts), uint64(tokens)))
	order, counts := make([]int, experts), make([]float64, experts)
	for i := range order {
		order[i] = i
	}
	as := 1
	for range draws {
		clear(counts)
		for range tokens {
			for c := range k { // the first k of a shuffle
				j := c + r.IntN(experts-c)
				order[c], order[j] = order[j], order[c]
				counts[order[c]]++
			}
		}
		if chiSquare(counts, k) >= seen*(1-1e-12) { // equal but for rounding is equal
			as++
		}
	}
	return float64(as) / (1 + draws)
}

// Holm corrects the p values of several tests (Holm, 1979): rejecting where the corrected
// value is at most α rejects any true hypothesis with a probability of at most α, however
// the tests depend on each other.
func Holm(ps []float64) []float64 {
	order := make([]int, len(ps))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(ps[a], ps[b]) })
	corrected, worst := make([]float64, len(ps)), 0.0
	for rank, i := range order {
		worst = max(worst, min(1, ps[i]*float64(len(ps)-rank)))
		corrected[i] = worst
	}
	return corrected
}
