//go:build cuda && cgo && linux

package nvidia

/*
#cgo CFLAGS: -I${SRCDIR}/include -O2 -Wall
#cgo LDFLAGS: -L${SRCDIR}/lib -ldl
#include "nvidia.h"
*/
import "C"

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"gorgonia.org/cu"

	"quadrant/kernels/cuda"
)

// Built says whether this program can drive GPUs.
const Built = true

// A driver is a GPU, and the stream on it that all work is put on.
//
// Which context is current belongs to a thread, and goroutines change threads: each method
// makes its own current first.
type driver struct {
	name                          string
	context                       cu.CUContext
	handle                        C.CUcontext // of context
	stream                        cu.Stream
	modules                       []C.CUmodule
	functions                     map[string]C.CUfunction
	major, minor, multiprocessors int // major.minor is the compute capability
	overlaps                      C.int
	pinned                        pinned // see copies.go
	gpu                           C.CUdevice
	workspace                     uint64       // of the library, see cublaslt.go
	events                        [2]C.CUevent // see clock.go
}

var _ cuda.Driver = (*driver)(nil)

// Open returns the GPU with the given number, from 0.
func Open(ordinal int) (cuda.Driver, error) {
	dev, err := device(ordinal)
	if err != nil {
		return nil, err
	}
	d := &driver{functions: map[string]C.CUfunction{}, gpu: C.CUdevice(dev)}
	if d.name, err = dev.Name(); err != nil {
		return nil, fmt.Errorf("the name of GPU %d: %w", ordinal, err)
	}
	if d.major, d.minor, err = dev.ComputeCapability(); err != nil {
		return nil, fmt.Errorf("the compute capability of GPU %d, %s: %w", ordinal, d.name, err)
	}
	if d.multiprocessors, err = dev.Attribute(cu.MultiprocessorCount); err != nil {
		return nil, fmt.Errorf("the multiprocessors of GPU %d, %s: %w", ordinal, d.name, err)
	}
	if d.major >= firstOverlapping {
		d.overlaps = 1
	}
	if d.context, err = dev.RetainPrimaryCtx(); err != nil {
		return nil, fmt.Errorf("a context on GPU %d, %s: %w", ordinal, d.name, err)
	}
	return d, d.do(func() error {
		if err := failure(C.cuCtxGetCurrent(&d.handle)); err != nil {
			return err
		}
		d.stream, err = cu.MakeStream(cu.NonBlocking)
		return err
	})
}

// available returns an error that says why there is no driver, or nil.
func available() error {
	if why := C.quadrant_no_driver(); why != nil {
		return fmt.Errorf("no CUDA driver: %s", C.GoString(why))
	}
	return nil
}

func device(ordinal int) (cu.Device, error) {
	if err := available(); err != nil {
		return 0, err
	}
	n, err := cu.NumDevices()
	if err != nil {
		return 0, fmt.Errorf("counting GPUs: %w", err)
	}
	if ordinal < 0 || ordinal >= n {
		return 0, fmt.Errorf("there is no GPU %d: this machine has %d, counted from 0", ordinal, n)
	}
	return cu.GetDevice(ordinal)
}

// Devices describes the GPUs of this machine.
func Devices() ([]Info, error) {
	if err := available(); err != nil {
		return nil, err
	}
	n, err := cu.NumDevices()
	if err != nil {
		return nil, fmt.Errorf("counting GPUs: %w", err)
	}
	infos := make([]Info, n)
	for i := range infos {
		if infos[i], err = describe(i); err != nil {
			return nil, fmt.Errorf("describing GPU %d: %w", i, err)
		}
	}
	return infos, nil
}

func describe(ordinal int) (Info, error) {
	dev, err := cu.GetDevice(ordinal)
	if err != nil {
		return Info{}, err
	}
	info := Info{CUDA: cu.Version()}
	var errs [4]error
	info.Name, errs[0] = dev.Name()
	info.Memory, errs[1] = dev.TotalMem()
	info.Major, info.Minor, errs[2] = dev.ComputeCapability()
	info.Multiprocessors, errs[3] = dev.Attribute(cu.MultiprocessorCount)
	return info, errors.Join(errs[:]...)
}

// do runs f on a thread on which d's context is current.
func (d *driver) do(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cu.SetCurrentContext(d.context); err != nil {
		return err
	}
	return f()
}

// Name is the GPU's: "NVIDIA H200".
func (d *driver) Name() string { return d.name }

// Processor is the compute capability and how many multiprocessors there are.
func (d *driver) Processor() (major, minor, multiprocessors int) {
	return d.major, d.minor, d.multiprocessors
}

// Memory returns the bytes that are free and those that there are.
func (d *driver) Memory() (free, total int64, err error) {
	err = d.do(func() error {
		free, total, err = cu.MemInfo()
		return err
	})
	return free, total, err
}

