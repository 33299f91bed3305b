package generated

import (
	"fmt"
	"math"

	"quadrant/evals/tasks"
)

// An NGram predicts a byte from those before it by counting, with Witten and Bell's
// smoothing (1991): counts of n bytes are mixed with those of n−1, by how many different
// bytes followed, down to all bytes alike.
type NGram struct {
	n        int
	follow   map[uint64]uint32 // times that bytes stand in a row, by packed bytes
	contexts map[uint64]context
}

type context struct{ seen, kinds uint32 }

// mostN is the largest n whose bytes can be packed with their number.
const mostN = 7

// NewNGram counts the bytes of docs, each by itself.
func NewNGram(n int, docs []Document) (*NGram, error) {
	if n < 1 || n > mostN {
		return nil, fmt.Errorf("generated: %d-grams of bytes: want 1 to %d", n, mostN)
	}
	g := &NGram{n: n, follow: map[uint64]uint32{}, contexts: map[uint64]context{}}
	for _, d := range docs {
		for i, b := range d.Text {
			for k := 0; k < n && k <= i; k++ {
				g.count(d.Text[i-k:i], b)
			}
		}
	}
	return g, nil
}

func (g *NGram) count(history []byte, b byte) {
	h := pack(history)
	key := extend(h, b)
	c := g.contexts[h]
	c.seen++
	if g.follow[key] == 0 {
		c.kinds++
	}
	g.contexts[h] = c
	g.follow[key]++
}

// pack is a number that no other bytes of at most mostN have.
func pack(history []byte) uint64 {
	key := uint64(1)
	for _, b := range history {
		key = extend(key, b)
	}
	return key
}

func extend(key uint64, b byte) uint64 { return key<<8 | uint64(b) }

// Order is the n-gram of a smaller n, which shares the counts.
func (g *NGram) Order(n int) (*NGram, error) {
	if n < 1 || n > g.n {
		return nil, fmt.Errorf("generated: %d-grams of counts of %d bytes", n, g.n)
	}
	return &NGram{n: n, follow: g.follow, contexts: g.contexts}, nil
}

// Name is "5-gram".
func (g *NGram) Name() string { return fmt.Sprintf("%d-gram", g.n) }

// Prob is the probability that b follows history.
func (g *NGram) Prob(history []byte, b byte) float64 {
	p := 1.0 / 256
	for k := 0; k < g.n && k <= len(history); k++ {
		h := pack(history[len(history)-k:])
		c, ok := g.contexts[h]
		if !ok {
			break // nor was any longer one seen
		}
		p = (float64(g.follow[extend(h, b)]) + float64(c.kinds)*p) / float64(c.seen+c.kinds)
	}
	return p
}

// Answer is what a byte model that knows nothing but counts says of a request.
func (g *NGram) Answer(r tasks.Request) tasks.Answer {
	text := []byte(r.Context + r.Continuation)
	a := tasks.Answer{Greedy: true, Tokens: len(r.Continuation)}
	for i := len(r.Context); i < len(text); i++ {
		history := text[max(0, i-g.n):i]
		p := g.Prob(history, text[i])
		a.LogLikelihood += math.Log(p)
		for b := 0; b < 256 && a.Greedy; b++ {
			q := g.Prob(history, byte(b))
			a.Greedy = q < p || q == p && b >= int(text[i])
		}
	}
	return a
}

// Scores are the n-gram's scores in a task.
func (g *NGram) Scores(set tasks.Set) ([]tasks.Score, error) {
	var marks [][]tasks.Mark
	for _, d := range set.Docs {
		var answers []tasks.Answer
		for _, r := range d.Requests {
			answers = append(answers, g.Answer(r))
		}
		m, err := set.Task.Mark(d, answers)
		if err != nil {
			return nil, err
		}
		marks = append(marks, m)
	}
	return tasks.Scores(set.Task, marks, 0)
}
