// Package vec is the inner loops of kernels/cpu, behind one table of functions per set of
// instructions: plain Go, and assembly for AVX2 and AVX-512, which _gen generates.
//
// Within a set, every sum is taken in an order that follows from the index summed over
// alone: a row's result does not depend on which rows are computed beside it.
package vec

// Funcs is a set of inner loops. Slices that hold matrices are row-major with a leading
// dimension ld, the elements from one row to the next.
type Funcs struct {
	Name string // of the set: "go", "avx2", "avx512"

	// Gemm is C[i,j] = Σ_k X[i,k]·W[j,k] for m rows of X and n rows of W.
	Gemm func(c []float32, ldc int, x []float32, ldx int, w []float32, ldw, m, n, k int)
	// GemmBF16 and GemmF16 are Gemm with weights of 16 bits, widened exactly. tmp has room for
	// 4·k values.
	GemmBF16, GemmF16 func(c []float32, ldc int, x []float32, ldx int, w []uint16, ldw, m, n, k int, tmp []float32)

	// GemmWide, GemmWideBF16 and GemmWideF16 are the products of Gemm, the same bits, for many rows
	// of X and at most [WideCols] of W, which they pack: worth it from about [WideRows] rows of X
	// on. tmp has room for [WideTemp] values. They are nil where a set has none.
	GemmWide                  func(c []float32, ldc int, x []float32, ldx int, w []float32, ldw, m, n, k int, tmp []float32)
	GemmWideBF16, GemmWideF16 func(c []float32, ldc int, x []float32, ldx int, w []uint16, ldw, m, n, k int, tmp []float32)

	// GemmPairs is Gemm of bf16 by bf16, summed in float32 with denormals as zeros: nil
	// but in sets of [Rounding].
	GemmPairs func(c []float32, ldc int, x []uint16, ldx int, w []uint16, ldw, m, n, k int)

	// GemmTiles is Gemm of bf16 by bf16, rounded and summed as GemmPairs does but in an order of
	// its own, for X that PackTiles has packed, in panels of [TileRows] rows. PackTiles makes one
	// panel of [PanelSize] values from up to TileRows rows of k values that follow each other;
	// those that are missing are zeros. tmp has room for [TilesTemp] values and rest for a panel.
	// Nil but in sets of [Rounding].
	PackTiles func(to, x []uint16, rows, k int)
	GemmTiles func(c []float32, ldc int, x []uint16, w []uint16, ldw, m, n, k int, tmp []float32, rest []uint16)

	// WidenBF16 and WidenF16 are y = x; a NaN stays one. RoundBF16 and RoundF16 are y = x rounded
	// to nearest, ties to even.
	WidenBF16, WidenF16 func(y []float32, x []uint16)
	RoundBF16, RoundF16 func(y []uint16, x []float32)

	// WeightedRows is y = Σ_i p[i]·V[i] over rows of len(y), at least one.
	WeightedRows func(y, p, v []float32, ldv int)
	// WeightedRowsBF16 and WeightedRowsF16 are WeightedRows with rows of 16 bits.
	WeightedRowsBF16, WeightedRowsF16 func(y, p []float32, v []uint16, ldv int)

	// Scores is P[h,r] = X[h]·C[r,h/Share] and Values X[h] = Σ_r P[h,r]·C[r,h/Share], in the order of
	// r, for all heads of one token; a head's are the bits that Gemm and WeightedRows make of it.
	Scores, Values         func(c CacheArgs[float32])
	ScoresBF16, ValuesBF16 func(c CacheArgs[uint16])
	ScoresF16, ValuesF16   func(c CacheArgs[uint16])

	// Axpy is y += a·x.
	Axpy func(y []float32, a float32, x []float32)
	// Mul is y *= x, element by element.
	Mul func(y, x []float32)
	// MulAdd is y += a·b, element by element.
	MulAdd func(y, a, b []float32)

	// ScaledMax is x = scale·x; it returns the largest of the results, -Inf of none.
	ScaledMax func(x []float32, scale float32) float32
	// ExpSum is x = exp(x − shift); it returns the sum of the results.
	ExpSum func(x []float32, shift float32) float32
	// Scale is x = a·x.
	Scale func(x []float32, a float32)
	// SiLU is y = x·σ(x), GELU y = x·Φ(x), GELUTanh its approximation by tanh, Softplus
	// y = log(1+exp(x)). y may be x.
	SiLU, GELU, GELUTanh, Softplus func(y, x []float32)

	// Moments are the sums of c and c² for c = x − shift, AddMoments the same after x += delta.
	Moments    func(x []float32, shift float32) (c, cc float32)
	AddMoments func(x, delta []float32, shift float32) (c, cc float32)
	// Normalize is y = (x − shift)·r·gain.
	Normalize func(y, x, gain []float32, shift, r float32)
	// Rotate turns pairs: a, b = a·cos − b·sin, b·cos + a·sin.
	Rotate func(a, b, cos, sin []float32)

	// Conv is a convolution of [ConvTaps] taps with SiLU over one sequence; see [ConvArgs].
	Conv func(c ConvArgs)
	// ScanIn and ScanOut are what comes before Scan and after it; see [StretchArgs].
	ScanIn, ScanOut func(s StretchArgs)
	// Scan carries up to [ScanBlock] channels of a selective scan over a number of tokens:
	// h ← exp(dt·a)·h + du·b, y = Σ h·c.
	Scan func(s ScanArgs)

	// What the processor can do at most, to hold the others against. Fused does n rounds of
	// x = x/2 + 1 in registers, n at least 1, and returns x and the floating-point operations
	// that it did; Sum is the sum of x, in some order, with as little work for each byte read as
	// there can be.
	Fused func(n int) (x float32, flops int64)
	Sum   func(x []float32) float32
	// FusedRounded is n rounds of what GemmPairs or GemmTiles computes with, in registers, and
	// returns the floating-point operations that it did: nil but in the sets of [Rounding].
	FusedRounded func(n int) (flops int64)

	Grads
}

