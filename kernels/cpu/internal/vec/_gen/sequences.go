package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A strip is a pass that takes some vectors of each row, so that the lines of a row that are
// near each other in memory are read together. AVX-512 takes only cols of the last vector's
// columns.
type strip struct {
	*pass
	vectors int
}

func newStrip(set isa, vectors int, matrices ...string) strip {
	s := strip{newPass(set, matrices...), vectors}
	s.in = newLimits(set)
	return s
}

// stripName is that of a kernel for so many vectors.
func stripName(name string, set isa, vectors int) string {
	return fmt.Sprintf("%s%d%s", name, vectors, set.name())
}

// mem is vector i of the row at p.
func (s strip) mem(p reg.GPVirtual, i int) Mem { return Mem{Base: p, Disp: 4 * s.set.lanes() * i} }

func (s strip) read(matrix string, i int) reg.VecVirtual {
	v := s.set.vec()
	if m := s.mem(s.at[matrix], i); s.masks {
		VMOVUPS_Z(m, s.mask, v)
	} else {
		VMOVUPS(m, v)
	}
	return v
}

func (s strip) write(v reg.VecVirtual, matrix string, i int) {
	if m := s.mem(s.at[matrix], i); s.masks {
		VMOVUPS(v, s.mask, m)
	} else {
		VMOVUPS(v, m)
	}
}

// silu returns x·σ(x), as the kernel of that name has it.
func (s strip) silu(x reg.VecVirtual) reg.VecVirtual {
	e := s.set.vec()
	VXORPS(constI32(-1<<31), x, e)
	e = exp(s.set, s.in, e)
	VADDPS(constF32(1), e, e)
	VDIVPS(e, x, e)
	return e
}

// loop emits body for each of n tokens and goes on to the next row of matrices.
func (s strip) loop(body func(), matrices ...string) {
	Label("token")
	body()
	s.next(matrices...)
	DECQ(s.tokens)
	JNZ(LabelRef("token"))
	VZEROUPPER()
	RET()
}

// stripRow is the bytes of a row of what strips share: 64 channels.
const stripRow = 4 * 64

// conv is
//
//	func conv…(y, x, past *float32, ldy, ldx, ldpast int, w *float32, n, cols int)
//
// a convolution of four taps with SiLU over the n tokens of a sequence that had the three rows
// of past before; w is five rows: the taps and the bias.
func conv(set isa, vectors int) {
	const taps = 4
	TEXT(stripName("conv", set, vectors), NOSPLIT, "func(y, x, past *float32, ldy, ldx, ldpast int, w *float32, n, cols int)")
	Pragma("noescape")
	s := newStrip(set, vectors, "y", "x", "past")
	w := Load(Param("w"), GP64()).(reg.GPVirtual)
	row := func(k, i int) Mem { return Mem{Base: w, Disp: k*stripRow + 4*set.lanes()*i} }
	past := make([][]reg.VecVirtual, taps-1) // the oldest first
	for k := range past {
		for i := range vectors {
			past[k] = append(past[k], s.read("past", i))
		}
		s.next("past")
	}
	s.loop(func() {
		for i := range vectors {
			x, c := s.read("x", i), set.vec()
			VMOVUPS(row(taps, i), c)
			inputs := []reg.VecVirtual{past[0][i], past[1][i], past[2][i], x}
			for k, v := range inputs {
				VFMADD231PS(row(k, i), v, c)
			}
			for k := range past {
				VMOVAPS(inputs[k+1], past[k][i])
			}
			s.write(s.silu(c), "y", i)
		}
	}, "y", "x")
}

// scanIn is
//
//	func scanIn…(step, dt, x *float32, lddt, ldx int, bias *float32, n, cols int)
//
// what a scan takes of n tokens, in rows of 64: step = softplus(dt + bias) and, so many rows
// later as a stretch has, step·x.
func scanIn(set isa, vectors int) {
	TEXT(stripName("scanIn", set, vectors), NOSPLIT, "func(step, dt, x *float32, lddt, ldx int, bias *float32, n, cols int)")
	Pragma("noescape")
	s := newStrip(set, vectors, "dt", "x")
	step, bias := Load(Param("step"), GP64()).(reg.GPVirtual), Load(Param("bias"), GP64()).(reg.GPVirtual)
	s.loop(func() {
		for i := range vectors {
			u, e, q, dt := s.read("dt", i), set.vec(), set.vec(), set.vec()
			VADDPS(s.mem(bias, i), u, u)
			VORPS(constI32(-1<<31), u, e)
			e = exp(set, s.in, e)
			log1p(e, q)
			set.zero(dt)
			VMAXPS(u, dt, dt)
			VFMADD231PS(q, e, dt)
			VMOVUPS(dt, s.mem(step, i))
			VMULPS(s.read("x", i), dt, dt)
			VMOVUPS(dt, Mem{Base: step, Disp: stretchRows*stripRow + 4*set.lanes()*i})
		}
		ADDQ(I32(stripRow), step)
	}, "dt", "x")
}

// stretchRows is ScanStretch of ../sequences.go.
const stretchRows = 32

// scanOut is
//
//	func scanOut…(dst, y, x, z *float32, lddst, ldx, ldz int, skip *float32, n, cols int)
//
// dst = (y + skip·x)·silu(z), where y has rows of 64; without skip or z, which are nil, it leaves
// their part out.
func scanOut(set isa, vectors int) {
	TEXT(stripName("scanOut", set, vectors), NOSPLIT, "func(dst, y, x, z *float32, lddst, ldx, ldz int, skip *float32, n, cols int)")
	Pragma("noescape")
	s := newStrip(set, vectors, "dst", "x", "z")
	y, skip := Load(Param("y"), GP64()).(reg.GPVirtual), Load(Param("skip"), GP64()).(reg.GPVirtual)
	s.loop(func() {
		for i := range vectors {
			out := s.set.vec()
			VMOVUPS(s.mem(y, i), out)
			unless(skip, fmt.Sprintf("noSkip%d", i), func() { VFMADD231PS(s.mem(skip, i), s.read("x", i), out) })
			unless(s.at["z"], fmt.Sprintf("noGate%d", i), func() { VMULPS(s.silu(s.read("z", i)), out, out) })
			s.write(out, "dst", i)
		}
		ADDQ(I32(stripRow), y)
	}, "dst", "x", "z")
}

// unless leaves body out where p is nil.
func unless(p reg.GPVirtual, label string, body func()) {
	TESTQ(p, p)
	JZ(LabelRef(label))
	body()
	Label(label)
}
