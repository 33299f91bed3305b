package main

import (
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Products of many rows of X multiply outer products: lane l of an accumulator is column l of
// C. So that they sum as the others do, element i of k belongs to class i mod 16, a tile of C
// is computed for one class after the other, and the sums of the classes are folded as lanes
// are: the class at place p below is folded with what lies before it as often as p ends in
// ones, in base 2.
var classes = [16]int{0, 8, 4, 12, 1, 9, 5, 13, 2, 10, 6, 14, 3, 11, 7, 15}

const (
	wideRows = 12 // of a tile
	wideCols = 32
	// widePad keeps what classes hold at one time from falling into the same places of caches.
	widePad = 64
)

// classTable is the bytes at which a class begins in a row of X, in the order of places.
func classTable() Mem {
	m := GLOBL("classes", attr.RODATA|attr.NOPTR)
	for i, c := range classes {
		DATA(8*i, U64(4*c))
	}
	return m
}

// wide is
//
//	func wideAVX512(c *float32, ldc int, x *float32, ldx int, w, parts *float32, k int, load, store uint32)
//
// C[i,j] += X[i]·W[j] for twelve rows of X and thirty-two rows of W, which packW has packed,
// over one block of k. Columns of C are read where the bit of load is set, and are 0 where it
// is not; they are written where that of store is. parts has room for four tiles.
func wide() {
	const tile = 4 * wideRows * wideCols
	table := classTable()
	TEXT("wideAVX512", attr.NOSPLIT, "func(c *float32, ldc int, x *float32, ldx int, w *float32, parts *float32, k int, load uint32, store uint32)")
	Pragma("noescape")
	ld, ld3, ld5 := Load(Param("ldx"), GP64()).(reg.GPVirtual), GP64(), GP64()
	SHLQ(Imm(2), ld)
	LEAQ(Mem{Base: ld, Index: ld, Scale: 2}, ld3)
	LEAQ(Mem{Base: ld, Index: ld, Scale: 4}, ld5)
	w, parts := Load(Param("w"), GP64()).(reg.GPVirtual), Load(Param("parts"), GP64()).(reg.GPVirtual)
	place := GP64()
	XORQ(place, place)
	acc := make([][2]reg.VecVirtual, wideRows)
	for i := range acc {
		acc[i] = [2]reg.VecVirtual{ZMM(), ZMM()}
	}

	Label("class")
	x, y, n := GP64(), GP64(), GP64()
	at, from := GP64(), GP64()
	LEAQ(table, from)
	MOVQ(Mem{Base: from, Index: place, Scale: 8}, at)
	Load(Param("k"), n)
	steps := steps(n, at)
	Load(Param("x"), x)
	ADDQ(at, x)
	LEAQ(Mem{Base: x, Index: ld3, Scale: 2}, y)
	p := GP64()
	MOVQ(w, p)
	for i := range acc {
		for _, a := range acc[i] {
			VPXORD(a, a, a)
		}
	}
	row := func(i int) Mem {
		base := []reg.GPVirtual{x, y}[i/6]
		switch i % 6 {
		case 0:
			return Mem{Base: base}
		case 3:
			return Mem{Base: base, Index: ld3, Scale: 1}
		case 5:
			return Mem{Base: base, Index: ld5, Scale: 1}
		}
		return Mem{Base: base, Index: ld, Scale: uint8(i % 6)}
	}
	step := func(u int) {
		w := [2]reg.VecVirtual{ZMM(), ZMM()}
		for j := range w {
			VMOVUPS(Mem{Base: p, Disp: 128*u + 64*j}, w[j])
		}
		for i := range acc {
			v, m := ZMM(), row(i)
			m.Disp = 64 * u
			VBROADCASTSS(m, v)
			for j, a := range acc[i] {
				VFMADD231PS(w[j], v, a)
			}
		}
	}
	// Several steps at a time, and what is left one by one.
	for _, at := range []struct {
		label string
		steps int
	}{{"steps", 4}, {"step", 1}} {
		SUBQ(Imm(uint64(at.steps)), steps)
		JL(LabelRef(at.label + "done"))
		Label(at.label)
		for u := range at.steps {
			step(u)
		}
		ADDQ(I32(int32(64*at.steps)), x)
		ADDQ(I32(int32(64*at.steps)), y)
		ADDQ(I32(int32(128*at.steps)), p)
		SUBQ(Imm(uint64(at.steps)), steps)
		JGE(LabelRef(at.label))
		Label(at.label + "done")
		ADDQ(Imm(uint64(at.steps)), steps)
	}

	Load(Param("k"), n)
	ADDQ(classStride(n), w)
	INCQ(place)
	folds := GP64()
	TZCNTQ(place, folds)
	Label("fold")
	SUBQ(Imm(1), folds)
	JL(LabelRef("folded"))
	SUBQ(I32(tile), parts)
	for i := range acc {
		for j, a := range acc[i] {
			VADDPS(Mem{Base: parts, Disp: 128*i + 64*j}, a, a)
		}
	}
	JMP(LabelRef("fold"))
	Label("folded")
	CMPQ(place, Imm(16))
	JE(LabelRef("store"))
	for i := range acc {
		for j, a := range acc[i] {
			VMOVUPS(a, Mem{Base: parts, Disp: 128*i + 64*j})
		}
	}
	ADDQ(I32(tile), parts)
	JMP(LabelRef("class"))

	Label("store")
	c, ldc := Load(Param("c"), GP64()).(reg.GPVirtual), Load(Param("ldc"), GP64())
	SHLQ(Imm(2), ldc)
	load, store := columnMasks("load"), columnMasks("store")
	for i := range acc {
		for j, a := range acc[i] {
			old := ZMM()
			VMOVUPS_Z(Mem{Base: c, Disp: 64 * j}, load[j], old)
			VADDPS(a, old, a)
			VMOVUPS(a, store[j], Mem{Base: c, Disp: 64 * j})
		}
		if i < len(acc)-1 {
			ADDQ(ldc, c)
		}
	}
	VZEROUPPER()
	RET()
}

// steps returns how many of n elements the class has that begins at byte at: n/16, and one more
// if it is among the first n mod 16. n is overwritten.
func steps(n, at reg.GPVirtual) reg.GPVirtual {
	s := GP64()
	MOVQ(n, s)
	SHRQ(Imm(4), s)
	ANDQ(Imm(15), n)
	SHLQ(Imm(2), n)
	CMPQ(at, n)
	ADCQ(Imm(0), s) // at < n
	return s
}

// classStride overwrites k with the bytes from one class of packed rows to the next.
func classStride(k reg.GPVirtual) reg.GPVirtual {
	ADDQ(Imm(15), k)
	SHRQ(Imm(4), k)
	SHLQ(Imm(7), k)
	ADDQ(Imm(widePad), k)
	return k
}

// columnMasks are the two halves of a parameter of 32 bits.
func columnMasks(param string) [2]reg.OpmaskVirtual {
	bits := Load(Param(param), GP32()).(reg.GPVirtual)
	masks := [2]reg.OpmaskVirtual{K(), K()}
	KMOVW(bits, masks[0])
	SHRL(Imm(16), bits)
	KMOVW(bits, masks[1])
	return masks
}

// pack is
//
//	func pack…AVX512(to *float32, w *T, ldw, k int)
//
// sixteen rows of W, widened, as wide reads them: the elements of a class one after the other,
// thirty-two columns of each side by side, of which these are half. Classes that have fewer
// elements end with a zero.
func pack(e element) {
	TEXT("pack"+e.suffix+"AVX512", attr.NOSPLIT, "func(to *float32, w *"+e.word+", ldw int, k int)")
	Pragma("noescape")
	var from, to [4]rows
	from[0] = loadRows("ldw", e.shift)
	Load(Param("w"), from[0].p)
	n := Load(Param("k"), GP64()).(reg.GPVirtual)
	stride := GP64()
	MOVQ(n, stride)
	classStride(stride)
	to[0] = rows{p: Load(Param("to"), GP64()).(reg.GPVirtual), ld: stride, ld3: GP64()}
	LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, to[0].ld3)
	for _, four := range []*[4]rows{&from, &to} {
		for i := 1; i < 4; i++ {
			four[i] = four[0]
			four[i].p = GP64()
			LEAQ(Mem{Base: four[i-1].p, Index: four[0].ld, Scale: 4}, four[i].p)
		}
	}
	step := func(load func(Mem, reg.VecVirtual)) {
		v := make([]reg.VecVirtual, 16)
		for i := range v {
			v[i] = ZMM()
			load(from[i/4].row(i%4), v[i])
		}
		v = transposed(v)
		for p, c := range classes {
			VMOVUPS(v[c], to[p/4].row(p%4))
		}
	}
	SUBQ(Imm(16), n)
	JL(LabelRef("tail"))
	Label("loop")
	step(e.load)
	for i := range 4 {
		ADDQ(I32(int32(16<<e.shift)), from[i].p)
		SUBQ(I32(-128), to[i].p)
	}
	SUBQ(Imm(16), n)
	JGE(LabelRef("loop"))
	Label("tail")
	ADDQ(Imm(16), n)
	JZ(LabelRef("done"))
	mask := maskOf(n)
	step(func(m Mem, v reg.VecVirtual) { e.loadMasked(m, mask, v) })
	Label("done")
	VZEROUPPER()
	RET()
}

