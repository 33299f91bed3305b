//go:build cuda && cgo && linux

package nvidia

// #include "nvidia.h"
import "C"

import (
	"fmt"

	"quadrant/kernels/cuda"
)

var _ cuda.Instruments = (*driver)(nil)

// Mark records an event, which the first time it makes.
func (d *driver) Mark(i int) error {
	return d.do(func() error {
		if d.events[i] == nil {
			if err := failure(C.cuEventCreate(&d.events[i], C.CU_EVENT_DEFAULT)); err != nil {
				return fmt.Errorf("an event to time work by: %w", err)
			}
		}
		return failure(C.cuEventRecord(d.events[i], d.cstream()))
	})
}

func (d *driver) Elapsed() (seconds float64, err error) {
	err = d.do(func() error {
		if err := failure(C.cuEventSynchronize(d.events[1])); err != nil {
			return err
		}
		var milliseconds C.float
		err := failure(C.cuEventElapsedTime(&milliseconds, d.events[0], d.events[1]))
		seconds = float64(milliseconds) / 1e3
		return err
	})
	return seconds, err
}

func (d *driver) CopyWithin(dst, src uint64, bytes int) error {
	return d.do(func() error {
		return failure(C.cuMemcpyDtoDAsync(C.CUdeviceptr(dst), C.CUdeviceptr(src), C.size_t(bytes), d.cstream()))
	})
}

// CacheBytes is 0 where the driver does not tell.
func (d *driver) CacheBytes() int64 {
	var n C.int
	if failure(C.cuDeviceGetAttribute(&n, C.CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, d.gpu)) != nil {
		return 0
	}
	return int64(n)
}

// UUID is as nvidia-smi writes it, "" where the driver does not tell.
func (d *driver) UUID() string {
	var id C.CUuuid
	if failure(C.cuDeviceGetUuid(&id, d.gpu)) != nil {
		return ""
	}
	var b [16]byte
	for i, c := range id.bytes {
		b[i] = byte(c)
	}
	return fmt.Sprintf("GPU-%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
