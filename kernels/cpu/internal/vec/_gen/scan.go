package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// scan512 is
//
//	func scanAVX512(y, dt, du, h, a, b, c *float32, ldy, ldb, n, states int, soon *int)
//
// sixteen channels of a selective scan over n tokens: y, dt and du are [n, 16] with leading
// dimension ldy, h and a [16, states] with states from 1 to 16, b and c [n, states] with ldb.
//
//	h ← 2^(dt·a)·h + du·b,   y = Σ h·c
//
// The state stays in registers, a channel in each. soon are four addresses and what to add to each
// for the next token: a line at each is asked for with every token.
func scan512() {
	set := avx512{}
	TEXT("scanAVX512", NOSPLIT, "func(y, dt, du, h, a, b, c *float32, ldy, ldb, n, states int, soon *int)")
	Pragma("noescape")
	mask := K()
	states := Load(Param("states"), GP64()).(reg.GPVirtual)
	bits := GP64()
	MOVQ(I32(-1), bits)
	SHLXQ(states, bits, bits)
	NOTQ(bits)
	KMOVW(bits.As32(), mask)
	SHLQ(Imm(2), states)

	h0 := Load(Param("h"), GP64()).(reg.GPVirtual)
	h := make([]reg.VecVirtual, 16)
	for i := range h {
		h[i] = ZMM()
		VMOVUPS_Z(Mem{Base: h0}, mask, h[i])
		ADDQ(states, h0)
	}
	y, dt, du := Load(Param("y"), GP64()).(reg.GPVirtual), Load(Param("dt"), GP64()).(reg.GPVirtual), Load(Param("du"), GP64()).(reg.GPVirtual)
	a0 := Load(Param("a"), GP64()).(reg.GPVirtual)
	b, c := Load(Param("b"), GP64()).(reg.GPVirtual), Load(Param("c"), GP64()).(reg.GPVirtual)
	ldb, n := Load(Param("ldb"), GP64()).(reg.GPVirtual), Load(Param("n"), GP64()).(reg.GPVirtual)
	SHLQ(Imm(2), ldb)
	ldy := Load(Param("ldy"), GP64()).(reg.GPVirtual)
	SHLQ(Imm(2), ldy)

	four := GP64()
	MOVQ(states, four)
	SHLQ(Imm(2), four)

	Label("token")
	bv, cv := ZMM(), ZMM()
	VMOVUPS_Z(Mem{Base: b}, mask, bv)
	VMOVUPS_Z(Mem{Base: c}, mask, cv)
	channel := func(i int, a reg.GPVirtual) reg.VecVirtual {
		x, step, product := ZMM(), ZMM(), ZMM()
		VMOVUPS_Z(Mem{Base: a}, mask, x)
		ADDQ(four, a)
		VMULPS_BCST(Mem{Base: dt, Disp: 4 * i}, x, x)
		e := exp2(set, x)
		VMULPS_BCST(Mem{Base: du, Disp: 4 * i}, bv, step)
		VFMADD213PS(step, e, h[i])
		VMULPS(cv, h[i], product)
		return product
	}
	// Column j has channels j, j+4, j+8 and j+12 in its lanes, so that the last fold leaves
	// channel i in element i.
	first := GP64()
	MOVQ(a0, first)
	columns := make([]reg.VecVirtual, 4)
	for j := range columns {
		askSoon(j)
		a := GP64()
		MOVQ(first, a)
		ADDQ(states, first)
		pair := func(i int) reg.VecVirtual { return foldHalves(0x44, 0xee, channel(i, a), channel(i+4, a)) }
		p := pair(j)
		columns[j] = foldHalves(0x88, 0xdd, p, pair(j+8))
	}
	VMOVUPS(foldLanes(columns), Mem{Base: y})
	for _, p := range []reg.GPVirtual{y, dt, du} {
		ADDQ(ldy, p)
	}
	ADDQ(ldb, b)
	ADDQ(ldb, c)
	DECQ(n)
	JNZ(LabelRef("token"))

	Load(Param("h"), h0)
	for i := range h {
		VMOVUPS(h[i], mask, Mem{Base: h0})
		ADDQ(states, h0)
	}
	VZEROUPPER()
	RET()
}

// askSoon asks for what is at address i of soon, and moves it on.
func askSoon(i int) {
	soon, at := Load(Param("soon"), GP64()).(reg.GPVirtual), GP64()
	MOVQ(Mem{Base: soon, Disp: 16 * i}, at)
	PREFETCHT1(Mem{Base: at})
	ADDQ(Mem{Base: soon, Disp: 16*i + 8}, at)
	MOVQ(at, Mem{Base: soon, Disp: 16 * i})
}

// scan256 is
//
//	func scanAVX2(y, dt, du, h, a, b, c *float32, ldb, n int)
//
// one channel of a selective scan with sixteen states over n tokens; see scan512, whose a is
// this one's by log2e.
func scan256() {
	set := avx2{}
	TEXT("scanAVX2", NOSPLIT, "func(y, dt, du, h, a, b, c *float32, ldy, ldb, n int)")
	Pragma("noescape")
	pointer := func(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }
	y, dt, du, hp, ap, b, c := pointer("y"), pointer("dt"), pointer("du"), pointer("h"), pointer("a"), pointer("b"), pointer("c")
	ldy, ldb, n := pointer("ldy"), pointer("ldb"), pointer("n")
	SHLQ(Imm(2), ldy)
	SHLQ(Imm(2), ldb)
	half := func(p reg.GPVirtual, i int) Mem { return Mem{Base: p, Disp: 32 * i} }
	h, a := []reg.VecVirtual{YMM(), YMM()}, []reg.VecVirtual{YMM(), YMM()}
	for i := range h {
		VMOVUPS(half(hp, i), h[i])
		VMOVUPS(half(ap, i), a[i])
		VMULPS(constF32(log2e), a[i], a[i])
	}
	Label("token")
	sum := YMM()
	for i := range h {
		x, step := YMM(), YMM()
		VBROADCASTSS(Mem{Base: dt}, x)
		VMULPS(a[i], x, x)
		e := exp2(set, x)
		VBROADCASTSS(Mem{Base: du}, step)
		VMULPS(half(b, i), step, step)
		VFMADD213PS(step, e, h[i])
		if i == 0 {
			VMULPS(half(c, i), h[i], sum)
		} else {
			VFMADD231PS(half(c, i), h[i], sum)
		}
	}
	VMOVSS(reduce(set, sum, VADDPS), Mem{Base: y})
	for _, p := range []reg.GPVirtual{y, dt, du} {
		ADDQ(ldy, p)
	}
	ADDQ(ldb, b)
	ADDQ(ldb, c)
	DECQ(n)
	JNZ(LabelRef("token"))
	for i := range h {
		VMOVUPS(h[i], half(hp, i))
	}
	VZEROUPPER()
	RET()
}
