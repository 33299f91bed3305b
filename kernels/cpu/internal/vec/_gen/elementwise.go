package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// exp returns exp(x), as ../exp.go computes it: x is overwritten. Beyond what float32 holds
// it is 0 or +Inf; a NaN stays one.
func exp(set isa, in limits, x reg.VecVirtual) reg.VecVirtual {
	f, p, y := set.vec(), set.vec(), set.vec()
	// Where an operand is a NaN, the first, in Go's order, is the result.
	VMAXPS(x, in.low, x)
	VMINPS(x, in.high, x)
	VMULPS(constF32(log2e), x, f)
	set.round(f, f)
	VFNMADD231PS(constF32(0.693359375), f, x)
	VFNMADD231PS(constF32(-2.12194440e-4), f, x)
	VMOVUPS(constF32(1.9875691500e-4), p)
	for _, c := range []float64{1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1} {
		VFMADD213PS(constF32(c), x, p)
	}
	VMULPS(x, x, y)
	VFMADD213PS(x, y, p)
	VADDPS(constF32(1), p, p)
	set.scale2(f, p)
	return p
}

// log2e turns powers of e into those of two.
const log2e = 1.44269504088896340736

// exp2 returns 2^x, within 1.5e-7 of it: x is overwritten. It takes half the
// instructions of exp; what a caller multiplies by log2e before costs precision where |x| is
// large, and the result small. Beyond what float32 holds it is 0 or +Inf; a NaN stays one.
func exp2(set isa, x reg.VecVirtual) reg.VecVirtual {
	r, whole := set.split(x)
	p := set.vec()
	// The least relative error on 0 … 1 of a polynomial that is 1 at 0: 2e-9.
	VMOVUPS(constF32(0.0002161291495972114), p)
	for _, c := range []float64{0.0012467846444468161, 0.009675451567107954, 0.05548528061854986, 0.24022930555225097, 0.6931470444433234, 1} {
		VFMADD213PS(constF32(c), r, p)
	}
	set.scale2(whole, p)
	return p
}

// limits are the arguments of exp beyond which its result is 0 or +Inf.
type limits struct{ low, high reg.VecVirtual }

func newLimits(set isa) limits { return limits{broadcast(set, -104), broadcast(set, 89)} }

// broadcast is a register with v in every lane.
func broadcast(set isa, v float64) reg.VecVirtual {
	r := set.vec()
	VMOVUPS(constF32(v), r)
	return r
}

