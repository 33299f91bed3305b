package cpu

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugePage is the size of a large page of the processors that Linux runs Go on.
const hugePage = 2 << 20

// useLargePages asks the system to back n bytes at p, fresh from the heap, with large pages:
// reading weights then misses the address cache 512 times less often. What stands in its way
// is no error; the memory works all the same.
func useLargePages(p unsafe.Pointer, n int) {
	start := (uintptr(p) + hugePage - 1) &^ (hugePage - 1)
	end := (uintptr(p) + uintptr(n)) &^ (hugePage - 1)
	if start < end {
		offset := start - uintptr(p)
		_ = unix.Madvise(unsafe.Slice((*byte)(unsafe.Add(p, offset)), int(end-start)), unix.MADV_HUGEPAGE)
	}
}
