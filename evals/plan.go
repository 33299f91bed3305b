package evals

import (
	"cmp"
	"fmt"
	"slices"
)

// A unit is a document on its way through a scorer: the tokens that its pairs share at
// their beginning, and what follows them in each.
type unit struct {
	doc     int
	head    []int32
	tails   []sequence
	longest int // tail
}

// A sequence is tokens to read. The last of them have targets: the tokens that follow.
type sequence struct {
	ids, targets []int32
	score        Score
}

// plan checks docs and puts them in the order in which they are read: the longest first,
// so that memory is known early, and those of equal heads together.
func (s *Scorer) plan(docs [][]Pair) ([]unit, error) {
	units := make([]unit, 0, len(docs))
	for i, pairs := range docs {
		if len(pairs) == 0 {
			return nil, fmt.Errorf("evals: document %d has nothing to score", i)
		}
		u := unit{doc: i}
		for k, p := range pairs {
			if err := s.check(p); err != nil {
				return nil, fmt.Errorf("evals: document %d, continuation %d: %w", i, k, err)
			}
			u.tails = append(u.tails, s.input(p))
		}
		u.share()
		units = append(units, u)
	}
	slices.SortStableFunc(units, func(a, b unit) int {
		return cmp.Or(cmp.Compare(len(b.head), len(a.head)), cmp.Compare(b.longest, a.longest))
	})
	return units, nil
}

func (s *Scorer) check(p Pair) error {
	switch {
	case len(p.Context) == 0 || len(p.Continuation) == 0:
		return fmt.Errorf("%d tokens of context and %d that continue them: want at least 1 of each", len(p.Context), len(p.Continuation))
	case len(p.Continuation) > s.opts.Window:
		return fmt.Errorf("a continuation of %d tokens does not fit the window of %d", len(p.Continuation), s.opts.Window)
	}
	if err := s.model.CheckIDs(p.Context); err != nil {
		return err
	}
	return s.model.CheckIDs(p.Continuation)
}

// input is what the model reads: the pair without its last token, cut on the left.
func (s *Scorer) input(p Pair) sequence {
	all := slices.Concat(p.Context, p.Continuation)
	all = all[:len(all)-1]
	return sequence{ids: all[max(0, len(all)-s.opts.Window):], targets: p.Continuation, score: Score{Greedy: true}}
}

// share moves what the tails have in common, before the first position with a target, to
// the head.
func (u *unit) share() {
	first := u.tails[0].ids
	n := len(first)
	for _, t := range u.tails {
		n = min(n, len(t.ids)-len(t.targets))
		for i := range n {
			if t.ids[i] != first[i] {
				n = i
				break
			}
		}
	}
	u.head = first[:n]
	for i := range u.tails {
		u.tails[i].ids = u.tails[i].ids[n:]
		u.longest = max(u.longest, len(u.tails[i].ids))
	}
}

// batchLen is how many of units, at least one, go side by side: of one length of head, as
// sequences of a session keep in step, and within most tokens altogether.
func batchLen(units []unit, most int) int {
	seqs, longest := 0, 0
	for i, u := range units {
		seqs, longest = seqs+len(u.tails), max(longest, u.longest)
		if i > 0 && (len(u.head) != len(units[0].head) || seqs*(len(u.head)+longest) > most) {
			return i
		}
	}
	return len(units)
}
