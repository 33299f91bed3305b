package serve

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"quadrant/evals"
	"quadrant/sample"
	"quadrant/tokenizer"
)

// A choice is a prompt and what a model makes of it. The worker adds to it; the request
// that it is of looks at its output meanwhile.
type choice struct {
	*params
	prompt
	ctx     context.Context // ends when nobody wants the choice any more
	changed chan struct{}   // of the request: has room for one note that there is news
	tok     tokenizer.Tokenizer

	// The worker's.
	tokens  []int32 // the prompt's, then those generated
	sampler *sample.Sampler
	stopper stopper
	at      int // characters of text so far, with what is held back

	mu  sync.Mutex
	out output
}

// An output is what there is of a choice so far.
type output struct {
	text      strings.Builder
	tokens    []told
	generated int
	finish    string // why it has ended: "stop" or "length"; "" while it goes on
	err       error  // it has ended for this
}

// A told is what is told of a token where log-probabilities are asked for.
type told struct {
	id      int32
	offset  int // of its text, in characters
	logProb float64
	first   bool // nothing is before it, so that it has no probability
	likely  [maxLogProbs]likely
	likelyN int
}

// A likely is one of the most likely tokens at a place.
type likely struct {
	id      int32
	logProb float64
}

func newChoice(ctx context.Context, p *params, q prompt, tok tokenizer.Tokenizer, changed chan struct{}) (*choice, error) {
	c := &choice{params: p, prompt: q, ctx: ctx, changed: changed, tok: tok, tokens: q.ids, stopper: stopper{stops: p.stop}}
	var err error
	if c.sampler, err = sample.New(p.sample); err != nil {
		return nil, err
	}
	if p.echo {
		if p.max == 0 {
			q.text += q.decoder.Close()
		}
		c.out.text.WriteString(q.text)
		c.at = characters(q.text)
	}
	if c.scores() {
		c.out.tokens = append(c.out.tokens, told{id: q.ids[0], first: true})
	}
	if c.end() == 0 || c.max == 0 && !c.scores() {
		c.finish("length")
	}
	return c, nil
}

// scores reports whether the prompt's own tokens are told of.
func (c *choice) scores() bool { return c.echo && c.logProbs >= 0 }

// once reports whether the prompt need only be read, with no second token to generate.
func (c *choice) once() bool { return c.max <= 1 }

// end is how many tokens there are to read: where none is to be generated, the last one
// predicts nothing that is wanted.
func (c *choice) end() int {
	if c.max == 0 {
		return len(c.tokens) - 1
	}
	return len(c.tokens)
}

// wants reports whether the logits of what follows token p are needed.
func (c *choice) wants(p int) bool { return p == len(c.tokens)-1 || p+1 < len(c.ids) && c.scores() }

// take uses the view of what follows token p, where the first vocab tokens are those that
// have a meaning.
func (c *choice) take(p int, v view, vocab int) {
	var err error
	if p+1 < len(c.tokens) {
		err = c.tell(c.tokens[p+1], min(c.offsets[p+1], c.at), v)
	} else {
		err = c.next(v, vocab)
	}
	if err != nil {
		c.fail(err)
	}
}

// next chooses the token that follows all others.
func (c *choice) next(v view, vocab int) error {
	id, err := c.sampler.Next(v.logits[:vocab])
	if err != nil {
		return err
	}
	if c.logProbs >= 0 {
		if err := c.tell(id, c.at, v); err != nil {
			return err
		}
	}
	if len(c.tokens) == len(c.ids) { // the first: the prompt stays as it is
		c.tokens = slices.Clone(c.ids)
	}
	c.tokens = append(c.tokens, id)
	text, special := "", tokenizer.Special(c.tok, id)
	if !special { // a special token ends the text and is not in it
		if text, err = c.decoder.Push(id); err != nil {
			return err
		}
	}
	full := len(c.tokens)-len(c.ids) == c.max
	if special || full {
		text += c.decoder.Close()
	}
	c.at += characters(text)
	sure, stopped := c.stopper.push(text)
	c.add(sure, 1)
	switch {
	case special || stopped:
		c.finish("stop")
	case full:
		c.finish("length")
	}
	return nil
}

// A view is what the model expects at a place. All but the logits are there where
// log-probabilities are asked for.
type view struct {
	logits []float32
	evals.Softmax
	likeliest []int32
}

// view looks at logits. It may be called by several goroutines.
func (c *choice) view(logits []float32) view {
	v := view{logits: logits}
	if c.logProbs >= 0 {
		v.Softmax, v.likeliest = evals.NewSoftmax(logits), likeliest(logits, c.logProbs)
	}
	return v
}

// tell records a token with its log-probability.
func (c *choice) tell(id int32, offset int, v view) error {
	t := told{id: id, offset: offset, logProb: v.LogProb(id)}
	if math.IsNaN(t.logProb) || math.IsInf(t.logProb, 0) {
		return fmt.Errorf("the logarithm of the probability of token %d is %v: the model's weights are broken, or too large for their type", id, t.logProb)
	}
	for _, i := range v.likeliest {
		t.likely[t.likelyN] = likely{i, v.LogProb(i)}
		t.likelyN++
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out.tokens = append(c.out.tokens, t)
	return nil
}

// likeliest are the n largest logits, the first of equals first.
func likeliest(logits []float32, n int) []int32 {
	n = min(n, len(logits))
	best := make([]int32, 0, maxLogProbs+1)
	for id, v := range logits {
		if len(best) == n && (n == 0 || v <= logits[best[n-1]]) {
			continue
		}
		k := len(best)
		for k > 0 && v > logits[best[k-1]] {
			k--
		}
		best = append(best, 0)
		copy(best[k+1:], best[k:])
		best[k] = int32(id)
		best = best[:min(len(best), n)]
	}
	return best
}

// add adds text and a number of generated tokens to the output.
func (c *choice) add(text string, generated int) {
	c.mu.Lock()
	c.out.text.WriteString(text)
	c.out.generated += generated
	c.mu.Unlock()
	c.note()
}

// finish ends the choice, with the text that was held back unless a stop was found.
func (c *choice) finish(why string) {
	c.mu.Lock()
	c.out.text.WriteString(c.stopper.close())
	c.out.finish = why
	c.mu.Unlock()
	c.note()
}

func (c *choice) fail(err error) {
	c.mu.Lock()
	c.out.err = err
	c.mu.Unlock()
	c.note()
}

// note tells the request that there is news.
func (c *choice) note() {
	select {
	case c.changed <- struct{}{}:
	default: // it has not yet looked at the last
	}
}

// over reports whether nothing more is to be done: the choice has ended, or nobody wants it.
func (c *choice) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.finish != "" || c.out.err != nil || c.ctx.Err() != nil
}

// A piece is what is new of a choice since its request looked last.
type piece struct {
	text   string
	tokens []told
	finish string
}

// seen is how much of a choice its request has looked at.
type seen struct {
	text, tokens int
	all          bool
}

// look returns what is new.
func (c *choice) look(s *seen) (piece, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out.err != nil || s.all {
		return piece{}, c.out.err
	}
	p := piece{c.out.text.String()[s.text:], c.out.tokens[s.tokens:], c.out.finish}
	*s = seen{c.out.text.Len(), len(c.out.tokens), p.finish != ""}
	return p, nil
}

func (c *choice) generated() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.generated
}
