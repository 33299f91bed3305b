package reports

import (
	"fmt"
	"slices"
	"strings"

	"quadrant/internal/stat"
	"quadrant/results"
)

// A learner is one model in one synthetic task: runs that differ in their seed alone.
type learner struct {
	task  string // with its difficulty
	model model  // whose weights do not say the seed
}

// learnerOf is what r is a run of, and the seed of that run.
func learnerOf(r results.Result) (l learner, seed string) {
	m := modelOf(r)
	if i := strings.LastIndex(m.weights, ", seed "); i >= 0 {
		seed, m.weights = m.weights[i:], m.weights[:i]
	}
	return learner{r.Point.Corpus, m}, seed
}

// A tested is a learner after some step: of each seed, how many questions it was asked and
// which share it answered rightly.
type tested struct {
	learner
	first results.Result
	step  int
	share map[string]float64 // by seed
	right int                // of all seeds
	asked int
}

// testedAt are the learners of rs at every step that they were tested after, in the order of
// their first results and then of steps.
func testedAt(rs []results.Result) ([]tested, error) {
	groups := group(rs, func(r results.Result) learner { l, _ := learnerOf(r); return l })
	var all []tested
	for _, g := range groups {
		steps := group(g, func(r results.Result) int { return r.Point.Step })
		slices.SortFunc(steps, func(a, b []results.Result) int { return a[0].Point.Step - b[0].Point.Step })
		for _, at := range steps {
			t := tested{first: at[0], step: at[0].Point.Step, share: map[string]float64{}}
			for _, r := range at {
				l, seed := learnerOf(r)
				if _, twice := t.share[seed]; twice || len(r.Values) != 2 || !(r.Values[1] > 0) {
					return nil, fmt.Errorf("%s in %q, step %d%s: values are %v or given twice, want right and asked", r.Subject.Model, r.Point.Corpus, t.step, seed, r.Values)
				}
				t.learner = l
				t.share[seed] = r.Values[0] / r.Values[1]
				t.right, t.asked = t.right+int(r.Values[0]), t.asked+int(r.Values[1])
			}
			all = append(all, t)
		}
	}
	return all, nil
}

// shares are those of all seeds, in ascending order.
func (t tested) shares() (all []float64) {
	for _, s := range t.share {
		all = append(all, s)
	}
	slices.Sort(all)
	return all
}

// accuracy is the mean share over seeds with its 95 % interval: Student's over seeds or, of one
// seed, Clopper and Pearson's over questions.
func (t tested) accuracy() (mean float64, interval stat.Range) {
	shares := t.shares()
	mean, _ = stat.MeanError(shares)
	if len(shares) == 1 {
		lo, hi := stat.BinomialInterval(t.right, t.asked, wanted)
		return mean, stat.Range{Lo: lo, Hi: hi}
	}
	interval = stat.MeanInterval(shares, wanted)
	return mean, stat.Range{Lo: max(0, interval.Lo), Hi: min(1, interval.Hi)}
}

// guessing is what chance is right in, of the task of t.
func (t tested) guessing(rs []results.Result) (float64, bool) {
	for _, r := range rs {
		if r.Metric == "chance" && r.Subject.Family == baseline && r.Point.Corpus == t.task && len(r.Values) == 1 {
			return r.Values[0], true
		}
	}
	return 0, false
}
