package kerneltest

import (
	"fmt"

	"quadrant/kernels"
)

func (s *suite) norms() {
	for _, delta := range []bool{false, true} {
		for _, n := range planes() {
			s.cover(fmt.Sprintf("RMSNorm/%dx%d%s", n[0], n[1], with("delta", delta)), func(b *bench) {
				x, d := b.residual(n[0], n[1], delta)
				b.do(kernels.RMSNorm{
					Dst: b.out("dst", kernels.F32, n[0], n[1]), X: x, Delta: d,
					Gain: b.in("gain", b.normal(1, n[1])), Eps: eps,
				})
			})
		}
	}
	for _, delta := range []bool{false, true} {
		for _, bias := range []bool{false, true} {
			for _, n := range planes() {
				s.cover(fmt.Sprintf("LayerNorm/%dx%d%s%s", n[0], n[1], with("delta", delta), with("bias", bias)), func(b *bench) {
					x, d := b.residual(n[0], n[1], delta)
					b.do(kernels.LayerNorm{
						Dst: b.out("dst", kernels.F32, n[0], n[1]), X: x, Delta: d,
						Gain: b.in("gain", b.normal(1, n[1])), Bias: b.in("bias", b.normal(1, n[1]).when(bias)), Eps: eps,
					})
				})
			}
		}
	}
}

// eps is large enough to matter where it is put.
const eps = 0.1

// residual places a residual stream and what is added to it, if anything is; else the
// stream is an input that must not change. Some rows have a mean far larger than their
// spread, which a variance in one pass would not survive; in others eps is all there is.
func (b *bench) residual(rows, cols int, delta bool) (x, d kernels.Mat) {
	i := -1
	stream := floats(rows, cols, func() float64 {
		i++
		v := b.rand.NormFloat64()
		switch i / cols % 3 {
		case 0:
			v += 30
		case 1:
			v *= 1e-3
		}
		return b.planted(v, 1e4, -1e4, 1e-40)
	})
	if !delta {
		return b.in("x", stream), kernels.Mat{}
	}
	return b.update("x", stream), b.in("delta", b.wild(rows, cols))
}

// with is the part of a case's name for an operand that may be absent.
func with(name string, present bool) string {
	if !present {
		return ""
	}
	return "/" + name
}
