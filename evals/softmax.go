package evals

import "math"

// A Softmax gives natural logarithms of the softmax of a row of logits, in float64.
type Softmax struct {
	logits []float32
	best   int32
	logSum float64 // of exp(logit − the best one's)
}

// NewSoftmax returns the softmax of logits, which it keeps.
func NewSoftmax(logits []float32) Softmax {
	s := Softmax{logits: logits}
	for j, v := range logits {
		if v > logits[s.best] {
			s.best = int32(j)
		}
	}
	sum := 0.0
	for _, v := range logits {
		sum += math.Exp(float64(v) - float64(logits[s.best]))
	}
	s.logSum = math.Log(sum)
	return s
}

// Best is the token with the largest logit, the first of equals.
func (s Softmax) Best() int32 { return s.best }

// LogProb is the logarithm of the probability of token id. It is not a number where some
// logit is not.
func (s Softmax) LogProb(id int32) float64 {
	return float64(s.logits[id]) - float64(s.logits[s.best]) - s.logSum
}
