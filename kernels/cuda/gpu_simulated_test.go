//go:build cuda && cusim && cgo && linux

package cuda_test

import _ "quadrant/kernels/cuda/nvidia/cusim" // in place of libcuda

func init() { simulated = true }