// What GemmWide takes: see [Funcs].
const (
	WideRows = 16
	WideCols = 256
	WideTemp = 1<<17 + 1<<13
)

// What GemmTiles takes: see [Funcs].
const (
	TileRows  = 32
	TilesTemp = 4 * 16 * TileRows * TileRows
)

// PanelSize is the values of a packed panel.
func PanelSize(k int) int { return (k + TileRows - 1) / TileRows * TileRows * TileRows }

// ScanBlock is the channels that Scan takes at most: all of a block at once are fastest.
const ScanBlock = 16

// ScanArgs are the operands of Scan.
type ScanArgs struct {
	Y, DT, DU                []float32 // [tokens, channels]
	LDY                      int       // leading dimension of the three
	H, A                     []float32 // [channels, states]
	LDH, LDA                 int
	B, C                     []float32 // [tokens, states]
	LDB, LDC                 int
	Tokens, Channels, States int
	// Soon are rows, one for each token and of as many channels, that are read or written soon:
	// they are asked for. Any may be nil.
	Soon [4]Rows
}

// Rows are rows of a matrix, LD values apart.
type Rows struct {
	X  []float32
	LD int
}

// Go is the set in plain Go.
func Go() Funcs {
	return Funcs{
		Name: "go",
		Gemm: gemm, GemmBF16: gemmBF16, GemmF16: gemmF16,
		WeightedRows: weightedRows, WeightedRowsBF16: weightedRowsBF16, WeightedRowsF16: weightedRowsF16,
		Axpy: axpy, Mul: mul, MulAdd: mulAdd,
		ScaledMax: scaledMax, ExpSum: expSum, Scale: scale,
		SiLU: silu, GELU: gelu, GELUTanh: geluTanh, Softplus: softplus,
		WidenBF16: widenBF16, WidenF16: widenF16, RoundBF16: roundBF16, RoundF16: roundF16,
		Moments: moments, AddMoments: addMoments, Normalize: normalize, Rotate: rotate,
		Scores: scoresBy(dot), ScoresBF16: scoresBy(dotBF16), ScoresF16: scoresBy(dotF16),
		Values: valuesBy(weightedRows), ValuesBF16: valuesBy(weightedRowsBF16), ValuesF16: valuesBy(weightedRowsF16),
		Conv: conv, ScanIn: scanIn, ScanOut: scanOut, Scan: scan, Fused: fused, Sum: sum,
		Grads: goGrads(),
	}
}
