package kerneltest

import (
	"fmt"

	"quadrant/kernels"
)

func (s *suite) products() {
	s.matMul()
	s.activation()
}

func (s *suite) matMul() {
	// Beyond the shapes for edges: a decode step and a prefill of a small model, which a
	// device may block and share among threads.
	all := append(shapes(), [3]int{1, 300, 260}, [3]int{1, 320, 260}, [3]int{66, 70, 90})
	for _, t := range weightTypes {
		for _, bias := range []bool{false, true} {
			for _, n := range all {
				rows, in, out := n[0], n[1], n[2]
				s.cover(fmt.Sprintf("MatMul/%dx%dto%d/%v%s", rows, in, out, t, with("bias", bias)), func(b *bench) {
					b.do(kernels.MatMul{
						Dst:  b.out("dst", kernels.F32, rows, out),
						A:    b.in("a", b.wild(rows, in)),
						B:    b.in("b", b.wild(out, in).as(t)),
						Bias: b.in("bias", b.wild(1, out).when(bias)),
					})
				})
			}
		}
	}
}

func (s *suite) activation() {
	// The last shape is longer than a block of columns.
	all := append(shapes(), [3]int{2, 300})
	for _, act := range []kernels.Act{kernels.SiLU, kernels.GELU, kernels.GELUTanh, kernels.ReLU} {
		for _, share := range sharings {
			for _, n := range all {
				s.cover(fmt.Sprintf("Activation/%v/%s/%dx%d", act, share.name, n[0], n[1]), func(b *bench) {
					op := share.place(b, b.preactivation(n[0], n[1]), b.wild(n[0], n[1]))
					op.Act = act
					b.do(op)
				})
			}
		}
	}
}

// sharings are the ways in which Dst, X and Mul may share memory.
var sharings = []struct {
	name  string
	place func(b *bench, x, mul matrix) kernels.Activation
}{
	{"plain", func(b *bench, x, _ matrix) kernels.Activation {
		return kernels.Activation{Dst: b.out("dst", kernels.F32, x.rows, x.cols), X: b.in("x", x)}
	}},
	{"plain in place", func(b *bench, x, _ matrix) kernels.Activation {
		dst := b.update("x", x)
		return kernels.Activation{Dst: dst, X: dst}
	}},
	{"gated", func(b *bench, x, mul matrix) kernels.Activation {
		return kernels.Activation{Dst: b.out("dst", kernels.F32, x.rows, x.cols), X: b.in("x", x), Mul: b.in("mul", mul)}
	}},
	{"gated into x", func(b *bench, x, mul matrix) kernels.Activation {
		dst := b.update("x", x)
		return kernels.Activation{Dst: dst, X: dst, Mul: b.in("mul", mul)}
	}},
	{"gated into mul", func(b *bench, x, mul matrix) kernels.Activation {
		dst := b.update("mul", mul)
		return kernels.Activation{Dst: dst, X: b.in("x", x), Mul: dst}
	}},
}

// preactivation covers the bends of the functions, and where exp leaves F32's range.
func (b *bench) preactivation(rows, cols int) matrix {
	return floats(rows, cols, func() float64 {
		return b.planted(3*b.rand.NormFloat64(), 1e4, -1e4, 88, -88, -104, 13, -13, 1e-40, -1e-40, 0)
	})
}
