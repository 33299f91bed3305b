package sweep

import (
	"fmt"
	"math"
	"sort"

	"quadrant/arch"
	"quadrant/configs"
	"quadrant/flops"
)

// tolerance is how far a cell may be from the base in what is matched, as a share of it.
const tolerance = 0.005

// maxHidden bounds what matching tries.
const maxHidden = 1 << 18

// match returns c with hidden sizes such that it has as much as target of what is matched, to
// within the tolerance. Sizes that have that already stay as they are. Layers keep the ratios
// of their sizes.
func match(c arch.Config, m configs.Match, target flops.Tally, context int) (arch.Config, error) {
	if m == configs.MatchTokens {
		return c, nil
	}
	want := amount(target, m)
	of := func(c arch.Config) float64 {
		t, err := measure(c, context)
		if err != nil {
			return math.NaN() // sizes beyond what a model may have; measured below, with its error
		}
		return amount(t, m)
	}
	if near(of(c), want) {
		return c, nil
	}
	own := mlps(c)
	if len(own) == 0 {
		return c, fmt.Errorf("its %v are %.6g, not %.6g, and it has no MLP and no experts to match them by", m, of(c), want)
	}
	// Bisection: the least size of the first MLP that is too much.
	size := sort.Search(maxHidden, func(h int) bool { return h > 0 && !(of(withHidden(c, h)) < want) })
	best, least := c, math.Inf(1)
	for h := max(1, size-1); h <= size; h++ {
		tried := withHidden(c, h)
		if off := math.Abs(of(tried) - want); off < least {
			best, least = tried, off
		}
	}
	if got := of(best); !near(got, want) {
		return c, fmt.Errorf("no hidden size makes its %v %.6g to %.1f %%: %d makes them %.6g; change less, widen the base or match something else",
			m, want, 100*tolerance, mlps(best)[0].Hidden, got)
	}
	return best, best.Validate()
}

func near(got, want float64) bool { return math.Abs(got/want-1) <= tolerance }

// amount is how much of what is matched a model has.
func amount(t flops.Tally, m configs.Match) float64 {
	switch m {
	case configs.MatchActiveParams:
		return float64(t.Params.Active)
	case configs.MatchTotalParams:
		return float64(t.Params.Total)
	}
	return float64(t.FLOPs) * flops.TrainingFactor
}

// withHidden is c with a first MLP of hidden columns, and others in proportion.
func withHidden(c arch.Config, hidden int) arch.Config {
	c = clone(c)
	all := mlps(c)
	first := all[0].Hidden
	for _, m := range all {
		m.Hidden = max(1, int(math.Round(float64(m.Hidden)*float64(hidden)/float64(first))))
	}
	return c
}
