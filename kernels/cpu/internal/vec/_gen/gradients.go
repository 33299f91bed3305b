package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// gradients emits kernels over n vectors, as elementwise does.
func gradients(set isa) {
	loop := looper(set)
	var in limits
	var one reg.VecVirtual
	begin := func() { in, one = newLimits(set), broadcast(set, 1) }
	load := func(m Mem) reg.VecVirtual {
		v := set.vec()
		VMOVUPS(m, v)
		return v
	}
	// sigma is 1/(1 + exp(x)).
	sigma := func(x reg.VecVirtual) reg.VecVirtual {
		e, s := exp(set, in, x), set.vec()
		VADDPS(one, e, e)
		VDIVPS(e, one, s)
		return s
	}
	negated := func(m Mem) reg.VecVirtual {
		v := load(m)
		VXORPS(constI32(-1<<31), v, v)
		return v
	}

	// sigmoid: y = 1/(1 + exp(-x))
	loop("sigmoid", "func(y, x *float32, n int)", []string{"y", "x"}, func(at map[string]Mem) {
		if at == nil {
			begin()
			return
		}
		VMOVUPS(sigma(negated(at["x"])), at["y"])
	}, nil)

	// siluGrad: y = x·s, dy = s + y·(1-s), s = 1/(1 + exp(-x))
	loop("siluGrad", "func(y, dy, x *float32, n int)", []string{"y", "dy", "x"}, func(at map[string]Mem) {
		if at == nil {
			begin()
			return
		}
		x := load(at["x"])
		s, y, d := sigma(negated(at["x"])), set.vec(), set.vec()
		VMULPS(s, x, y)
		VSUBPS(s, one, d)
		VFMADD213PS(s, y, d)
		VMOVUPS(y, at["y"])
		VMOVUPS(d, at["dy"])
	}, nil)

	// geluTanhGrad: y = x·s, dy = s + y·(1-s)·v', s = 1/(1 + exp(-v)), v = 2·sqrt(2/pi)·(x + 0.044715·x^3)
	const k = 2 * 0.7978845608028654
	loop("geluTanhGrad", "func(y, dy, x *float32, n int)", []string{"y", "dy", "x"}, func(at map[string]Mem) {
		if at == nil {
			begin()
			return
		}
		x, u, slope := load(at["x"]), set.vec(), set.vec()
		VMULPS(x, x, u)
		VMULPS(constF32(3*k*0.044715), u, slope)
		VADDPS(constF32(k), slope, slope)
		VMULPS(constF32(-k*0.044715), u, u)
		VADDPS(constF32(-k), u, u)
		VMULPS(x, u, u)
		s, y, d := sigma(u), set.vec(), set.vec()
		VMULPS(s, x, y)
		VSUBPS(s, one, d)
		VMULPS(slope, d, d)
		VFMADD213PS(s, y, d)
		VMOVUPS(y, at["y"])
		VMOVUPS(d, at["dy"])
	}, nil)

	// geluGrad: y as gelu, dy = (1 + erf(x/sqrt 2))/2 + x·exp(-x²/2)/sqrt(2·pi)
	loop("geluGrad", "func(y, dy, x *float32, n int)", []string{"y", "dy", "x"}, func(at map[string]Mem) {
		if at == nil {
			begin()
			return
		}
		x, z, t, p := load(at["x"]), set.vec(), set.vec(), set.vec()
		VANDPS(constI32(1<<31-1), x, z)
		VMULPS(constF32(math.Sqrt2/2), z, z)
		VMOVUPS(constF32(0.3275911), t)
		VFMADD213PS(one, z, t)
		VDIVPS(t, one, t)
		VMOVUPS(constF32(1.061405429), p)
		for _, c := range []float64{-1.453152027, 1.421413741, -0.284496736, 0.254829592} {
			VFMADD213PS(constF32(c), t, p)
		}
		VMULPS(t, p, p)
		VMULPS(z, z, z)
		VXORPS(constI32(-1<<31), z, z)
		e := exp(set, in, z)
		VMULPS(e, p, p) // 1 - erf(|x|/sqrt 2)
		half, sign, tail, d := set.vec(), set.vec(), set.vec(), set.vec()
		// The derivative's first part is 1 - p/2 above 0 and p/2 below it.
		VMULPS(constF32(0.5), p, p)
		VMOVUPS(constF32(0.5), half)
		VSUBPS(p, half, d)
		VANDPS(constI32(-1<<31), x, sign)
		VXORPS(sign, d, d)
		VADDPS(half, d, d)
		VMULPS(constF32(1/math.Sqrt(2*math.Pi)), e, e)
		VFMADD231PS(e, x, d)
		VMOVUPS(d, at["dy"])
		VANDPS(constI32(1<<31-1), x, tail)
		VMULPS(p, tail, tail)
		VXORPS(t, t, t)
		VMAXPS(x, t, x)
		VSUBPS(tail, x, x)
		VMOVUPS(x, at["y"])
	}, nil)

	// multiplyTo: y = a·b
	loop("multiplyTo", "func(y, a, b *float32, n int)", []string{"y", "a", "b"}, func(at map[string]Mem) {
		if at == nil {
			return
		}
		a := load(at["a"])
		VMULPS(at["b"], a, a)
		VMOVUPS(a, at["y"])
	}, nil)

	// normSums: with c = x - shift and q = dy·gain, the sums of c, c², q and q·c
	var shift reg.VecVirtual
	sums := make([]reg.VecVirtual, 4)
	loop("normSums", "func(x, dy, gain *float32, shift float32, n int) (c, cc, q, qc float32)", []string{"x", "dy", "gain"}, func(at map[string]Mem) {
		if at == nil {
			shift = set.vec()
			VBROADCASTSS(paramMem("shift"), shift)
			for i := range sums {
				sums[i] = set.vec()
				set.zero(sums[i])
			}
			return
		}
		c, q := load(at["x"]), load(at["dy"])
		VSUBPS(shift, c, c)
		VMULPS(at["gain"], q, q)
		VADDPS(c, sums[0], sums[0])
		VFMADD231PS(c, c, sums[1])
		VADDPS(q, sums[2], sums[2])
		VFMADD231PS(q, c, sums[3])
	}, func() { results(set, sums) })

	// normGrad: with c = (x - shift)·r, dx += r·dy·gain - constant - slope·c, dGain += dy·c
	var by []reg.VecVirtual
	factors := func(names ...string) {
		by = by[:0]
		for _, name := range names {
			v := set.vec()
			VBROADCASTSS(paramMem(name), v)
			by = append(by, v)
		}
	}
	loop("normGrad", "func(dx, dGain, x, dy, gain *float32, shift, r, constant, slope float32, n int)", []string{"dx", "dGain", "x", "dy", "gain"}, func(at map[string]Mem) {
		if at == nil {
			factors("shift", "r", "constant", "slope")
			return
		}
		c, g, q, dx, dGain := load(at["x"]), load(at["dy"]), set.vec(), load(at["dx"]), load(at["dGain"])
		VSUBPS(by[0], c, c)
		VMULPS(by[1], c, c)
		VFMADD231PS(g, c, dGain)
		VMOVUPS(dGain, at["dGain"])
		VMULPS(at["gain"], g, q)
		VFMSUB213PS(by[2], by[1], q)
		VFNMADD231PS(by[3], c, q)
		VADDPS(q, dx, dx)
		VMOVUPS(dx, at["dx"])
	}, nil)

	// softmaxGrad: p = exp(scale·p - lse), ds = scale·p·(ds - shift)
	var scale, lse reg.VecVirtual
	loop("softmaxGrad", "func(p, ds *float32, scale, lse, shift float32, n int)", []string{"p", "ds"}, func(at map[string]Mem) {
		if at == nil {
			in = newLimits(set)
			scale, lse, shift = set.vec(), set.vec(), set.vec()
			VBROADCASTSS(paramMem("scale"), scale)
			VBROADCASTSS(paramMem("lse"), lse)
			VBROADCASTSS(paramMem("shift"), shift)
			return
		}
		p, ds := load(at["p"]), load(at["ds"])
		VFMSUB213PS(lse, scale, p)
		p = exp(set, in, p)
		VMOVUPS(p, at["p"])
		VSUBPS(shift, ds, ds)
		VMULPS(scale, ds, ds)
		VMULPS(p, ds, ds)
		VMOVUPS(ds, at["ds"])
	}, nil)

	// adamW: see AdamWArgs in ../grad.go
	loop("adamW", "func(w, grad, m, v *float32, gradScale, oneMinusBeta1, oneMinusBeta2, rate, correction, eps, decay float32, n int)", []string{"w", "grad", "m", "v"}, func(at map[string]Mem) {
		if at == nil {
			factors("gradScale", "oneMinusBeta1", "oneMinusBeta2", "rate", "correction", "eps", "decay")
			return
		}
		w, g, m, v, step := load(at["w"]), load(at["grad"]), load(at["m"]), load(at["v"]), set.vec()
		VMULPS(by[0], g, g)
		VMULPS(g, g, step)
		VSUBPS(m, g, g)
		VFMADD231PS(by[1], g, m)
		VMOVUPS(m, at["m"])
		VSUBPS(v, step, step)
		VFMADD231PS(by[2], step, v)
		VMOVUPS(v, at["v"])
		VMULPS(by[4], v, v)
		VSQRTPS(v, v)
		VADDPS(by[5], v, v)
		VMULPS(by[3], m, m)
		VDIVPS(v, m, m)
		VFMADD231PS(by[6], w, m)
		VSUBPS(m, w, w)
		VMOVUPS(w, at["w"])
	}, nil)
}

