package checkpoint

import (
	"syscall"
	"unsafe"
)

// forget tells the system that data, of a mapped file, will hardly be read again, so that
// weights that are on the device do not count twice as this process's memory. The bytes
// stay readable.
func forget(data []byte) {
	const page = 1 << 16 // a multiple of every size of page
	if len(data) < 2*page {
		return
	}
	from := -int(uintptr(unsafe.Pointer(&data[0]))) & (page - 1)
	n := (len(data) - from) &^ (page - 1)
	if n > 0 {
		_ = syscall.Madvise(data[from:from+n], syscall.MADV_DONTNEED)
	}
}
