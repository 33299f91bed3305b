package bench

import (
	"math"
	"math/rand/v2"
)

// Routings are the ways in which [Measurer.Replay] sends tokens to experts.
var Routings = []string{Recorded, Uniform, Zipf, Single}

const (
	Recorded = "recorded" // as the model's routers send a text
	Uniform  = "uniform"  // as evenly as can be, tokens in a drawn order
	Zipf     = "zipf"     // expert of rank r with a probability that falls as 1/r; ranks are drawn
	Single   = "single"   // all tokens to the same k experts, which are drawn
)

// route makes choices [tokens·k] of experts in one layer. No token takes an expert twice.
func route(routing string, r *rand.Rand, tokens, experts, k int) []int32 {
	chosen := make([]int32, 0, tokens*k)
	names := r.Perm(experts)
	switch routing {
	case Uniform:
		// Any k that follow each other differ, and all tokens·k go round evenly.
		chosen = chosen[:tokens*k]
		for i, t := range r.Perm(tokens) {
			for c := range k {
				chosen[t*k+c] = int32(names[(i*k+c)%experts])
			}
		}
	case Zipf:
		for range tokens {
			for _, rank := range zipf(r, experts, k) {
				chosen = append(chosen, int32(names[rank]))
			}
		}
	case Single:
		for range tokens {
			for _, e := range names[:k] {
				chosen = append(chosen, int32(e))
			}
		}
	}
	return chosen
}

// zipf draws k different ranks from 0, each draw with probabilities as 1/(rank+1) among
// those left: the k largest of log p plus Gumbel noise (arXiv:1903.06059).
func zipf(r *rand.Rand, experts, k int) []int {
	keys := make([]float64, experts)
	for i := range keys {
		keys[i] = -math.Log(float64(i+1)) - math.Log(r.ExpFloat64())
	}
	ranks := make([]int, k)
	for c := range ranks {
		best := 0
		for i, v := range keys {
			if v > keys[best] {
				best = i
			}
		}
		ranks[c], keys[best] = best, math.Inf(-1)
	}
	return ranks
}
