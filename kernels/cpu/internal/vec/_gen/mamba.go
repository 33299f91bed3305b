package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A pass is a kernel that goes over the rows of matrices, one vector of columns of each: of
// these AVX-512 takes only cols.
type pass struct {
	set    isa
	mask   reg.OpmaskVirtual
	masks  bool
	in     limits
	ld     map[string]reg.GPVirtual
	at     map[string]reg.GPVirtual
	tokens reg.GPVirtual
}

// newPass reads the parameters of matrices, m with ldm each, and n and cols.
func newPass(set isa, matrices ...string) *pass {
	p := &pass{set: set, ld: map[string]reg.GPVirtual{}, at: map[string]reg.GPVirtual{}}
	p.mask, p.masks = lastMask(set)
	for _, m := range matrices {
		p.at[m] = Load(Param(m), GP64()).(reg.GPVirtual)
		p.ld[m] = Load(Param("ld"+m), GP64()).(reg.GPVirtual)
		SHLQ(Imm(2), p.ld[m])
	}
	p.tokens = Load(Param("n"), GP64()).(reg.GPVirtual)
	return p
}

func (p *pass) read(matrix string) reg.VecVirtual {
	v := p.set.vec()
	if m := (Mem{Base: p.at[matrix]}); p.masks {
		VMOVUPS_Z(m, p.mask, v)
	} else {
		VMOVUPS(m, v)
	}
	return v
}

func (p *pass) write(matrix string, v reg.VecVirtual) {
	if m := (Mem{Base: p.at[matrix]}); p.masks {
		VMOVUPS(v, p.mask, m)
	} else {
		VMOVUPS(v, m)
	}
}

func (p *pass) load(m Mem) reg.VecVirtual {
	v := p.set.vec()
	VMOVUPS(m, v)
	return v
}

func (p *pass) one() reg.VecVirtual { return broadcast(p.set, 1) }

// next goes on to the next row of each matrix.
func (p *pass) next(matrices ...string) {
	for _, m := range matrices {
		ADDQ(p.ld[m], p.at[m])
	}
}

// siluGrad returns y = c·σ(c) and its derivative by c.
func (p *pass) siluGrad(c reg.VecVirtual) (y, d reg.VecVirtual) {
	e := p.set.vec()
	VXORPS(constI32(-1<<31), c, e)
	e = exp(p.set, p.in, e)
	VADDPS(constF32(1), e, e)
	d, y = p.one(), p.set.vec()
	VDIVPS(e, d, d)
	VMULPS(d, c, y)
	// σ + y·(1-σ) = σ + y - y·σ
	s := p.one()
	VSUBPS(d, s, s)
	VFMADD231PS(s, y, d)
	return y, d
}

// convGrad is
//
//	func convGrad…(dx, dy, x *float32, lddx, lddy, ldx int, w *float32, n, cols int)
//
// a convolution of four taps with SiLU, back over the n tokens of a sequence: of as many
// channels as lanes. w is ten rows of sixteen: the taps, the bias, and the gradients of the
// taps and of the bias, which are added to.
func convGrad(set isa) {
	const taps, bias, dw = 4, 4, 5
	TEXT("convGrad"+set.name(), NOSPLIT, "func(dx, dy, x *float32, lddx, lddy, ldx int, w *float32, n, cols int)")
	Pragma("noescape")
	p := newPass(set, "dx", "dy", "x")
	p.in = newLimits(set)
	wp := Load(Param("w"), GP64()).(reg.GPVirtual)
	w := func(i int) Mem { return Mem{Base: wp, Disp: scanRow * i} }
	// A row of dx is complete three tokens later. Rows before the first are not written.
	three, early := GP64(), GP64()
	LEAQ(Mem{Base: p.ld["dx"], Index: p.ld["dx"], Scale: 2}, three)
	SUBQ(three, p.at["dx"])
	MOVQ(I32(taps-1), early)
	// past are the inputs before, the last first; part what rows of dx have so far, the
	// earliest first.
	past, part := make([]reg.VecVirtual, taps-1), make([]reg.VecVirtual, taps-1)
	for i := range past {
		past[i], part[i] = set.vec(), set.vec()
		set.zero(past[i])
		set.zero(part[i])
	}
	row := func(label string) {
		SUBQ(Imm(1), early)
		JGE(LabelRef(label))
		p.write("dx", part[0])
		Label(label)
		p.next("dx")
	}
	Label("token")
	x, c := p.read("x"), p.load(w(bias))
	inputs := []reg.VecVirtual{past[2], past[1], past[0], x}
	for k, v := range inputs {
		VFMADD231PS(w(k), v, c)
	}
	_, dc := p.siluGrad(c)
	VMULPS(p.read("dy"), dc, dc)
	for k, v := range inputs {
		sum := p.load(w(dw + k))
		VFMADD231PS(v, dc, sum)
		VMOVUPS(sum, w(dw+k))
	}
	sum := p.load(w(dw + taps))
	VADDPS(dc, sum, sum)
	VMOVUPS(sum, w(dw+taps))
	for k, v := range part {
		VFMADD231PS(w(k), dc, v)
	}
	row("begun")
	VMOVAPS(part[1], part[0])
	VMOVAPS(part[2], part[1])
	VMULPS(w(taps-1), dc, part[2])
	VMOVAPS(past[1], past[2])
	VMOVAPS(past[0], past[1])
	VMOVAPS(x, past[0])
	p.next("x", "dy")
	DECQ(p.tokens)
	JNZ(LabelRef("token"))
	for i, label := range []string{"last2", "last1", "last0"} {
		part[0] = part[i]
		row(label)
	}
	VZEROUPPER()
	RET()
}