// elementwise emits kernels over n vectors of lanes values, n at least 1; what is left over
// is Go's.
func elementwise(set isa) {
	loop := looper(set)

	// silu: y = x/(1 + exp(-x))
	var in limits
	var one, negative reg.VecVirtual
	loop("silu", "func(y, x *float32, n int)", []string{"y", "x"}, func(at map[string]Mem) {
		if at == nil {
			in = newLimits(set)
			one, negative = broadcast(set, 1), set.vec()
			VMOVUPS(constI32(-1<<31), negative)
			return
		}
		x, e := set.vec(), set.vec()
		VMOVUPS(at["x"], x)
		VXORPS(negative, x, e)
		e = exp(set, in, e)
		VADDPS(one, e, e)
		VDIVPS(e, x, x)
		VMOVUPS(x, at["y"])
	}, nil)

	// geluTanh: y = x/(1 + exp(-2u)) with u = sqrt(2/pi)·(x + 0.044715·x^3), which is
	// x/2·(1 + tanh u)
	loop("geluTanh", "func(y, x *float32, n int)", []string{"y", "x"}, func(at map[string]Mem) {
		if at == nil {
			in, one = newLimits(set), broadcast(set, 1)
			return
		}
		x, u := set.vec(), set.vec()
		VMOVUPS(at["x"], x)
		VMULPS(x, x, u)
		VMULPS(constF32(-2*0.7978845608028654*0.044715), u, u)
		VADDPS(constF32(-2*0.7978845608028654), u, u)
		VMULPS(x, u, u)
		e := exp(set, in, u)
		VADDPS(one, e, e)
		VDIVPS(e, x, x)
		VMOVUPS(x, at["y"])
	}, nil)

	// gelu: y = x/2·(1 + erf(x/sqrt 2)), erf by formula 7.1.26 of Abramowitz and Stegun
	var absolute reg.VecVirtual
	loop("gelu", "func(y, x *float32, n int)", []string{"y", "x"}, func(at map[string]Mem) {
		if at == nil {
			in, one, absolute = newLimits(set), broadcast(set, 1), set.vec()
			VMOVUPS(constI32(1<<31-1), absolute)
			return
		}
		x, z, t, p, tail := set.vec(), set.vec(), set.vec(), set.vec(), set.vec()
		VMOVUPS(at["x"], x)
		VANDPS(absolute, x, z)
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
		VMULPS(exp(set, in, z), p, p) // 1 - erf(|x|/sqrt 2)
		// For x above 0 the result is x - x/2·p, below it x/2·p.
		VMULPS(constF32(0.5), x, tail)
		VANDPS(absolute, tail, tail)
		VMULPS(p, tail, tail)
		VXORPS(t, t, t)
		VMAXPS(x, t, x)
		VSUBPS(tail, x, x)
		VMOVUPS(x, at["y"])
	}, nil)

	// softplus: y = log(1 + exp x) = max(x, 0) + log1p(exp(-|x|)), log1p(u) = u·q(u) with a
	// Chebyshev fit of q on 0 … 1 within 5e-9
	loop("softplus", "func(y, x *float32, n int)", []string{"y", "x"}, func(at map[string]Mem) {
		if at == nil {
			in = newLimits(set)
			return
		}
		x, u, q, zero := set.vec(), set.vec(), set.vec(), set.vec()
		VMOVUPS(at["x"], x)
		VORPS(constI32(-1<<31), x, u)
		u = exp(set, in, u)
		VMOVUPS(constF32(-0.0032563784736703385), q)
		for _, c := range []float64{
			0.01990716092681396, -0.05706420075777714, 0.10614264686164689, -0.15311863101379686,
			0.19678117255957583, -0.24954558870979252, 0.333300040352052, -0.499999039927623, 0.9999999953848516,
		} {
			VFMADD213PS(constF32(c), u, q)
		}
		VXORPS(zero, zero, zero)
		VMAXPS(x, zero, x)
		VFMADD231PS(q, u, x)
		VMOVUPS(x, at["y"])
	}, nil)

	// multiply: y = y·x
	loop("multiply", "func(y, x *float32, n int)", []string{"y", "x"}, func(at map[string]Mem) {
		if at == nil {
			return
		}
		y := set.vec()
		VMOVUPS(at["y"], y)
		VMULPS(at["x"], y, y)
		VMOVUPS(y, at["y"])
	}, nil)

	// multiplyAdd: y = y + a·b
	loop("multiplyAdd", "func(y, a, b *float32, n int)", []string{"y", "a", "b"}, func(at map[string]Mem) {
		if at == nil {
			return
		}
		y, a := set.vec(), set.vec()
		VMOVUPS(at["y"], y)
		VMOVUPS(at["a"], a)
		VFMADD231PS(at["b"], a, y)
		VMOVUPS(y, at["y"])
	}, nil)

	// axpy: y = y + a·x
	var a reg.VecVirtual
	loop("axpy", "func(y *float32, a float32, x *float32, n int)", []string{"y", "x"}, func(at map[string]Mem) {
		if at == nil {
			a = set.vec()
			VBROADCASTSS(paramMem("a"), a)
			return
		}
		y := set.vec()
		VMOVUPS(at["y"], y)
		VFMADD231PS(at["x"], a, y)
		VMOVUPS(y, at["y"])
	}, nil)

	// scale: y = a·y
	loop("scale", "func(y *float32, a float32, n int)", []string{"y"}, func(at map[string]Mem) {
		if at == nil {
			a = set.vec()
			VBROADCASTSS(paramMem("a"), a)
			return
		}
		y := set.vec()
		VMULPS(at["y"], a, y)
		VMOVUPS(y, at["y"])
	}, nil)

	// scaledMax: x = s·x; returns the largest of the results
	var s, top reg.VecVirtual
	loop("scaledMax", "func(x *float32, s float32, n int) float32", []string{"x"}, func(at map[string]Mem) {
		if at == nil {
			s, top = set.vec(), set.vec()
			VBROADCASTSS(paramMem("s"), s)
			VMOVUPS(constI32(-0x800000), top) // minus infinity
			return
		}
		x := set.vec()
		VMULPS(at["x"], s, x)
		VMOVUPS(x, at["x"])
		VMAXPS(x, top, top)
	}, func() {
		VMOVSS(reduce(set, top, VMAXPS), resultMem())
	})

	// expSum: x = exp(x - shift); returns the sum of the results
	var shift, sum reg.VecVirtual
	loop("expSum", "func(x *float32, shift float32, n int) float32", []string{"x"}, func(at map[string]Mem) {
		if at == nil {
			in = newLimits(set)
			shift, sum = set.vec(), set.vec()
			VBROADCASTSS(paramMem("shift"), shift)
			set.zero(sum)
			return
		}
		x := set.vec()
		VMOVUPS(at["x"], x)
		VSUBPS(shift, x, x)
		x = exp(set, in, x)
		VMOVUPS(x, at["x"])
		VADDPS(x, sum, sum)
	}, func() {
		VMOVSS(reduce(set, sum, VADDPS), resultMem())
	})
}

// looper emits a kernel that goes over its pointers a vector at a time. body is first called
// with nil, before the loop.
func looper(set isa) func(name, signature string, pointers []string, body func(at map[string]Mem), end func()) {
	size := 4 * set.lanes()
	return func(name, signature string, pointers []string, body func(at map[string]Mem), end func()) {
		TEXT(name+set.name(), NOSPLIT, signature)
		Pragma("noescape")
		at := make(map[string]Mem)
		var regs []reg.GPVirtual
		for _, p := range pointers {
			r := Load(Param(p), GP64()).(reg.GPVirtual)
			at[p] = Mem{Base: r}
			regs = append(regs, r)
		}
		n := Load(Param("n"), GP64())
		body(nil)
		Label("loop")
		body(at)
		for _, r := range regs {
			ADDQ(I32(int32(size)), r)
		}
		DECQ(n)
		JNZ(LabelRef("loop"))
		if end != nil {
			end()
		}
		VZEROUPPER()
		RET()
	}
}

// reduce combines the lanes of v in halves.
func reduce(set isa, v reg.VecVirtual, with func(ops ...Op)) reg.Register {
	if set.lanes() == 16 {
		hi := ZMM()
		VEXTRACTF64X4(Imm(1), v, hi.AsY())
		with(hi.AsY(), v.AsY(), v.AsY())
	}
	hi := XMM()
	VEXTRACTF128(Imm(1), v.AsY(), hi)
	with(hi, v.AsX(), v.AsX())
	for _, order := range []uint64{0x4e, 0xb1} {
		VPERMILPS(Imm(order), v.AsX(), hi)
		with(hi, v.AsX(), v.AsX())
	}
	return v.AsX()
}

// paramMem is where a parameter lies.
func paramMem(name string) Mem {
	addr, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return addr.Addr
}
