package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Products sum lane by lane: lane l of an accumulator holds Σ x[i]·w[i] over i ≡ l modulo
// the number of lanes, in the order of i. The lanes are then folded in halves: l + l+8 (of
// sixteen), l + l+4, and (0+1) + (2+3). That is done for one block of k after the other, and
// what blocks come to is added in their order, from 0 on. panel, vector and wide sum alike, so
// a row's products are the same bits whichever computes them.
const block = 512

// A dot is a loop over k that accumulates rows of X times rows of W.
type dot struct {
	set  isa
	elem element // of W
	x, w rows
	n    reg.GPVirtual // elements left of a block
	rest reg.GPVirtual // elements after the block
	next rows          // of W, to be asked for ahead of their use where W is read once
	acc  [][]reg.VecVirtual
	mask *reg.OpmaskVirtual // of lanes that a step sums, nil: all
}

// rows are up to four rows of a matrix, from a running pointer at the first.
type rows struct {
	p, ld, ld3 reg.GPVirtual // ld3 is three times ld; both are in bytes
}

func (r rows) row(i int) Mem {
	switch i {
	case 0:
		return Mem{Base: r.p}
	case 3:
		return Mem{Base: r.p, Index: r.ld3, Scale: 1}
	}
	return Mem{Base: r.p, Index: r.ld, Scale: uint8(i)}
}

// loadRows reads a leading dimension, in elements of 1<<shift bytes.
func loadRows(param string, shift uint64) rows {
	r := rows{p: GP64(), ld: Load(Param(param), GP64()).(reg.GPVirtual), ld3: GP64()}
	SHLQ(Imm(shift), r.ld)
	LEAQ(Mem{Base: r.ld, Index: r.ld, Scale: 2}, r.ld3)
	return r
}

// step accumulates one vector of each row.
func (d *dot) step(loadX, loadW func(Mem, reg.VecVirtual)) {
	xs := make([]reg.VecVirtual, len(d.acc))
	for i := range xs {
		xs[i] = d.set.vec()
		loadX(d.x.row(i), xs[i])
	}
	for j := range d.acc[0] {
		w := d.set.vec()
		if d.next.p != nil {
			PREFETCHT1(d.next.row(j))
		}
		loadW(d.w.row(j), w)
		for i := range xs {
			if d.mask != nil {
				VFMADD231PS(w, xs[i], *d.mask, d.acc[i][j])
			} else {
				VFMADD231PS(w, xs[i], d.acc[i][j])
			}
		}
	}
}

// begin loads k and sets the sums over blocks to zero.
func (d *dot) begin(sums ...reg.VecVirtual) {
	Load(Param("k"), d.rest)
	for _, s := range sums {
		VXORPS(s.AsX(), s.AsX(), s.AsX()) // and zeroes the rest of it
	}
}

// blocks is the loop over blocks of k: fold adds what one comes to.
func (d *dot) blocks(fold func()) {
	Label("block")
	size := GP64()
	MOVQ(I32(block), size)
	MOVQ(d.rest, d.n)
	CMPQ(d.n, size)
	CMOVQGT(size, d.n)
	SUBQ(d.n, d.rest)
	d.run()
	fold()
	TESTQ(d.rest, d.rest)
	JNZ(LabelRef("block"))
}

// run is the loop over one block. AVX-512 masks the last vector; for AVX2 k is a multiple of 8.
func (d *dot) run() {
	lanes := d.set.lanes()
	for i := range d.acc {
		for j := range d.acc[i] {
			d.set.zero(d.acc[i][j])
		}
	}
	SUBQ(Imm(uint64(lanes)), d.n)
	JL(LabelRef("tail"))
	Label("loop")
	d.step(f32.load, d.elem.load)
	ADDQ(I32(int32(4*lanes)), d.x.p)
	ADDQ(I32(int32(lanes<<d.elem.shift)), d.w.p)
	if d.next.p != nil {
		ADDQ(I32(int32(lanes<<d.elem.shift)), d.next.p)
	}
	SUBQ(Imm(uint64(lanes)), d.n)
	JGE(LabelRef("loop"))
	Label("tail")
	if _, masked := d.set.(avx512); masked {
		ADDQ(Imm(uint64(lanes)), d.n)
		JZ(LabelRef("done"))
		mask := maskOf(d.n)
		d.mask = &mask
		d.step(
			func(m Mem, v reg.VecVirtual) { f32.loadMasked(m, mask, v) },
			func(m Mem, v reg.VecVirtual) { d.elem.loadMasked(m, mask, v) })
		d.mask = nil
		Label("done")
	}
}

