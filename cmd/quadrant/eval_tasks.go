package main

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"slices"

	"quadrant/evals/generated"
	"quadrant/evals/tasks"
	"quadrant/internal/python"
)

// A taskSet is a task with what will be asked.
type taskSet struct {
	tasks.Set
	shots     int
	records   int             // before --limit
	baselines []tasks.TaskRun // of n-grams, by the names in ngrams
}

// ngrams are the baselines of tasks that are made.
var ngrams = []int{3, 5}

// readTasks reads or makes the tasks that the flags name, in their order.
func (a *app) readTasks(ctx context.Context, o evalOptions) ([]taskSet, error) {
	var made *material
	var sets []taskSet
	for _, name := range o.tasks {
		var s taskSet
		var err error
		_, isKind := generated.Named(name)
		switch ext := filepath.Ext(name); {
		case ext == ".yaml" || ext == ".yml":
			s, err = readOwn(name, o)
		case isKind || name == textTask.Name:
			if made == nil {
				if made, err = a.readMaterial(ctx, o); err != nil {
					return nil, err
				}
			}
			s, err = a.makeTask(name, made, o)
		default:
			s, err = readPublished(name, o)
		}
		if err != nil {
			return nil, err
		}
		sets = append(sets, s)
	}
	return sets, nil
}

func readPublished(name string, o evalOptions) (taskSet, error) {
	t, ok := tasks.Named(name)
	switch {
	case !ok:
		return taskSet{}, misusef("task %q is unknown: 'quadrant eval --help' lists the tasks", name)
	case o.data == "":
		return taskSet{}, misusef("task %s needs its data: --data takes the folder that they lie in", name)
	}
	set, err := tasks.Read(t, o.data)
	if err != nil {
		return taskSet{}, err
	}
	return withExamples(set, o, func() (tasks.Set, error) { return tasks.ReadExamples(t, o.data) })
}

// readOwn reads a task that the user wrote.
func readOwn(name string, o evalOptions) (taskSet, error) {
	own, err := tasks.OpenOwn(name)
	if err != nil {
		return taskSet{}, err
	}
	set, err := own.Read()
	if err != nil {
		return taskSet{}, err
	}
	if o.shots == 0 {
		o.shots = own.Shots
	}
	return withExamples(set, o, own.ReadExamples)
}

// withExamples cuts a set to --limit and puts examples before its questions.
func withExamples(set tasks.Set, o evalOptions, examples func() (tasks.Set, error)) (taskSet, error) {
	s := taskSet{Set: set, shots: o.shots, records: len(set.Docs)}
	if o.limit > 0 {
		s.Docs = s.Docs[:min(o.limit, len(s.Docs))]
	}
	var from tasks.Set
	var err error
	if o.shots > 0 {
		if from, err = examples(); err != nil {
			return s, fmt.Errorf("examples for --num-fewshot %d: %w", o.shots, err)
		}
	}
	s.Docs, err = tasks.FewShot(set.Task, s.Docs, from.Docs, o.shots)
	return s, err
}

// A material is what tasks are made of.
type material struct {
	text   generated.Text
	ngrams []generated.Baseline
}

// Bytes of each kind of text that are counted and held out.
const (
	trainBytes = 2 << 20
	heldBytes  = 1 << 19
)

// readMaterial divides a corpus as training does, and counts its n-grams.
func (a *app) readMaterial(ctx context.Context, o evalOptions) (*material, error) {
	c, err := openCorpus(ctx, o.corpus)
	if err != nil {
		return nil, err
	}
	m := &material{text: generated.Text{Name: c.Name}}
	train, held := map[string]int{}, map[string]int{}
	for _, domain := range c.Domains() {
		for d, err := range domain.Documents() {
			if err != nil {
				return nil, err
			}
			kind := path.Ext(d.Name)
			t, h := d.Split()
			if t = t[:min(len(t), trainBytes-train[kind])]; len(t) > 0 {
				train[kind] += len(t)
				m.text.Train = append(m.text.Train, generated.Document{Name: d.Name, Text: t})
			}
			if h = h[:min(len(h), heldBytes-held[kind])]; len(h) > 0 {
				held[kind] += len(h)
				m.text.Held = append(m.text.Held, generated.Document{Name: d.Name, Text: h})
			}
		}
	}
	all, err := generated.NewBaseline(slices.Max(ngrams), m.text.Train)
	if err != nil {
		return nil, err
	}
	for _, n := range ngrams {
		g, err := all.Order(n)
		if err != nil {
			return nil, err
		}
		m.ngrams = append(m.ngrams, g)
	}
	return m, nil
}

// textTask is the held-out text itself.
var textTask = tasks.Task{
	Name: "text", Version: 1, Output: tasks.Rolling,
	Metrics: []tasks.Metric{tasks.WordPerplexity, tasks.BytePerplexity, tasks.BitsPerByte},
}

func (a *app) makeTask(name string, m *material, o evalOptions) (taskSet, error) {
	set := tasks.Set{Task: textTask}
	if k, ok := generated.Named(name); ok {
		var err error
		if set, err = k.Make(m.text, o.items, a.seed); err != nil {
			return taskSet{}, err
		}
	} else {
		set.Task.DatasetPath = m.text.Name
		for _, d := range m.text.Held {
			for chunk := range slices.Chunk(d.Text, textChunk) {
				text := string(chunk)
				set.Docs = append(set.Docs, tasks.Doc{
					Fields:   python.Object{{Name: "page", Value: text}, {Name: "name", Value: d.Name}},
					Requests: []tasks.Request{{Continuation: text}}, Target: text,
				})
			}
		}
		if len(set.Docs) == 0 {
			return taskSet{}, fmt.Errorf("text: nothing of %s is held out: take a longer corpus", m.text.Name)
		}
		set.Docs = spread(set.Docs, max(1, o.items/textShare))
	}
	s := taskSet{Set: set, records: len(set.Docs)}
	if o.limit > 0 {
		s.Docs = s.Docs[:min(o.limit, len(s.Docs))]
	}
	for _, g := range m.ngrams {
		scores, err := g.Scores(s.Set)
		if err != nil {
			return s, err
		}
		s.baselines = append(s.baselines, tasks.TaskRun{Task: s.Task, Scores: scores})
	}
	return s, nil
}

// textChunk is the bytes of a document that are read as one text; there is one for each
// textShare questions of other tasks, as they are much longer.
const textChunk, textShare = 2 << 10, 4

// spread is at most n of docs, evenly.
func spread(docs []tasks.Doc, n int) []tasks.Doc {
	if len(docs) <= n {
		return docs
	}
	var some []tasks.Doc
	for i := range n {
		some = append(some, docs[i*len(docs)/n])
	}
	return some
}