// The parts of X in ScanGradArgs.
const (
	partDT = iota
	partDU
	partDY
	partSB
	partSE
	partY
	partSigma
	partIn
	partGZ
)

// scanBefore is
//
//	func scanBefore…(part, dt, x, dy, z *float32, lddt, ldx, lddy, ldz int, bias *float32, n, cols int)
//
// what ScanGrad needs of n tokens, see ../grad.go. Without a gate, z is not read.
func scanBefore(set isa, gated bool) {
	name, matrices := "scanBefore", []string{"dt", "x", "dy"}
	if gated {
		name, matrices = "scanBeforeGated", append(matrices, "z")
	}
	TEXT(name+set.name(), NOSPLIT, "func(part, dt, x, dy, z *float32, lddt, ldx, lddy, ldz int, bias *float32, n, cols int)")
	Pragma("noescape")
	p := newPass(set, matrices...)
	p.in = newLimits(set)
	base := Load(Param("part"), GP64()).(reg.GPVirtual)
	part := func(i int) Mem { return Mem{Base: base, Disp: scanPart * i} }
	bp := Load(Param("bias"), GP64()).(reg.GPVirtual)
	Label("token")
	u, e, q := p.read("dt"), set.vec(), set.vec()
	VADDPS(Mem{Base: bp}, u, u)
	VORPS(constI32(-1<<31), u, e)
	e = exp(set, p.in, e)
	log1p(e, q)
	zero := set.vec()
	set.zero(zero)
	dt := set.vec()
	VMAXPS(u, zero, dt)
	VFMADD231PS(q, e, dt)
	VMOVUPS(dt, part(partDT))
	// σ is 1/(1+e) above 0 and e/(1+e) below it.
	above := p.one()
	VADDPS(constF32(1), e, q)
	VDIVPS(q, above, above)
	VMULPS(above, e, e)
	chooseBySign(set, u, e, above)
	VMOVUPS(e, part(partSigma))
	in := p.read("x")
	VMOVUPS(in, part(partIn))
	VMULPS(in, dt, dt)
	VMOVUPS(dt, part(partDU))
	g := p.read("dy")
	if gated {
		y, d := p.siluGrad(p.read("z"))
		VMULPS(g, d, d)
		VMOVUPS(d, part(partGZ))
		VMULPS(y, g, g)
	}
	VMOVUPS(g, part(partDY))
	set.zero(zero)
	for _, i := range []int{partSB, partSE, partY} {
		VMOVUPS(zero, part(i))
	}
	p.next(matrices...)
	ADDQ(I32(scanRow), base)
	DECQ(p.tokens)
	JNZ(LabelRef("token"))
	VZEROUPPER()
	RET()
}

// log1p sets q to log(1+u)/u for u from 0 to 1, as softplus has it.
func log1p(u, q reg.VecVirtual) {
	VMOVUPS(constF32(-0.0032563784736703385), q)
	for _, c := range []float64{
		0.01990716092681396, -0.05706420075777714, 0.10614264686164689, -0.15311863101379686,
		0.19678117255957583, -0.24954558870979252, 0.333300040352052, -0.499999039927623, 0.9999999953848516,
	} {
		VFMADD213PS(constF32(c), u, q)
	}
}

// chooseBySign leaves below where the sign bit of v is set, and elsewhere makes it above.
func chooseBySign(set isa, v, below, above reg.VecVirtual) {
	if set.lanes() == 8 {
		VBLENDVPS(v, below, above, below)
		return
	}
	k := K()
	VPMOVD2M(v, k)
	VBLENDMPS(below, above, k, below)
}

// scanAfter is
//
//	func scanAfter…(part, ddt, dx, dz *float32, ldddt, lddx, lddz int, w *float32, n, cols int)
//
// what follows from ScanGrad's sums over n tokens. w is three rows of sixteen: D, and the
// sums of its gradient and of DDt, which are added to. Without a gate, dz is not written.
func scanAfter(set isa, gated bool) {
	name, matrices := "scanAfter", []string{"ddt", "dx"}
	if gated {
		name, matrices = "scanAfterGated", append(matrices, "dz")
	}
	TEXT(name+set.name(), NOSPLIT, "func(part, ddt, dx, dz *float32, ldddt, lddx, lddz int, w *float32, n, cols int)")
	Pragma("noescape")
	p := newPass(set, matrices...)
	base := Load(Param("part"), GP64()).(reg.GPVirtual)
	part := func(i int) Mem { return Mem{Base: base, Disp: scanPart * i} }
	w := Load(Param("w"), GP64()).(reg.GPVirtual)
	row := func(i int) Mem { return Mem{Base: w, Disp: scanRow * i} }
	d, sumD, sumBias := p.load(row(0)), p.load(row(1)), p.load(row(2))
	Label("token")
	in, sb, ddt, dy := p.load(part(partIn)), p.load(part(partSB)), p.load(part(partSE)), p.load(part(partDY))
	VFMADD231PS(sb, in, ddt)
	VMULPS(part(partSigma), ddt, ddt)
	p.write("ddt", ddt)
	VADDPS(ddt, sumBias, sumBias)
	VFMADD231PS(in, dy, sumD)
	VMULPS(part(partDT), sb, sb)
	VFMADD231PS(dy, d, sb)
	p.write("dx", sb)
	if gated {
		VFMADD213PS(part(partY), d, in)
		VMULPS(part(partGZ), in, in)
		p.write("dz", in)
	}
	p.next(matrices...)
	ADDQ(I32(scanRow), base)
	DECQ(p.tokens)
	JNZ(LabelRef("token"))
	VMOVUPS(sumD, row(1))
	VMOVUPS(sumBias, row(2))
	VZEROUPPER()
	RET()
}
