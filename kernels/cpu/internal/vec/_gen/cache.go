package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A token that attends to a long cache goes through whole rows of it, for all heads at once:
// the keys of one head are 128 bytes in every 1,536, too far apart to be read fast. Heads that
// share keys and values are taken together, up to four: then each is widened once for all.

const (
	// scoresAhead is the bytes by which scores asks for keys ahead.
	scoresAhead = 2048
	// valuesAhead is the rows by which values asks for values ahead.
	valuesAhead = 8
)

// cached emits the kernels of a set for one type of cache.
func cached(set isa, e element) {
	for _, m := range together(set) {
		scores(set, e, m)
		for _, rows := range []int{1, 4} {
			values(set, e, m, rows)
		}
	}
}

// together are the heads that kernels take of those that share: as many as registers allow.
func together(set isa) []int {
	if set.lanes() == 8 {
		return []int{1, 2}
	}
	return []int{1, 2, 4}
}

func cacheKernel(name string, set isa, e element, m int, params string) {
	TEXT(fmt.Sprintf("%sOf%d%s%s", name, m, e.suffix, set.name()), NOSPLIT, "func("+params+", w *"+e.word+", ldw, rows, groups, share, steps int)")
	Pragma("noescape")
}

// bytesOf is a register with the product of two parameters, times 1<<shift.
func bytesOf(a, b string, shift uint64) reg.GPVirtual {
	n := Load(Param(a), GP64()).(reg.GPVirtual)
	IMULQ(paramMem(b), n)
	SHLQ(Imm(shift), n)
	return n
}

// vectorBytes is the logarithm of a vector's bytes in memory.
func vectorBytes(set isa, shift uint64) uint64 {
	if set.lanes() == 8 {
		return 3 + shift
	}
	return 4 + shift
}

// everyLine does what is done once for a line of a row, in a step of which left are left: two
// steps have a line where a vector has 32 bytes.
func everyLine(set isa, e element, left reg.GPVirtual, do func()) {
	half := set.lanes()<<e.shift == 32
	if half {
		TESTQ(I32(1), left)
		JNZ(LabelRef("sameline"))
	}
	do()
	if half {
		Label("sameline")
	}
}

// headsOf returns rows of X: those of heads, of steps vectors each.
func headsOf(set isa) rows {
	r := rows{GP64(), Load(Param("steps"), GP64()).(reg.GPVirtual), GP64()}
	SHLQ(Imm(vectorBytes(set, 2)), r.ld)
	LEAQ(Mem{Base: r.ld, Index: r.ld, Scale: 2}, r.ld3)
	return r
}

// nextGroup moves p, which has gone through the vectors of one head of m, to the next group's.
func nextGroup(set isa, x rows) {
	SUBQ(x.ld, x.p)
	ADDQ(bytesOf("share", "steps", vectorBytes(set, 2)), x.p)
}

