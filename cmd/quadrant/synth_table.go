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
		Caption: fmt.Sprintf("%s. Guessing is right in %.1f %%", task.Describe(), 100*task.Chance()),
		Columns: []reports.Column{
			textColumn("model", "Model"), numberColumn("params_total", "Parameters"), numberColumn("params_active", "Active"), numberColumn("steps", "Steps"),
			numberColumn("accuracy", "Accuracy"), numberColumn("accuracy_lo", "95 % from"), numberColumn("accuracy_hi", "to"), numberColumn("questions", "Questions"),
			textColumn("literature", "Literature"),
		},
	}
	for _, r := range rs {
		right, asked := int(r.Values[0]), int(r.Values[1])
		lo, hi := stat.BinomialInterval(right, asked, 0.95)
		t.Rows = append(t.Rows, []reports.Cell{
			reports.Text(r.Subject.Model), count(r.Subject.Total), count(r.Subject.Active), count(r.Point.Step),
			reports.Number(float64(right)/float64(asked), 3), reports.Number(lo, 3), reports.Number(hi, 3), count(asked), reports.Text(literature(task, r.Subject)),
		})
	}
	return t
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
