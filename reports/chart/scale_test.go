package chart

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestTickLabels(t *testing.T) {
	for name, c := range map[string]struct {
		axis   Axis
		values []float64
		most   int
		want   []string
		unit   string
	}{
		"powers of two":         {Axis{Scale: Log2}, []float64{128, 4096}, 12, []string{"128", "256", "512", "1k", "2k", "4k"}, ""},
		"every other power":     {Axis{Scale: Log2}, []float64{128, 1 << 17}, 6, []string{"128", "512", "2k", "8k", "32k", "128k"}, ""},
		"bytes":                 {Axis{Scale: Log2, Unit: "B"}, []float64{1 << 16, 1 << 31}, 6, []string{"64 KiB", "512 KiB", "4 MiB", "32 MiB", "256 MiB", "2 GiB"}, ""},
		"bytes of one prefix":   {Axis{Scale: Log2, Unit: "B"}, []float64{1 << 20, 1 << 23}, 6, []string{"1", "2", "4", "8"}, "MiB"},
		"decades of seconds":    {Axis{Scale: Log10, Unit: "s"}, []float64{0.012, 90}, 6, []string{"10 ms", "100 ms", "1 s", "10 s", "100 s"}, ""},
		"one prefix":            {Axis{Scale: Log10, Unit: "s"}, []float64{0.004, 0.03}, 6, []string{"5", "10", "20"}, "ms"},
		"a unit with prefixes":  {Axis{Scale: Log10, Unit: "FLOP"}, []float64{4e8, 3e9}, 6, []string{"500 M", "1 G", "2 G"}, "FLOP"},
		"a linear axis":         {Axis{Unit: "s"}, []float64{0.2, 0.95}, 5, []string{"0", "200", "400", "600", "800"}, "ms"},
		"one value, log2":       {Axis{Scale: Log2}, []float64{100}, 6, []string{"64", "128"}, ""},
		"one value, log10":      {Axis{Scale: Log10, Unit: "s"}, []float64{1.2}, 6, []string{"500 ms", "1 s", "2 s"}, ""},
		"zeros are left out":    {Axis{Scale: Log2}, []float64{0, -3, 8, 64}, 6, []string{"8", "16", "32", "64"}, ""},
		"a constant linear one": {Axis{}, []float64{0, 0}, 5, []string{"0", "0.5", "1"}, ""},
	} {
		s := newSpan(c.axis, c.values)
		major, _ := s.ticks(c.most)
		ticks, unit := s.labels(major)
		var got []string
		for _, tick := range ticks {
			got = append(got, tick.label)
		}
		if !slices.Equal(got, c.want) || unit != c.unit {
			t.Errorf("%s: %q in %q, want %q in %q", name, got, unit, c.want, c.unit)
		}
	}
}

func TestTicksOfAnyRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Axis{Scale: rapid.SampledFrom([]Scale{Linear, Log2, Log10}).Draw(t, "scale"), Unit: rapid.SampledFrom([]string{"", "s", "B", "FLOP"}).Draw(t, "unit")}
		var values []float64
		for range rapid.IntRange(1, 5).Draw(t, "values") {
			values = append(values, math.Exp(rapid.Float64Range(-20, 40).Draw(t, "log of a value")))
		}
		most := rapid.IntRange(2, 12).Draw(t, "most")
		s := newSpan(a, values)
		for _, v := range values {
			if at := s.at(v); !(at >= 0 && at <= 1) {
				t.Fatalf("%v lies at %v of %+v", v, at, s)
			}
		}
		major, minor := s.ticks(most)
		if len(major) < 2 || len(major) > 12+most {
			t.Fatalf("%d ticks on %+v: %v", len(major), s, major)
		}
		for _, v := range append(major, minor...) {
			if at := s.at(v); !(at >= -1e-6 && at <= 1+1e-6) {
				t.Fatalf("the tick %v lies at %v of %+v", v, at, s)
			}
		}
		ticks, _ := s.labels(major)
		for i := range ticks {
			if ticks[i].label == "" || i > 0 && ticks[i].label == ticks[i-1].label {
				t.Fatalf("ticks %+v of %+v", ticks, s)
			}
		}
	})
}

func TestBelowALogAxis(t *testing.T) {
	s := newSpan(Axis{Scale: Log10}, []float64{1, 100})
	for _, v := range []float64{0, -1} {
		if at := s.at(v); at != 0 {
			t.Errorf("%v lies at %v of a logarithmic axis, want its start", v, at)
		}
	}
}

func TestQuantity(t *testing.T) {
	for _, c := range []struct {
		v    float64
		unit string
		want string
	}{
		{0.0123, "s", "12.3 ms"}, {4567, "s", "4567 s"}, {2e-10, "s", "0.20 ns"}, {0.037, "s", "37.0 ms"}, {9.996, "s", "10.0 s"}, {1, "s", "1.00 s"}, {1500, "B", "1.46 KiB"}, {65536, "B", "64 KiB"}, {1000, "B", "1000 B"},
		{6.4e20, "FLOP", "640 EFLOP"}, {0, "s", "0 s"}, {42, "", "42.0"}, {1234567, "", "1234567"}, {math.NaN(), "s", "NaN s"},
	} {
		if got := Quantity(c.v, c.unit); got != c.want {
			t.Errorf("%v %s is %q, want %q", c.v, c.unit, got, c.want)
		}
	}
	for v, want := range map[float64]string{0: "0", 0.066: "0.07", 1: "1.00", 12.34: "12.3"} {
		if got := Ratio(v); got != want {
			t.Errorf("ratio %v is %q, want %q", v, got, want)
		}
	}
}
