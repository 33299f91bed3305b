package stat_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"quadrant/internal/stat"
)

// p-values by hand: sums of binomial coefficients over powers of two.
func TestMcNemar(t *testing.T) {
	for _, c := range []struct {
		a, b int
		want float64
	}{
		{0, 0, 1},
		{1, 0, 1},
		{0, 2, 0.5},
		{5, 0, 2. / 32},
		{0, 6, 2. / 64},
		{1, 9, 2 * (1 + 10.) / 1024},
		{2, 8, 2 * (1 + 10 + 45.) / 1024},
		{5, 5, 1},
		{5, 6, 1},
		{4, 6, 2 * (1 + 10 + 45 + 120 + 210.) / 1024},
		{12, 2, 2 * (1 + 14 + 91.) / 16384},
		{100, 0, math.Pow(2, -99)},
	} {
		near(t, "p", stat.McNemar(c.a, c.b), c.want)
	}
}

// Every way in which up to 12 discordant questions can fall, counted one by one.
func TestMcNemarByCounting(t *testing.T) {
	for n := 1; n <= 12; n++ {
		for b := 0; b <= n; b++ {
			extreme := 0
			for falls := range 1 << n {
				heads := 0
				for i := range n {
					heads += falls >> i & 1
				}
				if max(heads, n-heads) >= max(b, n-b) {
					extreme++
				}
			}
			near(t, "p", stat.McNemar(n-b, b), float64(extreme)/float64(int(1)<<n))
		}
	}
}

// Of three values there are 27 resamples: the bootstrap must follow their distribution.
func TestBootstrapByCounting(t *testing.T) {
	x, w := []float64{-1, 0, 4}, []float64{1, 2, 4}
	for name, weights := range map[string][]float64{"mean": nil, "ratio": w} {
		var all []float64
		for i := range 3 {
			for j := range 3 {
				for k := range 3 {
					sum, weight := x[i]+x[j]+x[k], 3.0
					if weights != nil {
						weight = w[i] + w[j] + w[k]
					}
					all = append(all, sum/weight)
				}
			}
		}
		slices.Sort(all)
		for _, share := range []float64{0.5, 0.8, 0.95} {
			got, err := stat.Bootstrap(x, weights, 200_000, share, 1)
			if err != nil {
				t.Fatal(err)
			}
			// The quantile of the 27 lies on a step: the resamples must fall on it or on a neighbour.
			tail := (1 - share) / 2
			lo, hi := int(tail*27), int((1-tail)*27)
			if got.Lo != all[lo] || got.Hi != all[hi] {
				t.Errorf("%s, %v: %v, want %v to %v", name, share, got, all[lo], all[hi])
			}
		}
	}
}

// An interval of 95 % holds the truth about 95 times of 100.
func TestBootstrapCovers(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const runs, n = 400, 120
	held := 0
	for run := range runs {
		x := make([]float64, n)
		for i := range x {
			x[i] = r.NormFloat64() + 0.3
		}
		i, err := stat.Bootstrap(x, nil, 400, 0.95, uint64(run))
		if err != nil {
			t.Fatal(err)
		}
		if !i.Excludes(0.3) {
			held++
		}
	}
	if share := float64(held) / runs; share < 0.91 || share > 0.98 {
		t.Errorf("%v of the intervals hold the truth, want about 0.95", share)
	}
}

func TestBootstrapProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.SliceOfN(rapid.Float64Range(-1e3, 1e3), 1, 20).Draw(t, "x")
		seed := rapid.Uint64().Draw(t, "seed")
		a, err := stat.Bootstrap(x, nil, 50, 0.9, seed)
		b, _ := stat.Bootstrap(x, nil, 50, 0.9, seed)
		const slack = 1e-9
		if err != nil || a != b || a.Lo > a.Hi || a.Lo < slices.Min(x)-slack || a.Hi > slices.Max(x)+slack {
			t.Fatalf("%v and %v, %v", a, b, err)
		}
		ones := slices.Repeat([]float64{1}, len(x))
		if c, err := stat.Bootstrap(x, ones, 50, 0.9, seed); err != nil || c != a {
			t.Fatalf("with weights of one %v, %v; without %v", c, err, a)
		}
	})
	for _, bad := range []func() (stat.Range, error){
		func() (stat.Range, error) { return stat.Bootstrap(nil, nil, 10, 0.9, 1) },
		func() (stat.Range, error) { return stat.Bootstrap([]float64{1}, []float64{1, 2}, 10, 0.9, 1) },
		func() (stat.Range, error) { return stat.Bootstrap([]float64{1}, nil, 0, 0.9, 1) },
		func() (stat.Range, error) { return stat.Bootstrap([]float64{1}, nil, 10, 1, 1) },
	} {
		if r, err := bad(); err == nil {
			t.Errorf("%v and no error", r)
		}
	}
}

func TestRatioError(t *testing.T) {
	near(t, "of a mean", stat.RatioError([]float64{1, 2, 3, 4}, nil), math.Sqrt(5./3/4))
	near(t, "of a ratio with weights of one", stat.RatioError([]float64{1, 2, 3, 4}, []float64{1, 1, 1, 1}), math.Sqrt(5./3/4))
	// Ratio 10/10; residuals 1−2, 4−4, 5−4: variance 1, times 3, over 10².
	near(t, "of a ratio", stat.RatioError([]float64{1, 4, 5}, []float64{2, 4, 4}), math.Sqrt(3)/10)
	if !math.IsNaN(stat.RatioError([]float64{1}, nil)) {
		t.Error("one value has an error")
	}
}

// z(0.975) = 1.959964 and z(0.8) = 0.841621, as printed in tables.
func TestMinimumDetectable(t *testing.T) {
	if got := stat.MinimumDetectable(0.01, 0.05, 0.8); math.Abs(got-0.02801585) > 1e-8 {
		t.Errorf("%v, want 0.02801585", got)
	}
}

// Two models that truly differ by what is said to be detectable: McNemar's test finds it
// in about as many of the runs as the power says.
func TestPowerOfWhatIsDetectable(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	const n, discordant, runs = 2000, 0.2, 1500
	// With d the difference, the variance of one question is discordant − d².
	d := 0.0
	for range 20 {
		d = stat.MinimumDetectable(math.Sqrt((discordant-d*d)/n), 0.05, 0.8)
	}
	found := 0
	for range runs {
		var onlyA, onlyB int
		for range n {
			switch u := r.Float64(); {
			case u < (discordant+d)/2:
				onlyA++
			case u < discordant:
				onlyB++
			}
		}
		if stat.McNemar(onlyA, onlyB) < 0.05 {
			found++
		}
	}
	if power := float64(found) / runs; math.Abs(power-0.8) > 0.04 { // the exact test is a little conservative
		t.Errorf("found in %v of the runs, want about 0.8", power)
	}
}