// scores is, for m heads of each group,
//
//	func scoresOf…(p *float32, ldp int, x *float32, w *T, ldw, rows, groups, share, steps int)
//
// P[h,r] = X[h]·W[r, h/share] for 4·rows rows of W, groups·share heads of steps vectors, and h
// from 0 to m, from share to share + m and so on. Quarters of the rows are read side by side, as
// [vector] reads them, and summed alike.
func scores(set isa, e element, m int) {
	cacheKernel("scores", set, e, m, "p *float32, ldp int, x *float32")
	d := newDot(set, e, m, 4)
	p, w0 := Load(Param("p"), GP64()).(reg.GPVirtual), Load(Param("w"), GP64()).(reg.GPVirtual)
	left := Load(Param("rows"), GP64()).(reg.GPVirtual)
	out := quarters(left, 2)
	d.w = quarters(left, e.shift)
	d.x, d.w.p, out.p = headsOf(set), GP64(), GP64()
	for _, apart := range []reg.GPVirtual{d.w.ld, d.w.ld3} {
		IMULQ(paramMem("ldw"), apart)
	}
	groups := GP64()
	pick := pickers(set, m)
	Label("row")
	Load(Param("x"), d.x.p)
	MOVQ(w0, d.w.p)
	MOVQ(p, out.p)
	Load(Param("groups"), groups)
	Label("group")
	for _, of := range d.acc {
		for _, a := range of {
			set.zero(a)
		}
	}
	Load(Param("steps"), d.n)
	Label("step")
	everyLine(set, e, d.n, func() {
		for j := range 4 {
			PREFETCHT1(d.w.row(j).Offset(scoresAhead))
		}
	})
	d.step(f32.load, e.load)
	ADDQ(I32(int32(4*set.lanes())), d.x.p)
	ADDQ(I32(int32(set.lanes()<<e.shift)), d.w.p)
	DECQ(d.n)
	JNZ(LabelRef("step"))
	d.storeScores(out, pick)
	nextGroup(set, d.x)
	DECQ(groups)
	JNZ(LabelRef("group"))
	ldw := Load(Param("ldw"), GP64())
	LEAQ(Mem{Base: w0, Index: ldw, Scale: 1 << e.shift}, w0)
	ADDQ(Imm(4), p)
	DECQ(left)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// storeScores folds the accumulators and writes four scores for each head; out goes on to the
// next group.
func (d *dot) storeScores(out rows, pick []reg.OpmaskVirtual) {
	sums := d.foldHeads(pick)
	for i := range d.acc {
		s, zero := sums(i), XMM()
		VXORPS(zero, zero, zero)
		VADDPS(zero, s, s) // as products add what a block comes to
		VMOVSS(s, out.row(0))
		for j := 1; j < 4; j++ {
			VEXTRACTPS(Imm(uint64(j)), s, out.row(j))
		}
		if i < len(d.acc)-1 {
			ldp := Load(Param("ldp"), GP64())
			LEAQ(Mem{Base: out.p, Index: ldp, Scale: 4}, out.p)
		}
	}
	skip := Load(Param("share"), GP64()).(reg.GPVirtual)
	SUBQ(Imm(uint64(len(d.acc)-1)), skip)
	IMULQ(paramMem("ldp"), skip)
	LEAQ(Mem{Base: out.p, Index: skip, Scale: 4}, out.p)
}

// pickers are masks of value i of each 128 bits; AVX2 has none.
func pickers(set isa, m int) (all []reg.OpmaskVirtual) {
	for i := range m {
		if set.lanes() == 16 {
			mask, bits := K(), GP32()
			MOVL(U32(0x1111<<i), bits)
			KMOVW(bits, mask)
			all = append(all, mask)
		}
	}
	return all
}

// foldHeads returns where the four sums of each row of X are.
func (d *dot) foldHeads(pick []reg.OpmaskVirtual) func(i int) reg.Register {
	if d.set.lanes() == 8 {
		return func(i int) reg.Register { return foldQuad(d.acc[i]) }
	}
	var f []reg.VecVirtual
	for _, a := range d.acc {
		f = append(f, fold16to4(a...))
	}
	pairs := foldPairs(f[0], f[min(1, len(f)-1)])
	if len(f) == 4 {
		pairs = foldPairs(pairs, foldPairs(f[2], f[3]))
	} else {
		pairs = foldPairs(pairs, pairs)
	}
	return func(i int) reg.Register {
		s := ZMM()
		VCOMPRESSPS_Z(pairs, pick[i], s)
		return s.AsX()
	}
}

// values is, for m heads of each group and one row or four at a time,
//
//	func values…(x, p *float32, ldp int, w *T, ldw, rows, groups, share, steps int)
//
// X[h] += Σ_r P[h,r]·W[r, h/share] for that many times rows rows, in the order of r; heads are
// those of [scores].
func values(set isa, e element, m, atOnce int) {
	cacheKernel(fmt.Sprintf("values%d", atOnce), set, e, m, "x, p *float32, ldp int")
	w, x, next := loadRows("ldw", e.shift), headsOf(set), GP64()
	p, w0, left := Load(Param("p"), GP64()).(reg.GPVirtual), Load(Param("w"), GP64()).(reg.GPVirtual), Load(Param("rows"), GP64()).(reg.GPVirtual)
	at, n, groups := GP64(), GP64(), GP64()
	Label("row")
	Load(Param("x"), x.p)
	MOVQ(w0, w.p)
	LEAQ(Mem{Base: w.p, Index: w.ld, Scale: valuesAhead}, next)
	MOVQ(p, at)
	Load(Param("groups"), groups)
	Label("group")
	weights := loadWeights(set, at, m, atOnce)
	Load(Param("steps"), n)
	Label("step")
	sums := make([]reg.VecVirtual, m)
	for i := range sums {
		sums[i] = set.vec()
		VMOVUPS(x.row(i), sums[i])
	}
	everyLine(set, e, n, func() {
		for r := range atOnce {
			ahead := w.row(r)
			ahead.Base = next
			PREFETCHT1(ahead)
		}
	})
	for r := range atOnce {
		v := set.vec()
		e.load(w.row(r), v)
		for i, sum := range sums {
			VFMADD231PS(v, weights[i][r], sum)
		}
	}
	for i, sum := range sums {
		VMOVUPS(sum, x.row(i))
	}
	ADDQ(I32(int32(4*set.lanes())), x.p)
	for _, running := range []reg.GPVirtual{w.p, next} {
		ADDQ(I32(int32(set.lanes()<<e.shift)), running)
	}
	DECQ(n)
	JNZ(LabelRef("step"))
	nextGroup(set, x)
	DECQ(groups)
	JNZ(LabelRef("group"))
	LEAQ(Mem{Base: w0, Index: w.ld, Scale: uint8(atOnce)}, w0)
	ADDQ(Imm(uint64(4*atOnce)), p)
	DECQ(left)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// loadWeights spreads the weights of n rows for m heads, and moves at to the next group's.
func loadWeights(set isa, at reg.GPVirtual, m, n int) [][]reg.VecVirtual {
	all := make([][]reg.VecVirtual, m)
	for i := range all {
		for r := range n {
			w := set.vec()
			VBROADCASTSS(Mem{Base: at, Disp: 4 * r}, w)
			all[i] = append(all[i], w)
		}
		if i < m-1 {
			ldp := Load(Param("ldp"), GP64())
			LEAQ(Mem{Base: at, Index: ldp, Scale: 4}, at)
		}
	}
	skip := Load(Param("share"), GP64()).(reg.GPVirtual)
	SUBQ(Imm(uint64(m-1)), skip)
	IMULQ(paramMem("ldp"), skip)
	LEAQ(Mem{Base: at, Index: skip, Scale: 4}, at)
	return all
}
