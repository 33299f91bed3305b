package train

import (
	"math"
	"testing"
)

func TestSchedules(t *testing.T) {
	for _, c := range []struct {
		s    Schedule
		step int
		want float64
	}{
		{Schedule{Cosine, 1, 0.1, 100, 10, 0}, 1, 0.1},
		{Schedule{Cosine, 1, 0.1, 100, 10, 0}, 10, 1},
		{Schedule{Cosine, 1, 0.1, 100, 10, 0}, 55, 0.55},
		{Schedule{Cosine, 2, 0.1, 100, 10, 0}, 100, 0.2},
		{Schedule{WSD, 1, 0, 100, 10, 0.2}, 80, 1},
		{Schedule{WSD, 1, 0, 100, 10, 0.2}, 90, 0.5},
		{Schedule{WSD, 1, 0, 100, 10, 0.2}, 100, 0},
		{Schedule{Constant, 3, 0, 5, 0, 0}, 5, 3},
		{Schedule{Cosine, 1, 0, 1, 0, 0}, 1, 0},
		{Schedule{Cosine, 1, 0, 1, 1, 0}, 1, 1},
	} {
		if err := c.s.Check(); err != nil {
			t.Error(err)
		}
		if got := c.s.Rate(c.step); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%+v at step %d is %v, want %v", c.s, c.step, got, c.want)
		}
	}
	for steps, want := range map[int]int{10: 5, 200: 75, 1500: 75, 10_000: 500} {
		if got := DefaultWarmup(steps); got != want {
			t.Errorf("warm-up for %d steps is %d, want %d", steps, got, want)
		}
	}
	for _, s := range []Schedule{{"linear", 1, 0, 1, 0, 0}, {Cosine, 0, 0, 1, 0, 0}, {Cosine, math.NaN(), 0, 1, 0, 0}, {Cosine, 1, 2, 1, 0, 0},
		{Cosine, 1, 0, 0, 0, 0}, {Cosine, 1, 0, 5, 6, 0}, {WSD, 1, 0, 5, 0, 0}} {
		if s.Check() == nil {
			t.Errorf("%+v passes", s)
		}
	}
}
