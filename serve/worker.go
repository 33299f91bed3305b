package serve

import (
	"context"
	"runtime"
	"slices"
	"sync"

	"quadrant/arch"
	"quadrant/kernels"
)

// A worker owns the model: everything that is computed is computed by the goroutine that
// runs it, a step of one batch after a step of the other, so that a long completion does
// not keep short ones waiting.
type worker struct {
	dev   kernels.Device
	model *arch.Model
	vocab int // tokens that may be chosen: rows of the head beyond are padding
	opts  Options
	queue *queue

	free   []*arch.Session // of one sequence, for completions
	opened int             // of these, in use or not
	shared *arch.Session   // of several, for prompts that are read once
	seqs   int             // of shared
	maxLen int             // of shared

	ids, rows, logits buffer
	values            []float32 // of logits
}

// Bounds of a step: it is short, so that others have their turn and what nobody wants any
// more ends soon, and its logits fit into memory.
const (
	stepTokens = 256
	stepLogits = 1 << 23
)

// Beside is the most prompts that are read side by side.
const Beside = 16

func newWorker(m Model, o Options) *worker {
	return &worker{dev: m.Device, model: m.Model, vocab: min(m.Model.Vocab, m.Tokenizer.Vocab()), opts: o, queue: newQueue()}
}

// A batch is choices that are read side by side: one of which tokens are generated, or
// several that are only read.
type batch struct {
	choices []*choice
	session *arch.Session
	at      int  // tokens of each that have been read
	once    bool // the session is the shared one
}

// run works until ctx ends.
func (w *worker) run(ctx context.Context) {
	var active []*batch
	for ctx.Err() == nil {
		active = w.admit(active)
		if len(active) == 0 {
			select {
			case <-ctx.Done():
			case <-w.queue.ready:
			}
			continue
		}
		active = slices.DeleteFunc(active, func(b *batch) bool {
			done := w.step(b)
			if done && !b.once {
				w.free = append(w.free, b.session)
			}
			return done
		})
	}
}

// admit begins what waits and has room: completions as many as may be side by side, and
// one batch of prompts.
func (w *worker) admit(active []*batch) []*batch {
	if !slices.ContainsFunc(active, func(b *batch) bool { return b.once }) {
		if cs := w.queue.takeOnce(Beside, w.opts.Window); len(cs) > 0 {
			longest := 0
			for _, c := range cs {
				longest = max(longest, c.end())
			}
			active = append(active, &batch{choices: cs, session: w.openShared(len(cs), longest), once: true})
		}
	}
	for len(w.free) > 0 || w.opened < w.opts.Sequences {
		c := w.queue.takeLong()
		if c == nil {
			break
		}
		if len(w.free) == 0 {
			w.free = append(w.free, w.model.Open(1, w.opts.Window))
			w.opened++
		}
		last := len(w.free) - 1
		session := w.free[last]
		w.free = w.free[:last]
		session.Reset()
		active = append(active, &batch{choices: []*choice{c}, session: session})
	}
	return active
}

// openShared returns a session that has read nothing, with room for what is asked.
func (w *worker) openShared(seqs, longest int) *arch.Session {
	if w.shared == nil || w.seqs != seqs || w.maxLen < longest {
		w.shared, w.seqs, w.maxLen = w.model.Open(seqs, longest), seqs, longest
	} else {
		w.shared.Reset()
	}
	return w.shared
}

// step reads the next tokens of b, and reports whether nothing is left to do. Shorter
// sequences are padded at their ends, which no earlier position sees.
func (w *worker) step(b *batch) (done bool) {
	longest := 0
	for _, c := range b.choices {
		if !c.over() {
			longest = max(longest, c.end())
		}
	}
	if b.at >= longest {
		return true
	}
	seqs := len(b.choices)
	n := min(longest-b.at, max(1, stepTokens/seqs), max(1, stepLogits/w.model.Vocab/seqs))
	ids := make([]int32, seqs*n)
	var rows []int32
	var wanted []place
	for i, c := range b.choices {
		if c.over() {
			continue
		}
		for p := b.at; p < min(b.at+n, c.end()); p++ {
			row := i*n + p - b.at
			ids[row] = c.tokens[p]
			if c.wants(p) {
				rows, wanted = append(rows, int32(row)), append(wanted, place{c, p})
			}
		}
	}
	b.at += n
	if err := w.forward(b.session, ids, rows); err != nil {
		for _, c := range b.choices {
			c.fail(err)
		}
		return true
	}
	for i, v := range w.views(wanted) {
		if at := wanted[i]; !at.c.over() {
			at.c.take(at.p, v, w.vocab)
		}
	}
	return b.end()
}

// views looks at the logits of all places, on all cores where there are many.
func (w *worker) views(wanted []place) []view {
	vocab, views := w.model.Vocab, make([]view, len(wanted))
	look := func(first, step int) {
		for i := first; i < len(wanted); i += step {
			views[i] = wanted[i].c.view(w.values[i*vocab : (i+1)*vocab])
		}
	}
	n := min(runtime.GOMAXPROCS(0), 1+len(wanted)*vocab/viewsApart)
	var others sync.WaitGroup
	for k := 1; k < n; k++ {
		others.Go(func() { look(k, n) })
	}
	look(0, n)
	others.Wait()
	return views
}

// viewsApart is how many logits are worth a goroutine.
const viewsApart = 1 << 16

// A place is a token of a choice.
type place struct {
	c *choice
	p int
}

// end finishes choices that nothing is generated for and whose end was reached, and
// reports whether all are over.
func (b *batch) end() bool {
	all := true
	for _, c := range b.choices {
		if c.max == 0 && b.at >= c.end() && !c.over() {
			c.finish("length")
		}
		all = all && c.over()
	}
	return all
}

// forward reads ids and leaves the logits that follow the given rows in w.values.
func (w *worker) forward(session *arch.Session, ids, rows []int32) error {
	in := w.ids.take(w.dev, kernels.I32, len(ids), 1)
	kernels.Put(w.dev, in, ids)
	var at, logits kernels.Mat
	if len(rows) > 0 {
		at = w.rows.take(w.dev, kernels.I32, len(rows), 1)
		logits = w.logits.take(w.dev, kernels.F32, len(rows), w.model.Vocab)
		kernels.Put(w.dev, at, rows)
	}
	session.ForwardAt(logits, in, at)
	if err := w.dev.Sync(); err != nil || len(rows) == 0 {
		return err
	}
	n := len(rows) * w.model.Vocab
	if cap(w.values) < n {
		w.values = make([]float32, n)
	}
	w.values = w.values[:n]
	kernels.Get(w.dev, w.values, logits)
	return nil
}

// A buffer is a matrix that is kept from step to step.
type buffer struct{ kernels.Mat }

// take returns the first rows of the buffer, which grows to what is asked for.
func (b *buffer) take(dev kernels.Device, t kernels.Type, rows, cols int) kernels.Mat {
	if b.Rows < rows {
		b.Mat = dev.Alloc(t, rows, cols)
	}
	return b.RowRange(0, rows)
}
