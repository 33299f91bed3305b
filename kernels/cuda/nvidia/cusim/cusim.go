//go:build cuda && cusim && cgo && linux

package cusim

/*
#cgo CFLAGS: -I${SRCDIR}/../include -O2 -Wall
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
*/
import "C"

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"unsafe"

	"quadrant/kernels/cuda/ptxsim"
)

// gpu is the one GPU that there is. C has no other way to it than a variable.
var gpu = struct {
	sync.Mutex
	*ptxsim.Machine
	modules []string // PTX; a module's handle is its index and one
	kernels []string // names; a function's handle likewise
	graphs  []*ptxsim.Graph
	host    map[unsafe.Pointer]uint64 // addresses of memory of the host
}{Machine: ptxsim.New(ptxsim.Forward), host: map[unsafe.Pointer]uint64{}}

// done is 1 for nil, and prints other errors, for which the driver has but numbers.
func done(err error) C.int {
	if err != nil {
		fmt.Fprintln(os.Stderr, "cusim:", err)
		return 0
	}
	return 1
}

//export simLoad
func simLoad(ptx, log *C.char, logBytes C.size_t) C.uintptr_t {
	gpu.Lock()
	defer gpu.Unlock()
	text := C.GoString(ptx)
	for i, m := range gpu.modules {
		if m == text { // the simulator takes a kernel once
			return C.uintptr_t(i + 1)
		}
	}
	if err := gpu.Load(text); err != nil {
		n := copy(unsafe.Slice((*byte)(unsafe.Pointer(log)), int(logBytes)-1), err.Error())
		unsafe.Slice((*byte)(unsafe.Pointer(log)), int(logBytes))[n] = 0
		return 0
	}
	gpu.modules = append(gpu.modules, text)
	return C.uintptr_t(len(gpu.modules))
}

//export simFunction
func simFunction(module C.uintptr_t, name *C.char) C.uintptr_t {
	gpu.Lock()
	defer gpu.Unlock()
	kernel := C.GoString(name)
	if !strings.Contains(gpu.modules[module-1], ".entry "+kernel+"(") {
		return 0
	}
	gpu.kernels = append(gpu.kernels, kernel)
	return C.uintptr_t(len(gpu.kernels))
}

//export simLaunch
func simLaunch(f C.uintptr_t, gx, gy, gz, bx, by, bz, shared C.uint, args unsafe.Pointer, bytes C.size_t) C.int {
	gpu.Lock()
	defer gpu.Unlock()
	grid, block := [3]int{int(gx), int(gy), int(gz)}, [3]int{int(bx), int(by), int(bz)}
	return done(gpu.Launch(gpu.kernels[f-1], grid, block, int(shared), C.GoBytes(args, C.int(bytes))))
}

//export simCapture
func simCapture() C.int {
	gpu.Lock()
	defer gpu.Unlock()
	return done(gpu.BeginRecord())
}

//export simCaptured
func simCaptured() C.uintptr_t {
	gpu.Lock()
	defer gpu.Unlock()
	gpu.graphs = append(gpu.graphs, gpu.EndRecord())
	return C.uintptr_t(len(gpu.graphs))
}

//export simGraphLaunch
func simGraphLaunch(g C.uintptr_t) C.int {
	gpu.Lock()
	defer gpu.Unlock()
	return done(gpu.graphs[g-1].Launch())
}

//export simGraphFree
func simGraphFree(g C.uintptr_t) C.int {
	gpu.Lock()
	defer gpu.Unlock()
	return done(gpu.graphs[g-1].Free())
}

//export simAllocHost
func simAllocHost(bytes C.size_t) unsafe.Pointer {
	gpu.Lock()
	defer gpu.Unlock()
	at := C.calloc(bytes, 1)
	p, err := gpu.Share(unsafe.Slice((*byte)(at), int(bytes)))
	if done(err) == 0 {
		return nil
	}
	gpu.host[at] = p
	return at
}

//export simHostPointer
func simHostPointer(at unsafe.Pointer) C.ulonglong {
	gpu.Lock()
	defer gpu.Unlock()
	return C.ulonglong(gpu.host[at])
}

//export simAlloc
func simAlloc(bytes C.size_t) C.ulonglong {
	gpu.Lock()
	defer gpu.Unlock()
	p, err := gpu.Alloc(int(bytes))
	done(err)
	return C.ulonglong(p)
}

//export simFree
func simFree(p C.ulonglong) C.int {
	gpu.Lock()
	defer gpu.Unlock()
	return done(gpu.Free(uint64(p)))
}

//export simClear
func simClear(p C.ulonglong, bytes C.size_t) C.int {
	gpu.Lock()
	defer gpu.Unlock()
	return done(gpu.Clear(uint64(p), int(bytes)))
}

//export simCopyIn
func simCopyIn(dst C.ulonglong, src unsafe.Pointer, bytes C.size_t) C.int {
	gpu.Lock()
	defer gpu.Unlock()
	return done(gpu.CopyIn(uint64(dst), unsafe.Slice((*byte)(src), int(bytes))))
}

//export simCopyOut
func simCopyOut(dst unsafe.Pointer, src C.ulonglong, bytes C.size_t) C.int {
	gpu.Lock()
	defer gpu.Unlock()
	return done(gpu.CopyOut(unsafe.Slice((*byte)(dst), int(bytes)), uint64(src)))
}
