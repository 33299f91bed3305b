package reports

import (
	"fmt"

	"quadrant/reports/chart"
	"quadrant/results"
)

// drawAnswers draws, for each synthetic task, the share of questions that models answer rightly
// as training goes on, and what guessing is worth.
func drawAnswers(rs []results.Result) (picture, error) {
	answers := withMetric(rs, "answers")
	byTitle := named("task", func(r results.Result) string { return r.Point.Corpus })
	facets, err := split(answers, byTitle)
	if err != nil {
		return picture{}, err
	}
	all := lines(unseeded(answers))
	var panels []chart.Panel
	for _, f := range facets {
		ss, err := series(all, unseeded(f.results), func(own []results.Result) ([]chart.Point, error) {
			return answerPoints(own, f.results)
		})
		if err != nil {
			return picture{}, err
		}
		first := f.results[0]
		panels = append(panels, chart.Panel{
			Title: first.Point.Corpus,
			X:     chart.Axis{Label: fmt.Sprintf("Steps of %d sequences of %d tokens", first.Point.Batch, first.Point.Window)},
			Y:     chart.Axis{Label: "Accuracy"},
			Lines: &chart.Lines{Series: append(ss, chanceLine(rs, f.results, ss)...)},
		})
	}
	return picture{
		chart:      chart.Chart{Width: widthFor(panels), Columns: columnsFor(panels), Panels: panels},
		said:       []string{sizes, "A point is the mean over seeds, which differ in weights and in sequences. Bars are 95 % intervals: Student's over seeds, of one seed Clopper and Pearson's over questions."},
		conditions: conditions(answers),
	}, nil
}

// unseeded is rs whose weights do not say the seed, so that runs that differ in it alone are of
// one line.
func unseeded(rs []results.Result) []results.Result {
	all := make([]results.Result, len(rs))
	for i, r := range rs {
		l, _ := learnerOf(r)
		all[i] = r
		all[i].Subject.Weights = l.model.weights
	}
	return all
}

// answerPoints are those of the line that own, which say no seed, are of. rs say them.
func answerPoints(own, rs []results.Result) ([]chart.Point, error) {
	all, err := testedAt(rs)
	if err != nil {
		return nil, err
	}
	line, _ := learnerOf(own[0])
	var ps []chart.Point
	for _, t := range all {
		if t.learner == line {
			mean, interval := t.accuracy()
			ps = append(ps, chart.Point{X: float64(t.step), Y: mean, Lo: interval.Lo, Hi: interval.Hi, N: len(t.share), Coverage: wanted})
		}
	}
	return ps, nil
}

// chanceLine is what guessing is worth in the task of own, across the steps that ss have.
func chanceLine(rs, own []results.Result, ss []chart.Series) []chart.Series {
	v, ok := tested{learner: learner{task: own[0].Point.Corpus}}.guessing(rs)
	if !ok {
		return nil
	}
	most := 0.0
	for _, s := range ss {
		most = max(most, s.Points[len(s.Points)-1].X)
	}
	ends := []chart.Point{{X: 0, Y: v, Lo: v, Hi: v}, {X: most, Y: v, Lo: v, Hi: v}}
	return []chart.Series{{Name: "chance", Look: chart.Look{Color: chart.Gray, Dash: chart.Dotted, Mark: chart.Cross}, Points: ends}}
}
