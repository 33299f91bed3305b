package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// ask is
//
//	func ask(x *float32, ldx, rows, lines int)
//
// asks for so many cache lines of each of the rows of X, which are ldx values apart.
func ask() {
	TEXT("ask", NOSPLIT, "func(x *float32, ldx, rows, lines int)")
	Pragma("noescape")
	x, ldx, rows := Load(Param("x"), GP64()).(reg.GPVirtual), Load(Param("ldx"), GP64()).(reg.GPVirtual), Load(Param("rows"), GP64())
	p, n := GP64(), GP64()
	Label("row")
	MOVQ(x, p)
	Load(Param("lines"), n)
	Label("line")
	PREFETCHT1(Mem{Base: p})
	ADDQ(Imm(64), p)
	DECQ(n)
	JNZ(LabelRef("line"))
	LEAQ(Mem{Base: x, Index: ldx, Scale: 4}, x)
	DECQ(rows)
	JNZ(LabelRef("row"))
	RET()
}
