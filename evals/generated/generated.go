// Package generated makes evaluation tasks for models too small for the published ones:
// of text that was held out from training, or of nothing but a seed. A task is the same
// for the same text, number of items and seed, on every machine.
//
// What a small model knows is close to what counting bytes knows, so the scores of byte
// n-grams ([Baseline]) belong beside a model's.
package generated

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"

	"quadrant/evals/tasks"
	"quadrant/internal/python"
)

// A Document is one text; its name's extension says of which kind.
type Document struct {
	Name string
	Text []byte
}

// A Text is what tasks are made of: words are counted in Train, questions come of Held.
type Text struct {
	Name        string
	Train, Held []Document
}

// A Kind is a way to make a task.
type Kind struct {
	Name string
	Doc  string
	task tasks.Task
	make func(m *maker) error
}

// Kinds are all there are.
var Kinds = []Kind{
	{"lastword", "the last word of a held-out passage, by LAMBADA's rule: right if greedy",
		tasks.Task{Output: tasks.LogLikelihood, Metrics: []tasks.Metric{tasks.Perplexity, tasks.Acc}}, (*maker).lastWord},
	{"lastword_seen", "lastword where the passage holds the word before: what recall is worth",
		tasks.Task{Output: tasks.LogLikelihood, Metrics: []tasks.Metric{tasks.Perplexity, tasks.Acc}}, (*maker).lastWordSeen},
	{"lastword_new", "lastword where it does not",
		tasks.Task{Output: tasks.LogLikelihood, Metrics: []tasks.Metric{tasks.Perplexity, tasks.Acc}}, (*maker).lastWordNew},
	{"continuation", "what follows a held-out passage, among three continuations of other documents",
		choice(4, tasks.Acc), (*maker).continuation},
	{"cloze4", "the last word of a held-out passage, among three others as long and not rare", choice(4, tasks.Acc), (*maker).cloze},
	{"wordswap", "a held-out sentence against the same with two neighbouring words swapped", choice(2, tasks.Acc), (*maker).wordSwap},
	{"lexdec", "a word against the same with a letter changed so that it is none", choice(2, tasks.Acc), (*maker).lexicalDecision},
	{"arith4", "a sum or difference, among three wrong results as long", choice(4, tasks.Acc), (*maker).arithmetic},
	{"bracket", "the closing bracket that held-out Go code goes on with, among three", choice(3, tasks.Acc), (*maker).bracket},
	{"recall", "the value of a key that was read among seven others, among four values read", choice(4, tasks.Acc), (*maker).recall},
}

func choice(n int, metrics ...tasks.Metric) tasks.Task {
	return tasks.Task{Output: tasks.MultipleChoice, Metrics: metrics, FairTies: true, Chance: 1 / float64(n)}
}

// Named returns the kind called name.
func Named(name string) (Kind, bool) {
	i := slices.IndexFunc(Kinds, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		return Kind{}, false
	}
	return Kinds[i], true
}

// errUp says that a text holds no more items of a kind.
var errUp = errors.New("the text is used up")

// ErrNoQuestion says that a text is too short for any question of a kind.
var ErrNoQuestion = errors.New("take a longer corpus")

// Make makes at most items questions, fewer where the text does not hold so many. If it
// holds none, the error wraps [ErrNoQuestion].
func (k Kind) Make(text Text, items int, seed uint64) (tasks.Set, error) {
	if items < 1 {
		return tasks.Set{}, fmt.Errorf("%s: %d items: want at least 1", k.Name, items)
	}
	var key [32]byte
	copy(key[8:], k.Name)
	binary.LittleEndian.PutUint64(key[:], seed)
	m := &maker{text: text, items: items, rand: rand.New(rand.NewChaCha8(sha256.Sum256(key[:])))}
	if err := k.make(m); err != nil && !errors.Is(err, errUp) {
		return tasks.Set{}, fmt.Errorf("%s: %w", k.Name, err)
	}
	if len(m.docs) == 0 {
		return tasks.Set{}, fmt.Errorf("%s: the held-out part of %s has no question of this kind: %w", k.Name, text.Name, ErrNoQuestion)
	}
	t := k.task
	t.Name, t.Version, t.DatasetPath = k.Name, 1, text.Name
	return tasks.Set{Task: t, Docs: m.docs}, nil
}

// A maker makes the questions of one task.
type maker struct {
	text  Text
	items int
	rand  *rand.Rand
	docs  []tasks.Doc

	counts map[string]int // of words in Train; see words
	held   map[string]bool
}

// tries is how often a place is drawn for each question wanted before a text counts as
// used up.
const tries = 200

// draw calls try until there are as many questions as wanted, or too many tries failed.
func (m *maker) draw(try func() bool) error {
	for range tries * m.items {
		if len(m.docs) == m.items {
			return nil
		}
		try()
	}
	return errUp
}

// choose adds a question whose right choice is the first, and puts it in a drawn place.
func (m *maker) choose(context string, choices ...string) {
	m.chooseAfter(context, "", choices...)
}

// chooseAfter is choose with what stands before each choice and is no part of its length.
func (m *maker) chooseAfter(context, before string, choices ...string) {
	order := m.rand.Perm(len(choices))
	d := tasks.Doc{}
	var shown []string
	for place, i := range order {
		d.Requests = append(d.Requests, tasks.Request{Context: context, Continuation: before + choices[i]})
		d.Lengths = append(d.Lengths, max(1, len([]rune(choices[i]))))
		shown = append(shown, choices[i])
		if i == 0 {
			d.Gold = place
		}
	}
	d.Target = fmt.Sprint(d.Gold)
	d.Fields = python.Object{{Name: "context", Value: context}, {Name: "choices", Value: shown}, {Name: "gold", Value: d.Gold}}
	m.docs = append(m.docs, d)
}

// place draws a position in docs: a kind of document, each as likely, then a byte of it.
func (m *maker) place(docs []Document) (d Document, at int) {
	bytes := map[string]int{}
	for _, d := range docs {
		bytes[kindOf(d)] += len(d.Text)
	}
	maps.DeleteFunc(bytes, func(_ string, n int) bool { return n == 0 })
	if len(bytes) == 0 {
		return Document{}, 0
	}
	kind := slices.Sorted(maps.Keys(bytes))[m.rand.IntN(len(bytes))]
	n := m.rand.IntN(bytes[kind])
	for _, d := range docs {
		if kindOf(d) != kind {
			continue
		}
		if n < len(d.Text) {
			return d, n
		}
		n -= len(d.Text)
	}
	return Document{}, 0
}

// before is at most n bytes of d before at, from the beginning of a word on.
func before(d Document, at, n int) string {
	from := max(0, at-n)
	if from > 0 {
		i := bytes.IndexAny(d.Text[from:at], " \n\t")
		if i < 0 {
			return ""
		}
		from += i + 1
	}
	return string(d.Text[from:at])
}

func kindOf(d Document) string { return path.Ext(d.Name) }
