package kerneltest_test

import (
	"math"

	"quadrant/kernels"
)

// nonFiniteMutants are what kernels make of a NaN or an infinity by mistake.
var nonFiniteMutants = []bug{
	{"MatMul takes a NaN for 0", before(func(o *kernels.MatMul) { o.A = copyOf(o.A, numberOr(0)) })},
	{"MatMul spreads a NaN to other rows", after(func(o *kernels.MatMul) { spreadNaN(o.Dst) })},
	{"Activation clamps its input", before(func(o *kernels.Activation) {
		if o.Act == kernels.SiLU {
			o.X = copyOf(o.X, func(_, _ int, x float64) float64 { return max(-100, min(x, 100)) })
		}
	})},
	{"RMSNorm takes a NaN for 1", before(func(o *kernels.RMSNorm) { o.Gain = copyOf(o.Gain, numberOr(1)) })},
	{"Attend leaves a NaN out of its maximum", after(func(o *kernels.Attend) { change(o.Dst, func(x float64) float64 { return numberOr(0)(0, 0, x) }) })},
	{"Scan takes a NaN for 0", before(func(o *kernels.Scan) { o.B = copyOf(o.B, numberOr(0)) })},
	{"ArgMax takes a NaN for the largest", before(func(o *kernels.ArgMax) { o.X = copyOf(o.X, numberOr(math.Inf(1))) })},
	{"Route takes a NaN for the largest", before(func(o *kernels.Route) { o.Logits = copyOf(o.Logits, numberOr(1e30)) })},
}

// numberOr replaces NaN by other.
func numberOr(other float64) func(i, j int, x float64) float64 {
	return func(_, _ int, x float64) float64 {
		if math.IsNaN(x) {
			return other
		}
		return x
	}
}

// spreadNaN makes the first row NaN if any row holds one.
func spreadNaN(m kernels.Mat) {
	found := false
	change(m, func(x float64) float64 { found = found || math.IsNaN(x); return x })
	if found {
		*at(m, 0, 0) = math.NaN()
	}
}
