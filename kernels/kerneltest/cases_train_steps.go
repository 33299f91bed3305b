package kerneltest

import (
	"fmt"

	"quadrant/kernels"
)

// weightSteps are the ops that change weights, and what decides how far.
func (s *suite) weightSteps() {
	s.squareSum()
	s.adamW()
	s.average()
	s.biasStep()
}

func (s *suite) squareSum() {
	for _, n := range append(planes(), [3]int{300, 70}) {
		s.cover(fmt.Sprintf("SquareSum/%dx%d", n[0], n[1]), func(b *bench) {
			b.do(kernels.SquareSum{Dst: b.out("dst", kernels.F32, 1, 1), X: b.in("x", b.wild(n[0], n[1]))})
		})
	}
}

func (s *suite) adamW() {
	for i, n := range planes() {
		for _, decay := range []float32{0, 0.1} {
			step := []int{1, 2, 7, 1000, 1000000}[i%5]
			s.cover(fmt.Sprintf("AdamW/%dx%d/step %d/decay %v", n[0], n[1], step, decay), func(b *bench) {
				squares := func() float64 { x := b.planted(b.rand.NormFloat64(), 1e4, 1e-20, 0); return x * x }
				b.do(kernels.AdamW{
					W: b.update("w", b.wild(n[0], n[1])), Grad: b.in("grad", b.wild(n[0], n[1])),
					M: b.update("m", b.wild(n[0], n[1])), V: b.update("v", floats(n[0], n[1], squares)),
					Rate: 0.01, Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, Decay: decay, GradScale: 0.3, Step: step,
				})
			})
		}
	}
}

func (s *suite) average() {
	for _, n := range planes() {
		s.cover(fmt.Sprintf("Average/%dx%d", n[0], n[1]), func(b *bench) {
			b.do(kernels.Average{Dst: b.update("dst", b.wild(n[0], n[1])), X: b.in("x", b.wild(n[0], n[1])), Rate: 0.02})
		})
	}
}

func (s *suite) biasStep() {
	for _, spread := range spreads {
		for i, experts := range []int{1, 2, 7, 8, 65} {
			tokens, k := sizes[i+3], 1+i%2
			s.cover(fmt.Sprintf("BiasStep/%dx%d of %d/%s", tokens, k, experts, spread), func(b *bench) {
				a := b.assign(tokens, k, experts, spread)
				b.do(kernels.BiasStep{
					Bias: b.update("bias", b.wild(1, experts)), Offsets: b.in("offsets", ints(experts+1, 1, a.offsets)), Rate: 0.1,
				})
			})
		}
	}
}
