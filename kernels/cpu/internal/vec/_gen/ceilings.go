package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// fused is
//
//	func fused…(n int) float32
//
// n rounds of x = x/2 + 1, from 0, in every lane of so many registers that the next round
// never waits for the last; it returns a lane. Nothing is read: it is as fast as fused
// multiply-adds can be.
func fused(set isa) {
	TEXT("fused"+set.name(), NOSPLIT, "func(n int) float32")
	n := Load(Param("n"), GP64())
	half, one := broadcast(set, 0.5), broadcast(set, 1)
	acc := make([]reg.VecVirtual, set.lanes()*3/2)
	for i := range acc {
		acc[i] = set.vec()
		set.zero(acc[i])
	}
	Label("loop")
	for _, a := range acc {
		VFMADD213PS(one, half, a)
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	for _, a := range acc[1:] {
		VMAXPS(a, acc[0], acc[0])
	}
	VMOVSS(acc[0].AsX(), resultMem())
	VZEROUPPER()
	RET()
}

// streams is how many places sum reads from side by side, stream bytes apart: memory gives
// more to several than to one. In each, what lies early bytes further is asked for. Blocks of
// streams·stream bytes follow each other.
const (
	streams = 8
	stream  = 8192
	early   = 1024
)

// sum is
//
//	func sum…(x *float32, n int) float32
//
// the sum of n blocks of streams·stream bytes: as little work for each byte as reading it
// takes.
func sum(set isa) {
	TEXT("sum"+set.name(), NOSPLIT, "func(x *float32, n int) float32")
	Pragma("noescape")
	x, n := Load(Param("x"), GP64()).(reg.GPVirtual), Load(Param("n"), GP64())
	acc := make([]reg.VecVirtual, 8)
	for i := range acc {
		acc[i] = set.vec()
		set.zero(acc[i])
	}
	size, each := 4*set.lanes(), len(acc)/streams
	left := GP64()
	Label("block")
	MOVQ(I32(int32(stream/(each*size))), left)
	Label("loop")
	for i, a := range acc {
		at := i/each*stream + i%each*size
		if i%each*size%64 == 0 {
			PREFETCHT1(Mem{Base: x, Disp: at + early})
		}
		VADDPS(Mem{Base: x, Disp: at}, a, a)
	}
	ADDQ(I32(int32(each*size)), x)
	DECQ(left)
	JNZ(LabelRef("loop"))
	ADDQ(I32(int32((streams-1)*stream)), x)
	DECQ(n)
	JNZ(LabelRef("block"))
	for width := 4; width > 0; width /= 2 {
		for i := range width {
			VADDPS(acc[i+width], acc[i], acc[i])
		}
	}
	VMOVSS(reduce(set, acc[0], VADDPS), resultMem())
	VZEROUPPER()
	RET()
}
