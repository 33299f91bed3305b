package ref

import "quadrant/kernels"

// A view is a matrix with its memory at hand.
type view[T float64 | int32] struct {
	kernels.Mat
	mem []T
}

// floats is m, a matrix of a float type or an absent operand.
func floats(m kernels.Mat) view[float64] { return of[float64](m) }

// ints is m, an I32 matrix or an absent operand.
func ints(m kernels.Mat) view[int32] { return of[int32](m) }

func of[T float64 | int32](m kernels.Mat) view[T] {
	if m.Mem == nil {
		return view[T]{Mat: m}
	}
	return view[T]{m, m.Mem.([]T)}
}

func (v view[T]) row(i int) []T {
	first := v.Off + i*v.Stride
	return v.mem[first : first+v.Cols]
}

// all is the elements of a view that is contiguous.
func (v view[T]) all() []T { return v.mem[v.Off : v.Off+v.Len()] }

func (v view[T]) at(i, j int) T { return v.mem[v.Off+i*v.Stride+j] }

// or0 is the element, or 0 where the operand is absent.
func (v view[T]) or0(i, j int) T {
	if v.None() {
		return 0
	}
	return v.at(i, j)
}

func (v view[T]) set(i, j int, x T) {
	if v.Type == kernels.BF16 || v.Type == kernels.F16 {
		x = T(v.Type.Round(float32(x)))
	}
	v.mem[v.Off+i*v.Stride+j] = x
}

func (v view[T]) add(i, j int, x T) { v.set(i, j, v.at(i, j)+x) }

// addIfAny adds to the element, or does nothing where the operand is absent.
func (v view[T]) addIfAny(i, j int, x T) {
	if !v.None() {
		v.add(i, j, x)
	}
}

// setIfAny sets the element, or does nothing where the operand is absent.
func (v view[T]) setIfAny(i, j int, x T) {
	if !v.None() {
		v.set(i, j, x)
	}
}
