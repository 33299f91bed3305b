package chart

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// A span is an axis with a range: it lays values along 0 … 1.
type span struct {
	axis   Axis
	lo, hi float64
}

// at is the place of v. On a logarithmic axis what is not above 0 lies at the start.
func (s span) at(v float64) float64 {
	lo, hi := s.lo, s.hi
	if s.axis.Scale != Linear {
		if v <= 0 {
			return 0
		}
		v, lo, hi = math.Log(v), math.Log(lo), math.Log(hi)
	}
	return (v - lo) / (hi - lo)
}

// newSpan returns the range that shows values, with some air around them. Values that are
// not above 0 are left out of a logarithmic range.
func newSpan(a Axis, values []float64) span {
	if a.Scale != Linear {
		values = slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return v <= 0 })
	}
	if len(values) == 0 {
		values = []float64{1}
	}
	s := span{a, slices.Min(values), slices.Max(values)}
	if a.Scale == Linear {
		return s.linear()
	}
	ratio := s.hi / s.lo
	if ratio < 1.3 { // next to one value: widen until there are ticks
		f := map[Scale]float64{Log2: 2, Log10: 3}[a.Scale]
		s.lo, s.hi = s.lo/f, s.hi*f
		ratio = s.hi / s.lo
	}
	air := math.Pow(ratio, 0.05)
	s.lo, s.hi = s.lo/air, s.hi*air
	for range 2 {
		if major, _ := s.ticks(99); len(major) < 2 {
			s.lo, s.hi = s.lo/2, s.hi*2
		}
	}
	return s
}

func (s span) linear() span {
	if s.lo > 0 {
		s.lo = 0
	}
	if s.lo == s.hi {
		s.hi = s.lo + 1
	}
	air := (s.hi - s.lo) * 0.05
	s.hi += air
	if s.lo < 0 {
		s.lo -= air
	}
	return s
}

// A tick is a place on an axis and what is written there.
type tick struct {
	v     float64
	label string
}

// ticks returns at most about most labelled values, and those between that have none.
func (s span) ticks(most int) (major, minor []float64) {
	most = max(most, 2)
	switch s.axis.Scale {
	case Log2:
		return s.powers(most)
	case Log10:
		return s.decades(most)
	}
	for ; len(major) < 2; most++ {
		step := niceStep((s.hi - s.lo) / float64(most))
		major = nil
		for i := int(math.Ceil(s.lo/step - 1e-9)); float64(i)*step <= s.hi*(1+1e-9); i++ {
			major = append(major, float64(i)*step)
		}
	}
	return major, nil
}

// niceStep is the smallest of 1, 2, 5, 10, … times a power of ten that is at least x.
func niceStep(x float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 2, 5} {
		if m*p >= x*(1-1e-9) {
			return m * p
		}
	}
	return 10 * p
}

// powers returns powers of two: all, or every second, third, … to be few enough.
func (s span) powers(most int) (major, minor []float64) {
	first, last := int(math.Ceil(math.Log2(s.lo)-1e-9)), int(math.Floor(math.Log2(s.hi)+1e-9))
	step := 1
	for (last-first)/step+1 > most {
		step++
	}
	for k := first; k <= last; k++ {
		// Steps count from 2^0, which keeps MiB and GiB on ticks where it can.
		if (k-first)%step == offset(first, last, step) {
			major = append(major, math.Ldexp(1, k))
		} else if step <= 4 {
			minor = append(minor, math.Ldexp(1, k))
		}
	}
	return major, minor
}

// offset is how far after first the first tick lies: at a multiple of step, unless that
// leaves a tick fewer than starting at first does.
func offset(first, last, step int) int {
	o := ((-first)%step + step) % step
	if (last-first-o)/step < (last-first)/step {
		return 0
	}
	return o
}

// decades returns 1, 2, 5, 10, … or, if those are too many, powers of ten or, if they are
// too few, numbers between.
func (s span) decades(most int) (major, minor []float64) {
	first, last := int(math.Floor(math.Log10(s.lo))), int(math.Ceil(math.Log10(s.hi)))
	collect := func(step int, multiples ...float64) (vs []float64) {
		for k := first; k <= last; k++ {
			for _, m := range multiples {
				if v := m * math.Pow10(k); k%step == 0 && v >= s.lo*(1-1e-9) && v <= s.hi*(1+1e-9) {
					vs = append(vs, v)
				}
			}
		}
		return vs
	}
	major = collect(1, 1, 2, 5)
	for step := 1; len(major) > most; step++ {
		fewer := collect(step, 1)
		if len(fewer) < 2 {
			break
		}
		major = fewer
	}
	if len(major) < 3 {
		if more := collect(1, 1, 1.5, 2, 3, 4, 5, 7); len(more) <= most || len(major) < 2 {
			major = more
		}
	}
	if last-first <= 6 {
		minor = collect(1, 1, 2, 3, 4, 5, 6, 7, 8, 9)
		minor = slices.DeleteFunc(minor, func(v float64) bool { return slices.Contains(major, v) })
	}
	return major, minor
}

