package kerneltest

import (
	"fmt"

	"quadrant/kernels"
)

func (s *suite) mambaGrads() {
	s.convSiLUGrad()
	s.scanStarts()
	s.scanGrad()
}

func (s *suite) convSiLUGrad() {
	for taps := 1; taps <= 4; taps++ {
		for _, bias := range []bool{false, true} {
			for i, n := range append(shapes(), [3]int{2, 9}) { // 2 is shorter than three taps
				length, dim, seqs := n[0], n[1], 1+i%3
				s.cover(fmt.Sprintf("ConvSiLUGrad/%dx%dx%d/%dtaps%s", seqs, length, dim, taps, with("bias", bias)), func(b *bench) {
					b.do(kernels.ConvSiLUGrad{
						DX: b.out("dx", kernels.F32, seqs*length, dim), DW: b.update("w's gradient", b.wild(dim, taps)),
						DBias: b.update("bias's gradient", b.wild(1, dim).when(bias)),
						G:     b.in("g", b.wild(seqs*length, dim)), X: b.in("x", b.wild(seqs*length, dim)),
						W: b.in("w", b.wild(dim, taps)), Bias: b.in("bias", b.wild(1, dim).when(bias)), Seqs: seqs,
					})
				})
			}
		}
	}
}

// scanShapes are tokens, channels and states: lengths around [kernels.ScanChunk], states
// around a vector's.
func scanShapes() [][3]int {
	return [][3]int{
		{1, 1, 1}, {1, 65, 16}, {3, 9, 17}, {31, 8, 8}, {63, 7, 16}, {64, 3, 1}, {64, 5, 16},
		{65, 9, 8}, {65, 2, 17}, {66, 83, 16}, {128, 5, 8}, {130, 8, 16}, {130, 9, 1}, {200, 3, 3},
	}
}

// A scanShape is a scan with some of its optional operands.
type scanShape struct {
	seqs, n, dim, states int
	skip, gate, bias     bool
}

func (c scanShape) String() string {
	return fmt.Sprintf("%dx%dx%dx%d%s%s%s", c.seqs, c.n, c.dim, c.states, with("d", c.skip), with("z", c.gate), with("bias", c.bias))
}

// scans gives every set of options half of the shapes, and every shape half of the sets.
func scans() []scanShape {
	var all []scanShape
	for options := range 8 {
		skip, gate, bias := options&1 != 0, options&2 != 0, options&4 != 0
		for i, n := range scanShapes() {
			if even := i%2 == 0; even == (skip == gate) {
				all = append(all, scanShape{1 + (i+options)%2, n[0], n[1], n[2], skip, gate, bias})
			}
		}
	}
	return all
}

func (s *suite) scanStarts() {
	for _, c := range scans() {
		s.cover(fmt.Sprintf("Scan/starts/%v", c), func(b *bench) {
			b.do(b.scan(c, b.update("state", b.wild(c.seqs*c.dim, c.states))))
		})
	}
}

// scan places the operands of a scan that keeps what its gradient needs.
func (b *bench) scan(c scanShape, state kernels.Mat) kernels.Scan {
	rows := c.seqs * c.n
	return kernels.Scan{
		Dst: b.out("dst", kernels.F32, rows, c.dim),
		X:   b.in("x", b.wild(rows, c.dim)), Dt: b.in("dt", b.times(rows, c.dim)), A: b.in("a", b.decays(c.dim, c.states)),
		B: b.in("b", b.wild(rows, c.states)), C: b.in("c", b.wild(rows, c.states)),
		D: b.in("d", b.wild(1, c.dim).when(c.skip)), Z: b.in("z", b.gates(rows, c.dim).when(c.gate)),
		DtBias: b.in("dtbias", b.normal(1, c.dim).when(c.bias)),
		State:  state, Starts: b.out("starts", kernels.F32, kernels.ScanStarts(c.seqs, c.n, c.dim), c.states), Seqs: c.seqs,
	}
}

// scanGrad: a device takes its own Starts, as in training.
func (s *suite) scanGrad() {
	for _, c := range scans() {
		s.cover(fmt.Sprintf("ScanGrad/%v", c), func(b *bench) {
			rows := c.seqs * c.n
			zeros := floats(c.seqs*c.dim, c.states, func() float64 { return 0 })
			o := b.scan(c, b.update("state", zeros))
			grad := kernels.ScanGrad{
				DX: b.out("x's gradient", kernels.F32, rows, c.dim), DDt: b.out("dt's gradient", kernels.F32, rows, c.dim),
				DB: b.out("b's gradient", kernels.F32, rows, c.states), DC: b.out("c's gradient", kernels.F32, rows, c.states),
				DA:      b.update("a's gradient", b.wild(c.dim, c.states)),
				DD:      b.update("d's gradient", b.wild(1, c.dim).when(c.skip)),
				DDtBias: b.update("dt bias's gradient", b.wild(1, c.dim).when(c.bias)),
				G:       b.in("g", b.wild(rows, c.dim)),
				X:       o.X, Dt: o.Dt, A: o.A, B: o.B, C: o.C, D: o.D, Z: o.Z, DtBias: o.DtBias, Starts: o.Starts, Seqs: c.seqs,
			}
			if c.gate {
				grad.DZ = b.out("z's gradient", kernels.F32, rows, c.dim)
			}
			b.do(o)
			b.do(grad)
		})
	}
}
