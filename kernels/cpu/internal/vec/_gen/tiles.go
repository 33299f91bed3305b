package main

import (
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// AMX multiplies tiles of sixteen rows of 64 bytes: C[16,16] += A[16,32]·B[32,16] of bf16, of
// which B has pairs of rows interleaved. A is rows of W as they lie, B is packed rows of X, and
// so C is transposed. The assembler knows none of these instructions; their encodings are from
// Intel's manual, volume 2, with all tiles and registers among the first eight.

// vex emits a VEX instruction of map 0F38 with 128 bits and W0.
func vex(prefix, vvvv, opcode byte, rest []byte, in []Op) {
	for i, b := range append([]byte{0xc4, 0xe2, ^vvvv&15<<3&0x78 | prefix, opcode}, rest...) {
		op := &ir.Instruction{Opcode: "BYTE", Operands: []Op{U8(b)}}
		if i == 0 {
			op.Inputs = in
		}
		Instruction(op)
	}
}

const prefixF3, prefixF2 = 2, 3

// numbers are those of registers in instructions.
var numbers = map[reg.Register]byte{reg.RAX: 0, reg.RCX: 1, reg.RDX: 2, reg.RBX: 3, reg.RSI: 6, reg.RDI: 7}

func loadTiles(config reg.GPPhysical) { vex(0, 0, 0x49, []byte{numbers[config]}, []Op{config}) }
func releaseTiles()                   { vex(0, 0, 0x49, []byte{0xc0}, nil) }
func zeroTile(t byte)                 { vex(prefixF2, 0, 0x49, []byte{0xc0 | t<<3}, nil) }

// multiplyTiles is c += a·b.
func multiplyTiles(c, a, b byte) { vex(prefixF3, b, 0x5c, []byte{0xc0 | c<<3 | a}, nil) }

// loadTile and storeTile move sixteen rows of 64 bytes, stride bytes apart.
func loadTile(t byte, base, stride reg.GPPhysical)  { moveTile(prefixF2, t, base, stride) }
func storeTile(t byte, base, stride reg.GPPhysical) { moveTile(prefixF3, t, base, stride) }

func moveTile(prefix, t byte, base, stride reg.GPPhysical) {
	vex(prefix, 0, 0x4b, []byte{t<<3 | 4, numbers[stride]<<3 | numbers[base]}, []Op{base, stride})
}

// tileConfig says that all tiles are of full size.
func tileConfig() Mem {
	m := GLOBL("tileConfig", attr.RODATA|attr.NOPTR)
	DATA(0, U64(1)) // palette
	DATA(8, U64(0))
	DATA(16, U64(0x0040_0040_0040_0040)) // bytes of a row
	DATA(24, U64(0x0040_0040_0040_0040))
	DATA(32, U64(0))
	DATA(40, U64(0))
	DATA(48, U64(0x1010_1010_1010_1010)) // rows
	DATA(56, U64(0))
	return m
}

// tiles is
//
//	func tilesAMX(c *float32, w *uint16, ldw int, x *uint16, ldx, steps, panels, add int)
//
// C[p,j,i] = W[j]·X[p,i] for 32 rows of W and 32 rows of X in each of a number of panels, ldx
// values apart, with 32·steps elements of k; C += it where add is not 0. A panel of X is, for
// every 32 elements, two tiles of sixteen rows. slimTiles is the same for sixteen rows of X, of
// which the other sixteen tiles are passed over; it asks for the next 32 rows of W.
func tiles(config Mem)     { tilesOf("tilesAMX", config, 2) }
func slimTiles(config Mem) { tilesOf("slimTilesAMX", config, 1) }

func tilesOf(name string, config Mem, width int) {
	TEXT(name, attr.NOSPLIT, "func(c *float32, w *uint16, ldw int, x *uint16, ldx, steps, panels, add int)")
	Pragma("noescape")
	const size = 1024 // bytes of a tile
	at, stride, ldw, x, narrow := reg.RAX, reg.RCX, reg.RDX, reg.RSI, reg.RDI
	c, w, high, n, panels, next, x0 := GP64(), GP64(), GP64(), GP64(), GP64(), GP64(), GP64()
	sums := func(move func(t byte, base, stride reg.GPPhysical)) {
		for i := range 2 {
			for j := range width {
				LEAQ(Mem{Base: c, Disp: 2*size*i + 64*j}, at)
				move(byte(2*i+j), at, stride)
			}
		}
	}
	LEAQ(config, at)
	loadTiles(at)
	Load(Param("c"), c)
	Load(Param("x"), x0)
	Load(Param("panels"), panels)
	Load(Param("ldw"), ldw)
	SHLQ(Imm(1), ldw)
	MOVQ(I32(64), narrow)
	MOVQ(I32(128), stride)
	Label("panel")
	Load(Param("w"), w)
	MOVQ(ldw, high)
	SHLQ(Imm(4), high)
	if width == 1 {
		LEAQ(Mem{Base: w, Index: high, Scale: 2}, next)
	}
	ADDQ(w, high)
	Load(Param("steps"), n)
	MOVQ(x0, x)
	add := Load(Param("add"), GP64())
	TESTQ(add, add)
	JZ(LabelRef("zero"))
	sums(loadTile)
	JMP(LabelRef("loop"))
	Label("zero")
	for t := range byte(4) {
		zeroTile(t)
	}
	Label("loop")
	// Loads stand between products, which do not wait for all of them.
	loadW := func(i int, base reg.GPVirtual) {
		MOVQ(base, at)
		loadTile(byte(4+i), at, ldw)
		ADDQ(Imm(64), base)
	}
	for i := range width {
		if i == 0 {
			loadW(0, w)
		}
		loadTile(byte(6+i), x, narrow)
		ADDQ(I32(size), x)
		multiplyTiles(byte(i), 4, byte(6+i))
		if i == 0 {
			loadW(1, high)
		}
		for line := 0; width == 2 && line < size; line += 64 {
			PREFETCHT0(Mem{Base: x, Disp: size + line})
		}
		multiplyTiles(byte(2+i), 5, byte(6+i))
	}
	ADDQ(I32(int32((2-width)*size)), x)
	if width == 1 {
		for i := range 32 {
			PREFETCHT1(Mem{Base: next, Disp: 64 * i})
		}
		ADDQ(I32(2*size), next)
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	sums(storeTile)
	ADDQ(I32(4*size), c)
	ldx := Load(Param("ldx"), GP64())
	LEAQ(Mem{Base: x0, Index: ldx, Scale: 2}, x0)
	DECQ(panels)
	JNZ(LabelRef("panel"))
	releaseTiles()
	RET()
}

// fusedTiles is
//
//	func fusedAMX(n int)
//
// n rounds of four products of tiles of zeros: as fast as they can be.
func fusedTiles(config Mem) {
	TEXT("fusedAMX", attr.NOSPLIT, "func(n int)")
	n := Load(Param("n"), GP64())
	LEAQ(config, reg.RAX)
	loadTiles(reg.RAX)
	for t := range byte(8) {
		zeroTile(t)
	}
	Label("loop")
	for t := range byte(4) {
		multiplyTiles(t, 4+t/2, 6+t%2)
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	releaseTiles()
	RET()
}

// turn is
//
//	func turnAVX512(to *float32, ldto int, from *float32, ldfrom, n int)
//
// transposes sixteen rows of 16·n values; leading dimensions are in values of four bytes, so
// that a value can be a pair of bf16. The rows that it writes go from ldto to ldto, sixteen for
// each n.
func turn() {
	TEXT("turnAVX512", attr.NOSPLIT, "func(to *float32, ldto int, from *float32, ldfrom int, n int)")
	Pragma("noescape")
	to, from, n := Load(Param("to"), GP64()).(reg.GPVirtual), Load(Param("from"), GP64()).(reg.GPVirtual), Load(Param("n"), GP64())
	ldto, ldfrom := loadRows("ldto", 2), loadRows("ldfrom", 2)
	Label("loop")
	v := make([]reg.VecVirtual, 16)
	MOVQ(from, ldfrom.p)
	for i := range v {
		v[i] = ZMM()
		VMOVUPS(ldfrom.row(i%4), v[i])
		if i%4 == 3 {
			LEAQ(Mem{Base: ldfrom.p, Index: ldfrom.ld, Scale: 4}, ldfrom.p)
		}
	}
	for i, column := range transposed(v) {
		VMOVUPS(column, Mem{Base: to})
		if ADDQ(ldto.ld, to); i == 15 {
			ADDQ(Imm(64), from)
		}
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
