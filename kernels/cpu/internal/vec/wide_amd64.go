//go:build !noasm

package vec

const (
	outerRows = 12 // rows of X that wideAVX512 takes
	outerCols = 32 // and rows of W
	depth     = 512
	// packedStride is the values from one class of packed rows to the next, at most.
	packedStride = depth/16*outerCols + 16
	packedPanel  = 16 * packedStride
	partial      = 4 * outerRows * outerCols
)

// Tiles of a block of columns and what is part of a sum fit in what callers lend.
const _ uint = WideTemp - partial - WideCols/outerCols*packedPanel

func (a *assembled) gemmWide(c []float32, ldc int, x []float32, ldx int, w []float32, ldw, m, n, k int, tmp []float32) {
	wideBy(a, a.f32, c, ldc, x, ldx, w, ldw, m, n, k, tmp)
}

func (a *assembled) gemmWideBF16(c []float32, ldc int, x []float32, ldx int, w []uint16, ldw, m, n, k int, tmp []float32) {
	wideBy(a, a.bf16, c, ldc, x, ldx, w, ldw, m, n, k, tmp)
}

func (a *assembled) gemmWideF16(c []float32, ldc int, x []float32, ldx int, w []uint16, ldw, m, n, k int, tmp []float32) {
	wideBy(a, a.f16, c, ldc, x, ldx, w, ldw, m, n, k, tmp)
}

// wideBy packs rows of W for one block of k after the other and takes tiles; rows of X and of
// W that make no tile it leaves to gemmBy, which sums alike.
func wideBy[T float32 | uint16](a *assembled, p products[T], c []float32, ldc int, x []float32, ldx int, w []T, ldw, m, n, k int, tmp []float32) {
	rows, cols := m/outerRows*outerRows, n/16*16
	if rows == 0 || cols == 0 || k == 0 {
		gemmBy(a, p, c, ldc, x, ldx, w, ldw, m, n, k)
		return
	}
	parts, packed := tmp[:partial], tmp[partial:]
	for l := 0; l < k; l += depth {
		d := min(depth, k-l)
		for j := 0; j < cols; j += 16 {
			p.pack(&packed[j/outerCols*packedPanel+j%outerCols], &w[j*ldw+l], ldw, d)
		}
		for i := 0; i < rows; i += outerRows {
			for j := 0; j < cols; j += outerCols {
				store := uint32(1<<min(outerCols, cols-j) - 1)
				load := store
				if l == 0 {
					load = 0
				}
				wideAVX512(&c[i*ldc+j], ldc, &x[i*ldx+l], ldx, &packed[j/outerCols*packedPanel], &parts[0], d, load, store)
			}
		}
	}
	if cols < n {
		gemmBy(a, p, c[cols:], ldc, x, ldx, w[cols*ldw:], ldw, rows, n-cols, k)
	}
	if rows < m {
		gemmBy(a, p, c[rows*ldc:], ldc, x[rows*ldx:], ldx, w, ldw, m-rows, n, k)
	}
}