// A prefix is a power of the base of a unit.
type prefix struct {
	factor float64
	name   string
}

// prefixes returns the prefixes of a unit, from the smallest. Seconds have none above 1.
func prefixes(unit string) []prefix {
	si := []prefix{{1e-9, "n"}, {1e-6, "µ"}, {1e-3, "m"}, {1, ""}, {1e3, "k"}, {1e6, "M"}, {1e9, "G"}, {1e12, "T"}, {1e15, "P"}, {1e18, "E"}}
	switch unit {
	case "s":
		return si[:4]
	case "B":
		return []prefix{{1, ""}, {1 << 10, "Ki"}, {1 << 20, "Mi"}, {1 << 30, "Gi"}, {1 << 40, "Ti"}, {1 << 50, "Pi"}}
	case "":
		return si[3:4]
	}
	return si[3:]
}

// prefixFor is the largest prefix of unit that leaves v at least 1.
func prefixFor(unit string, v float64) prefix {
	ps := prefixes(unit)
	best := ps[0]
	for _, p := range ps {
		if math.Abs(v) >= p.factor*(1-1e-9) {
			best = p
		}
	}
	return best
}

// number writes v in three digits or, from 1000, without a fraction.
func number(v float64) string {
	if math.Abs(v) >= 1000 {
		return strconv.FormatFloat(math.Round(v), 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// Quantity writes v with its unit in three digits, as a person reads it: "1.50 ms",
// "2.30 GFLOP". Whole bytes have no fraction: "64 KiB".
func Quantity(v float64, unit string) string {
	if v == 0 || !finite(v) {
		return strings.TrimSpace(number(v) + " " + unit)
	}
	p := prefixFor(unit, v)
	scaled := v / p.factor
	if math.Abs(scaled) >= 1000 || unit == "B" && scaled == math.Trunc(scaled) {
		return strings.TrimSpace(number(scaled) + " " + p.name + unit)
	}
	decimals := 2
	for m := math.Abs(scaled) * 1.0005; m >= 10 && decimals > 0; m /= 10 {
		decimals--
	}
	return strings.TrimSpace(strconv.FormatFloat(scaled, 'f', decimals, 64) + " " + p.name + unit)
}

// labels writes ticks, and says what unit the axis' label then has to name. Where ticks
// need more than one prefix each carries its own.
func (s span) labels(vs []float64) (ticks []tick, unit string) {
	if s.axis.Scale == Log2 && s.axis.Unit == "" {
		for _, v := range vs {
			ticks = append(ticks, tick{v, binaryCount(v)})
		}
		return ticks, ""
	}
	used := map[prefix]bool{}
	for _, v := range vs {
		if v != 0 {
			used[prefixFor(s.axis.Unit, v)] = true
		}
	}
	one := len(used) <= 1 || s.axis.Scale == Linear
	p := prefixFor(s.axis.Unit, 1)
	if len(vs) > 0 {
		p = prefixFor(s.axis.Unit, vs[len(vs)-1])
	}
	for _, v := range vs {
		switch {
		case one:
			ticks = append(ticks, tick{v, number(v / p.factor)})
		case s.axis.Unit == "s" || s.axis.Unit == "B":
			q := prefixFor(s.axis.Unit, v)
			ticks = append(ticks, tick{v, number(v/q.factor) + " " + q.name + s.axis.Unit})
		default: // a long unit is named by the axis, ticks have its prefixes
			q := prefixFor(s.axis.Unit, v)
			ticks = append(ticks, tick{v, strings.TrimSpace(number(v/q.factor) + " " + q.name)})
		}
	}
	switch {
	case one:
		return ticks, p.name + s.axis.Unit
	case s.axis.Unit == "s" || s.axis.Unit == "B":
		return ticks, ""
	}
	return ticks, s.axis.Unit
}

// binaryCount writes a power of two as counts of tokens are written: 512, 1k, 2k, 1M.
func binaryCount(v float64) string {
	for _, p := range []prefix{{1 << 30, "G"}, {1 << 20, "M"}, {1 << 10, "k"}} {
		if v >= p.factor && math.Mod(v, p.factor) == 0 {
			return number(v/p.factor) + p.name
		}
	}
	return number(v)
}
