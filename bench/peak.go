package bench

import (
	"time"

	"quadrant/kernels"
)

// peakSide is the side of the square matrices that MatMulRate multiplies: large enough for a
// product to run at full speed, small enough to stay in a cache.
const peakSide = 768

// MatMulRate is the FLOP/s at which dev multiplies F32 matrices: the fastest of the products
// that it does in the time given, and of at least two. It is what utilisation is a share of
// where the device's peak is not known better.
func MatMulRate(dev kernels.Device, during time.Duration) (float64, error) {
	s := kernels.NewStream(dev)
	var m [3]kernels.Mat
	for i := range m {
		m[i] = dev.Alloc(kernels.F32, peakSide, peakSide)
	}
	op := kernels.MatMul{Dst: m[0], A: m[1], B: m[2]}
	fastest := time.Duration(1 << 62)
	for start := time.Now(); time.Since(start) < during || fastest == 1<<62; {
		for i := range 2 { // the first of a pair is there to warm up
			before := time.Now()
			s.Do(op)
			if err := dev.Sync(); err != nil {
				return 0, err
			}
			if i == 1 {
				fastest = min(fastest, max(1, time.Since(before)))
			}
		}
	}
	return float64(op.Cost().MatMul) / fastest.Seconds(), nil
}
