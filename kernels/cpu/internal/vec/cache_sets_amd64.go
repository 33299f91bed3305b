//go:build !noasm

package vec

func cache32AVX512() cached[float32] {
	return cached[float32]{
		[3]scoresKernel[float32]{scoresOf1AVX512, scoresOf2AVX512, scoresOf4AVX512},
		[3]valuesKernel[float32]{values1Of1AVX512, values1Of2AVX512, values1Of4AVX512},
		[3]valuesKernel[float32]{values4Of1AVX512, values4Of2AVX512, values4Of4AVX512},
	}
}

func cacheBF16AVX512() cached[uint16] {
	return cached[uint16]{
		[3]scoresKernel[uint16]{scoresOf1BF16AVX512, scoresOf2BF16AVX512, scoresOf4BF16AVX512},
		[3]valuesKernel[uint16]{values1Of1BF16AVX512, values1Of2BF16AVX512, values1Of4BF16AVX512},
		[3]valuesKernel[uint16]{values4Of1BF16AVX512, values4Of2BF16AVX512, values4Of4BF16AVX512},
	}
}

func cacheF16AVX512() cached[uint16] {
	return cached[uint16]{
		[3]scoresKernel[uint16]{scoresOf1F16AVX512, scoresOf2F16AVX512, scoresOf4F16AVX512},
		[3]valuesKernel[uint16]{values1Of1F16AVX512, values1Of2F16AVX512, values1Of4F16AVX512},
		[3]valuesKernel[uint16]{values4Of1F16AVX512, values4Of2F16AVX512, values4Of4F16AVX512},
	}
}

func cache32AVX2() cached[float32] {
	return cached[float32]{
		[3]scoresKernel[float32]{scoresOf1AVX2, scoresOf2AVX2},
		[3]valuesKernel[float32]{values1Of1AVX2, values1Of2AVX2},
		[3]valuesKernel[float32]{values4Of1AVX2, values4Of2AVX2},
	}
}

func cacheBF16AVX2() cached[uint16] {
	return cached[uint16]{
		[3]scoresKernel[uint16]{scoresOf1BF16AVX2, scoresOf2BF16AVX2},
		[3]valuesKernel[uint16]{values1Of1BF16AVX2, values1Of2BF16AVX2},
		[3]valuesKernel[uint16]{values4Of1BF16AVX2, values4Of2BF16AVX2},
	}
}

func cacheF16AVX2() cached[uint16] {
	return cached[uint16]{
		[3]scoresKernel[uint16]{scoresOf1F16AVX2, scoresOf2F16AVX2},
		[3]valuesKernel[uint16]{values1Of1F16AVX2, values1Of2F16AVX2},
		[3]valuesKernel[uint16]{values4Of1F16AVX2, values4Of2F16AVX2},
	}
}
