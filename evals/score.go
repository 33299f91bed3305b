package evals

import (
	"context"
	"fmt"
	"math"

	"quadrant/arch"
	"quadrant/kernels"
)

// A Pair asks how likely Continuation is after Context. Both are token ids, at least one.
type Pair struct{ Context, Continuation []int32 }

// A Score is what a model says of a Pair.
type Score struct {
	LogProbs []float64 // natural logarithms, of each token of the continuation
	Greedy   bool      // each is the likeliest token at its place, the first of equals
}

// Sum is the log-likelihood of the continuation.
func (s Score) Sum() float64 {
	sum := 0.0
	for _, l := range s.LogProbs {
		sum += l
	}
	return sum
}

// ScorerOptions are what a Scorer's user may choose. Scores depend on Window alone.
type ScorerOptions struct {
	Window int // most tokens that the model reads at once; 0 is 2048, what the harness takes for a model that does not say
	Batch  int // tokens to lay side by side, at most where a text alone has not more; 0 is 2048
}

// A Scorer computes log-likelihoods with a model. What several pairs of one document
// share at their beginning is read once. A pair's scores do not depend on the order of
// the documents, on what else is scored or on Batch, to the last bit, where the device
// computes rows independently of each other, as kernels/ref and kernels/cpu do.
type Scorer struct {
	dev   kernels.Device
	model *arch.Model
	opts  ScorerOptions

	heads, tails cachedSession
	values       []float32 // of logits
}

// NewScorer returns a scorer with m, which lives on dev.
func NewScorer(dev kernels.Device, m *arch.Model, o ScorerOptions) (*Scorer, error) {
	if o.Window == 0 {
		o.Window = 2048
	}
	if o.Batch == 0 {
		o.Batch = 2048
	}
	if o.Window < 1 || o.Batch < 1 {
		return nil, fmt.Errorf("evals: a window of %d tokens and batches of %d: want at least 1", o.Window, o.Batch)
	}
	return &Scorer{dev: dev, model: m, opts: o}, nil
}

// Window is the most tokens that the model reads at once.
func (s *Scorer) Window() int { return s.opts.Window }

// Score scores the pairs of each document and hands the scores of a document to done as
// soon as they are there, in an order of its own. Contexts are cut on the left so that a
// pair, without its last token, fits the window. An error of done ends the work.
func (s *Scorer) Score(ctx context.Context, docs [][]Pair, done func(doc int, scores []Score) error) error {
	units, err := s.plan(docs)
	if err != nil {
		return err
	}
	for len(units) > 0 {
		n := batchLen(units, s.opts.Batch)
		scores, err := s.batch(ctx, units[:n])
		if err != nil {
			return err
		}
		for i, u := range units[:n] {
			if err := done(u.doc, scores[i]); err != nil {
				return err
			}
		}
		units = units[n:]
	}
	return nil
}

// batch scores documents that share the length of their heads.
func (s *Scorer) batch(ctx context.Context, units []unit) ([][]Score, error) {
	var heads, tails []sequence
	var from []int
	longest := 0
	for i, u := range units {
		heads = append(heads, sequence{ids: u.head})
		for _, t := range u.tails {
			tails = append(tails, t)
			from = append(from, i)
			longest = max(longest, len(t.ids))
		}
	}
	shared := len(units[0].head)
	tail := s.tails.open(s.model, len(tails), shared+longest)
	if shared > 0 {
		head := s.heads.open(s.model, len(heads), shared)
		if err := s.read(ctx, head, heads, shared); err != nil {
			return nil, err
		}
		tail.CopyFrom(head, from)
	}
	if err := s.read(ctx, tail, tails, longest); err != nil {
		return nil, err
	}
	scores := make([][]Score, len(units))
	for i, t := range tails {
		scores[from[i]] = append(scores[from[i]], t.score)
	}
	return scores, nil
}

// A cachedSession is a session kept for the next batch that it suits.
type cachedSession struct {
	session      *arch.Session
	seqs, maxLen int
}

// open returns a session without memories of seqs sequences with room for maxLen tokens.
func (c *cachedSession) open(m *arch.Model, seqs, maxLen int) *arch.Session {
	if c.session == nil || c.seqs != seqs || c.maxLen < maxLen {
		c.session, c.seqs, c.maxLen = m.Open(seqs, maxLen), seqs, maxLen
	} else {
		c.session.Reset()
	}
	return c.session
}

// mostLogits is how many logits lie in memory at once, unless one position alone has more.
const mostLogits = 1 << 23

// read reads seqs, all made as long as length by padding at their ends, which no earlier
// position sees, and adds the scores of their targets. Steps are short enough for memory
// and for an interrupt to be heeded.
func (s *Scorer) read(ctx context.Context, session *arch.Session, seqs []sequence, length int) error {
	step := min(length, max(1, s.opts.Batch/len(seqs)), max(1, mostLogits/s.model.Vocab/len(seqs)))
	for at := 0; at < length; at += step {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.step(session, seqs, at, min(at+step, length)); err != nil {
			return err
		}
	}
	return nil
}

// step reads tokens [lo, hi) of seqs.
func (s *Scorer) step(session *arch.Session, seqs []sequence, lo, hi int) error {
	n := hi - lo
	ids := make([]int32, len(seqs)*n)
	var rows []int32
	var wanted []target
	for i := range seqs {
		q := &seqs[i]
		if lo < len(q.ids) {
			copy(ids[i*n:(i+1)*n], q.ids[lo:])
		}
		for p := max(lo, len(q.ids)-len(q.targets)); p < min(hi, len(q.ids)); p++ {
			rows = append(rows, int32(i*n+p-lo))
			wanted = append(wanted, target{q, q.targets[p-len(q.ids)+len(q.targets)]})
		}
	}
	in := s.dev.Alloc(kernels.I32, len(ids), 1)
	kernels.Put(s.dev, in, ids)
	var at, logits kernels.Mat
	if len(rows) > 0 {
		at, logits = s.dev.Alloc(kernels.I32, len(rows), 1), s.dev.Alloc(kernels.F32, len(rows), s.model.Vocab)
		kernels.Put(s.dev, at, rows)
	}
	session.ForwardAt(logits, in, at)
	if err := s.dev.Sync(); err != nil {
		return fmt.Errorf("evals: %w", err)
	}
	if len(rows) == 0 {
		return nil
	}
	return s.judge(logits, wanted)
}

// A target is a token that a sequence goes on with.
type target struct {
	seq *sequence
	id  int32
}

// judge adds what each row of logits says of a target to its sequence's score.
func (s *Scorer) judge(logits kernels.Mat, wanted []target) error {
	v := logits.Cols
	if cap(s.values) < len(wanted)*v {
		s.values = make([]float32, len(wanted)*v)
	}
	values := s.values[:len(wanted)*v]
	kernels.Get(s.dev, values, logits)
	for i, t := range wanted {
		softmax := NewSoftmax(values[i*v : (i+1)*v])
		logProb, best := softmax.LogProb(t.id), softmax.Best() == t.id
		if math.IsNaN(logProb) {
			return fmt.Errorf("evals: the model's logits are not all numbers: its weights are broken, or too large for their type")
		}
		t.seq.score.LogProbs = append(t.seq.score.LogProbs, logProb)
		t.seq.score.Greedy = t.seq.score.Greedy && best
	}
	return nil
}
