package main

import (
	"fmt"
	"strings"

	"quadrant/internal/stat"
	"quadrant/reports"
	"quadrant/results"
	"quadrant/synth"
)

// synthTable is how well models did in a task, beside what the literature found.
func synthTable(task *synth.Task, rs []results.Result) reports.Table {
	t := reports.Table{
		Caption: fmt.Sprintf("%s: %s. Guessing is right in %.1f %%", task.Kind.Name, task.Difficulty, 100*task.Chance()),
		Columns: []reports.Column{
			textColumn("model", "Model"), numberColumn("params_total", "Parameters"), numberColumn("params_active", "Active"), numberColumn("steps", "Steps"),
			numberColumn("seeds", "Seeds"), numberColumn("accuracy", "Accuracy"), numberColumn("accuracy_lo", "95 % from"), numberColumn("accuracy_hi", "to"),
			numberColumn("questions", "Questions"), textColumn("literature", "Literature"),
		},
	}
	for _, runs := range byModel(rs) {
		r := runs[0]
		mean, interval, asked := accuracy(runs)
		t.Rows = append(t.Rows, []reports.Cell{
			reports.Text(r.Subject.Model), count(r.Subject.Total), count(r.Subject.Active), count(r.Point.Step), count(len(runs)),
			reports.Number(mean, 3), reports.Number(interval.Lo, 3), reports.Number(interval.Hi, 3), count(asked), reports.Text(literature(task, r.Subject)),
		})
	}
	return t
}

// byModel gathers the runs of each model, in the order of the first.
func byModel(rs []results.Result) (all [][]results.Result) {
	at := map[string]int{}
	for _, r := range rs {
		i, ok := at[r.Subject.Model]
		if !ok {
			i = len(all)
			at[r.Subject.Model] = i
			all = append(all, nil)
		}
		all[i] = append(all[i], r)
	}
	return all
}

// accuracy is the share of right answers, averaged over runs, with a 95 % interval: over runs
// or, of one, over its answers. asked is of all runs.
func accuracy(runs []results.Result) (mean float64, interval stat.Range, asked int) {
	var shares []float64
	for _, r := range runs {
		shares = append(shares, r.Values[0]/r.Values[1])
		asked += int(r.Values[1])
	}
	mean, _ = stat.MeanError(shares)
	if len(runs) == 1 {
		lo, hi := stat.BinomialInterval(int(runs[0].Values[0]), asked, 0.95)
		return mean, stat.Range{Lo: lo, Hi: hi}, asked
	}
	interval = stat.MeanInterval(shares, 0.95)
	return mean, stat.Range{Lo: max(0, interval.Lo), Hi: min(1, interval.Hi)}, asked
}

// literature is what is known of the mixers that a model is made of, those that task tells
// apart first.
func literature(task *synth.Task, s results.Subject) string {
	var says []string
	for _, e := range task.Kind.Expected {
		if hasMixer(s, e.Mixer) {
			says = append(says, fmt.Sprintf("%s: %s (%s)", e.Mixer, e.Says, e.Source))
		}
	}
	return strings.Join(says, "; ")
}

func hasMixer(s results.Subject, kind string) bool {
	for _, g := range s.Outline {
		for _, l := range g.Layers {
			if l.Sequence != nil && l.Sequence.Kind == kind || l.Channel != nil && l.Channel.Kind == kind {
				return true
			}
		}
	}
	return false
}
