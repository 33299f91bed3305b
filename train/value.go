package train

import (
	"fmt"

	"quadrant/kernels"
)

// A rect is a part of a matrix: rows [row, row+rows) and columns [col, col+cols).
type rect struct{ row, col, rows, cols int }

// within returns where part lies in whole, if it does.
func within(whole, part kernels.Mat) (rect, bool) {
	if whole.None() || part.None() || memory(whole) != memory(part) || part.Off < whole.Off {
		return rect{}, false
	}
	at := part.Off - whole.Off
	r := rect{at / whole.Stride, at % whole.Stride, part.Rows, part.Cols}
	fits := r.row+r.rows <= whole.Rows && r.col+r.cols <= whole.Cols
	return r, fits && (part.Stride == whole.Stride || part.Rows == 1)
}

// of is the part r of m.
func (r rect) of(m kernels.Mat) kernels.Mat {
	return m.RowRange(r.row, r.row+r.rows).ColRange(r.col, r.col+r.cols)
}

func (r rect) area() int { return r.rows * r.cols }

func (r rect) overlap(o rect) rect {
	row, col := max(r.row, o.row), max(r.col, o.col)
	return rect{row, col, max(0, min(r.row+r.rows, o.row+o.rows)-row), max(0, min(r.col+r.cols, o.col+o.cols)-col)}
}

// A value is a matrix that an op wrote, and what is known of its gradient. Parts of it may be
// read, and have their gradients set, one by one: q, k and v of one product.
type value struct {
	mat  kernels.Mat
	grad *buffer
	set  []rect // the parts of grad that are set; they do not overlap
}

func (v *value) whole() rect { return rect{0, 0, v.mat.Rows, v.mat.Cols} }

// has reports whether the gradient of part r is set. A gradient that is set in part only is a
// mistake: the rest would be garbage.
func (v *value) has(r rect) bool {
	area := 0
	for _, s := range v.set {
		area += s.overlap(r).area()
	}
	if area != 0 && area != r.area() {
		panic(fmt.Sprintf("train: %d of %d elements of the gradient of part %v of %v are set", area, r.area(), r, v.mat))
	}
	return area > 0
}

// A buffer is memory of a gradient, which several values may share: what is added to a sum is
// differentiated alike.
type buffer struct {
	kernels.Mat
	users int
	chunk kernels.Mat // of the pool; absent where the memory is another's
}

// A pool lends memory for gradients.
type pool struct {
	dev       kernels.Device
	all, free []kernels.Mat // [1, n] F32
}

// reset takes back everything.
func (p *pool) reset() { p.free = append(p.free[:0], p.all...) }

// take lends a matrix of unspecified content: the smallest that is free and large enough, but
// less than twice as large, so that large ones are there for what needs them.
func (p *pool) take(rows, cols int) *buffer {
	n, best := rows*cols, -1
	for i, m := range p.free {
		if m.Cols >= n && m.Cols < 2*n && (best < 0 || m.Cols < p.free[best].Cols) {
			best = i
		}
	}
	if best < 0 {
		m := p.dev.Alloc(kernels.F32, 1, n)
		p.all = append(p.all, m)
		return lend(m, rows, cols)
	}
	m := p.free[best]
	p.free = append(p.free[:best], p.free[best+1:]...)
	return lend(m, rows, cols)
}

func lend(chunk kernels.Mat, rows, cols int) *buffer {
	m := chunk
	m.Rows, m.Cols, m.Stride = rows, cols, cols
	return &buffer{m, 1, chunk}
}

// drop ends one use of b.
func (p *pool) drop(b *buffer) {
	b.users--
	if b.users == 0 && !b.chunk.None() {
		p.free = append(p.free, b.chunk)
	}
}
