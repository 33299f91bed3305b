package ptxsim

import (
	"fmt"
	"math"
	"math/bits"
)

// A builder decodes the operands of an instruction and returns what it does.
type builder func(d *decoder) (action, error)

// table holds every instruction that is known, by its full name: a modifier that is not
// here is an error, not a detail.
var table = func() map[string]builder {
	t := map[string]builder{}
	integers(t)
	logic(t)
	floats(t)
	comparisons(t)
	conversions(t)
	moves(t)
	loads(t)
	collectives(t)
	dependencies(t)
	asyncCopies(t)
	barriers(t)
	matrices(t)
	warpgroups(t)
	return t
}()

func apply1(out, in int, f func(uint64) uint64) builder {
	return func(d *decoder) (action, error) {
		s, err := d.values(out, in)
		return func(w *warp, mask uint32) error {
			dst, a := &w.regs[s[0]], &w.regs[s[1]]
			for ; mask != 0; mask &= mask - 1 {
				l := bits.TrailingZeros32(mask) & 31
				dst[l] = f(a[l])
			}
			return nil
		}, err
	}
}

func apply2(out, x, y int, f func(a, b uint64) uint64) builder {
	return func(d *decoder) (action, error) {
		s, err := d.values(out, x, y)
		return func(w *warp, mask uint32) error {
			dst, a, b := &w.regs[s[0]], &w.regs[s[1]], &w.regs[s[2]]
			if mask == math.MaxUint32 {
				for l := range dst {
					dst[l] = f(a[l], b[l])
				}
				return nil
			}
			for ; mask != 0; mask &= mask - 1 {
				l := bits.TrailingZeros32(mask) & 31
				dst[l] = f(a[l], b[l])
			}
			return nil
		}, err
	}
}

func apply3(out, x, y, z int, f func(a, b, c uint64) uint64) builder {
	return func(d *decoder) (action, error) {
		s, err := d.values(out, x, y, z)
		return func(w *warp, mask uint32) error {
			dst, a, b, c := &w.regs[s[0]], &w.regs[s[1]], &w.regs[s[2]], &w.regs[s[3]]
			for ; mask != 0; mask &= mask - 1 {
				l := bits.TrailingZeros32(mask) & 31
				dst[l] = f(a[l], b[l], c[l])
			}
			return nil
		}, err
	}
}

// An integer is a type of integer arithmetic. Registers hold the bits, upper ones zero.
type integer struct {
	name   string
	bits   int
	signed bool
}

var integerTypes = []integer{{"s32", 32, true}, {"u32", 32, false}, {"s64", 64, true}, {"u64", 64, false}, {"s16", 16, true}, {"u16", 16, false}}

// cut drops the bits beyond the type's.
func (t integer) cut(v uint64) uint64 { return v & (math.MaxUint64 >> (64 - t.bits)) }

// wide extends the sign.
func (t integer) wide(v uint64) int64 { return int64(v<<(64-t.bits)) >> (64 - t.bits) }

func (t integer) less(a, b uint64) bool {
	if t.signed {
		return t.wide(a) < t.wide(b)
	}
	return a < b
}

func integers(t map[string]builder) {
	for _, i := range integerTypes {
		n := i.bits
		both := func(f func(a, b uint64) uint64) builder {
			return apply2(n, n, n, func(a, b uint64) uint64 { return i.cut(f(a, b)) })
		}
		t["add."+i.name] = both(func(a, b uint64) uint64 { return a + b })
		t["sub."+i.name] = both(func(a, b uint64) uint64 { return a - b })
		t["mul.lo."+i.name] = both(func(a, b uint64) uint64 { return a * b })
		t["min."+i.name] = both(func(a, b uint64) uint64 {
			if i.less(b, a) {
				return b
			}
			return a
		})
		t["max."+i.name] = both(func(a, b uint64) uint64 {
			if i.less(a, b) {
				return b
			}
			return a
		})
		t["div."+i.name] = divide(i, func(a, b int64) int64 { return a / b }, func(a, b uint64) uint64 { return a / b })
		t["rem."+i.name] = divide(i, func(a, b int64) int64 { return a % b }, func(a, b uint64) uint64 { return a % b })
		t["mad.lo."+i.name] = apply3(n, n, n, n, func(a, b, c uint64) uint64 { return i.cut(a*b + c) })
		t["shr."+i.name] = apply2(n, n, 32, func(a, b uint64) uint64 {
			if i.signed {
				return i.cut(uint64(i.wide(a) >> min(b, 63)))
			}
			return a >> b
		})
		if i.signed {
			t["neg."+i.name] = apply1(n, n, func(a uint64) uint64 { return i.cut(-a) })
		}
		if n == 32 {
			t["mul.wide."+i.name] = apply2(64, 32, 32, func(a, b uint64) uint64 {
				if i.signed {
					return uint64(i.wide(a) * i.wide(b))
				}
				return a * b
			})
			t["mul.hi."+i.name] = both(func(a, b uint64) uint64 {
				if i.signed {
					return uint64(i.wide(a) * i.wide(b) >> 32)
				}
				return a * b >> 32
			})
		}
	}
}

