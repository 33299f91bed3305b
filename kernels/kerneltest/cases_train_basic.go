package kerneltest

import (
	"fmt"

	"quadrant/kernels"
)

func (s *suite) basicTraining() {
	s.sum()
	s.embedGrad()
	s.negExpGrad()
	s.normGrads()
}

// indices returns random numbers below limit.
func (b *bench) indices(n, limit int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = b.rand.IntN(limit)
	}
	return all
}

func (s *suite) sum() {
	for _, share := range []string{"apart", "into x", "into y", "one", "one in place"} {
		for _, n := range planes() {
			s.cover(fmt.Sprintf("Sum/%s/%dx%d", share, n[0], n[1]), func(b *bench) {
				x, y := b.wild(n[0], n[1]), b.wild(n[0], n[1])
				op := kernels.Sum{Scale: -0.7}
				switch share {
				case "apart":
					op.Dst, op.X, op.Y = b.out("dst", kernels.F32, n[0], n[1]), b.in("x", x), b.in("y", y)
				case "into x":
					op.X, op.Y = b.update("x", x), b.in("y", y)
					op.Dst = op.X
				case "into y":
					op.X, op.Y = b.in("x", x), b.update("y", y)
					op.Dst = op.Y
				case "one":
					op.Dst, op.X = b.out("dst", kernels.F32, n[0], n[1]), b.in("x", x)
				case "one in place":
					op.X = b.update("x", x)
					op.Dst = op.X
				}
				b.do(op)
			})
		}
	}
}

func (s *suite) embedGrad() {
	for _, n := range planes() {
		tokens, dim := n[0], n[1]
		for _, vocab := range []int{1, 5, 70} {
			s.cover(fmt.Sprintf("EmbedGrad/%dof%dx%d", tokens, vocab, dim), func(b *bench) {
				b.do(kernels.EmbedGrad{
					DTable: b.update("table's gradient", b.wild(vocab, dim)),
					G:      b.in("g", b.wild(tokens, dim)),
					IDs:    b.in("ids", ints(tokens, 1, b.indices(tokens, vocab))),
				})
			})
		}
	}
	for _, id := range []int{-1, 4} {
		s.refuse(fmt.Sprintf("EmbedGrad/invalid id %d of 4", id), func(b *bench) {
			b.do(kernels.EmbedGrad{
				DTable: b.spend("table's gradient", b.normal(4, 2)),
				G:      b.in("g", b.normal(3, 2)),
				IDs:    b.in("ids", ints(3, 1, []int{0, id, 1})),
			})
			b.afterFailure()
		})
	}
}

func (s *suite) negExpGrad() {
	for _, n := range planes() {
		s.cover(fmt.Sprintf("NegExpGrad/%dx%d", n[0], n[1]), func(b *bench) {
			b.do(kernels.NegExpGrad{
				DX: b.update("dx", b.wild(n[0], n[1])), G: b.in("g", b.wild(n[0], n[1])), Y: b.in("y", b.decays(n[0], n[1])),
			})
		})
	}
}

func (s *suite) normGrads() {
	for _, n := range planes() {
		s.cover(fmt.Sprintf("RMSNormGrad/%dx%d", n[0], n[1]), func(b *bench) {
			x, _ := b.residual(n[0], n[1], false)
			b.do(kernels.RMSNormGrad{
				DX: b.update("dx", b.wild(n[0], n[1])), DGain: b.update("gain's gradient", b.wild(1, n[1])),
				G: b.in("g", b.wild(n[0], n[1])), X: x, Gain: b.in("gain", b.normal(1, n[1])), Eps: eps,
			})
		})
	}
	for _, bias := range []bool{false, true} {
		for _, n := range planes() {
			s.cover(fmt.Sprintf("LayerNormGrad/%dx%d%s", n[0], n[1], with("bias", bias)), func(b *bench) {
				x, _ := b.residual(n[0], n[1], false)
				b.do(kernels.LayerNormGrad{
					DX: b.update("dx", b.wild(n[0], n[1])), DGain: b.update("gain's gradient", b.wild(1, n[1])),
					DBias: b.update("bias's gradient", b.wild(1, n[1]).when(bias)),
					G:     b.in("g", b.wild(n[0], n[1])), X: x, Gain: b.in("gain", b.normal(1, n[1])), Eps: eps,
				})
			})
		}
	}
}
