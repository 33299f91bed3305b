package generated

import (
	"math"

	"quadrant/corpus/ngram"
	"quadrant/evals/tasks"
)

// A Baseline answers questions by counting bytes.
type Baseline struct{ *ngram.Model }

// NewBaseline counts n-grams of the bytes of docs, each by itself.
func NewBaseline(n int, docs []Document) (Baseline, error) {
	m, err := ngram.New(n)
	if err != nil {
		return Baseline{}, err
	}
	for _, d := range docs {
		m.Count(d.Text)
	}
	return Baseline{m}, nil
}

// Order is the baseline of a smaller n, which shares the counts.
func (b Baseline) Order(n int) (Baseline, error) {
	m, err := b.Model.Order(n)
	return Baseline{m}, err
}

// Answer is what a byte model that knows nothing but counts says of a request.
func (b Baseline) Answer(r tasks.Request) tasks.Answer {
	text := []byte(r.Context + r.Continuation)
	a := tasks.Answer{Greedy: true, Tokens: len(r.Continuation)}
	for i := len(r.Context); i < len(text); i++ {
		history := text[max(0, i-ngram.Most):i]
		p := b.Prob(history, text[i])
		a.LogLikelihood += math.Log(p)
		for other := 0; other < 256 && a.Greedy; other++ {
			q := b.Prob(history, byte(other))
			a.Greedy = q < p || q == p && other >= int(text[i])
		}
	}
	return a
}

// Scores are the baseline's scores in a task.
func (b Baseline) Scores(set tasks.Set) ([]tasks.Score, error) {
	var marks [][]tasks.Mark
	for _, d := range set.Docs {
		var answers []tasks.Answer
		for _, r := range d.Requests {
			answers = append(answers, b.Answer(r))
		}
		m, err := set.Task.Mark(d, answers)
		if err != nil {
			return nil, err
		}
		marks = append(marks, m)
	}
	return tasks.Scores(set.Task, marks, 0)
}
