//go:build cuda && cgo && linux

package nvidia

// #include "nvidia.h"
import "C"

import (
	"errors"
	"unsafe"
)

// pinned is memory of the host that the GPU copies by itself: what a decode step brings in, its
// tokens, and takes out goes through it, so that bringing in waits for nothing. Larger copies wait.
type pinned struct {
	memory []byte
	used   int // of copies in that may not be done
}

const (
	pinnedBytes = 64 << 10
	mostPinned  = 4 << 10 // of a copy
)

// lend returns n bytes of pinned memory that no copy uses.
func (d *driver) lend(n int) ([]byte, error) {
	p := &d.pinned
	if p.memory == nil {
		host, _, err := d.AllocHost(pinnedBytes)
		if err != nil {
			return nil, err
		}
		p.memory = host
	}
	if p.used+n > len(p.memory) {
		if err := d.Sync(); err != nil {
			return nil, err
		}
	}
	lent := p.memory[p.used:][:n]
	p.used += n
	return lent, nil
}

// CopyIn returns when src may be changed.
func (d *driver) CopyIn(dst uint64, src []byte) error {
	from, few := src, len(src) <= mostPinned
	if few {
		var err error
		if from, err = d.lend(len(src)); err != nil {
			return err
		}
		copy(from, src)
	}
	err := d.do(func() error {
		return failure(C.cuMemcpyHtoDAsync(C.CUdeviceptr(dst), unsafe.Pointer(unsafe.SliceData(from)), C.size_t(len(from)), d.cstream()))
	})
	if few || err != nil {
		return err
	}
	return d.Sync()
}

// CopyOut returns when dst has the values.
func (d *driver) CopyOut(dst []byte, src uint64) error {
	to, few := dst, len(dst) <= mostPinned
	if few {
		var err error
		if to, err = d.lend(len(dst)); err != nil {
			return err
		}
	}
	err := d.do(func() error {
		return failure(C.cuMemcpyDtoHAsync(unsafe.Pointer(unsafe.SliceData(to)), C.CUdeviceptr(src), C.size_t(len(to)), d.cstream()))
	})
	if err = errors.Join(err, d.Sync()); err == nil && few {
		copy(dst, to)
	}
	return err
}