// maskOf is the mask of the first n lanes, n from 1 to 15.
func maskOf(n reg.GPVirtual) reg.OpmaskVirtual {
	bits, mask := GP64(), K()
	MOVQ(I32(-1), bits)
	SHLXQ(n, bits, bits)
	NOTQ(bits)
	KMOVW(bits.As32(), mask)
	return mask
}

// panel is
//
//	func panel…(c *float32, ldc int, x *float32, ldx int, w *T, ldw, quads, k int)
//
// C[i,j] = X[i]·W[j] for four rows of X (two with AVX2) and 4·quads rows of W. Leading
// dimensions are in elements.
func panel(set isa, e element) {
	m := 4
	if set.lanes() == 8 {
		m = 2
	}
	TEXT("panel"+e.suffix+set.name(), NOSPLIT, "func(c *float32, ldc int, x *float32, ldx int, w *"+e.word+", ldw, quads, k int)")
	Pragma("noescape")
	d := newDot(set, e, m, 4)
	d.x, d.w = loadRows("ldx", 2), loadRows("ldw", e.shift)
	c, w0 := Load(Param("c"), GP64()).(reg.GPVirtual), Load(Param("w"), GP64()).(reg.GPVirtual)
	quads := Load(Param("quads"), GP64()).(reg.GPVirtual)
	Label("quad")
	Load(Param("x"), d.x.p)
	MOVQ(w0, d.w.p)
	LEAQ(Mem{Base: w0, Index: d.w.ld, Scale: 4}, w0)
	sums := d.panelSums()
	d.begin(sums...)
	d.blocks(func() { d.foldPanel(sums) })
	d.storePanel(c, sums)
	ADDQ(Imm(16), c)
	DECQ(quads)
	JNZ(LabelRef("quad"))
	VZEROUPPER()
	RET()
}

func newDot(set isa, e element, m, n int) *dot {
	d := &dot{set: set, elem: e, n: GP64(), rest: GP64()}
	for range m {
		row := make([]reg.VecVirtual, n)
		for j := range row {
			row[j] = set.vec()
		}
		d.acc = append(d.acc, row)
	}
	return d
}

// panelSums are the vectors that hold a panel's products: four of each row of X in each 128
// bits.
func (d *dot) panelSums() []reg.VecVirtual {
	if d.set.lanes() == 16 {
		return []reg.VecVirtual{ZMM()}
	}
	return []reg.VecVirtual{XMM(), XMM()}
}

// foldPanel adds the folded accumulators to sums.
func (d *dot) foldPanel(sums []reg.VecVirtual) {
	if len(sums) == 2 {
		for i, s := range sums {
			VADDPS(foldQuad(d.acc[i]), s, s)
		}
		return
	}
	// Column j becomes one vector with the four partial sums of row i in its lane i.
	columns := make([]reg.VecVirtual, 4)
	for j := range columns {
		columns[j] = fold16to4(d.acc[0][j], d.acc[1][j], d.acc[2][j], d.acc[3][j])
	}
	VADDPS(foldLanes(columns), sums[0], sums[0])
}

// storePanel writes four products of each row of X.
func (d *dot) storePanel(c reg.GPVirtual, sums []reg.VecVirtual) {
	out, ldc := outputs(c)
	for i := range d.acc {
		if len(sums) == 1 {
			VEXTRACTF32X4(Imm(uint64(i)), sums[0], Mem{Base: out})
		} else {
			VMOVUPS(sums[i], Mem{Base: out})
		}
		if i < len(d.acc)-1 {
			ADDQ(ldc, out)
		}
	}
}

// storeColumns folds what fold16to4 returned for each of four columns and writes four products
// of each row of X.
func storeColumns(c reg.GPVirtual, columns []reg.VecVirtual) {
	out, ldc := outputs(c)
	sums := foldLanes(columns)
	for i := range 4 {
		VEXTRACTF32X4(Imm(uint64(i)), sums, Mem{Base: out})
		if i < 3 {
			ADDQ(ldc, out)
		}
	}
}

// outputs are a running pointer into C, which begins at c, and the bytes of a row.
func outputs(c reg.GPVirtual) (out reg.GPVirtual, ldc reg.Register) {
	out, ldc = GP64(), Load(Param("ldc"), GP64())
	SHLQ(Imm(2), ldc)
	MOVQ(c, out)
	return out, ldc
}

