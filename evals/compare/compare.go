package compare

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"quadrant/internal/stat"
)

// Draws is how many resamples intervals are made of.
const Draws = 10_000

// Alpha is the level of tests and of what is called detectable, with power Power.
// Intervals hold 1 − Alpha.
const Alpha, Power = 0.05, 0.8

// A Kind says what a metric counts.
type Kind string

// The kinds of metrics.
const (
	Proportion Kind = "proportion" // right or wrong
	Mean       Kind = "mean"       // of numbers
	Likelihood Kind = "likelihood" // exp(−Σ log-likelihood / Σ weight), or bits
)

// A Comparison is two models' values of one metric of one task.
type Comparison struct {
	Task, Filter, Metric string
	Kind                 Kind
	N                    int     // questions
	A, B                 float64 // values of the metric
	// B − A, of the metric itself; of a Likelihood, how much more likely B finds a question
	// or, where the metric is per word or byte, a word or byte: nats of the logarithm.
	Difference float64
	Interval   stat.Range // of Difference, by the paired bootstrap
	// Questions that A alone and B alone got right, and the p-value of McNemar's exact
	// test: of a Proportion.
	OnlyA, OnlyB int
	P            float64
	// Detectable is the least difference that would probably be found among so many
	// questions that vary like these; 0 where there was no variation to tell it from.
	Detectable float64
	Verdict    Verdict
}

// A Verdict is what the data say.
type Verdict string

// The verdicts. None says that the models are equally good.
const (
	ABetter Verdict = "A better"
	BBetter Verdict = "B better"
	Same    Verdict = "same on every question"
	NotSeen Verdict = "no difference seen"
	TooFew  Verdict = "too few questions to say"
)

// fewest is the least number of questions whose bootstrap interval is believed: of fewer,
// resamples vary less than questions do.
const fewest = 20

// likelihoods are the metrics that are computed of log-likelihoods: how, of the mean of
// one document or, where weighted, of one word or byte.
var likelihoods = map[string]struct {
	weighted bool
	of       func(mean float64) float64
}{
	"perplexity":      {false, perplexity},
	"word_perplexity": {true, perplexity},
	"byte_perplexity": {true, perplexity},
	"bits_per_byte":   {true, func(mean float64) float64 { return -mean / math.Ln2 }},
}

func perplexity(mean float64) float64 { return math.Exp(-mean) }

// lessIsBetter are means of which the smaller is the better.
var lessIsBetter = []string{"brier_score", "ter", "wer"}

