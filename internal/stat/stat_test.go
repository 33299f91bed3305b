package stat_test

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"quadrant/internal/stat"
)

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-12*max(1, math.Abs(want))) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func TestQuantile(t *testing.T) {
	xs := []float64{4, 1, 3, 2}
	for _, c := range []struct{ p, want float64 }{{0, 1}, {0.25, 1.75}, {0.5, 2.5}, {0.9, 3.7}, {1, 4}, {-1, 1}, {2, 4}} {
		near(t, "quantile", stat.Quantile(xs, c.p), c.want)
	}
	near(t, "median of one", stat.Median([]float64{7}), 7)
	near(t, "median of three", stat.Median([]float64{9, 1, 5}), 5)
	if !math.IsNaN(stat.Median(nil)) {
		t.Error("the median of nothing is a number")
	}
	if !slices.Equal(xs, []float64{4, 1, 3, 2}) {
		t.Error("the samples were sorted in place")
	}
}

// The ranks and coverages are those of published tables of the sign test.
func TestMedianInterval(t *testing.T) {
	for _, c := range []struct {
		n        int
		want     float64
		lo, hi   float64 // the samples are 1 … n: their values are their ranks
		coverage float64
	}{
		{1, 0.95, 1, 1, 0},
		{2, 0.95, 1, 2, 0.5},
		{3, 0.95, 1, 3, 0.75},
		{5, 0.95, 1, 5, 0.9375},
		{6, 0.95, 1, 6, 0.96875},
		{7, 0.95, 1, 7, 0.984375},
		{8, 0.95, 1, 8, 0.9921875},
		{9, 0.95, 2, 8, 0.9609375},
		{10, 0.95, 2, 9, 0.978515625},
		{10, 0.5, 4, 7, 0.65625},
		{20, 0.95, 6, 15, 0.958610534668},
		{100, 0.95, 40, 61, 0.964799799782},
		{5, 1, 1, 5, 0.9375},
	} {
		xs := make([]float64, c.n)
		for i := range xs {
			xs[i] = float64((i*7)%c.n + 1)
			if c.n%7 == 0 {
				xs[i] = float64(i + 1)
			}
		}
		got := stat.MedianInterval(xs, c.want)
		if got.Lo != c.lo || got.Hi != c.hi || got.N != c.n || math.Abs(got.Coverage-c.coverage) > 1e-9 {
			t.Errorf("%d samples, want %v: %+v, want %v to %v with %v", c.n, c.want, got, c.lo, c.hi, c.coverage)
		}
	}
	if i := stat.MedianInterval(nil, 0.95); !math.IsNaN(i.Lo) || i.N != 0 || i.Coverage != 0 {
		t.Errorf("of nothing: %+v", i)
	}
}

func TestMedianIntervalHoldsTheMedian(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		xs := rapid.SliceOfN(rapid.Float64Range(-1e6, 1e6), 1, 300).Draw(t, "xs")
		want := rapid.Float64Range(0.01, 0.999).Draw(t, "want")
		i, m := stat.MedianInterval(xs, want), stat.Median(xs)
		if i.Lo > m || i.Hi < m {
			t.Fatalf("the median %v is outside %+v", m, i)
		}
		if i.Coverage < want && (i.Lo != slices.Min(xs) || i.Hi != slices.Max(xs)) {
			t.Fatalf("%+v is narrower than it may be for %v", i, want)
		}
	})
}

func TestBalance(t *testing.T) {
	even, err := stat.NewBalance([]float64{5, 5, 5, 5})
	if err != nil {
		t.Fatal(err)
	}
	if want := (stat.Balance{Experts: 4, Tokens: 20, MaxLoad: 1, MinLoad: 1, Entropy: 1}); even != want {
		t.Errorf("even: %+v, want %+v", even, want)
	}

	one, err := stat.NewBalance([]float64{0, 30, 0, 0})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "MaxVio", one.MaxVio, 3)
	near(t, "MaxLoad", one.MaxLoad, 4)
	near(t, "MinLoad", one.MinLoad, 0)
	near(t, "Dead", float64(one.Dead), 3)
	near(t, "CV", one.CV, math.Sqrt(3)) // shares 1,0,0,0: variance 3/16, times 16
	near(t, "Entropy", one.Entropy, 0)
	near(t, "Gini", one.Gini, 0.75)

	// Shares 0.5, 0.3, 0.19, 0.01.
	some, err := stat.NewBalance([]float64{50, 30, 19, 1})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "MaxVio", some.MaxVio, 1)
	near(t, "MinLoad", some.MinLoad, 0.04)
	near(t, "Dead", float64(some.Dead), 1)
	near(t, "CV", some.CV, math.Sqrt((1+0.2*0.2+0.24*0.24+0.96*0.96)/4))
	h := -(0.5*math.Log(0.5) + 0.3*math.Log(0.3) + 0.19*math.Log(0.19) + 0.01*math.Log(0.01))
	near(t, "Entropy", some.Entropy, h/math.Log(4))
	near(t, "Gini", some.Gini, (-3*0.01-0.19+0.3+3*0.5)/4)

	single, err := stat.NewBalance([]float64{3})
	if err != nil || single.Entropy != 1 || single.MaxVio != 0 {
		t.Errorf("one expert: %+v, %v", single, err)
	}
	for _, bad := range [][]float64{nil, {0, 0}, {1, -1}, {1, math.NaN()}, {1, math.Inf(1)}} {
		if b, err := stat.NewBalance(bad); err == nil {
			t.Errorf("%v: %+v and no error", bad, b)
		}
	}
}

func TestNoiseFloor(t *testing.T) {
	// By hand: sqrt(2 · 2.0794 · 7/4096) and sqrt(2 · 4.1589 · 63/256).
	for _, c := range []struct {
		experts int
		tokens  float64
		want    float64
	}{{8, 4096, 0.0843}, {64, 256, 1.4307}} {
		if got := stat.NoiseFloor(c.experts, c.tokens); math.Abs(got-c.want) > 1e-4 {
			t.Errorf("%d experts, %v tokens: %v, want about %v", c.experts, c.tokens, got, c.want)
		}
	}
}
