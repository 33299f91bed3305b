package evals

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"quadrant/evals/tasks"
	"quadrant/internal/python"
	"quadrant/tokenizer"
)

// What a task asks, and what a model answers.
type (
	Request = tasks.Request
	Answer  = tasks.Answer
)

// An Encoder turns requests into token ids as EleutherAI's lm-evaluation-harness does.
type Encoder struct {
	tok    tokenizer.Tokenizer
	prefix int32
	opens  string // what prefix decodes to
}

// newline stands before a text for tokenizers that have no token for it, such as bytes.
const newline = "\n"

// NewEncoder returns an encoder with tok.
func NewEncoder(tok tokenizer.Tokenizer) (*Encoder, error) {
	prefix, ok := tokenizer.Beginning(tok)
	if !ok {
		ids, err := tok.Encode(newline)
		if err != nil || len(ids) == 0 {
			return nil, fmt.Errorf("evals: tokenizer %s has no token for the beginning of a text and none for a new line: %w", tok.Name(), err)
		}
		prefix = ids[len(ids)-1]
	}
	opens, err := tok.Decode([]int32{prefix})
	if err != nil {
		return nil, fmt.Errorf("evals: %w", err)
	}
	return &Encoder{tok, prefix, opens}, nil
}

// Prefix is the token read before a text that has no context.
func (e *Encoder) Prefix() int32 { return e.prefix }

// text encodes a text from its beginning: with what the tokenizer puts round it, unless
// it starts with that already.
func (e *Encoder) text(s string) ([]int32, error) {
	if e.opens != newline && strings.HasPrefix(s, e.opens) {
		return e.tok.Encode(s)
	}
	return tokenizer.Prompt(e.tok, s)
}

// Pair encodes r. White space at the end of the context belongs to the continuation,
// whose tokens are those of both together beyond as many as the context alone has. An
// empty context is the prefix, unless the continuation starts with it.
func (e *Encoder) Pair(r Request) (Pair, error) {
	if r.Context == "" {
		ids, err := e.tok.Encode(r.Continuation)
		switch {
		case err != nil:
			return Pair{}, err
		case len(ids) > 0 && ids[0] == e.prefix:
			return checked(Pair{ids[:1], ids[1:]}, r)
		}
		return checked(Pair{[]int32{e.prefix}, ids}, r)
	}
	head := python.RStrip(r.Context)
	whole, err := e.text(r.Context + r.Continuation)
	if err != nil {
		return Pair{}, err
	}
	alone, err := e.text(head)
	if err != nil {
		return Pair{}, err
	}
	n := min(len(alone), len(whole))
	p := Pair{alone, whole[n:]}
	if len(alone) == 0 { // white space alone: the harness stops here
		p.Context = []int32{e.prefix}
	}
	return checked(p, r)
}

func checked(p Pair, r Request) (Pair, error) {
	if len(p.Continuation) == 0 {
		return p, fmt.Errorf("the continuation %.40q of %.40q has no tokens of its own", r.Continuation, r.Context)
	}
	return p, nil
}

// LogLikelihood answers the requests of each document and hands the answers of a document
// to done as soon as they are there, in an order of its own. See [Scorer.Score].
func (s *Scorer) LogLikelihood(ctx context.Context, e *Encoder, docs [][]Request, done func(doc int, answers []Answer) error) error {
	pairs := make([][]Pair, len(docs))
	for i, requests := range docs {
		for k, r := range requests {
			p, err := e.Pair(r)
			if err != nil {
				return fmt.Errorf("evals: document %d, continuation %d: %w", i, k, err)
			}
			pairs[i] = append(pairs[i], p)
		}
	}
	return s.Score(ctx, pairs, func(doc int, scores []Score) error {
		answers := make([]Answer, len(scores))
		for i, sc := range scores {
			answers[i] = Answer{LogLikelihood: sc.Sum(), Greedy: sc.Greedy, Tokens: len(sc.LogProbs)}
		}
		return done(doc, answers)
	})
}

// Rolling reads texts from their beginnings in windows as long as the model reads, each
// token predicted once, and hands the log-likelihoods to done: the harness's way with
// wikitext.
func (s *Scorer) Rolling(ctx context.Context, e *Encoder, texts []string, done func(text int, a Answer) error) error {
	for i, text := range texts {
		ids, err := e.tok.Encode(text)
		if err != nil {
			return fmt.Errorf("evals: text %d: %w", i, err)
		}
		if len(ids) == 0 {
			return fmt.Errorf("evals: text %d has no tokens", i)
		}
		a := Answer{Tokens: len(ids), Greedy: true}
		windows := rollingWindows(ids, e.prefix, s.opts.Window)
		sums := make([]float64, len(windows))
		err = s.Score(ctx, windows, func(w int, scores []Score) error {
			sums[w] = scores[0].Sum()
			a.Greedy = a.Greedy && scores[0].Greedy
			return nil
		})
		if err != nil {
			return fmt.Errorf("text %d: %w", i, err)
		}
		for _, sum := range sums {
			a.LogLikelihood += sum
		}
		if err := done(i, a); err != nil {
			return err
		}
	}
	return nil
}

// rollingWindows are the windows of a text: the first predicts as many tokens as the
// model reads, after prefix; each later one the tokens that follow, the last with as much
// context as fits.
func rollingWindows(ids []int32, prefix int32, window int) [][]Pair {
	n := min(window, len(ids))
	windows := [][]Pair{{{[]int32{prefix}, ids[:n]}}}
	for at := n; at < len(ids); {
		end := min(at+window, len(ids))
		windows = append(windows, []Pair{{slices.Clone(ids[max(0, end-window-1):at]), ids[at:end]}})
		at = end
	}
	return windows
}