// fold16to4 returns a vector whose 128-bit lane i holds the four sums of v[i]'s elements l,
// l+4, l+8, l+12, in the order (l + l+8) + (l+4 + l+12).
func fold16to4(v ...reg.VecVirtual) reg.VecVirtual {
	p, q := foldHalves(0x44, 0xee, v[0], v[1]), foldHalves(0x44, 0xee, v[2], v[3])
	return foldHalves(0x88, 0xdd, p, q)
}

// foldHalves adds half of the 128-bit lanes of two vectors to the other half; lo and hi say
// which, as VSHUFF64X2 does.
func foldHalves(lo, hi uint64, a, b reg.VecVirtual) reg.VecVirtual {
	l, h := ZMM(), ZMM()
	VSHUFF64X2(Imm(lo), b, a, l)
	VSHUFF64X2(Imm(hi), b, a, h)
	VADDPS(h, l, l)
	return l
}

// foldLanes returns, in each 128-bit lane, the sums (0+1)+(2+3) of that lane of four vectors.
func foldLanes(v []reg.VecVirtual) reg.VecVirtual {
	return foldPairs(foldPairs(v[0], v[1]), foldPairs(v[2], v[3]))
}

// foldPairs returns, in each 128-bit lane, 0+1 and 2+3 of a, then of b.
func foldPairs(a, b reg.VecVirtual) reg.VecVirtual {
	even, odd := ZMM(), ZMM()
	VSHUFPS(Imm(0x88), b, a, even)
	VSHUFPS(Imm(0xdd), b, a, odd)
	VADDPS(odd, even, even)
	return even
}

// foldQuad returns the sums of four vectors of eight lanes, in the order that fold16to4 and
// foldLanes go on with.
func foldQuad(v []reg.VecVirtual) reg.VecVirtual {
	fours := make([]reg.VecVirtual, 4)
	for i, a := range v {
		hi := XMM()
		fours[i] = XMM()
		VEXTRACTF128(Imm(1), a, hi)
		VADDPS(hi, a.AsX(), fours[i])
	}
	ab, cd := XMM(), XMM()
	VHADDPS(fours[1], fours[0], ab)
	VHADDPS(fours[3], fours[2], cd)
	VHADDPS(cd, ab, ab)
	return ab
}

