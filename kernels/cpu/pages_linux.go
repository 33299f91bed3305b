package cpu

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugePage is the size of a large page of the processors that Linux runs Go on.
const hugePage = 2 << 20

// useLargePages asks the system to back b, fresh from the heap, with large pages: reading
// weights then misses the address cache 512 times less often. What stands in its way is no
// error; the memory works all the same.
func useLargePages(b []byte) {
	if len(b) < hugePage {
		return
	}
	skip := int(-uintptr(unsafe.Pointer(&b[0])) & (hugePage - 1))
	if whole := (len(b) - skip) &^ (hugePage - 1); whole > 0 {
		_ = unix.Madvise(b[skip:skip+whole], unix.MADV_HUGEPAGE)
	}
}
