//go:build !noasm

package vec

import (
	"sync"

	"golang.org/x/sys/cpu"
	"golang.org/x/sys/unix"
)

// tilesPermitted asks Linux for the use of tiles, once for the process: their state is so large
// that it gives it to those only that ask (Documentation/arch/x86/xstate.rst).
var tilesPermitted = sync.OnceValue(func() bool {
	const requestPermission, tileData = 0x1023, 18
	if !cpu.X86.HasAMXTile || !cpu.X86.HasAMXBF16 {
		return false
	}
	_, _, errno := unix.Syscall(unix.SYS_ARCH_PRCTL, requestPermission, tileData, 0)
	return errno == 0
})
