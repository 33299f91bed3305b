package stat_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"quadrant/internal/stat"
)

// Statistics by hand; P from the closed forms of χ²: e^(−x/2) with two degrees of freedom,
// erfc(√(x/2)) + √(2x/π)·e^(−x/2) with three.
func TestUniformReference(t *testing.T) {
	two := func(x float64) float64 { return math.Exp(-x / 2) }
	three := func(x float64) float64 {
		return math.Erfc(math.Sqrt(x/2)) + math.Sqrt(2*x/math.Pi)*math.Exp(-x/2)
	}
	for _, c := range []struct {
		counts []float64
		k      int
		x, p   float64
	}{
		{[]float64{10, 20, 30}, 1, 10, two(10)},                // (100+0+100)/20; 0.006738
		{[]float64{25, 25, 25, 25}, 1, 0, 1},                   //
		{[]float64{30, 20, 26, 24}, 1, 52.0 / 25, three(2.08)}, // (25+25+1+1)/25
		{[]float64{30, 20, 26, 24}, 2, 3.12, three(3.12)},      // times 3/2
		{[]float64{7, 7, 7}, 3, 0, 1},                          // nothing to choose
	} {
		u, err := stat.TestUniform(c.counts, c.k)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(u.ChiSquare-c.x) > 1e-12 || math.Abs(u.P-c.p) > 1e-12 || u.Freedom != len(c.counts)-1 || u.Simulated {
			t.Errorf("%v, %d each: %+v, want %v and %v", c.counts, c.k, u, c.x, c.p)
		}
	}
}

// Few tokens: the probabilities can be counted.
func TestUniformFewTokens(t *testing.T) {
	for _, c := range []struct {
		counts []float64
		k      int
		p      float64
	}{
		{[]float64{4, 0}, 1, 2.0 / 16},      // all heads or all tails
		{[]float64{3, 1}, 1, 10.0 / 16},     // all but two of each
		{[]float64{1, 1, 1}, 1, 1},          //
		{[]float64{3, 0, 0}, 1, 1.0 / 9},    // 3 of 27
		{[]float64{2, 2, 0}, 2, 1.0 / 3},    // two tokens that leave out the same expert
		{[]float64{2, 1, 1, 0}, 2, 5.0 / 6}, // two pairs of four: 6 of 36 equal, 6 disjoint, 24 share one
	} {
		u, err := stat.TestUniform(c.counts, c.k)
		if err != nil {
			t.Fatal(err)
		}
		if !u.Simulated || math.Abs(u.P-c.p) > 0.015 { // three standard errors of 9999 draws
			t.Errorf("%v, %d each: %+v, want P %v", c.counts, c.k, u, c.p)
		}
	}
}

// Under blind draws of k experts, P is uniform: neither test cries imbalance at noise.
func TestUniformOfNoise(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, k := range []int{1, 2, 4} {
		sum, low := 0.0, 0
		const runs = 2000
		for range runs {
			counts := make([]float64, 8)
			for range 200 {
				for _, e := range r.Perm(8)[:k] {
					counts[e]++
				}
			}
			u, err := stat.TestUniform(counts, k)
			if err != nil {
				t.Fatal(err)
			}
			sum += u.P
			if u.P <= 0.05 {
				low++
			}
		}
		if mean, share := sum/runs, float64(low)/runs; math.Abs(mean-0.5) > 0.03 || share < 0.03 || share > 0.07 {
			t.Errorf("%d of 8: P is %v on average and at most 0.05 in a share of %v", k, mean, share)
		}
	}
}

func TestUniformErrors(t *testing.T) {
	for want, c := range map[string]struct {
		counts []float64
		k      int
	}{
		"no experts": {nil, 1}, "got no tokens": {[]float64{0, 0}, 1}, "3 per token": {[]float64{3, 3}, 3},
		"want whole tokens": {[]float64{2, 1}, 2}, "at most once": {[]float64{3, 1, 0}, 2}, "0 per token": {[]float64{1, 1}, 0},
	} {
		if _, err := stat.TestUniform(c.counts, c.k); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, %d each: error %v, want %q in it", c.counts, c.k, err, want)
		}
	}
}

func TestHolm(t *testing.T) {
	// By hand, and as R's p.adjust has it: 0.01·4, 0.02·3, then the running maximum.
	got := stat.Holm([]float64{0.04, 0.01, 0.03, 0.02})
	want := []float64{0.06, 0.04, 0.06, 0.06}
	for i := range want {
		if math.Abs(got[i]-want[i]) > 1e-15 {
			t.Fatalf("%v, want %v", got, want)
		}
	}
	if got := stat.Holm([]float64{0.5, 0.9}); !slices.Equal(got, []float64{1, 1}) {
		t.Errorf("%v, want ones", got)
	}
	if got := stat.Holm(nil); len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
}
