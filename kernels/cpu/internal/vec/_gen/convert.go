package main

import (
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// widen is
//
//	func widen…(y *float32, x *uint16, n int)
//
// y = x for n vectors.
func widen(set isa, e element) {
	TEXT("widen"+e.suffix+set.name(), attr.NOSPLIT, "func(y *float32, x *uint16, n int)")
	Pragma("noescape")
	y, x := Load(Param("y"), GP64()).(reg.GPVirtual), Load(Param("x"), GP64()).(reg.GPVirtual)
	n := Load(Param("n"), GP64())
	Label("loop")
	v := set.vec()
	e.load(Mem{Base: x}, v)
	VMOVUPS(v, Mem{Base: y})
	ADDQ(Imm(uint64(2*set.lanes())), x)
	ADDQ(Imm(uint64(4*set.lanes())), y)
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// narrowF16 is
//
//	func narrowF16…(y *uint16, x *float32, n int)
//
// y = x rounded to the nearest half, ties to even, for n vectors.
func narrowF16(set isa) {
	TEXT("narrowF16"+set.name(), attr.NOSPLIT, "func(y *uint16, x *float32, n int)")
	Pragma("noescape")
	y, x := Load(Param("y"), GP64()).(reg.GPVirtual), Load(Param("x"), GP64()).(reg.GPVirtual)
	n := Load(Param("n"), GP64())
	Label("loop")
	v := set.vec()
	VMOVUPS(Mem{Base: x}, v)
	VCVTPS2PH(Imm(0), v, Mem{Base: y})
	ADDQ(Imm(uint64(2*set.lanes())), y)
	ADDQ(Imm(uint64(4*set.lanes())), x)
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
