package main

import (
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Products of bf16 by bf16 take pairs: lane l of an accumulator holds Σ x[i]·w[i] over i ≡ 2l
// and 2l+1 modulo 32, and lanes are folded as those of other products.

// zs are the registers that the instruction below is told by number: the assembler does not
// know it.
var zs = []reg.VecPhysical{
	reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7, reg.Z8, reg.Z9, reg.Z10, reg.Z11,
	reg.Z12, reg.Z13, reg.Z14, reg.Z15, reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23,
}

// dotPairs is VDPBF16PS: acc += x·w in pairs, each of the three a place in zs. Its encoding is
// EVEX.512.F3.0F38.W0 52 /r (Intel's manual, volume 2); bits 3 and 4 of a register are stored
// inverted.
func dotPairs(acc, x, w int) {
	inverted := func(n, bit int) byte { return byte(^n >> bit & 1) }
	code := []byte{
		0x62,
		inverted(acc, 3)<<7 | inverted(w, 4)<<6 | inverted(w, 3)<<5 | inverted(acc, 4)<<4 | 2, // map 0F38
		byte(^x&15)<<3 | 1<<2 | 2, // W0, prefix F3
		2<<5 | inverted(x, 4)<<3,  // 512 bits
		0x52,
		byte(3<<6 | acc&7<<3 | w&7),
	}
	for i, b := range code {
		in := &ir.Instruction{Opcode: "BYTE", Operands: []Op{U8(b)}}
		if i == 0 { // what the six bytes read and write
			in.Inputs, in.Outputs = []Op{zs[acc], zs[x], zs[w]}, []Op{zs[acc]}
		}
		Instruction(in)
	}
}

// A pairDot is a dot of bf16 by bf16. Accumulator i, j is zs[4i+j]; zs[16:20] hold rows of X
// and zs[20] a row of W.
type pairDot struct {
	x, w rows
	n    reg.GPVirtual
	next rows
	m    int
	cols int
}

func (d *pairDot) step(load func(Mem, reg.VecPhysical)) {
	for i := range d.m {
		load(d.x.row(i), zs[16+i])
	}
	for j := range d.cols {
		if d.next.p != nil {
			PREFETCHT1(d.next.row(j))
		}
		load(d.w.row(j), zs[20+j%4])
		for i := range d.m {
			dotPairs(4*i+j, 16+i, 20+j%4)
		}
	}
}

func (d *pairDot) run() {
	const lanes, bytes = 32, 64
	for i := range d.m {
		for j := range d.cols {
			VPXORD(zs[4*i+j], zs[4*i+j], zs[4*i+j])
		}
	}
	SUBQ(Imm(lanes), d.n)
	JL(LabelRef("tail"))
	Label("loop")
	d.step(func(m Mem, z reg.VecPhysical) { VMOVUPS(m, z) })
	ADDQ(Imm(bytes), d.x.p)
	ADDQ(Imm(bytes), d.w.p)
	if d.next.p != nil {
		ADDQ(Imm(bytes), d.next.p)
	}
	SUBQ(Imm(lanes), d.n)
	JGE(LabelRef("loop"))
	Label("tail")
	ADDQ(Imm(lanes), d.n)
	JZ(LabelRef("done"))
	bits, mask := GP64(), K()
	MOVQ(I32(-1), bits)
	SHLXQ(d.n, bits, bits)
	NOTQ(bits)
	KMOVD(bits.As32(), mask)
	d.step(func(m Mem, z reg.VecPhysical) { VMOVDQU16_Z(m, mask, z) })
	Label("done")
}

// acc returns accumulator i, j of what has run.
func (d *pairDot) acc(i, j int) reg.VecVirtual {
	v := ZMM()
	VMOVAPS(zs[4*i+j], v)
	return v
}

// pairPanel, pairVector and pairSingle are panel, vector and single with X of bf16 too.
func pairPanel() {
	TEXT("panelPairsAVX512", attr.NOSPLIT, "func(c *float32, ldc int, x *uint16, ldx int, w *uint16, ldw, quads, k int)")
	Pragma("noescape")
	d := pairDot{x: loadRows("ldx", 1), w: loadRows("ldw", 1), n: GP64(), m: 4, cols: 4}
	c, w0 := Load(Param("c"), GP64()).(reg.GPVirtual), Load(Param("w"), GP64()).(reg.GPVirtual)
	quads := Load(Param("quads"), GP64()).(reg.GPVirtual)
	Label("quad")
	Load(Param("x"), d.x.p)
	MOVQ(w0, d.w.p)
	LEAQ(Mem{Base: w0, Index: d.w.ld, Scale: 4}, w0)
	Load(Param("k"), d.n)
	d.run()
	columns := make([]reg.VecVirtual, 4)
	for j := range columns {
		columns[j] = fold16to4(d.acc(0, j), d.acc(1, j), d.acc(2, j), d.acc(3, j))
	}
	storeColumns(c, columns)
	ADDQ(Imm(16), c)
	DECQ(quads)
	JNZ(LabelRef("quad"))
	VZEROUPPER()
	RET()
}

func pairVector() {
	TEXT("vectorPairsAVX512", attr.NOSPLIT, "func(c *float32, x *uint16, w *uint16, ldw, quads, k int)")
	Pragma("noescape")
	d := pairDot{w: loadRows("ldw", 1), n: GP64(), m: 1, cols: 4}
	d.x.p = GP64()
	d.next = d.w
	d.next.p = GP64()
	c, w0 := Load(Param("c"), GP64()).(reg.GPVirtual), Load(Param("w"), GP64()).(reg.GPVirtual)
	quads := Load(Param("quads"), GP64()).(reg.GPVirtual)
	Label("quad")
	Load(Param("x"), d.x.p)
	MOVQ(w0, d.w.p)
	LEAQ(Mem{Base: w0, Index: d.w.ld, Scale: 4}, w0)
	MOVQ(w0, d.next.p)
	Load(Param("k"), d.n)
	d.run()
	VMOVUPS(foldRow(avx512{}, []reg.VecVirtual{d.acc(0, 0), d.acc(0, 1), d.acc(0, 2), d.acc(0, 3)}), Mem{Base: c})
	ADDQ(Imm(16), c)
	DECQ(quads)
	JNZ(LabelRef("quad"))
	VZEROUPPER()
	RET()
}

func pairSingle() {
	TEXT("singlePairsAVX512", attr.NOSPLIT, "func(x *uint16, w *uint16, k int) float32")
	Pragma("noescape")
	d := pairDot{n: GP64(), m: 1, cols: 1}
	d.x.p = Load(Param("x"), GP64()).(reg.GPVirtual)
	d.w.p = Load(Param("w"), GP64()).(reg.GPVirtual)
	Load(Param("k"), d.n)
	d.run()
	a := d.acc(0, 0)
	VMOVSS(foldRow(avx512{}, []reg.VecVirtual{a, a, a, a}), resultMem())
	VZEROUPPER()
	RET()
}

// fusedPairs is
//
//	func fusedPairsAVX512(n int)
//
// n rounds of twenty accumulators of zeros: as fast as they can be.
func fusedPairs() {
	TEXT("fusedPairsAVX512", attr.NOSPLIT, "func(n int)")
	n := Load(Param("n"), GP64())
	for _, z := range zs {
		VPXORD(z, z, z)
	}
	Label("loop")
	for acc := range pairsFused {
		dotPairs(acc, 20, 21)
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

const pairsFused = 20

// roundBF16 is
//
//	func roundBF16AVX512(y *uint16, x *float32, n int)
//
// y = x rounded to the nearest bf16, ties to even, for n vectors; denormals are kept, which
// the processor's own instruction does not.
func roundBF16() {
	TEXT("roundBF16AVX512", attr.NOSPLIT, "func(y *uint16, x *float32, n int)")
	Pragma("noescape")
	y, x := Load(Param("y"), GP64()).(reg.GPVirtual), Load(Param("x"), GP64()).(reg.GPVirtual)
	n := Load(Param("n"), GP64())
	one, almost, quiet := ZMM(), ZMM(), ZMM()
	VMOVUPS(constI32(1), one)
	VMOVUPS(constI32(0x7fff), almost)
	VMOVUPS(constI32(0x400000), quiet)
	Label("loop")
	v, r, nan := ZMM(), ZMM(), K()
	VMOVUPS(Mem{Base: x}, v)
	VPSRLD(Imm(16), v, r)
	VPANDD(one, r, r)
	VPADDD(almost, r, r)
	VPADDD(v, r, r)
	VCMPPS(Imm(3), v, v, nan) // unordered
	VPORD(quiet, v, nan, r)   // which keeps the fraction of a NaN
	VPSRLD(Imm(16), r, r)
	VPMOVDW(r, Mem{Base: y})
	ADDQ(Imm(32), y)
	ADDQ(Imm(64), x)
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
