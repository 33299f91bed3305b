package kerneltest

import (
	"fmt"
	"math"

	"quadrant/kernels"
)

func (s *suite) mamba() {
	s.convSiLU()
	s.scan()
}

// Both ops run in two steps, a longer and a shorter one, so that what the first leaves in
// the state is used, not only compared. The shorter of the convolution is sometimes
// shorter than its state.

func (s *suite) convSiLU() {
	for taps := 1; taps <= 4; taps++ {
		for _, bias := range []bool{false, true} {
			for i, n := range shapes() {
				length, dim, seqs := n[0], n[1], 1+i%3
				s.cover(fmt.Sprintf("ConvSiLU/%dx%dx%d/%dtaps%s", seqs, length, dim, taps, with("bias", bias)), func(b *bench) {
					op := kernels.ConvSiLU{
						W:     b.in("w", b.wild(dim, taps)),
						Bias:  b.in("bias", b.wild(1, dim).when(bias)),
						State: b.store("state", b.wild(seqs*(taps-1), dim)),
						Seqs:  seqs,
					}
					for step, n := range []int{length, 1 + i%2} {
						op.X = b.in(fmt.Sprint("x", step), b.wild(seqs*n, dim))
						op.Dst = b.out(fmt.Sprint("dst", step), kernels.F32, seqs*n, dim)
						b.do(op)
					}
				})
			}
		}
	}
}

func (s *suite) scan() {
	for options := range 8 {
		skip, gate, bias := options&1 != 0, options&2 != 0, options&4 != 0
		for i, n := range shapes() {
			length, dim, states, seqs := n[0], n[1], n[2], 1+i%2
			name := fmt.Sprintf("Scan/%dx%dx%dx%d%s%s%s", seqs, length, dim, states, with("d", skip), with("z", gate), with("bias", bias))
			s.cover(name, func(b *bench) {
				op := kernels.Scan{
					A:      b.in("a", b.decays(dim, states)),
					D:      b.in("d", b.wild(1, dim).when(skip)),
					DtBias: b.in("dtbias", b.normal(1, dim).when(bias)),
					State:  b.update("state", b.wild(seqs*dim, states)),
					Seqs:   seqs,
				}
				for step, n := range []int{length, 1} {
					name := func(operand string) string { return fmt.Sprint(operand, step) }
					op.X = b.in(name("x"), b.wild(seqs*n, dim))
					op.Dt = b.in(name("dt"), b.times(seqs*n, dim))
					op.B = b.in(name("b"), b.wild(seqs*n, states))
					op.C = b.in(name("c"), b.wild(seqs*n, states))
					op.Z = b.in(name("z"), b.gates(seqs*n, dim).when(gate))
					op.Dst = b.out(name("dst"), kernels.F32, seqs*n, dim)
					b.do(op)
				}
			})
		}
	}
}

// decays is the matrix A: negative, of very different size.
func (b *bench) decays(rows, cols int) matrix {
	return floats(rows, cols, func() float64 { return -b.planted(math.Exp(b.rand.NormFloat64()), 1e4, 16, 1e-40) })
}

// times is Dt, whose softplus is a step in time: most as in a trained model, some across
// the threshold of 20, some far below 0, where only log1p keeps anything of them.
func (b *bench) times(rows, cols int) matrix {
	return floats(rows, cols, func() float64 {
		return b.planted(-2+2*b.rand.NormFloat64(), 19.9, 20, 20.1, 25, 100, 1e4, -15, -30, -1e4)
	})
}

// gates is Z. It stays where σ is not denormal, because the gate is a factor of large
// numbers here.
func (b *bench) gates(rows, cols int) matrix {
	return floats(rows, cols, func() float64 {
		return b.planted(2*b.rand.NormFloat64(), 1e4, -1e4, 80, -80, -13, 1e-40, 0)
	})
}