// divide makes a division by zero an error: a GPU gives an unspecified value.
func divide(t integer, signed func(a, b int64) int64, unsigned func(a, b uint64) uint64) builder {
	return func(d *decoder) (action, error) {
		s, err := d.values(t.bits, t.bits, t.bits)
		return func(w *warp, mask uint32) error {
			return each(mask, func(l int) error {
				a, b := w.regs[s[1]][l], w.regs[s[2]][l]
				if b == 0 {
					return fmt.Errorf("division of %d by zero", t.wide(a))
				}
				if t.signed {
					w.regs[s[0]][l] = t.cut(uint64(signed(t.wide(a), t.wide(b))))
				} else {
					w.regs[s[0]][l] = unsigned(a, b)
				}
				return nil
			})
		}, err
	}
}

// extract is bfe: length bits of a, from a bit on.
func extract(a, from, length uint64) uint64 { return a >> (from & 0xff) & (1<<(length&0xff) - 1) }

func logic(t map[string]builder) {
	t["bfe.u32"] = apply3(32, 32, 32, 32, extract)
	t["bfe.u64"] = apply3(64, 64, 32, 32, extract)
	for name, n := range map[string]int{"pred": 1, "b16": 16, "b32": 32, "b64": 64} {
		i := integer{bits: n}
		t["and."+name] = apply2(n, n, n, func(a, b uint64) uint64 { return a & b })
		t["or."+name] = apply2(n, n, n, func(a, b uint64) uint64 { return a | b })
		t["xor."+name] = apply2(n, n, n, func(a, b uint64) uint64 { return a ^ b })
		t["not."+name] = apply1(n, n, func(a uint64) uint64 { return i.cut(^a) })
		if n > 1 {
			t["shl."+name] = apply2(n, n, 32, func(a, b uint64) uint64 { return i.cut(a << b) })
		}
	}
}

func moves(t map[string]builder) {
	t["mov.pred"] = move(1)
	for _, name := range []string{"b16", "u16", "b32", "u32", "s32", "f32", "b64", "u64", "s64", "f64"} {
		n := width(name)
		t["mov."+name] = move(n)
		if n >= 16 {
			t["selp."+name] = apply3(n, n, n, 1, func(a, b, p uint64) uint64 {
				if p&1 != 0 {
					return a
				}
				return b
			})
		}
	}
}

func move(n int) builder { return apply1(n, n, func(a uint64) uint64 { return a }) }

func predicate(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func comparisons(t map[string]builder) {
	signs := map[string]func(less, equal bool) bool{
		"eq": func(_, equal bool) bool { return equal },
		"ne": func(_, equal bool) bool { return !equal },
		"lt": func(less, _ bool) bool { return less },
		"le": func(less, equal bool) bool { return less || equal },
		"gt": func(less, equal bool) bool { return !less && !equal },
		"ge": func(less, _ bool) bool { return !less },
	}
	for sign, holds := range signs {
		for _, i := range integerTypes {
			t["setp."+sign+"."+i.name] = apply2(1, i.bits, i.bits, func(a, b uint64) uint64 {
				return predicate(holds(i.less(a, b), a == b))
			})
		}
		for _, f := range floatTypes {
			for suffix, unordered := range map[string]bool{"": false, "u": true} {
				t["setp."+sign+suffix+"."+f.name] = apply2(1, f.bits, f.bits, func(a, b uint64) uint64 {
					x, y := f.get(a), f.get(b)
					if x != x || y != y {
						return predicate(unordered)
					}
					return predicate(holds(x < y, x == y))
				})
			}
		}
	}
	for _, name := range []string{"b16", "b32", "b64"} {
		n := width(name)
		t["setp.eq."+name] = apply2(1, n, n, func(a, b uint64) uint64 { return predicate(a == b) })
		t["setp.ne."+name] = apply2(1, n, n, func(a, b uint64) uint64 { return predicate(a != b) })
	}
	for _, f := range floatTypes {
		t["setp.num."+f.name] = apply2(1, f.bits, f.bits, func(a, b uint64) uint64 {
			return predicate(f.get(a) == f.get(a) && f.get(b) == f.get(b))
		})
		t["setp.nan."+f.name] = apply2(1, f.bits, f.bits, func(a, b uint64) uint64 {
			return predicate(f.get(a) != f.get(a) || f.get(b) != f.get(b))
		})
	}
}

// dependencies are how launches overlap. Here one launch follows the other.
func dependencies(t map[string]builder) {
	for _, name := range []string{"griddepcontrol.wait", "griddepcontrol.launch_dependents"} {
		t[name] = func(d *decoder) (action, error) {
			return func(*warp, uint32) error { return nil }, d.want(0)
		}
	}
}