// Load lets the driver compile ptx, which it keeps in a cache of its own for the next time.
func (d *driver) Load(ptx string) error {
	if d.major < firstOverlapping {
		ptx = withoutOverlap(ptx)
	}
	text := C.CString(ptx)
	defer C.free(unsafe.Pointer(text))
	const logBytes = 8192
	log := (*C.char)(C.calloc(logBytes, 1))
	defer C.free(unsafe.Pointer(log))
	return d.do(func() error {
		var m C.CUmodule
		if err := failure(C.quadrant_load(&m, text, log, logBytes)); err != nil {
			return fmt.Errorf("%w: %s", err, bytes.TrimSpace([]byte(C.GoString(log))))
		}
		d.modules = append(d.modules, m)
		return nil
	})
}

// function finds a kernel in the modules.
func (d *driver) function(name string) (f C.CUfunction, err error) {
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	err = d.do(func() error {
		for _, m := range d.modules {
			switch result := C.cuModuleGetFunction(&f, m, text); result {
			case C.CUDA_SUCCESS:
				d.functions[name] = f
				return nil
			case C.CUDA_ERROR_NOT_FOUND:
			default:
				return failure(result)
			}
		}
		return fmt.Errorf("no module has a kernel %s", name)
	})
	return f, err
}

func (d *driver) Launch(kernel string, grid, block [3]int, shared int, args []byte) error {
	f, ok := d.functions[kernel]
	if !ok {
		var err error
		if f, err = d.function(kernel); err != nil {
			return err
		}
	}
	result := C.quadrant_launch(d.handle, f,
		C.uint(grid[0]), C.uint(grid[1]), C.uint(grid[2]), C.uint(block[0]), C.uint(block[1]), C.uint(block[2]),
		C.uint(shared), d.cstream(), d.overlaps, unsafe.Pointer(unsafe.SliceData(args)), C.size_t(len(args)))
	if err := failure(result); err != nil {
		return fmt.Errorf("launching %s on %v blocks of %v threads: %w", kernel, grid, block, err)
	}
	return nil
}

func (d *driver) Alloc(bytes int) (p uint64, err error) {
	err = d.do(func() error {
		ptr, err := cu.MemAlloc(int64(bytes))
		p = uint64(ptr)
		return err
	})
	return p, err
}

func (d *driver) Free(p uint64) error {
	return d.do(func() error {
		return errors.Join(d.stream.Synchronize(), cu.MemFree(cu.DevicePtr(p)))
	})
}

func (d *driver) Clear(p uint64, bytes int) error {
	return d.do(func() error { return cu.MemsetD8Async(cu.DevicePtr(p), 0, int64(bytes), d.stream) })
}

func (d *driver) Sync() error {
	d.pinned.used = 0
	return failure(C.quadrant_synchronize(d.handle, d.cstream()))
}

func (d *driver) cstream() C.CUstream { return C.CUstream(unsafe.Pointer(d.stream.C())) }

// AllocHost returns pinned memory of the host.
func (d *driver) AllocHost(bytes int) (host []byte, p uint64, err error) {
	err = d.do(func() error {
		var at unsafe.Pointer
		var device C.CUdeviceptr
		const mapped = 2
		if err := failure(C.cuMemHostAlloc(&at, C.size_t(bytes), mapped)); err != nil {
			return err
		}
		if err := failure(C.cuMemHostGetDevicePointer(&device, at, 0)); err != nil {
			return err
		}
		host, p = unsafe.Slice((*byte)(at), bytes), uint64(device)
		return nil
	})
	return host, p, err
}

// A graph is launches that the driver starts as one.
type graph struct {
	d    *driver
	exec C.CUgraphExec
}

func (d *driver) Record(launches func() error) (cuda.Graph, error) {
	g := &graph{d: d}
	return g, d.do(func() error {
		if err := failure(C.cuStreamBeginCapture(d.cstream(), C.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)); err != nil {
			return err
		}
		err := launches()
		var captured C.CUgraph
		err = errors.Join(err, failure(C.cuStreamEndCapture(d.cstream(), &captured)))
		if err != nil {
			return fmt.Errorf("recording launches: %w", err)
		}
		err = failure(C.cuGraphInstantiateWithFlags(&g.exec, captured, 0))
		return errors.Join(err, failure(C.cuGraphDestroy(captured)))
	})
}

func (g *graph) Launch() error {
	if err := failure(C.quadrant_graph_launch(g.d.handle, g.exec, g.d.cstream())); err != nil {
		return fmt.Errorf("launching a graph: %w", err)
	}
	return nil
}

func (g *graph) Free() error {
	return errors.Join(g.d.Sync(), g.d.do(func() error { return failure(C.cuGraphExecDestroy(g.exec)) }))
}

// failure is what a result of the driver means, nil for success.
func failure(result C.CUresult) error {
	if result == C.CUDA_SUCCESS {
		return nil
	}
	var name, text *C.char
	if C.cuGetErrorName(result, &name) != C.CUDA_SUCCESS || C.cuGetErrorString(result, &text) != C.CUDA_SUCCESS {
		return fmt.Errorf("CUresult %d", int(result))
	}
	return fmt.Errorf("%s: %s", C.GoString(name), C.GoString(text))
}
