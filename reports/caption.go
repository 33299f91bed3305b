package reports

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"quadrant/reports/chart"
	"quadrant/results"
)

// conditions says where, when, by what and on which weights rs were measured, in parts.
// extra are the figure's own fields that rs agree in or not.
func conditions(rs []results.Result, extra ...field) []string {
	parts := []string{
		list(rs, "device not recorded", named("", where)),
		list(rs, "dtype not recorded", byDType) + " weights: " + list(rs, "not recorded", named("", func(r results.Result) string { return r.Subject.Weights })),
	}
	for _, f := range extra {
		if texts := f.texts(rs); len(texts) > 0 {
			parts = append(parts, strings.Join(texts, ", "))
		}
	}
	parts = append(parts, dates(rs), "commit "+list(rs, "not recorded", named("", shortCommit)))
	if load := otherLoad(rs); load != "" {
		parts = append(parts, load)
	}
	return parts
}

// where is the device and the machine that r was measured on.
func where(r results.Result) string {
	words := slices.DeleteFunc([]string{r.Env.Device, threads(r), machine(r)}, func(s string) bool { return s == "" })
	return strings.Join(words, ", ")
}

// list joins the distinct values of f.
func list(rs []results.Result, none string, f field) string {
	texts := f.texts(rs)
	missing := slices.ContainsFunc(rs, func(r results.Result) bool { return f.of(r).text == "" })
	if missing {
		texts = append(texts, none)
	}
	return strings.Join(texts, "; ")
}

// shortCommit cuts a hash to ten digits.
func shortCommit(r results.Result) string {
	hash, dirty := strings.CutSuffix(r.Env.Commit, "+dirty")
	if len(hash) > 10 {
		hash = hash[:10]
	}
	if dirty {
		hash += "+dirty"
	}
	return hash
}

// dates is the day of measurement, or the first and the last.
func dates(rs []results.Result) string {
	days := named("", func(r results.Result) string {
		t, err := time.Parse(time.RFC3339, r.Env.Time)
		if err != nil {
			return r.Env.Time
		}
		return t.UTC().Format(time.DateOnly)
	}).texts(rs)
	switch len(days) {
	case 0:
		return "date not recorded"
	case 1:
		return days[0]
	}
	return days[0] + " to " + days[len(days)-1]
}

// otherLoad warns of a machine that was busy when a measurement began.
func otherLoad(rs []results.Result) string {
	most := 0.0
	for _, r := range rs {
		most = max(most, r.Env.Load)
	}
	if most < 1 {
		return ""
	}
	return fmt.Sprintf("load of the machine before: up to %.1f", most)
}

// spread says what the points of lines are and how sure; what is a sample.
func spread(panels []chart.Panel, what string) string {
	fewest, most := math.MaxInt, 0
	least, best := 1.0, 0.0
	for _, p := range panels {
		for _, s := range p.Lines.Series {
			for _, pt := range s.Points {
				fewest, most = min(fewest, pt.N), max(most, pt.N)
				if pt.N > 1 {
					least, best = min(least, pt.Coverage), max(best, pt.Coverage)
				}
			}
		}
	}
	switch {
	case most <= 1:
		return fmt.Sprintf("1 %s, no interval", what)
	case least == best:
		return fmt.Sprintf("median of %s %ss, bars: %s interval of the median", fromTo(fewest, most), what, percent(best))
	}
	return fmt.Sprintf("median of %s %ss, bars: intervals of the median with coverage %s to %s", fromTo(fewest, most), what, percent(least), percent(best))
}

func fromTo(a, b int) string {
	if a == b {
		return strconv.Itoa(a)
	}
	return fmt.Sprintf("%d to %d", a, b)
}

func percent(p float64) string { return strconv.FormatFloat(p*100, 'f', 1, 64) + " %" }