// transposed returns the columns of sixteen rows of sixteen values of four bytes.
func transposed(v []reg.VecVirtual) []reg.VecVirtual {
	two := func(f, g func(a, b, to reg.VecVirtual), a, b reg.VecVirtual) (p, q reg.VecVirtual) {
		p, q = ZMM(), ZMM()
		f(a, b, p)
		g(a, b, q)
		return p, q
	}
	lo := func(a, b, to reg.VecVirtual) { VUNPCKLPS(b, a, to) }
	hi := func(a, b, to reg.VecVirtual) { VUNPCKHPS(b, a, to) }
	loPairs := func(a, b, to reg.VecVirtual) { VUNPCKLPD(b, a, to) }
	hiPairs := func(a, b, to reg.VecVirtual) { VUNPCKHPD(b, a, to) }
	shuffle := func(which uint64) func(a, b, to reg.VecVirtual) {
		return func(a, b, to reg.VecVirtual) { VSHUFF32X4(Imm(which), b, a, to) }
	}
	// Within each 128-bit lane, four by four: fours[r][c] has in its lane q column 4q+c of rows
	// 4r to 4r+3.
	var fours [4][4]reg.VecVirtual
	for r := range 4 {
		a, b := two(lo, hi, v[4*r], v[4*r+1])
		c, d := two(lo, hi, v[4*r+2], v[4*r+3])
		fours[r][0], fours[r][1] = two(loPairs, hiPairs, a, c)
		fours[r][2], fours[r][3] = two(loPairs, hiPairs, b, d)
	}
	out := make([]reg.VecVirtual, 16)
	for c := range 4 {
		a, b := two(shuffle(0x88), shuffle(0xdd), fours[0][c], fours[1][c]) // lanes 0 2 0 2, and 1 3 1 3
		d, e := two(shuffle(0x88), shuffle(0xdd), fours[2][c], fours[3][c])
		out[c], out[8+c] = two(shuffle(0x88), shuffle(0xdd), a, d)
		out[4+c], out[12+c] = two(shuffle(0x88), shuffle(0xdd), b, e)
	}
	return out
}
