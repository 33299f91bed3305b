package ptxsim

import (
	"math"

	"quadrant/kernels"
)

// A float is a type of floating-point arithmetic. get is exact; put rounds to nearest.
type float struct {
	name string
	bits int
	get  func(uint64) float64
	put  func(float64) uint64
}

var (
	f32 = float{"f32", 32,
		func(v uint64) float64 { return float64(math.Float32frombits(uint32(v))) },
		func(x float64) uint64 { return uint64(math.Float32bits(float32(x))) }}
	f64        = float{"f64", 64, math.Float64frombits, math.Float64bits}
	floatTypes = []float{f32, f64}
)

// floats: sums, products, quotients and roots of float32 are right if computed in
// float64 and rounded once more, because that has more than twice the digits.
func floats(t map[string]builder) {
	for _, f := range floatTypes {
		n := f.bits
		one := func(g func(a float64) float64) builder {
			return apply1(n, n, func(a uint64) uint64 { return f.put(g(f.get(a))) })
		}
		two := func(g func(a, b float64) float64) builder {
			return apply2(n, n, n, func(a, b uint64) uint64 { return f.put(g(f.get(a), f.get(b))) })
		}
		for _, rounding := range []string{".", ".rn."} {
			t["add"+rounding+f.name] = two(func(a, b float64) float64 { return a + b })
			t["sub"+rounding+f.name] = two(func(a, b float64) float64 { return a - b })
			t["mul"+rounding+f.name] = two(func(a, b float64) float64 { return a * b })
		}
		t["div.rn."+f.name] = two(func(a, b float64) float64 { return a / b })
		t["rcp.rn."+f.name] = one(func(a float64) float64 { return 1 / a })
		t["sqrt.rn."+f.name] = one(math.Sqrt)
		t["neg."+f.name] = one(func(a float64) float64 { return -a })
		t["abs."+f.name] = one(math.Abs)
		t["min."+f.name] = two(func(a, b float64) float64 { return number(a, b, math.Min) })
		t["max."+f.name] = two(func(a, b float64) float64 { return number(a, b, math.Max) })
	}
	// The three most frequent ones again, without a detour.
	t["add.f32"] = apply2(32, 32, 32, func(a, b uint64) uint64 { return bitsOf(single(a) + single(b)) })
	t["mul.f32"] = apply2(32, 32, 32, func(a, b uint64) uint64 { return bitsOf(single(a) * single(b)) })
	t["fma.rn.f32"] = apply3(32, 32, 32, 32, fma)
	t["fma.rn.f64"] = apply3(64, 64, 64, 64, func(a, b, c uint64) uint64 {
		return f64.put(math.FMA(f64.get(a), f64.get(b), f64.get(c)))
	})
	approximations(t)
}

func single(v uint64) float32 { return math.Float32frombits(uint32(v)) }
func bitsOf(x float32) uint64 { return uint64(math.Float32bits(x)) }

// fma: the product is exact in float64. The sum there, rounded again, is wrong only if it
// lies half way between two float32, or is so small that those have fewer digits.
func fma(a, b, c uint64) uint64 {
	product, z := float64(single(a))*float64(single(b)), float64(single(c))
	sum := product + z
	if v := math.Float64bits(sum); v&(1<<29-1) != 1<<28 && v>>52&0x7ff > 1023-126 {
		return bitsOf(float32(sum))
	}
	return bitsOf(float32(oddSum(product, z)))
}

// number is pick(a, b), or the other where one is a NaN.
func number(a, b float64, pick func(a, b float64) float64) float64 {
	switch {
	case a != a:
		return b
	case b != b:
		return a
	}
	return pick(a, b)
}

// oddSum is a + b with the last bit set where the sum is inexact, so that rounding it once
// more, to fewer digits, gives what rounding the exact sum would.
func oddSum(a, b float64) float64 {
	s := a + b
	if math.IsInf(s, 0) || s != s {
		return s
	}
	rest := s - a
	lost := (a - (s - rest)) + (b - rest)
	if v := math.Float64bits(s); lost != 0 && v&1 == 0 {
		if (lost > 0) == (s > 0) {
			v++
		} else {
			v--
		}
		return math.Float64frombits(v)
	}
	return s
}

