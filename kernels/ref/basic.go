package ref

import (
	"fmt"
	"math"

	"quadrant/kernels"
)

func zero(o *kernels.Zero) {
	if o.Dst.Type == kernels.I32 {
		fill(ints(o.Dst), 0)
	} else {
		fill(floats(o.Dst), 0)
	}
}

func fill[T float64 | int32](v view[T], x T) {
	for i := range v.Rows {
		for j := range v.Cols {
			v.set(i, j, x)
		}
	}
}

func copied(o *kernels.Copy) {
	if o.Dst.Type == kernels.I32 {
		copyRows(ints(o.Dst), ints(o.X))
	} else {
		copyRows(floats(o.Dst), floats(o.X))
	}
}

func copyRows[T float64 | int32](dst, x view[T]) {
	for i := range dst.Rows {
		copy(dst.row(i), x.row(i))
	}
}

func add(o *kernels.Add) {
	dst, x := floats(o.Dst), floats(o.X)
	for i := range dst.Rows {
		for j := range dst.Cols {
			dst.set(i, j, dst.at(i, j)+x.at(i, j))
		}
	}
}

func embed(o *kernels.Embed) error {
	dst, table, ids := floats(o.Dst), floats(o.Table), ints(o.IDs)
	for i := range dst.Rows {
		id := int(ids.at(i, 0))
		if id < 0 || id >= table.Rows {
			return fmt.Errorf("ref: token id %d in row %d, want one of a table of %d", id, i, table.Rows)
		}
		for j := range dst.Cols {
			dst.set(i, j, table.at(id, j))
		}
	}
	return nil
}

func negExp(o *kernels.NegExp) {
	dst, x := floats(o.Dst), floats(o.X)
	for i := range dst.Rows {
		for j := range dst.Cols {
			dst.set(i, j, -math.Exp(x.at(i, j)))
		}
	}
}

func argMax(o *kernels.ArgMax) {
	dst, x := ints(o.Dst), floats(o.X)
	for i := range dst.Rows {
		dst.set(i, 0, int32(max(0, largest(x.row(i), nil))))
	}
}

// largest is the index of the largest of xs, the first of equals, among those that are
// not taken and not NaN; -1 if there is none.
func largest(xs []float64, taken map[int]bool) int {
	best := -1
	for i, x := range xs {
		if !taken[i] && !math.IsNaN(x) && (best < 0 || x > xs[best]) {
			best = i
		}
	}
	return best
}
