//go:build !noasm

package vec

// avx512BF16 is avx512 with products of bf16 by bf16.
func avx512BF16() Funcs {
	f := avx512()
	f.Name = "avx512bf16"
	f.GemmPairs, f.FusedRounded = gemmPairs, fusedPairs
	return f
}

// fusedPairs has twenty accumulators of sixteen values and two multiply-adds for each.
func fusedPairs(n int) (flops int64) {
	fusedPairsAVX512(n)
	return 20 * 16 * 2 * 2 * int64(n)
}

// gemmPairs takes four rows of X at a time where there are as many, and rows one by one where
// not; a row's products are the same bits either way.
func gemmPairs(c []float32, ldc int, x []uint16, ldx int, w []uint16, ldw, m, n, k int) {
	if m == 0 || n == 0 {
		return
	}
	quads := n / 4
	for i := 0; i < m && quads > 0; {
		if i+4 <= m {
			panelPairsAVX512(&c[i*ldc], ldc, &x[i*ldx], ldx, &w[0], ldw, quads, k)
			i += 4
		} else {
			vectorPairsAVX512(&c[i*ldc], &x[i*ldx], &w[0], ldw, quads, k)
			i++
		}
	}
	for i := range m {
		for j := 4 * quads; j < n; j++ {
			c[i*ldc+j] = singlePairsAVX512(&x[i*ldx], &w[j*ldw], k)
		}
	}
}
