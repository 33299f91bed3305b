package kerneltest

import (
	"fmt"
	"math"

	"quadrant/kernels"
)

// A Tolerance is how far a device may be from kernels/ref, in parts of the terms that an
// element is made of:
//
//	|got − want| ≤ tol·Σ|terms| + 1e-30
//
// The terms are what a rounding error is proportional to, in whatever order they are
// summed (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1); the
// result may be far smaller than they are. What the terms of an op are is said where they
// are computed, in terms.go. The constant is below what any model notices, and lets a
// device flush denormals to zero. What is rounded to bf16 or f16 may be one unit of it off as
// well, where the value before rounding may be off. What is only copied must be exact. A
// NaN is never within tolerance, nor is an infinity. A tolerance of 0 has no exceptions.
type Tolerance float64

const (
	// Exact is for a device that computes as ref does.
	Exact Tolerance = 0
	// Single is for a device that computes and sums in float32: 32 roundings' worth.
	Single Tolerance = 2e-6
	// BF16Activations is for products that round their activations to bf16, each by up to 2⁻⁹
	// of itself, and then sum in float32: twice that.
	BF16Activations Tolerance = 1.0 / 256
)

const flushed = 1e-30

// slack is how far an element of type t may be from want.
func (tol Tolerance) slack(t kernels.Type, want, terms float64) float64 {
	if terms == copied || tol == Exact {
		return 0
	}
	slack := float64(tol)*terms + flushed
	switch t {
	case kernels.BF16:
		slack += math.Abs(want) / 128
	case kernels.F16:
		slack += math.Abs(want)/1024 + 0x1p-24 // the second is the unit of denormals
	}
	return slack
}

// compare says how the result o departs from want.
func (o *operand) compare(want expected, tol Tolerance, v variant) error {
	if o.role != result {
		return nil
	}
	wrong, first := 0, ""
	for i := range o.view.Rows {
		for j := range o.view.Cols {
			at := i*o.view.Cols + j
			got, want, terms := o.at(i, j), want.values[at], want.terms[at]
			if v.into > 0 && !finite(terms) {
				terms = 8 + math.Abs(want) // 8 is more than any other operand holds
			}
			slack := tol.slack(o.view.Type, want, terms)
			if math.Abs(got-want) <= slack || v.spread(got, want) { // a NaN is not within any slack
				continue
			}
			if wrong++; wrong == 1 {
				first = fmt.Sprintf("[%d, %d] is %v, want %v (off by %.3g, where %.3g is allowed)", i, j, got, want, math.Abs(got-want), slack)
			}
		}
	}
	if wrong == 0 {
		return nil
	}
	return fmt.Errorf("%s: %d of %d elements are wrong, the first: %s", o.name, wrong, o.view.Len(), first)
}

// spread reports whether got is what a device may make of the NaN or the infinity that v
// plants, where kernels/ref has want.
func (v variant) spread(got, want float64) bool {
	switch {
	case v.into == 0:
		return false
	case math.IsNaN(v.odd):
		return math.IsNaN(got) && math.IsNaN(want)
	}
	return !finite(got) && !finite(want)
}

// finite reports whether x is a number that float32 holds.
func finite(x float64) bool { return math.Abs(x) <= math.MaxFloat32 }
