package kerneltest

import (
	"fmt"
	"math"

	"quadrant/kernels"
)

func (s *suite) attentionGrads() {
	s.rotaryGrad()
	s.attendLSE()
	s.attendGrad()
}

// fromStart is attentions that begin at position 0, each size with two types of cache.
func fromStart() []attention {
	var all []attention
	for i, a := range attentions() {
		if (i+i/9)%2 == 0 {
			a.length, a.past = a.length-a.past, 0
			all = append(all, a)
		}
	}
	return append(all, attention{seqs: 1, n: 130, length: 140, kvHeads: 1, perKV: 2, dim: 8})
}

func (s *suite) rotaryGrad() {
	for i, a := range fromStart() {
		even := a.dim / 2 * 2
		rotary := []int{0, even / 4 * 2, even}[i%3]
		s.cover(fmt.Sprintf("RotaryGrad/%v/rotary %d", a, rotary), func(b *bench) {
			rows, width := a.seqs*a.n, a.kvHeads*a.dim
			b.do(kernels.RotaryGrad{
				DQ: b.update("q's gradient", b.wild(rows, a.perKV*width)),
				DK: b.out("k's gradient", kernels.F32, rows, width), DV: b.out("v's gradient", kernels.F32, rows, width),
				DKCache: b.in("k cache's gradient", b.cache(a, b.wild(a.seqs*a.length, width))),
				DVCache: b.in("v cache's gradient", b.cache(a, b.wild(a.seqs*a.length, width))),
				Seqs:    a.seqs, HeadDim: a.dim, Rotary: rotary, Base: 10000,
			})
		})
	}
}

func (s *suite) attendLSE() {
	for _, a := range attentions() {
		s.cover(fmt.Sprintf("Attend/lse/%v", a), func(b *bench) { b.do(b.attention(a)) })
	}
}

// attention places the operands of an Attend that keeps what its gradient needs.
func (b *bench) attention(a attention) kernels.Attend {
	rows, width := a.seqs*a.n, a.kvHeads*a.dim
	return kernels.Attend{
		Dst:  b.out("dst", kernels.F32, rows, a.perKV*width),
		Q:    b.in("q", b.wild(rows, a.perKV*width)),
		K:    b.in("k", b.cache(a, b.normal(a.seqs*a.length, width)).as(a.k)),
		V:    b.in("v", b.cache(a, b.wild(a.seqs*a.length, width)).as(a.v)),
		LSE:  b.out("lse", kernels.F32, rows, a.kvHeads*a.perKV),
		Seqs: a.seqs, Past: a.past, HeadDim: a.dim, Scale: float32(1 / math.Sqrt(float64(a.dim))),
	}
}

// attendGrad: a device takes its own output and LSE, as in training. What is in the rows
// of the cache's gradient that the step has not reached stays there.
func (s *suite) attendGrad() {
	for _, a := range fromStart() {
		s.cover(fmt.Sprintf("AttendGrad/%v", a), func(b *bench) {
			o := b.attention(a)
			grad := kernels.AttendGrad{
				DQ: b.out("q's gradient", kernels.F32, o.Q.Rows, o.Q.Cols),
				DK: b.store("k's gradient", b.wild(o.K.Rows, o.K.Cols)), DV: b.store("v's gradient", b.wild(o.K.Rows, o.K.Cols)),
				G: b.in("g", b.wild(o.Q.Rows, o.Q.Cols)), Out: o.Dst, Q: o.Q, K: o.K, V: o.V, LSE: o.LSE,
				Seqs: o.Seqs, HeadDim: o.HeadDim, Scale: o.Scale,
			}
			b.do(o)
			b.do(grad)
		})
	}
}
