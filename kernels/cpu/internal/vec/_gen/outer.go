package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// outerProducts emits, for tiles of a few sizes,
//
//	func outer…(c *float32, ldc int, a *float32, rowA, stepA int, b *float32, ldb, k, cols, add int)
//
// C[i,j] = Σ_l A[i,l]·B[l,j], or C += it where add is not 0, for as many rows as the name
// says and one or two vectors of columns: of the last, AVX-512 takes only cols of 1 … 16
// columns. A[i,l] lies at i·rowA + l·stepA. Each element is summed in the order of l, in a
// register: a lane holds a column, so that, unlike in [panel], nothing is folded.
func outerProducts(set isa) {
	most := 8
	if set.lanes() == 8 {
		most = 4
	}
	for m := most; m > 0; m /= 2 {
		for vectors := 2; vectors > 0; vectors-- {
			outer(set, m, vectors)
		}
	}
}

func outer(set isa, m, vectors int) {
	TEXT(fmt.Sprintf("outer%dx%d%s", m, vectors, set.name()), NOSPLIT,
		"func(c *float32, ldc int, a *float32, rowA, stepA int, b *float32, ldb, k, cols, add int)")
	Pragma("noescape")
	bytes := func(name string) reg.GPVirtual {
		r := Load(Param(name), GP64()).(reg.GPVirtual)
		SHLQ(Imm(2), r)
		return r
	}
	a, b, k := Load(Param("a"), GP64()).(reg.GPVirtual), Load(Param("b"), GP64()).(reg.GPVirtual), Load(Param("k"), GP64()).(reg.GPVirtual)
	stepA, ldb := bytes("stepA"), bytes("ldb")
	at := strided(a, bytes("rowA"), m)

	mask, masks := lastMask(set)
	acc := make([][]reg.VecVirtual, m)
	for i := range acc {
		for range vectors {
			v := set.vec()
			set.zero(v)
			acc[i] = append(acc[i], v)
		}
	}
	column := func(base reg.GPVirtual, v int) Mem { return Mem{Base: base, Disp: 4 * v * set.lanes()} }
	last := func(v int) bool { return masks && v == vectors-1 }

	Label("term")
	row := make([]reg.VecVirtual, vectors)
	for v := range row {
		row[v] = set.vec()
		if last(v) {
			VMOVUPS_Z(column(b, v), mask, row[v])
		} else {
			VMOVUPS(column(b, v), row[v])
		}
	}
	for i := range acc {
		w := set.vec()
		VBROADCASTSS(at[i], w)
		for v := range row {
			VFMADD231PS(row[v], w, acc[i][v])
		}
	}
	ADDQ(stepA, a)
	ADDQ(ldb, b)
	DECQ(k)
	JNZ(LabelRef("term"))

	c, ldc, add := Load(Param("c"), GP64()).(reg.GPVirtual), bytes("ldc"), Load(Param("add"), GP64())
	store := func(label string, adds bool) {
		for i := range acc {
			for v := range row {
				switch out := column(c, v); {
				case last(v) && adds:
					VADDPS(out, acc[i][v], mask, acc[i][v])
					VMOVUPS(acc[i][v], mask, out)
				case last(v):
					VMOVUPS(acc[i][v], mask, out)
				case adds:
					VADDPS(out, acc[i][v], acc[i][v])
					VMOVUPS(acc[i][v], out)
				default:
					VMOVUPS(acc[i][v], out)
				}
			}
			if i < len(acc)-1 {
				ADDQ(ldc, c)
			}
		}
		VZEROUPPER()
		RET()
	}
	TESTQ(add, add)
	JNZ(LabelRef("add"))
	store("set", false)
	Label("add")
	store("add", true)
}

// strided returns the first element of m rows, up to eight, from a running pointer.
func strided(p, row reg.GPVirtual, m int) []Mem {
	at := []Mem{{Base: p}}
	odd := map[int]reg.GPVirtual{1: row}
	for i := 1; i < m; i++ {
		n, scale := i, 1
		for n%2 == 0 {
			n, scale = n/2, 2*scale
		}
		if odd[n] == nil {
			odd[n] = GP64()
			LEAQ(Mem{Base: odd[n-2], Index: row, Scale: 2}, odd[n])
		}
		at = append(at, Mem{Base: p, Index: odd[n], Scale: uint8(scale)})
	}
	return at
}

// lastMask is the mask of the first cols lanes, 1 to 16, where the set has masks.
func lastMask(set isa) (mask reg.OpmaskVirtual, ok bool) {
	if _, ok = set.(avx512); !ok {
		return mask, false
	}
	cols, bits, mask := Load(Param("cols"), GP64()), GP64(), K()
	MOVQ(I32(-1), bits)
	SHLXQ(cols, bits, bits)
	NOTQ(bits)
	KMOVW(bits.As32(), mask)
	return mask, true
}

