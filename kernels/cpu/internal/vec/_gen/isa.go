package main

import (
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// An isa is a set of vector instructions: what differs between them for kernels that are
// otherwise written once.
type isa interface {
	name() string
	lanes() int // of float32
	strip() int // vectors that a strip takes, as registers allow
	vec() reg.VecVirtual
	zero(v reg.VecVirtual)
	// scale2 is v = v·2^f for whole f, also where the result is denormal, zero or infinite.
	scale2(f, v reg.VecVirtual)
	// round is f = the whole number next to v.
	round(v, f reg.VecVirtual)
	// split returns v's part above a whole number, and what scale2 takes for that number, which may
	// be v; v may be
	// overwritten. A NaN stays one.
	split(v reg.VecVirtual) (above, whole reg.VecVirtual)
}

type avx512 struct{}

func (avx512) name() string        { return "AVX512" }
func (avx512) lanes() int          { return 16 }
func (avx512) strip() int          { return 4 }
func (avx512) vec() reg.VecVirtual { return build.ZMM() }
func (avx512) zero(v reg.VecVirtual) {
	build.VPXORD(v, v, v)
}
func (avx512) scale2(f, v reg.VecVirtual) { build.VSCALEFPS(f, v, v) }
func (avx512) round(v, f reg.VecVirtual)  { build.VRNDSCALEPS(operand.Imm(8), v, f) }

// split leaves rounding down to scale2.
func (s avx512) split(v reg.VecVirtual) (above, whole reg.VecVirtual) {
	above = s.vec()
	build.VREDUCEPS(operand.Imm(9), v, above)
	return above, v
}

type avx2 struct{}

func (avx2) name() string          { return "AVX2" }
func (avx2) lanes() int            { return 8 }
func (avx2) strip() int            { return 2 }
func (avx2) vec() reg.VecVirtual   { return build.YMM() }
func (avx2) zero(v reg.VecVirtual) { build.VXORPS(v, v, v) }

// scale2 multiplies by two powers of two, each a normal number, for f from -150 to 129.
func (s avx2) scale2(f, v reg.VecVirtual) {
	n, half := s.vec(), s.vec()
	build.VCVTPS2DQ(f, n)
	build.VPSRAD(operand.Imm(1), n, half)
	build.VPSUBD(half, n, n)
	for _, e := range []reg.VecVirtual{half, n} {
		build.VPADDD(constI32(127), e, e)
		build.VPSLLD(operand.Imm(23), e, e)
		build.VMULPS(e, v, v)
	}
}
func (avx2) round(v, f reg.VecVirtual) { build.VROUNDPS(operand.Imm(8), v, f) }

// split cuts v at what scale2 takes, beyond which powers of two are 0 or +Inf.
func (s avx2) split(v reg.VecVirtual) (above, whole reg.VecVirtual) {
	above, whole = s.vec(), s.vec()
	for _, at := range []struct {
		bound float64
		cut   func(ops ...operand.Op)
	}{{-150, build.VMAXPS}, {129, build.VMINPS}} {
		build.VMOVUPS(constF32(at.bound), above)
		at.cut(v, above, v)
	}
	build.VROUNDPS(operand.Imm(9), v, whole)
	build.VSUBPS(whole, v, above)
	return above, whole
}

// An element is a type of numbers in memory, and how a vector of them becomes float32.
type element struct {
	suffix string // of the names of kernels
	word   string // its Go type
	shift  uint64 // the logarithm of its size
	load   func(m operand.Mem, v reg.VecVirtual)
	// loadMasked reads the lanes of the mask and sets the others to zero. AVX-512 only.
	loadMasked func(m operand.Mem, mask reg.OpmaskVirtual, v reg.VecVirtual)
}

var f32 = element{
	word: "float32", shift: 2,
	load:       func(m operand.Mem, v reg.VecVirtual) { build.VMOVUPS(m, v) },
	loadMasked: func(m operand.Mem, mask reg.OpmaskVirtual, v reg.VecVirtual) { build.VMOVUPS_Z(m, mask, v) },
}

// elements are the types of weights and caches.
var elements = []element{
	f32,
	{
		suffix: "BF16", word: "uint16", shift: 1,
		load: func(m operand.Mem, v reg.VecVirtual) {
			build.VPMOVZXWD(m, v)
			build.VPSLLD(operand.Imm(16), v, v)
		},
		loadMasked: func(m operand.Mem, mask reg.OpmaskVirtual, v reg.VecVirtual) {
			build.VPMOVZXWD_Z(m, mask, v)
			build.VPSLLD(operand.Imm(16), v, v)
		},
	},
	{
		suffix: "F16", word: "uint16", shift: 1,
		load:       func(m operand.Mem, v reg.VecVirtual) { build.VCVTPH2PS(m, v) },
		loadMasked: func(m operand.Mem, mask reg.OpmaskVirtual, v reg.VecVirtual) { build.VCVTPH2PS_Z(m, mask, v) },
	},
}

// constants are vectors in memory of one value in every lane, by their bits.
var constants = map[uint32]operand.Mem{}

func constF32(x float64) operand.Mem { return constBits(math.Float32bits(float32(x))) }
func constI32(x int32) operand.Mem   { return constBits(uint32(x)) }

func constBits(bits uint32) operand.Mem {
	if m, ok := constants[bits]; ok {
		return m
	}
	name := "const" + hex(bits)
	m := build.GLOBL(name, attr.RODATA|attr.NOPTR)
	for i := range 16 {
		build.DATA(4*i, operand.U32(bits))
	}
	constants[bits] = m
	return m
}

func hex(bits uint32) string {
	const digits = "0123456789abcdef"
	s := make([]byte, 8)
	for i := range s {
		s[i] = digits[bits>>(28-4*i)&15]
	}
	return string(s)
}