// The layout of ScanGradArgs, in bytes.
const (
	scanRow  = 4 * 16             // a row of channels
	scanPart = scanRow * (64 + 1) // from a part of X to the next
	scanAcc  = scanRow * 2 * 64   // from a state of Acc to the next
)

// scanGrad is
//
//	func scanGrad…(x, acc, state, b, c, work, ahead *float32, ldb, ldc, lda, n int)
//
// one state, or two that lie next to each other, of as many channels as lanes over n tokens,
// there and back; see ../grad.go. The n rows of ahead are asked for on the way. Two states
// share what they read and add to, and one works while the other waits.
func scanGrad(set isa, states int) {
	TEXT(fmt.Sprintf("scanGrad%d%s", states, set.name()), NOSPLIT, "func(x, acc, state, b, c, work, ahead *float32, ldb, ldc, lda, n int)")
	Pragma("noescape")
	pointer := func(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }
	x, acc, state, b, c, work, ahead := pointer("x"), pointer("acc"), pointer("state"), pointer("b"), pointer("c"), pointer("work"), pointer("ahead")
	ldb, ldc, lda, n := pointer("ldb"), pointer("ldc"), pointer("lda"), pointer("n")
	for _, ld := range []reg.GPVirtual{ldb, ldc, lda} {
		SHLQ(Imm(2), ld)
	}
	part := func(i int) Mem { return Mem{Base: x, Disp: i * scanPart} }
	row := func(p reg.GPVirtual, i int) Mem { return Mem{Base: p, Disp: i * scanRow} }
	sums := func(k, i int) Mem { return Mem{Base: acc, Disp: k*scanAcc + i*scanRow} }
	load := func(m Mem) reg.VecVirtual {
		v := set.vec()
		VMOVUPS(m, v)
		return v
	}
	spread := func(p reg.GPVirtual, k int) reg.VecVirtual {
		v := set.vec()
		VBROADCASTSS(Mem{Base: p, Disp: 4 * k}, v)
		return v
	}
	// Each row of x, work and acc takes so many bytes.
	rows := map[reg.GPVirtual]int32{x: scanRow, work: int32(2 * states * scanRow), acc: 2 * scanRow}
	pointers := []reg.GPVirtual{x, work, acc}

	a, h := make([]reg.VecVirtual, states), make([]reg.VecVirtual, states)
	for k := range states {
		a[k], h[k] = load(row(state, 4*k)), load(row(state, 4*k+1))
		VMULPS(constF32(log2e), a[k], a[k])
	}
	left := GP64()
	MOVQ(n, left)
	Label("there")
	PREFETCHT0(Mem{Base: ahead})
	ADDQ(lda, ahead)
	dt, du, y := load(part(partDT)), load(part(partDU)), load(part(partY))
	for k := range states {
		decay, step := set.vec(), spread(b, k)
		VMULPS(a[k], dt, decay)
		decay = exp2(set, decay)
		VMOVUPS(h[k], row(work, 2*k))
		VMOVUPS(decay, row(work, 2*k+1))
		VMULPS(du, step, step)
		VFMADD213PS(step, decay, h[k])
		VFMADD231PS(spread(c, k), h[k], y)
	}
	VMOVUPS(y, part(partY))
	for _, p := range pointers {
		ADDQ(I32(rows[p]), p)
	}
	ADDQ(ldb, b)
	ADDQ(ldc, c)
	DECQ(left)
	JNZ(LabelRef("there"))

	carry, da := make([]reg.VecVirtual, states), make([]reg.VecVirtual, states)
	for k := range states {
		VMOVUPS(row(state, 4*k), a[k])
		carry[k], da[k] = load(row(state, 4*k+2)), load(row(state, 4*k+3))
	}
	Label("back")
	for _, p := range pointers {
		SUBQ(I32(rows[p]), p)
	}
	SUBQ(ldb, b)
	SUBQ(ldc, c)
	dy, sb, se := load(part(partDY)), load(part(partSB)), load(part(partSE))
	for k := range states {
		// h is that after the token.
		g := spread(c, k)
		VFMADD213PS(carry[k], dy, g)
		sum := load(sums(k, 1))
		VFMADD231PS(dy, h[k], sum)
		VMOVUPS(sum, sums(k, 1))
		sum = load(sums(k, 0))
		VFMADD231PS(part(partDU), g, sum)
		VMOVUPS(sum, sums(k, 0))
		VFMADD231PS(spread(b, k), g, sb)
		VMULPS(row(work, 2*k+1), g, carry[k])
		VMOVUPS(row(work, 2*k), h[k])
		VMULPS(h[k], carry[k], g) // e
		VFMADD231PS(a[k], g, se)
		VFMADD231PS(part(partDT), g, da[k])
	}
	VMOVUPS(sb, part(partSB))
	VMOVUPS(se, part(partSE))
	DECQ(n)
	JNZ(LabelRef("back"))
	for k := range states {
		VMOVUPS(carry[k], row(state, 4*k+2))
		VMOVUPS(da[k], row(state, 4*k+3))
	}
	VZEROUPPER()
	RET()
}

