package tasks

import (
	"fmt"
	"math"

	"quadrant/internal/python"
)

// A Metric is a way to mark answers, by the harness's name.
type Metric string

// The metrics that tasks here have.
const (
	Acc        Metric = "acc"        // the right choice is the likeliest; or the continuation is greedy
	AccNorm    Metric = "acc_norm"   // the same with log-likelihoods divided by characters
	Perplexity Metric = "perplexity" // exp of minus the mean log-likelihood of a document

	WordPerplexity Metric = "word_perplexity" // of a text, by word
	BytePerplexity Metric = "byte_perplexity"
	BitsPerByte    Metric = "bits_per_byte"
)

// HigherIsBetter says which way a metric's values get better.
func (m Metric) HigherIsBetter() bool { return m == Acc || m == AccNorm }

// Aggregation is the harness's name for how marks become a score.
func (m Metric) Aggregation() string {
	switch m {
	case Perplexity:
		return "perplexity"
	case WordPerplexity, BytePerplexity:
		return "weighted_perplexity"
	case BitsPerByte:
		return "bits_per_byte"
	}
	return "mean"
}

// A Mark is what the answers to one document are worth in one metric.
type Mark struct {
	Metric Metric
	Value  float64
	Weight float64 // words or bytes of a text, 0 where all documents weigh alike
}

// Mark marks the answers to the requests of d, one for each, in the order of t.Metrics.
// Of choices equally likely the first counts as chosen, as in the harness; in tasks with
// FairTies the mark is shared between them.
func (t Task) Mark(d Doc, answers []Answer) ([]Mark, error) {
	if len(answers) != len(d.Requests) || len(answers) == 0 {
		return nil, fmt.Errorf("tasks: %d answers to %d requests", len(answers), len(d.Requests))
	}
	var marks []Mark
	for _, m := range t.Metrics {
		v, weight := 0.0, 0.0
		switch {
		case t.Output == Rolling:
			v, weight = answers[0].LogLikelihood, float64(len(d.Requests[0].Continuation))
			if m == WordPerplexity {
				weight = float64(words(d.Requests[0].Continuation))
			}
		case m == Perplexity:
			v = answers[0].LogLikelihood
		case m == Acc && t.Output == LogLikelihood:
			v = one(answers[0].Greedy)
		case m == Acc:
			v = right(d.Gold, answers, t.FairTies, func(int) float64 { return 1 })
		case m == AccNorm:
			v = right(d.Gold, answers, t.FairTies, func(i int) float64 { return float64(d.Lengths[i]) })
		default:
			return nil, fmt.Errorf("tasks: %s does not mark single documents in %s", t.Name, m)
		}
		marks = append(marks, Mark{m, v, weight})
	}
	return marks, nil
}

// words is the number of stretches between white space, as the harness counts them:
// len(re.split(r"\s+", text)), which has an empty one before or after white space at an
// end.
func words(text string) int {
	n, inside := 1, false
	for _, r := range text {
		space := python.IsSpace(r)
		if space && !inside {
			n++
		}
		inside = space
	}
	return n
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// right is whether the gold choice has the largest log-likelihood over length: 1 or 0, or
// its share of 1 where fair.
func right(gold int, answers []Answer, fair bool, length func(i int) float64) float64 {
	best, equal := 0, 0
	value := func(i int) float64 { return answers[i].LogLikelihood / length(i) }
	for i := range answers {
		switch v, top := value(i), value(best); {
		case v > top:
			best, equal = i, 1
		case v == top:
			equal++
		}
	}
	if !fair {
		return one(best == gold)
	}
	if value(gold) == value(best) {
		return 1 / float64(equal)
	}
	return 0
}

// mean is the harness's: of a plain sum.
func mean(xs []float64) float64 { return sum(xs) / float64(len(xs)) }

func sum(xs []float64) float64 {
	s := 0.0
	for _, x := range xs {
		s += x
	}
	return s
}

// sampleDeviation is the standard deviation with n−1 degrees of freedom.
func sampleDeviation(xs []float64) float64 {
	m, s := mean(xs), 0.0
	for _, x := range xs {
		s += (x - m) * (x - m)
	}
	return math.Sqrt(s / float64(len(xs)-1))
}
