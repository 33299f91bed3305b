package reports

import (
	"cmp"
	"fmt"
	"slices"

	"quadrant/internal/stat"
	"quadrant/results"
)

// solved is the share of right answers from which a run counts as having learned its task.
const solved = 0.9

// AnswersTable orders the models of each synthetic task by the share of questions that they
// answer rightly in the end, and says which differences are more than those between seeds.
// literature says what is known of a model in the task of its result; nil leaves that out. The
// error wraps [ErrNoData] if rs hold no answers.
func AnswersTable(rs []results.Result, literature func(results.Result) string) (Table, error) {
	found := withMetric(rs, "answers")
	if len(found) == 0 {
		return Table{}, fmt.Errorf("reports: answers: %w: no result of metric \"answers\"; measure it with \"quadrant synth --out\"", ErrNoData)
	}
	all, err := testedAt(found)
	if err != nil {
		return Table{}, fmt.Errorf("reports: answers: %w", err)
	}
	t := Table{
		Caption: fmt.Sprintf("Questions of synthetic tasks answered rightly after training. Intervals (95 %%) are Student's over seeds, of one seed Clopper and Pearson's over questions; a run of %g or more has solved its task", solved),
		Columns: []Column{
			{Key: "task", Name: "Task"}, {Key: "model", Name: "Model"}, {Key: "params_total", Name: "Parameters", Right: true}, {Key: "params_active", Name: "Active", Right: true},
			{Key: "steps", Name: "Steps", Right: true}, {Key: "seeds", Name: "Seeds", Right: true}, {Key: "accuracy", Name: "Accuracy", Right: true},
			{Key: "accuracy_lo", Name: "95 % from", Right: true}, {Key: "accuracy_hi", Name: "to", Right: true}, {Key: "least", Name: "Worst seed", Right: true}, {Key: "solved", Name: "Solved", Right: true},
			{Key: "chance", Name: "Chance", Right: true}, {Key: "questions", Name: "Questions", Right: true},
			{Key: "under_better", Name: "Under the one above", Right: true}, {Key: "under_lo", Name: "95 % from", Right: true}, {Key: "under_hi", Name: "to", Right: true}, {Key: "verdict", Name: "Verdict"},
		},
	}
	if literature != nil {
		t.Columns = append(t.Columns, Column{Key: "literature", Name: "Literature"})
	}
	for _, task := range byAccuracy(last(all)) {
		for i, m := range task {
			row := append(m.row(rs), Cell{}, Cell{}, Cell{}, Text("best"))
			if i > 0 {
				row = append(row[:len(row)-4], m.under(task[i-1])...)
			}
			if literature != nil {
				row = append(row, Text(literature(m.first)))
			}
			t.Rows = append(t.Rows, row)
		}
	}
	return t, t.check()
}

// last are the learners of all at their last step.
func last(all []tested) (ends []tested) {
	for i, t := range all {
		if i+1 == len(all) || all[i+1].learner != t.learner {
			ends = append(ends, t)
		}
	}
	return ends
}

// byAccuracy divides learners by task, the best of each first.
func byAccuracy(ends []tested) (tasks [][]tested) {
	at := map[string]int{}
	for _, t := range ends {
		i, ok := at[t.task]
		if !ok {
			i = len(tasks)
			at[t.task], tasks = i, append(tasks, nil)
		}
		tasks[i] = append(tasks[i], t)
	}
	for _, task := range tasks {
		slices.SortStableFunc(task, func(a, b tested) int {
			x, _ := a.accuracy()
			y, _ := b.accuracy()
			return cmp.Compare(y, x)
		})
	}
	return tasks
}

// row is what a learner came to.
func (t tested) row(rs []results.Result) []Cell {
	mean, interval := t.accuracy()
	shares := t.shares()
	learned := 0
	for _, s := range shares {
		if s >= solved {
			learned++
		}
	}
	var guess Cell
	if chance, ok := t.guessing(rs); ok {
		guess = Number(chance, 3)
	}
	return []Cell{
		Text(t.task), Text(t.model.name), Int(t.model.total), Int(t.model.active), Int(t.step), Int(len(shares)), Number(mean, 3),
		Number(interval.Lo, 3), Number(interval.Hi, 3), Number(shares[0], 3), Text(fmt.Sprintf("%d of %d", learned, len(shares))), guess, Int(t.asked),
	}
}

// under is by how much t is under better, over the seeds that both have, and what that says.
func (t tested) under(better tested) []Cell {
	var diffs []float64
	for seed, share := range t.share {
		if other, ok := better.share[seed]; ok {
			diffs = append(diffs, other-share)
		}
	}
	slices.Sort(diffs)
	mean, _ := stat.MeanError(diffs)
	switch len(diffs) {
	case 0:
		return []Cell{{}, {}, {}, Text("no seed in common")}
	case 1:
		return []Cell{Number(mean, 3), {}, {}, Text("of one seed (n=1)")}
	}
	interval := stat.MeanInterval(diffs, wanted)
	verdict := "within the noise of seeds"
	if interval.Excludes(0) {
		verdict = "behind"
	}
	return []Cell{Number(mean, 3), Number(interval.Lo, 3), Number(interval.Hi, 3), Text(verdict)}
}
