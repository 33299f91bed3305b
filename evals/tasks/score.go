package tasks

import (
	"fmt"
	"math"
	"runtime"
	"sync"

	"quadrant/internal/python"
)

// A Score is a metric over all documents of a task.
type Score struct {
	Metric Metric
	Value  float64
	StdErr float64 // NaN where one document cannot say
	N      int     // documents
}

// BootstrapIters is how often the harness draws documents anew for a standard error.
const BootstrapIters = 100_000

// Scores are the scores of documents whose marks are given, each in the order of the
// task's metrics. iters is how often documents are drawn anew where no formula gives the
// standard error; 0 leaves it out.
func Scores(t Task, marks [][]Mark, iters int) ([]Score, error) {
	if len(marks) == 0 {
		return nil, fmt.Errorf("tasks: %s: no documents were marked", t.Name)
	}
	var scores []Score
	for i, m := range t.Metrics {
		values := make([]float64, len(marks))
		for k, of := range marks {
			if i >= len(of) || of[i].Metric != m {
				return nil, fmt.Errorf("tasks: %s: document %d has no mark in %s", t.Name, k, m)
			}
			values[k] = of[i].Value
		}
		s := Score{Metric: m, N: len(values)}
		switch m {
		case Perplexity:
			s.Value, s.StdErr = perplexity(values), bootstrap(perplexity, values, iters)
		case WordPerplexity, BytePerplexity:
			s.Value, s.StdErr = math.Exp(-sum(values)/weights(marks, i)), math.NaN()
		case BitsPerByte:
			s.Value, s.StdErr = -sum(values)/weights(marks, i)/math.Ln2, math.NaN()
		default:
			s.Value, s.StdErr = mean(values), sampleDeviation(values)/math.Sqrt(float64(len(values)))
		}
		scores = append(scores, s)
	}
	return scores, nil
}

func weights(marks [][]Mark, i int) float64 {
	all := 0.0
	for _, of := range marks {
		all += of[i].Weight
	}
	return all
}

func perplexity(logLikelihoods []float64) float64 { return math.Exp(-mean(logLikelihoods)) }

// chunk is how many draws one generator makes.
const chunk = 1000

// bootstrap is the standard deviation of f over iters samples of xs drawn with
// replacement: chunk i by random.Random(i), as the harness draws them, so that its
// standard errors come out to the last digits.
func bootstrap(f func([]float64) float64, xs []float64, iters int) float64 {
	if iters < 1 || len(xs) < 2 {
		return math.NaN()
	}
	size := min(chunk, iters)
	replicates := make([]float64, iters/size*size)
	var wait sync.WaitGroup
	next := make(chan int)
	for range min(runtime.GOMAXPROCS(0), iters/size) {
		wait.Go(func() {
			drawn, picked := make([]float64, len(xs)), make([]int32, len(xs))
			for i := range next {
				r := python.NewRandom(uint32(i))
				for k := range size {
					r.Choices(picked, len(xs))
					for j, p := range picked {
						drawn[j] = xs[p]
					}
					replicates[i*size+k] = f(drawn)
				}
			}
		})
	}
	for i := range iters / size {
		next <- i
	}
	close(next)
	wait.Wait()
	return sampleDeviation(replicates)
}