// laneSums is
//
//	func laneSums…(y, x *float32, ld, n int)
//
// y[i] = Σ over sixteen values from x[i·ld] on, for 16·n values i.
func laneSums(set isa) {
	TEXT("laneSums"+set.name(), NOSPLIT, "func(y, x *float32, ld, n int)")
	Pragma("noescape")
	y, x := Load(Param("y"), GP64()).(reg.GPVirtual), Load(Param("x"), GP64()).(reg.GPVirtual)
	ld, n := Load(Param("ld"), GP64()).(reg.GPVirtual), Load(Param("n"), GP64())
	SHLQ(Imm(2), ld)
	next := func() reg.VecVirtual {
		v := set.vec()
		VMOVUPS(Mem{Base: x}, v)
		if set.lanes() == 8 {
			VADDPS(Mem{Base: x, Disp: 32}, v, v)
		}
		ADDQ(ld, x)
		return v
	}
	Label("loop")
	if set.lanes() == 8 {
		for i := range 4 {
			VMOVUPS(foldQuad([]reg.VecVirtual{next(), next(), next(), next()}), Mem{Base: y, Disp: 16 * i})
		}
	} else {
		all := make([]reg.VecVirtual, 16)
		for i := range all {
			all[i] = next()
		}
		columns := make([]reg.VecVirtual, 4)
		for j := range columns { // as in scan512
			columns[j] = foldHalves(0x88, 0xdd, foldHalves(0x44, 0xee, all[j], all[j+4]), foldHalves(0x44, 0xee, all[j+8], all[j+12]))
		}
		VMOVUPS(foldLanes(columns), Mem{Base: y})
	}
	ADDQ(Imm(64), y)
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