// copyRows is
//
//	func copyRows…(dst *float32, ldd int, src *float32, lds, n, cols int)
//
// n rows of one or two vectors of columns; of the last AVX-512 takes only cols columns.
func copyRows(set isa, vectors int) {
	TEXT(fmt.Sprintf("copyRows%d%s", vectors, set.name()), NOSPLIT, "func(dst *float32, ldd int, src *float32, lds, n, cols int)")
	Pragma("noescape")
	dst, src := Load(Param("dst"), GP64()).(reg.GPVirtual), Load(Param("src"), GP64()).(reg.GPVirtual)
	ldd, lds := Load(Param("ldd"), GP64()).(reg.GPVirtual), Load(Param("lds"), GP64()).(reg.GPVirtual)
	n := Load(Param("n"), GP64())
	SHLQ(Imm(2), ldd)
	SHLQ(Imm(2), lds)
	mask, masks := lastMask(set)
	Label("row")
	row := make([]reg.VecVirtual, vectors)
	for v := range row {
		row[v] = set.vec()
		if m := (Mem{Base: src, Disp: 4 * v * set.lanes()}); masks && v == vectors-1 {
			VMOVUPS_Z(m, mask, row[v])
		} else {
			VMOVUPS(m, row[v])
		}
	}
	for v := range row {
		if m := (Mem{Base: dst, Disp: 4 * v * set.lanes()}); masks && v == vectors-1 {
			VMOVUPS(row[v], mask, m)
		} else {
			VMOVUPS(row[v], m)
		}
	}
	ADDQ(lds, src)
	ADDQ(ldd, dst)
	DECQ(n)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// transpose is
//
//	func transpose…(dst *float32, ldd int, src *float32, lds, blocks int)
//
// blocks squares of as many rows as lanes, next to each other in the rows of src and below
// each other in dst: dst[j,i] = src[i,j].
func transpose(set isa) {
	TEXT("transpose"+set.name(), NOSPLIT, "func(dst *float32, ldd int, src *float32, lds, blocks int)")
	Pragma("noescape")
	dst, src := Load(Param("dst"), GP64()).(reg.GPVirtual), Load(Param("src"), GP64()).(reg.GPVirtual)
	ldd, lds := Load(Param("ldd"), GP64()).(reg.GPVirtual), Load(Param("lds"), GP64()).(reg.GPVirtual)
	blocks := Load(Param("blocks"), GP64())
	SHLQ(Imm(2), ldd)
	SHLQ(Imm(2), lds)
	lanes := set.lanes()
	Label("block")
	from := GP64()
	MOVQ(src, from)
	rows := make([]reg.VecVirtual, lanes)
	for i := range rows {
		rows[i] = set.vec()
		VMOVUPS(Mem{Base: from}, rows[i])
		ADDQ(lds, from)
	}
	// Of each four rows r, vector c then has, in its 128-bit lane l, column 4·l+c of the four.
	for r := 0; r < lanes; r += 4 {
		copy(rows[r:], transposeFours(set, rows[r:r+4]))
	}
	columns := make([]reg.VecVirtual, lanes)
	for c := range 4 {
		for l, v := range exchangeLanes(set, rows[c:]) {
			columns[4*l+c] = v
		}
	}
	for _, v := range columns {
		VMOVUPS(v, Mem{Base: dst})
		ADDQ(ldd, dst)
	}
	ADDQ(I32(int32(4*lanes)), src)
	DECQ(blocks)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

func transposeFours(set isa, r []reg.VecVirtual) []reg.VecVirtual {
	both := func(lo, hi func(ops ...Op), a, b reg.VecVirtual) (l, h reg.VecVirtual) {
		l, h = set.vec(), set.vec()
		lo(b, a, l)
		hi(b, a, h)
		return l, h
	}
	a, b := both(VUNPCKLPS, VUNPCKHPS, r[0], r[1])
	c, d := both(VUNPCKLPS, VUNPCKHPS, r[2], r[3])
	p, q := both(VUNPCKLPD, VUNPCKHPD, a, c)
	s, t := both(VUNPCKLPD, VUNPCKHPD, b, d)
	return []reg.VecVirtual{p, q, s, t}
}

// exchangeLanes returns vectors whose lane g is a lane of every fourth of v.
func exchangeLanes(set isa, v []reg.VecVirtual) []reg.VecVirtual {
	if set.lanes() == 8 {
		lo, hi := YMM(), YMM()
		VPERM2F128(Imm(0x20), v[4], v[0], lo)
		VPERM2F128(Imm(0x31), v[4], v[0], hi)
		return []reg.VecVirtual{lo, hi}
	}
	pair := func(order uint64, a, b reg.VecVirtual) reg.VecVirtual {
		r := ZMM()
		VSHUFF32X4(Imm(order), b, a, r)
		return r
	}
	even, odd := [2]reg.VecVirtual{pair(0x88, v[0], v[4]), pair(0x88, v[8], v[12])}, [2]reg.VecVirtual{pair(0xdd, v[0], v[4]), pair(0xdd, v[8], v[12])}
	return []reg.VecVirtual{pair(0x88, even[0], even[1]), pair(0x88, odd[0], odd[1]), pair(0xdd, even[0], even[1]), pair(0xdd, odd[0], odd[1])}
}
