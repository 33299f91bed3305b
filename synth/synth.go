// Package synth makes tasks that need no text: each asks for one thing that architectures
// differ in, such as recall of what stands earlier in the sequence. A sequence is a function
// of its number and the seed, as training wants it (train.Source): there are as many as one
// likes, and those that a score is taken on are others than those learned from.
package synth

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// A Kind is a task with its difficulty left open.
type Kind struct {
	Name     string
	Doc      string
	Default  Difficulty
	Expected []Expectation // what the literature found
	check    func(Difficulty) error
	tokens   func(Difficulty) (vocab, length int)
	make     func(t *Task, r *rand.Rand, ids, targets []int32)
	prepare  func(t *Task)
}

// A Difficulty is what makes a task hard. A field that a task does not know is 0.
type Difficulty struct {
	Items   int `json:"items"`             // to remember: pairs, tokens to copy, facts
	Symbols int `json:"symbols"`           // different tokens that items are made of
	Length  int `json:"length,omitempty"`  // of the sequence, where Items does not fix it
	PerPass int `json:"perpass,omitempty"` // facts in one sequence
}

// An Expectation is what the literature found about a kind of mixer.
type Expectation struct {
	Mixer  string // "attention", "mamba", "mlp" or "moe"
	Says   string
	Source string // arXiv number
}

// Kinds are all tasks there are.
var Kinds = []Kind{mqar, selectiveCopy, induction, copying, facts}

// Named returns the kind called name.
func Named(name string) (Kind, error) {
	i := slices.IndexFunc(Kinds, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		var known []string
		for _, k := range Kinds {
			known = append(known, k.Name)
		}
		return Kind{}, fmt.Errorf("task %q is unknown: want one of %v", name, known)
	}
	return Kinds[i], nil
}

// A Task is an endless list of sequences with questions.
type Task struct {
	Kind       Kind
	Difficulty Difficulty
	Vocab      int // of its tokens
	Length     int // of its sequences
	Seed       uint64
	table      []fact // of facts
}

// New makes a task of difficulty d, whose zero fields are those of Default.
func (k Kind) New(d Difficulty, seed uint64) (*Task, error) {
	def := k.Default
	for _, f := range []struct{ given, usual *int }{
		{&d.Items, &def.Items}, {&d.Symbols, &def.Symbols}, {&d.Length, &def.Length}, {&d.PerPass, &def.PerPass},
	} {
		if *f.usual == 0 && *f.given != 0 {
			return nil, fmt.Errorf("synth: %s has no such setting as the %d given: it has %s", k.Name, *f.given, def)
		}
		if *f.given == 0 {
			*f.given = *f.usual
		}
		if *f.given < 0 || *f.given > 1<<24 {
			return nil, fmt.Errorf("synth: %s of %s: want sizes of 1 to %d", k.Name, d, 1<<24)
		}
	}
	if err := k.check(d); err != nil {
		return nil, fmt.Errorf("synth: %s: %w", k.Name, err)
	}
	t := &Task{Kind: k, Difficulty: d, Seed: seed}
	t.Vocab, t.Length = k.tokens(d)
	if k.prepare != nil {
		k.prepare(t)
	}
	return t, nil
}

func (d Difficulty) String() string {
	s := fmt.Sprintf("%d items of %d symbols", d.Items, d.Symbols)
	if d.Length > 0 {
		s += fmt.Sprintf(" in %d tokens", d.Length)
	}
	if d.PerPass > 0 {
		s += fmt.Sprintf(", %d to a sequence", d.PerPass)
	}
	return s
}

// Title says what is asked, whichever the seed.
func (t *Task) Title() string { return fmt.Sprintf("%s: %s", t.Kind.Name, t.Difficulty) }

// Describe says what the sequences are.
func (t *Task) Describe() string { return fmt.Sprintf("%s, seed %d", t.Title(), t.Seed) }

// Chance is the share of answers that guessing gets right.
func (t *Task) Chance() float64 { return 1 / float64(t.Difficulty.Symbols) }

// Test is the number from which on sequences are for scores: training never comes so far.
const Test = int64(1) << 40

// Sequence sets ids to sequence number at, and targets to the answers of its questions, −1
// where nothing is asked. Both have the task's Length.
func (t *Task) Sequence(at int64, ids, targets []int32) {
	r := rand.New(rand.NewPCG(t.Seed, uint64(at)))
	for i := range targets {
		ids[i], targets[i] = 0, -1
	}
	t.Kind.make(t, r, ids, targets)
}

// Err is no error: sequences are made, not read.
func (t *Task) Err() error { return nil }

// draw is n different numbers below of, in random order.
func draw(r *rand.Rand, n, of int) []int32 {
	if 4*n > of {
		all := make([]int32, of)
		for i, v := range r.Perm(of) {
			all[i] = int32(v)
		}
		return all[:n]
	}
	seen, all := map[int32]bool{}, make([]int32, 0, n)
	for len(all) < n {
		if v := int32(r.IntN(of)); !seen[v] {
			seen[v] = true
			all = append(all, v)
		}
	}
	return all
}
