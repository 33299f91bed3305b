package kernels

import (
	"fmt"
	"math"
)

// A Type is the element type of a [Mat].
type Type uint8

const (
	F32  Type = iota // IEEE 754 single precision
	BF16             // the upper half of an F32
	F16              // IEEE 754 half precision
	I32              // signed integer: token ids, expert indices
)

// types is indexed by Type.
var types = [...]struct {
	name string
	size int64
}{F32: {"f32", 4}, BF16: {"bf16", 2}, F16: {"f16", 2}, I32: {"i32", 4}}

// floatNames are the floating-point types, for messages.
const floatNames = "f32, bf16 or f16"

// Size is the number of bytes of one element.
func (t Type) Size() int64 { return types[t].size }

func (t Type) String() string { return types[t].name }

// Round rounds x to the nearest value of t, a floating-point type, ties to even.
func (t Type) Round(x float32) float32 {
	switch t {
	case BF16:
		return FromBF16(ToBF16(x))
	case F16:
		return FromF16(ToF16(x))
	}
	return x
}

// ParseFloat returns the floating-point type called name, "f32", "bf16" or "f16".
func ParseFloat(name string) (Type, error) {
	for t, row := range types {
		if row.name == name && Type(t) != I32 {
			return Type(t), nil
		}
	}
	return 0, fmt.Errorf("type %q is unknown: want "+floatNames, name)
}

// A Mat is a row-major matrix in a device's memory, or a strided view of one. The zero
// Mat stands for an operand that is absent.
type Mat struct {
	Type       Type
	Rows, Cols int
	Stride     int // elements from one row to the next
	Off        int // elements before the first row
	Mem        any // belongs to the Device that allocated it
}

// None reports whether m is absent.
func (m Mat) None() bool { return m.Rows == 0 }

// Contiguous reports whether nothing lies between the rows of m.
func (m Mat) Contiguous() bool { return m.Stride == m.Cols || m.Rows <= 1 }

// Len is the number of elements of m.
func (m Mat) Len() int { return m.Rows * m.Cols }

// Bytes is the size of m's elements, without what lies between its rows.
func (m Mat) Bytes() int64 { return m.Type.Size() * int64(m.Rows) * int64(m.Cols) }

// RowRange returns rows [i, j) of m, sharing its memory.
func (m Mat) RowRange(i, j int) Mat {
	m.Off, m.Rows = m.Off+i*m.Stride, j-i
	return m
}

// ColRange returns columns [i, j) of m, sharing its memory.
func (m Mat) ColRange(i, j int) Mat {
	m.Off, m.Cols = m.Off+i, j-i
	return m
}

// LastRows returns the last row of each of seqs groups of rows of m, sharing its
// memory: the rows that a next-token prediction is made from.
func (m Mat) LastRows(seqs int) Mat {
	n := m.Rows / seqs
	m.Off, m.Rows, m.Stride = m.Off+(n-1)*m.Stride, seqs, n*m.Stride
	return m
}

func (m Mat) String() string { return fmt.Sprintf("[%d×%d]", m.Rows, m.Cols) }

// ToBF16 rounds x to the nearest bf16, ties to even; a NaN stays one.
func ToBF16(x float32) uint16 {
	b := math.Float32bits(x)
	if x != x {
		return uint16(b>>16) | 0x40 // keeps the fraction non-zero
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// FromBF16 widens b, exactly.
func FromBF16(b uint16) float32 { return math.Float32frombits(uint32(b) << 16) }

// ToF16 rounds x to the nearest IEEE half, ties to even: from 65520 on it is an infinity,
// below 2⁻¹⁴ a denormal. A NaN stays one and keeps the upper part of its payload.
func ToF16(x float32) uint16 {
	b := math.Float32bits(x)
	sign, b := uint16(b>>16&0x8000), b&^(1<<31)
	switch {
	case b > 0xff<<23: // NaN
		return sign | 0x7e00 | uint16(b>>13&0x3ff)
	case b >= 0x477ff000: // 65520, half-way from the largest half to 2¹⁶
		return sign | 0x7c00
	case b < 113<<23: // below 2⁻¹⁴: whole multiples of 2⁻²⁴, to which adding 1/2 rounds
		return sign | uint16(math.Float32bits(math.Float32frombits(b)+0.5)-math.Float32bits(0.5))
	}
	return sign | uint16((b-112<<23+0xfff+b>>13&1)>>13)
}

// FromF16 widens h, exactly; a NaN keeps its payload.
func FromF16(h uint16) float32 {
	sign, exp, frac := uint32(h>>15)<<31, uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch exp {
	case 0x1f: // infinity or NaN
		return math.Float32frombits(sign | 0xff<<23 | frac<<13)
	case 0: // zero or denormal: frac·2⁻²⁴, which float32 holds as a normal number
		return math.Float32frombits(sign | math.Float32bits(float32(frac)*(1.0/(1<<24))))
	}
	return math.Float32frombits(sign | (exp+127-15)<<23 | frac<<13)
}
