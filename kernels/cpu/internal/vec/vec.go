// Package vec is the inner loops of kernels/cpu, behind one table of functions, so that
// a faster set can take the place of the Go one.
//
// Every sum is taken in the order of its index, whatever the shape of the call: a row's
// result does not depend on which rows are computed beside it.
package vec

// Funcs is a set of inner loops. Slices that hold matrices are row-major with a leading
// dimension ld, the elements from one row to the next.
type Funcs struct {
	Name string // of the variant: "go"

	// Gemm is C[i,j] = Σ_k X[i,k]·W[j,k] for m rows of X and n rows of W.
	Gemm func(c []float32, ldc int, x []float32, ldx int, w []float32, ldw, m, n, k int)
	// GemmBF16 is Gemm with bf16 weights, widened exactly. tmp has room for 4·k values.
	GemmBF16 func(c []float32, ldc int, x []float32, ldx int, w []uint16, ldw, m, n, k int, tmp []float32)

	// WeightedRows is y = Σ_i p[i]·V[i] over rows of len(y).
	WeightedRows func(y, p, v []float32, ldv int)
	// WeightedRowsBF16 is WeightedRows with bf16 rows.
	WeightedRowsBF16 func(y, p []float32, v []uint16, ldv int)

	// Axpy is y += a·x.
	Axpy func(y []float32, a float32, x []float32)
	// Exp is y = exp(x − shift); it returns Σ y. y may be x.
	Exp func(y, x []float32, shift float32) (sum float32)
	// SiLU is y = x·σ(x). y may be x.
	SiLU func(y, x []float32)
	// ScanStep is h ← exp(dt·a)·h + du·b; it returns Σ h·c. All have one length.
	ScanStep func(h, a, b, c []float32, dt, du float32) float32
}

// Go is the set in plain Go.
func Go() Funcs {
	return Funcs{
		Name: "go",
		Gemm: gemm, GemmBF16: gemmBF16,
		WeightedRows: weightedRows, WeightedRowsBF16: weightedRowsBF16,
		Axpy: axpy, Exp: expSum, SiLU: silu, ScanStep: scanStep,
	}
}
