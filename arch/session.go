package arch

import (
	"fmt"

	"quadrant/kernels"
)

// A Session is a model in use: what a number of sequences side by side remember.
type Session struct {
	*Model
	// Training makes routers that balance their load while training do so. Their
	// choices then depend on all tokens of a step.
	Training bool

	stream       *kernels.Stream
	memory       []memory // one per layer, nil where it has no sequence mixer
	seqs, maxLen int
	past         int
}

// Open prepares to run seqs sequences of at most maxLen tokens each.
func (m *Model) Open(seqs, maxLen int) *Session {
	if seqs < 1 || maxLen < 1 {
		panic(fmt.Sprintf("arch: opening %d sequences of %d tokens", seqs, maxLen))
	}
	s := &Session{Model: m, stream: kernels.NewStream(m.dev), seqs: seqs, maxLen: maxLen}
	for _, l := range m.layers {
		var mem memory
		if l.seq != nil {
			mem = l.seq.open(m.dev, m.types.Cache, seqs, maxLen)
		}
		s.memory = append(s.memory, mem)
	}
	s.Reset()
	return s
}

// Reset forgets every token, and follows weights that have changed since the last Reset.
func (s *Session) Reset() {
	s.past = 0
	for _, m := range s.memory {
		if m != nil {
			m.reset(s.stream)
		}
	}
}

// Past is the number of tokens of each sequence read so far.
func (s *Session) Past() int { return s.past }

// Forward reads the next tokens of every sequence and writes the logits of what follows
// them. ids is [seqs·n, 1] I32, row s·n+t being token t of sequence s. logits is [seqs·n,
// vocab] F32, or [seqs, vocab] for the last token of each sequence alone. Reading a
// prompt whole, in pieces or token by token gives the same logits.
func (s *Session) Forward(logits, ids kernels.Mat) {
	n := ids.Rows / s.seqs
	if n < 1 || ids.Rows%s.seqs != 0 || logits.Rows != ids.Rows && logits.Rows != s.seqs || s.past+n > s.maxLen {
		panic(fmt.Sprintf("arch: %d rows of ids and %d of logits, for %d sequences that hold %d of at most %d tokens",
			ids.Rows, logits.Rows, s.seqs, s.past, s.maxLen))
	}
	st := step{s.stream, s.seqs, s.past, s.Training}
	whole := st.Scope("model", -1)
	x := st.Temp(kernels.F32, ids.Rows, s.Dim) // the residual stream
	h := st.Temp(kernels.F32, ids.Rows, s.Dim) // a mixer's input
	y := st.Temp(kernels.F32, ids.Rows, s.Dim) // its output, added to x before the next norm

	st.Do(kernels.Embed{Dst: x, Table: s.embed.Mat, IDs: ids})
	delta := kernels.Mat{}
	for i := range s.layers {
		sc := st.Scope("layer", i)
		s.layers[i].apply(st, s.memory[i], x, h, y, delta)
		sc.End()
		delta = y
	}

	sc := st.Scope("head", -1)
	if logits.Rows < ids.Rows {
		x, h, delta = x.LastRows(s.seqs), h.RowRange(0, s.seqs), delta.LastRows(s.seqs)
	}
	s.finalNorm.apply(st.Stream, h, x, delta)
	head := &s.head
	if s.TiedHead {
		head = &s.embed
	}
	st.Do(kernels.MatMul{Dst: logits, A: h, B: head.Mat, Bias: s.headBias.Mat})
	sc.End()
	whole.End()
	s.past += n
}

// apply adds delta to x and leaves in y what the layer adds to it.
func (l *layer) apply(st step, mem memory, x, h, y, delta kernels.Mat) {
	if l.seq != nil {
		l.seqNorm.apply(st.Stream, h, x, delta)
		mem.mix(st, y, h)
		delta = y
	}
	switch {
	case l.chn == nil:
	case l.parallel: // x holds what both norms read; y must wait
		z := st.Temp(kernels.F32, x.Rows, x.Cols)
		l.chnNorm.apply(st.Stream, h, x, kernels.Mat{})
		l.chn.mix(st, z, h)
		st.Do(kernels.Add{Dst: y, X: z})
	default:
		l.chnNorm.apply(st.Stream, h, x, delta)
		l.chn.mix(st, y, h)
	}
}
