package kerneltest

import (
	"fmt"
	"math"

	"quadrant/kernels"
)

func (s *suite) attention() {
	s.rotaryStore()
	s.attend()
}

// An attention is the shape of a step of attention.
type attention struct {
	seqs, n, past, length int // tokens of a step, before it, and that the cache has room for
	kvHeads, perKV, dim   int // perKV query heads share a key-value head
	k, v                  kernels.Type
}

func (a attention) String() string {
	return fmt.Sprintf("%dx%d after %d of %d/%dx%d heads of %d/%v,%v", a.seqs, a.n, a.past, a.length, a.kvHeads, a.perKV, a.dim, a.k, a.v)
}

// attentions gives steps and heads every size, and cycles through the rest.
func attentions() []attention {
	var all []attention
	caches := [][2]kernels.Type{
		{kernels.F32, kernels.F32}, {kernels.BF16, kernels.BF16}, {kernels.F32, kernels.BF16}, {kernels.BF16, kernels.F32},
		{kernels.F16, kernels.F16}, {kernels.F32, kernels.F16}, {kernels.F16, kernels.BF16},
	}
	for c, cache := range caches {
		for i, n := range shapes() {
			past := []int{0, 1, 5, 40}[(i+c)%4]
			all = append(all, attention{
				seqs: 1 + i%3, n: n[0], past: past, length: past + n[0] + i%4,
				kvHeads: 1 + i%2, perKV: 1 + (i+c)%3, dim: n[1],
				k: cache[0], v: cache[1],
			})
		}
	}
	return all
}

func (s *suite) rotaryStore() {
	for i, a := range attentions() {
		even := a.dim / 2 * 2
		rotary := []int{0, even / 4 * 2, even}[(i+i/9)%3] // none, a part, all of a head
		s.cover(fmt.Sprintf("RotaryStore/%v/rotary %d", a, rotary), func(b *bench) { b.rotaryStore(a, rotary) })
	}
	// Far into a context an angle computed in F32 is off by whole degrees.
	far := attention{seqs: 1, n: 3, past: 4000, length: 4003, kvHeads: 1, perKV: 2, dim: 8}
	s.cover(fmt.Sprintf("RotaryStore/%v/rotary 8", far), func(b *bench) { b.rotaryStore(far, 8) })
}

func (b *bench) rotaryStore(a attention, rotary int) {
	width := a.kvHeads * a.dim
	b.do(kernels.RotaryStore{
		Q:      b.update("q", b.wild(a.seqs*a.n, a.perKV*width)),
		K:      b.spend("k", b.wild(a.seqs*a.n, width)),
		V:      b.in("v", b.wild(a.seqs*a.n, width)),
		KCache: b.store("k cache", b.normal(a.seqs*a.length, width).as(a.k)),
		VCache: b.store("v cache", b.normal(a.seqs*a.length, width).as(a.v)),
		Seqs:   a.seqs, Past: a.past, HeadDim: a.dim, Rotary: rotary, Base: 10000,
	})
}

func (s *suite) attend() {
	for _, a := range attentions() {
		s.cover(fmt.Sprintf("Attend/%v", a), func(b *bench) { b.attend(a) })
	}
	for _, v := range []kernels.Type{kernels.BF16, kernels.F16} {
		long := attention{seqs: 1, n: 2, past: 700, length: 710, kvHeads: 1, perKV: 4, dim: 16, v: v}
		s.cover(fmt.Sprintf("Attend/%v", long), func(b *bench) { b.attend(long) })
	}
	for _, a := range decoding() {
		s.cover(fmt.Sprintf("Attend/%v", a), func(b *bench) { b.attend(a) })
	}
}

// decoding are single tokens after many, of which devices make cases of their own.
func decoding() []attention {
	return []attention{
		{seqs: 1, n: 1, past: 263, length: 265, kvHeads: 2, perKV: 1, dim: 16},
		{seqs: 2, n: 1, past: 255, length: 256, kvHeads: 1, perKV: 3, dim: 16, k: kernels.F16, v: kernels.BF16},
	}
}

func (b *bench) attend(a attention) {
	width := a.kvHeads * a.dim
	b.do(kernels.Attend{
		Dst:  b.out("dst", kernels.F32, a.seqs*a.n, a.perKV*width),
		Q:    b.in("q", b.wild(a.seqs*a.n, a.perKV*width)),
		K:    b.in("k", b.cache(a, b.normal(a.seqs*a.length, width)).as(a.k)),
		V:    b.in("v", b.cache(a, b.wild(a.seqs*a.length, width)).as(a.v)),
		Seqs: a.seqs, Past: a.past, HeadDim: a.dim, Scale: float32(1 / math.Sqrt(float64(a.dim))),
	})
}

// cache leaves in the rows of tokens to come what an earlier, longer text may have left
// there. It is finite, as F16 too: a kernel may weigh it with zero.
func (b *bench) cache(a attention, m matrix) matrix {
	for i := range m.bits {
		if i/m.cols%a.length >= a.past+a.n {
			m.bits[i] = math.Float32bits(6e4)
		}
	}
	return m
}