// vector is
//
//	func vector…(c, x *float32, w *T, ldw, rows, k, ahead int)
//
// c[j] = x·W[j] for 4·rows rows of W. Four quarters of them are read side by side, each from its
// first row to its last: memory gives more to several long streams than to one that runs through
// all rows in fours. What lies ahead bytes further in each is asked for.
func vector(set isa, e element) {
	TEXT("vector"+e.suffix+set.name(), NOSPLIT, "func(c, x *float32, w *"+e.word+", ldw, rows, k, ahead int)")
	Pragma("noescape")
	d := newDot(set, e, 1, 4)
	c, w0 := Load(Param("c"), GP64()).(reg.GPVirtual), Load(Param("w"), GP64()).(reg.GPVirtual)
	left, ahead := Load(Param("rows"), GP64()).(reg.GPVirtual), Load(Param("ahead"), GP64()).(reg.GPVirtual)
	ldw, out := Load(Param("ldw"), GP64()).(reg.GPVirtual), quarters(left, 2)
	SHLQ(Imm(e.shift), ldw)
	d.x.p, d.w = GP64(), quarters(left, 0)
	d.w.p = GP64()
	for _, apart := range []reg.GPVirtual{d.w.ld, d.w.ld3} {
		IMULQ(ldw, apart)
	}
	d.next = d.w
	d.next.p = GP64()
	out.p = c
	Label("row")
	Load(Param("x"), d.x.p)
	MOVQ(w0, d.w.p)
	LEAQ(Mem{Base: w0, Index: ahead, Scale: 1}, d.next.p)
	ADDQ(ldw, w0)
	sums := XMM()
	d.begin(sums)
	d.blocks(func() { VADDPS(foldRow(set, d.acc[0]), sums, sums) })
	VMOVSS(sums, out.row(0))
	for j := 1; j < 4; j++ {
		VEXTRACTPS(Imm(uint64(j)), sums, out.row(j))
	}
	ADDQ(Imm(4), c)
	DECQ(left)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// quarters are the distances n<<shift between four things of n each.
func quarters(n reg.GPVirtual, shift uint64) rows {
	r := rows{ld: GP64(), ld3: GP64()}
	MOVQ(n, r.ld)
	SHLQ(Imm(shift), r.ld)
	LEAQ(Mem{Base: r.ld, Index: r.ld, Scale: 2}, r.ld3)
	return r
}

// foldRow returns the sums of four vectors.
func foldRow(set isa, v []reg.VecVirtual) reg.Register {
	if set.lanes() == 8 {
		return foldQuad(v)
	}
	// Lane j of the fold has the sum of v[j], four times.
	f := fold16to4(v...)
	pairs := foldPairs(f, f)
	sums := foldPairs(pairs, pairs)
	mask, bits := K(), GP32()
	MOVL(U32(0x1111), bits)
	KMOVW(bits, mask)
	VCOMPRESSPS_Z(sums, mask, sums)
	return sums.AsX()
}

// single is
//
//	func single…(x *float32, w *T, k int) float32
//
// x·w.
func single(set isa, e element) {
	TEXT("single"+e.suffix+set.name(), NOSPLIT, "func(x *float32, w *"+e.word+", k int) float32")
	Pragma("noescape")
	d := newDot(set, e, 1, 1)
	d.x.p = Load(Param("x"), GP64()).(reg.GPVirtual)
	d.w.p = Load(Param("w"), GP64()).(reg.GPVirtual)
	a, sum := d.acc[0][0], XMM()
	d.begin(sum)
	d.blocks(func() { VADDPS(foldRow(set, []reg.VecVirtual{a, a, a, a}), sum, sum) })
	VMOVSS(sum, resultMem())
	VZEROUPPER()
	RET()
}

// resultMem is where a result of four bytes goes.
func resultMem() Mem {
	addr, err := ReturnIndex(0).Resolve()
	if err != nil {
		panic(err)
	}
	return addr.Addr
}

// rowsAhead is how far ahead weightedRows asks.
const rowsAhead = 64

// weightedRows is
//
//	func weightedRows…(y, p *float32, v *T, ldv, n, blocks int)
//
// y = Σ_i p[i]·V[i] for n rows and blocks·lanes columns, summed in the order of i. Rows of 16
// bits are asked for rowsAhead before their use, those after the last too: a head's values lie far
// apart in a cache, and what follows them is used next. Those of float32 gain nothing by it.
func weightedRows(set isa, e element) {
	TEXT("weightedRows"+e.suffix+set.name(), NOSPLIT, "func(y, p *float32, v *"+e.word+", ldv, n, blocks int)")
	Pragma("noescape")
	y, v0 := Load(Param("y"), GP64()).(reg.GPVirtual), Load(Param("v"), GP64()).(reg.GPVirtual)
	ldv, blocks := Load(Param("ldv"), GP64()).(reg.GPVirtual), Load(Param("blocks"), GP64()).(reg.GPVirtual)
	SHLQ(Imm(e.shift), ldv)
	var ahead reg.GPVirtual
	if e.shift == 1 {
		ahead = GP64()
		IMUL3Q(I32(rowsAhead), ldv, ahead)
	}
	// Four columns of vectors at a time, and what is left one by one.
	for _, width := range []int{4, 1} {
		label := map[int]string{4: "four", 1: "one"}[width]
		Label(label)
		CMPQ(blocks, Imm(uint64(width)))
		JL(LabelRef(label + "done"))
		acc := make([]reg.VecVirtual, width)
		for i := range acc {
			acc[i] = set.vec()
			set.zero(acc[i])
		}
		p, v, n := GP64(), GP64(), GP64()
		Load(Param("p"), p)
		Load(Param("n"), n)
		MOVQ(v0, v)
		Label(label + "row")
		w := set.vec()
		VBROADCASTSS(Mem{Base: p}, w)
		for line := 0; ahead != nil && line < width*set.lanes()<<e.shift; line += 64 {
			PREFETCHT0(Mem{Base: v, Index: ahead, Scale: 1, Disp: line})
		}
		for i := range acc {
			row := set.vec()
			e.load(Mem{Base: v, Disp: i * set.lanes() << e.shift}, row)
			VFMADD231PS(row, w, acc[i])
		}
		ADDQ(Imm(4), p)
		ADDQ(ldv, v)
		DECQ(n)
		JNZ(LabelRef(label + "row"))
		for i := range acc {
			VMOVUPS(acc[i], Mem{Base: y, Disp: 4 * i * set.lanes()})
		}
		ADDQ(I32(int32(4*width*set.lanes())), y)
		ADDQ(I32(int32(width*set.lanes()<<e.shift)), v0)
		SUBQ(Imm(uint64(width)), blocks)
		JMP(LabelRef(label))
		Label(label + "done")
	}
	VZEROUPPER()
	RET()
}
