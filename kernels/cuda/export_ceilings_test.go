package cuda

import (
	"unsafe"

	"quadrant/kernels"
)

// ReadAll returns what the warps of the kernel read_all found in m.
func ReadAll(d *Device, m kernels.Mat, rounds, blocks int) []uint32 {
	return warpResults[uint32](d, blocks, func() uint64 { return d.readAll(m, rounds, blocks) })
}

// MultiplyAdds returns what the warps of a kernel of multiply-adds count.
func MultiplyAdds(d *Device, kernel string, rounds, blocks int) []float32 {
	return warpResults[float32](d, blocks, func() uint64 { return d.multiplyAdds(kernel, rounds, blocks) })
}

func warpResults[T uint32 | float32](d *Device, blocks int, plan func() uint64) []T {
	var at uint64
	d.direct(func() { at = plan() })
	got := make([]T, blocks*ceilingWarps)
	d.fail(d.drv.CopyOut(unsafe.Slice((*byte)(unsafe.Pointer(&got[0])), 4*len(got)), at))
	return got
}
