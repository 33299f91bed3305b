package kerneltest

import (
	"errors"
	"sync"

	"quadrant/kernels/ref"
)

// A reference is what kernels/ref makes of a case, computed when the first device asks for it.
type reference struct {
	once     sync.Once
	operands []expected
	err      error
}

// expected is what an operand is to hold afterwards, row by row, and how large the terms are
// that its elements are made of. That of an operand which is no result is empty.
type expected struct{ values, terms []float64 }

// compute runs c on ref, once, and returns what went wrong there.
func (r *reference) compute(c Case) error {
	r.once.Do(func() {
		b := newBench(ref.New(), c)
		b.terms = &terms{}
		if r.err = b.perform(c); r.err != nil {
			return
		}
		for _, o := range b.operands {
			r.operands = append(r.operands, o.expect(b.terms))
			r.err = errors.Join(r.err, o.untouched()) // to be sure of ref too
		}
	})
	return r.err
}

// expect is what o holds after the ops.
func (o *operand) expect(ts *terms) expected {
	var e expected
	if o.role != result {
		return e
	}
	for i := range o.view.Rows {
		for j := range o.view.Cols {
			e.values = append(e.values, o.at(i, j))
			e.terms = append(e.terms, ts.at(o.view, i, j))
		}
	}
	return e
}
