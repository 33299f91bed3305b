package stat

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
	gonum "gonum.org/v1/gonum/stat"
)

// A Balance says how evenly tokens are spread over the experts of one layer. With p the
// share of each of E experts:
type Balance struct {
	Experts int     // E
	Tokens  float64 // assignments counted: a token sent to two experts is two
	MaxVio  float64 // E·max p - 1, 0 when even, E-1 when one expert has all (arXiv:2408.15664)
	MaxLoad float64 // E·max p: the busiest expert against the mean
	MinLoad float64 // E·min p
	Dead    int     // experts with less than a tenth of the mean: p < 0.1/E
	CV      float64 // standard deviation of p over its mean
	Entropy float64 // of p, over its largest value ln E: 1 when even, 0 when one expert has all
	Gini    float64 // 0 when even, 1-1/E when one expert has all
}

// NewBalance returns the balance of counts, the tokens sent to each expert of a layer.
func NewBalance(counts []float64) (Balance, error) {
	if len(counts) == 0 {
		return Balance{}, fmt.Errorf("stat: balance of no experts")
	}
	for i, n := range counts {
		if !(n >= 0) || math.IsInf(n, 0) {
			return Balance{}, fmt.Errorf("stat: expert %d has %v tokens, want 0 or more", i, n)
		}
	}
	total := floats.Sum(counts)
	if total == 0 {
		return Balance{}, fmt.Errorf("stat: balance of %d experts that got no tokens", len(counts))
	}
	e := float64(len(counts))
	load := slices.Clone(counts) // share times experts: 1 is even
	floats.Scale(e/total, load)
	slices.Sort(load)
	b := Balance{
		Experts: len(counts),
		Tokens:  total,
		MaxVio:  load[len(load)-1] - 1,
		MaxLoad: load[len(load)-1],
		MinLoad: load[0],
		CV:      gonum.PopStdDev(load, nil),
		Entropy: 1,
	}
	share := slices.Clone(load)
	floats.Scale(1/e, share)
	if e > 1 {
		b.Entropy = gonum.Entropy(share) / math.Log(e)
	}
	for i, p := range share {
		b.Gini += (2*float64(i+1) - e - 1) * p / e
		if load[i] < 0.1 {
			b.Dead++
		}
	}
	return b, nil
}

// NoiseFloor bounds the MaxVio that perfectly fair, independent choices of one of experts
// by each of tokens show by chance: the expectation of the largest of E Gaussian loads is
// at most sqrt(2·ln E·(E-1)/T). An imbalance below it says nothing about the router.
func NoiseFloor(experts int, tokens float64) float64 {
	e := float64(experts)
	return math.Sqrt(2 * math.Log(e) * (e - 1) / tokens)
}