// Compare compares b with a: every metric of every task that both have. Questions that
// differ are an error that names the first.
func Compare(a, b []Run, seed uint64) ([]Comparison, error) {
	var all []Comparison
	for _, ra := range a {
		i := slices.IndexFunc(b, func(rb Run) bool { return rb.Task == ra.Task || len(a) == 1 && len(b) == 1 })
		if i < 0 {
			continue
		}
		if err := sameQuestions(ra, b[i]); err != nil {
			return nil, err
		}
		cs, err := compareRuns(ra, b[i], seed)
		if err != nil {
			return nil, err
		}
		all = append(all, cs...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("compare: %s and %s have no task and metric in common: %v and %v", a[0].Path, b[0].Path, tasks(a), tasks(b))
	}
	return all, nil
}

func tasks(runs []Run) (names []string) {
	for _, r := range runs {
		names = append(names, r.Task)
	}
	return names
}

// Missing are the tasks that only one of a and b has.
func Missing(a, b []Run) (names []string) {
	if len(a) == 1 && len(b) == 1 {
		return nil
	}
	ta, tb := tasks(a), tasks(b)
	for _, name := range slices.Concat(ta, tb) {
		if !slices.Contains(ta, name) || !slices.Contains(tb, name) {
			names = append(names, name)
		}
	}
	return names
}

// keys are the questions of both runs, in order.
func keys(a, b Run) []key {
	all := make(map[key]bool)
	for _, r := range []Run{a, b} {
		for k := range r.samples {
			all[k] = true
		}
	}
	return slices.SortedFunc(maps.Keys(all), func(x, y key) int { return cmp.Or(cmp.Compare(x.doc, y.doc), cmp.Compare(x.filter, y.filter)) })
}

// sameQuestions returns an error unless a and b answer the same.
func sameQuestions(a, b Run) error {
	for _, k := range keys(a, b) {
		sa, inA := a.samples[k]
		sb, inB := b.samples[k]
		switch {
		case !inA:
			return fmt.Errorf("compare: %s: %v is in %s and not in %s: compare runs over the same questions", a.Task, k, b.Path, a.Path)
		case !inB:
			return fmt.Errorf("compare: %s: %v is in %s and not in %s: compare runs over the same questions", a.Task, k, a.Path, b.Path)
		}
		compared := 0
		for i, field := range hashFields {
			ha, hb := sa.hashes[i], sb.hashes[i]
			if ha == "" || hb == "" {
				continue
			}
			if compared++; ha != hb {
				return fmt.Errorf("compare: %s: the questions differ, first at %v: %s is %s in %s and %s in %s",
					a.Task, k, field, ha, a.Path, hb, b.Path)
			}
		}
		if compared == 0 {
			return fmt.Errorf("compare: %s: %v has no hash in both %s and %s, so that they asked the same cannot be known", a.Task, k, a.Path, b.Path)
		}
	}
	return nil
}

// compareRuns compares the metrics that both runs have, for each filter.
func compareRuns(a, b Run, seed uint64) ([]Comparison, error) {
	byFilter := make(map[string][]key)
	for _, k := range keys(a, b) {
		byFilter[k.filter] = append(byFilter[k.filter], k)
	}
	var all []Comparison
	for _, filter := range slices.Sorted(maps.Keys(byFilter)) {
		for _, metric := range a.metrics {
			if !slices.Contains(b.metrics, metric) {
				continue
			}
			p := pairs{a: pick(a, byFilter[filter], metric), b: pick(b, byFilter[filter], metric)}
			c, err := p.compare(metric, seed)
			if err != nil {
				return nil, fmt.Errorf("compare: %s: %s: %w", a.Task, metric, err)
			}
			c.Task, c.Filter, c.Metric = a.Task, filter, metric
			all = append(all, c)
		}
	}
	return all, nil
}

func pick(r Run, ks []key, metric string) []value {
	values := make([]value, len(ks))
	for i, k := range ks {
		values[i] = r.samples[k].values[metric]
	}
	return values
}

// pairs are two models' values of a metric for the same questions.
type pairs struct{ a, b []value }

// compare computes all of a Comparison but what it is of.
func (p pairs) compare(metric string, seed uint64) (Comparison, error) {
	weights, err := p.weights()
	if err != nil {
		return Comparison{}, err
	}
	n := len(p.a)
	d := make([]float64, n)
	var sumA, sumB, sumD, total float64
	binary, same := weights == nil, true
	for i := range d {
		xa, xb := p.a[i].x, p.b[i].x
		d[i] = xb - xa
		sumA, sumB, sumD, total = sumA+xa, sumB+xb, sumD+d[i], total+1
		if weights != nil {
			total += weights[i] - 1
		}
		binary = binary && (xa == 0 || xa == 1) && (xb == 0 || xb == 1)
		same = same && xa == xb
	}
	c := Comparison{Kind: Mean, N: n, A: sumA / total, B: sumB / total, Difference: sumD / total}
	if c.Interval, err = stat.Bootstrap(d, weights, Draws, 1-Alpha, seed); err != nil {
		return c, err
	}
	if se := stat.RatioError(d, weights); se > 0 {
		c.Detectable = stat.MinimumDetectable(se, Alpha, Power)
	}
	seen := c.Interval.Excludes(0)
	worth := c.Difference
	if l, ok := likelihoods[metric]; ok {
		c.Kind, c.A, c.B = Likelihood, l.of(c.A), l.of(c.B)
	} else if binary {
		c.Kind = Proportion
		c.OnlyA, c.OnlyB = p.discordant()
		c.P = stat.McNemar(c.OnlyA, c.OnlyB)
		seen = c.P < Alpha
	} else if slices.Contains(lessIsBetter, metric) {
		worth = -worth
	}
	c.Verdict = verdict(same, seen, worth)
	if c.Kind != Proportion && n < fewest && !same {
		c.Verdict = TooFew
	}
	return c, nil
}

func verdict(same, seen bool, worth float64) Verdict {
	switch {
	case same:
		return Same
	case seen && worth > 0:
		return BBetter
	case seen && worth < 0:
		return ABetter
	}
	return NotSeen
}

// weights are what each question counts for, nil where all count alike.
func (p pairs) weights() ([]float64, error) {
	var w []float64
	for i := range p.a {
		a, b := p.a[i], p.b[i]
		if a.weighted != p.a[0].weighted || a.weighted != b.weighted || a.w != b.w {
			return nil, fmt.Errorf("question %d counts for %v of one model and %v of the other: they must be alike", i, a.w, b.w)
		}
		if a.weighted {
			w = append(w, a.w)
		}
	}
	return w, nil
}

// discordant counts the questions that one model alone got right.
func (p pairs) discordant() (onlyA, onlyB int) {
	for i := range p.a {
		switch p.a[i].x - p.b[i].x {
		case 1:
			onlyA++
		case -1:
			onlyB++
		}
	}
	return onlyA, onlyB
}
