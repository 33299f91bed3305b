package kerneltest

import (
	"math"

	"quadrant/kernels"
)

// sizes are the lengths of an axis: one, and those around multiples of a vector and of a
// block.
var sizes = []int{1, 3, 7, 8, 9, 31, 33, 64, 65}

// shapes returns nine triples, in which each axis takes every size.
func shapes() [][3]int {
	var all [][3]int
	n := len(sizes)
	for i, size := range sizes {
		all = append(all, [3]int{size, sizes[(i+4)%n], sizes[(2*i+3)%n]})
	}
	return all
}

// planes returns shapes for ops with two axes: those of shapes, and two that a device may
// find worth sharing among threads, or too long for one block of them.
func planes() [][3]int { return append(shapes(), [3]int{90, 110}, [3]int{2, 1100}) }

// A matrix is the content of an operand: the bits of its elements, row by row. One
// without rows is absent.
type matrix struct {
	typ        kernels.Type
	rows, cols int
	bits       []uint32
}

// floats returns an F32 matrix of the numbers that f returns, in order.
func floats(rows, cols int, f func() float64) matrix {
	m := matrix{kernels.F32, rows, cols, make([]uint32, rows*cols)}
	for i := range m.bits {
		m.bits[i] = math.Float32bits(float32(f()))
	}
	return m
}

// ints returns an I32 matrix of the numbers in all.
func ints(rows, cols int, all []int) matrix {
	m := matrix{kernels.I32, rows, cols, make([]uint32, rows*cols)}
	for i := range m.bits {
		m.bits[i] = uint32(all[i])
	}
	return m
}

// as rounds an F32 matrix to t.
func (m matrix) as(t kernels.Type) matrix {
	if t == kernels.F32 {
		return m
	}
	round := kernels.ToBF16
	if t == kernels.F16 {
		round = kernels.ToF16
	}
	rounded := matrix{t, m.rows, m.cols, make([]uint32, len(m.bits))}
	for i, b := range m.bits {
		rounded.bits[i] = uint32(round(math.Float32frombits(b)))
	}
	return rounded
}

// when is m, or an absent matrix.
func (m matrix) when(present bool) matrix {
	if !present {
		return matrix{}
	}
	return m
}

// normal returns normally distributed numbers.
func (b *bench) normal(rows, cols int) matrix { return floats(rows, cols, b.rand.NormFloat64) }

// wild returns normally distributed numbers, with a few outliers in the variant that is
// about them.
func (b *bench) wild(rows, cols int) matrix {
	return floats(rows, cols, func() float64 { return b.planted(b.rand.NormFloat64(), 1e4, -1e4, 1e-40, -1e-40, 0) })
}

// planted is x or, once in a while in the variant with outliers, one of others.
func (b *bench) planted(x float64, others ...float64) float64 {
	if b.outliers && b.rand.IntN(12) == 0 {
		return others[b.rand.IntN(len(others))]
	}
	return x
}

// steps returns multiples of 1/8 between ±2, of which many are equal, and whose sums are
// exact in any precision.
func (b *bench) steps(rows, cols int) matrix {
	return floats(rows, cols, func() float64 { return float64(b.rand.IntN(33)-16) / 8 })
}
