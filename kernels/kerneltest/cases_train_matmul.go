package kerneltest

import (
	"fmt"

	"quadrant/kernels"
)

func (s *suite) productGrads() {
	s.matMulGrads()
	s.activationGrad()
	s.crossEntropy()
}

func (s *suite) matMulGrads() {
	all := append(shapes(), [3]int{1, 300, 260}, [3]int{66, 70, 90}, [3]int{260, 20, 30})
	for _, t := range weightTypes {
		for _, n := range all {
			rows, in, out := n[0], n[1], n[2]
			s.cover(fmt.Sprintf("MatMulGradA/%dx%dto%d/%v", rows, in, out, t), func(b *bench) {
				b.do(kernels.MatMulGradA{
					DA: b.out("da", kernels.F32, rows, in),
					G:  b.in("g", b.wild(rows, out)),
					B:  b.in("b", b.wild(out, in).as(t)),
				})
			})
		}
	}
	for _, bias := range []bool{false, true} {
		for _, n := range all {
			rows, in, out := n[0], n[1], n[2]
			s.cover(fmt.Sprintf("MatMulGradB/%dx%dto%d%s", rows, in, out, with("bias", bias)), func(b *bench) {
				b.do(kernels.MatMulGradB{
					DB:    b.update("db", b.wild(out, in)),
					DBias: b.update("bias's gradient", b.wild(1, out).when(bias)),
					G:     b.in("g", b.wild(rows, out)),
					A:     b.in("a", b.wild(rows, in)),
				})
			})
		}
	}
}

func (s *suite) activationGrad() {
	all := append(shapes(), [3]int{2, 300})
	for _, act := range []kernels.Act{kernels.SiLU, kernels.GELU, kernels.GELUTanh, kernels.ReLU} {
		for _, gated := range []bool{false, true} {
			for _, n := range all {
				s.cover(fmt.Sprintf("ActivationGrad/%v/%dx%d%s", act, n[0], n[1], with("gated", gated)), func(b *bench) {
					op := kernels.ActivationGrad{
						DX: b.out("dx", kernels.F32, n[0], n[1]), G: b.in("g", b.wild(n[0], n[1])), X: b.in("x", b.preactivation(n[0], n[1])),
						Mul: b.in("mul", b.normal(n[0], n[1]).when(gated)), Act: act,
					}
					if gated {
						op.DMul = b.out("mul's gradient", kernels.F32, n[0], n[1])
					}
					b.do(op)
				})
			}
		}
	}
}

func (s *suite) crossEntropy() {
	for _, n := range planes() {
		rows, vocab := n[0], n[1]
		for _, ignored := range []string{"none", "some", "all"} {
			s.cover(fmt.Sprintf("CrossEntropy/%dx%d/%s ignored", rows, vocab, ignored), func(b *bench) {
				targets := b.indices(rows, vocab)
				targets[0] = vocab - 1
				for i := range targets {
					if ignored == "all" || ignored == "some" && i%3 == 1 {
						targets[i] = -1
					}
				}
				b.do(kernels.CrossEntropy{
					Loss:    b.out("loss", kernels.F32, rows, 1),
					Logits:  b.update("logits", b.wild(rows, vocab)),
					Targets: b.in("targets", ints(rows, 1, targets)),
					Scale:   0.3,
				})
			})
		}
	}
	for _, target := range []int{-2, 2} {
		s.refuse(fmt.Sprintf("CrossEntropy/invalid target %d of 2", target), func(b *bench) {
			b.do(kernels.CrossEntropy{
				Loss:    b.spend("loss", b.normal(3, 1)),
				Logits:  b.spend("logits", b.normal(3, 2)),
				Targets: b.in("targets", ints(3, 1, []int{0, target, 1})),
			})
			b.afterFailure()
		})
	}
}
