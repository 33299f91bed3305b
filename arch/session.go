package arch

import (
	"fmt"

	"quadrant/kernels"
)

// A Session is a model in use: what a number of sequences side by side remember.
type Session struct {
	*Model
	// Training makes routers choose, and drop tokens, as they do while training. Their
	// choices may then depend on all tokens of a step.
	Training bool
	// Keep makes whatever a step computes keep its memory until the next Reset, for a
	// device that plays the step's ops backward.
	Keep bool
	// Recompute gives back what each layer computed in F32 when the layer is done, for a device
	// that computes it again before it plays the layer's ops backward. Keep keeps the rest.
	Recompute bool

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
	s.stream.Release()
	if s.Keep {
		s.stream.Retain()
	}
	for _, m := range s.memory {
		if m != nil {
			m.reset(s.stream)
		}
	}
}

// Past is the number of tokens of each sequence read so far.
func (s *Session) Past() int { return s.past }

// CopyFrom makes each sequence i of s go on from where sequence from[i] of src stands, as
// if it had read the same tokens. Both sessions are of one model; src stays as it is. s
// must have room for what src has read.
func (s *Session) CopyFrom(src *Session, from []int) {
	if s.Model != src.Model || s == src || len(from) != s.seqs || src.past > s.maxLen {
		panic(fmt.Sprintf("arch: copying %d sequences of %d tokens to %d that hold at most %d, of one model: %v",
			len(from), src.past, s.seqs, s.maxLen, s.Model == src.Model))
	}
	s.past = src.past
	for layer, m := range s.memory {
		if m == nil {
			continue
		}
		for i, f := range from {
			if f < 0 || f >= src.seqs {
				panic(fmt.Sprintf("arch: copying sequence %d of %d", f, src.seqs))
			}
			m.copyFrom(s.stream, src.memory[layer], i, f, s.past)
		}
	}
}

// Forward reads the next tokens of every sequence and writes the logits of what follows
// them. ids is [seqs·n, 1] I32, row s·n+t being token t of sequence s. logits is [seqs·n,
// vocab] F32, or [seqs, vocab] for the last token of each sequence alone. Reading a
// prompt whole, in pieces or token by token gives the same logits.
func (s *Session) Forward(logits, ids kernels.Mat) {
	if logits.Rows != ids.Rows && logits.Rows != s.seqs {
		panic(fmt.Sprintf("arch: %d rows of logits for %d of ids of %d sequences", logits.Rows, ids.Rows, s.seqs))
	}
	s.forward(logits, ids, kernels.Mat{})
}

// ForwardAt is Forward with logits of some positions alone: row i of logits is what
// follows row at[i] of ids. at is [n, 1] I32, within ids; logits is [n, vocab] F32. The
// head, which is much of a small model's work, is computed for those rows only. Where
// both are absent, tokens are read and nothing is predicted.
func (s *Session) ForwardAt(logits, ids, at kernels.Mat) {
	if logits.Rows != at.Rows {
		panic(fmt.Sprintf("arch: %d rows of logits for %d positions", logits.Rows, at.Rows))
	}
	s.forward(logits, ids, at)
}

// forward computes the logits of the rows at, or without them of as many last rows of
// each sequence as there are logits.
func (s *Session) forward(logits, ids, at kernels.Mat) {
	st := s.begin(ids)
	whole := st.Scope("model", -1)
	x, delta := s.body(st, ids)
	if !logits.None() {
		s.predict(st, logits, x, delta, at)
	}
	whole.End()
	s.past += ids.Rows / s.seqs
}

// begin is the step that reads ids.
func (s *Session) begin(ids kernels.Mat) step {
	n := ids.Rows / s.seqs
	if n < 1 || ids.Rows%s.seqs != 0 || s.past+n > s.maxLen {
		panic(fmt.Sprintf("arch: %d rows of ids for %d sequences that hold %d of at most %d tokens", ids.Rows, s.seqs, s.past, s.maxLen))
	}
	return step{Stream: s.stream, seqs: s.seqs, past: s.past, ids: ids, training: s.Training}
}

// body runs all layers and returns the residual stream, and what the last layer adds to it.
func (s *Session) body(st step, ids kernels.Mat) (x, delta kernels.Mat) {
	x = st.Temp(kernels.F32, ids.Rows, s.Dim)
	y := st.Temp(kernels.F32, ids.Rows, s.Dim) // a mixer's output, added to x before the next norm
	st.Do(kernels.Embed{Dst: x, Table: s.embed.Mat, IDs: ids})
	if s.readsEmbedding() {
		st.embedding = st.Temp(kernels.F32, ids.Rows, s.Dim)
		st.Do(kernels.Copy{Dst: st.embedding, X: x})
	}
	for i := range s.layers {
		sc := st.Scope("layer", i)
		s.layers[i].apply(st, s.memory[i], x, y, delta)
		if s.Keep && s.Recompute {
			sc.Recycle(kernels.F32)
		} else {
			sc.End()
		}
		delta = y
	}
	return x, delta
}

// predict is the head: logits of the rows at of x+delta, or of the last ones.
func (s *Session) predict(st step, logits, x, delta, at kernels.Mat) {
	sc := st.Scope("head", -1)
	defer sc.End()
	switch {
	case !at.None():
		x, delta = pick(st, x, at), pick(st, delta, at)
	case logits.Rows < x.Rows:
		x, delta = x.LastRows(s.seqs), delta.LastRows(s.seqs)
	}
	h := st.Temp(kernels.F32, logits.Rows, s.Dim)
	s.finalNorm.apply(st.Stream, h, x, delta)
	s.project(st, logits, h)
}

// pick returns the rows at of x, or an absent x.
func pick(st step, x, at kernels.Mat) kernels.Mat {
	if x.None() {
		return x
	}
	dst := st.Temp(kernels.F32, at.Rows, x.Cols)
	st.Do(kernels.Embed{Dst: dst, Table: x, IDs: at})
	return dst
}

// project computes logits from the final norm's output.
func (s *Session) project(st step, logits, h kernels.Mat) {
	head := &s.head
	if s.TiedHead {
		head = &s.embed
	}
	st.Do(kernels.MatMul{Dst: logits, A: h, B: head.Mat, Bias: s.headBias.Mat})
}

// apply adds delta to x and leaves in y what the layer adds to it.
func (l *layer) apply(st step, mem memory, x, y, delta kernels.Mat) {
	if l.seq != nil {
		h := st.Temp(kernels.F32, x.Rows, x.Cols)
		l.seqNorm.apply(st.Stream, h, x, delta)
		mem.mix(st, y, h)
		delta = y
	}
	if l.chn == nil {
		return
	}
	h := st.Temp(kernels.F32, x.Rows, x.Cols)
	if !l.parallel {
		l.chnNorm.apply(st.Stream, h, x, delta)
		l.chn.mix(st, y, h)
		return
	}
	z := st.Temp(kernels.F32, x.Rows, x.Cols) // x holds what both norms read; y must wait
	l.chnNorm.apply(st.Stream, h, x, kernels.Mat{})
	l.chn.mix(st, z, h)
	st.Do(kernels.Add{Dst: y, X: z})
}