// approximations are as wrong as the PTX manual lets them be, up or down.
func approximations(t map[string]builder) {
	for name, g := range map[string]func(float64) float64{
		"ex2":   math.Exp2,
		"rcp":   func(x float64) float64 { return 1 / x },
		"sqrt":  math.Sqrt,
		"rsqrt": func(x float64) float64 { return 1 / math.Sqrt(x) },
	} {
		t[name+".approx.ftz.f32"] = apply1(32, 32, func(a uint64) uint64 { return flush(coarse(a, g(f32.get(flush(a))))) })
		t[name+".approx.f32"] = apply1(32, 32, func(a uint64) uint64 { return coarse(a, g(f32.get(a))) })
	}
}

// coarse moves y by 2^-22.5 of itself, up or down by the bits of the operand.
func coarse(a uint64, y float64) uint64 {
	const off = 1.0 / (1 << 22) / math.Sqrt2
	if a>>3&1 != 0 {
		return f32.put(y * (1 + off))
	}
	return f32.put(y * (1 - off))
}

// flush turns a denormal into a zero.
func flush(v uint64) uint64 {
	if v&0x7f800000 == 0 {
		return v & 0x80000000
	}
	return v
}

func conversions(t map[string]builder) {
	t["cvt.f64.f32"] = apply1(64, 32, func(a uint64) uint64 { return f64.put(f32.get(a)) })
	t["cvt.rn.f32.f64"] = apply1(32, 64, func(a uint64) uint64 { return f32.put(f64.get(a)) })
	t["cvt.rn.bf16.f32"] = apply1(16, 32, func(a uint64) uint64 {
		if x := f32.get(a); x != x {
			return 0x7fff // the manual's canonical NaN
		}
		return uint64(kernels.ToBF16(math.Float32frombits(uint32(a))))
	})
	t["cvt.rn.f16.f32"] = apply1(16, 32, func(a uint64) uint64 {
		if x := f32.get(a); x != x {
			return 0x7fff
		}
		return uint64(kernels.ToF16(math.Float32frombits(uint32(a))))
	})
	t["cvt.f32.f16"] = apply1(32, 16, func(a uint64) uint64 { return bitsOf(kernels.FromF16(uint16(a))) })
	for _, f := range floatTypes {
		t["cvt.rni."+f.name+"."+f.name] = apply1(f.bits, f.bits, func(a uint64) uint64 { return f.put(math.RoundToEven(f.get(a))) })
		for _, i := range integerTypes {
			t["cvt.rn."+f.name+"."+i.name] = apply1(f.bits, i.bits, func(a uint64) uint64 {
				switch {
				case f.bits == 32 && i.signed:
					return uint64(math.Float32bits(float32(i.wide(a))))
				case f.bits == 32:
					return uint64(math.Float32bits(float32(a)))
				case i.signed:
					return f64.put(float64(i.wide(a)))
				}
				return f64.put(float64(a))
			})
			t["cvt.rzi."+i.name+"."+f.name] = apply1(i.bits, f.bits, func(a uint64) uint64 { return i.truncate(f.get(a)) })
		}
	}
	for _, from := range integerTypes {
		for _, to := range integerTypes {
			if from.bits != to.bits {
				t["cvt."+to.name+"."+from.name] = convert(to, from)
			}
		}
	}
	t["cvt.u32.u16"] = apply1(32, 16, func(a uint64) uint64 { return a })
}

// convert changes the width of an integer. The operand may be in a wider register, whose
// upper bits do not count.
func convert(to, from integer) builder {
	return func(d *decoder) (action, error) {
		if err := d.want(2); err != nil {
			return nil, err
		}
		bits := from.bits
		if r := d.registers[d.at.operands[1]]; r.bits > bits {
			bits = r.bits
		}
		return apply1(to.bits, bits, func(a uint64) uint64 {
			if from.signed {
				return to.cut(uint64(from.wide(a)))
			}
			return to.cut(from.cut(a))
		})(d)
	}
}

// truncate is x towards zero, within the type's range; a NaN is zero.
func (t integer) truncate(x float64) uint64 {
	x = math.Trunc(x)
	switch {
	case x != x:
		return 0
	case t.signed:
		top := math.Ldexp(1, t.bits-1)
		if x >= top {
			return t.cut(uint64(1)<<(t.bits-1) - 1)
		}
		return t.cut(uint64(int64(max(x, -top))))
	case x >= math.Ldexp(1, t.bits):
		return t.cut(math.MaxUint64)
	}
	return uint64(max(x, 0))
}
