// Package cuda is the GPU: a kernels.Device that turns each op into launches of the
// kernels in kern, which are compiled to PTX and built in.
//
// It is pure Go. What it needs of a GPU is a [Driver]: nvidia is that of a real one, and ptxsim
// interprets the PTX, so that every kernel is checked on machines without a GPU.
//
// Ops are collected and run as a list. A list that comes again, such as a decode step, is one
// launch of a graph; see program.go. All sums are float32. Their order does not depend on the
// data, but on the number of rows: a step of few rows has kernels of its own, see vec.go.
package cuda

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"

	"quadrant/kernels"
)

// A Driver is what the device needs of a GPU. Addresses are the GPU's. Launches run in
// order; all but Sync, CopyIn and CopyOut may return before the work is done. Free waits for
// the work that may use the memory.
type Driver interface {
	Name() string                                   // "NVIDIA H200", "ptxsim"
	Processor() (major, minor, multiprocessors int) // major.minor is the compute capability
	Memory() (free, total int64, err error)
	Load(ptx string) error
	Alloc(bytes int) (uint64, error) // content unspecified, aligned to 256
	Free(p uint64) error
	Clear(p uint64, bytes int) error // sets to zero, in order with launches
	CopyIn(dst uint64, src []byte) error
	CopyOut(dst []byte, src uint64) error
	// AllocHost returns memory of the host that kernels reach at p too. It is never freed.
	AllocHost(bytes int) (host []byte, p uint64, err error)
	// Launch runs a kernel whose one parameter has the bytes args. The blocks of the next
	// launch may start before this one has ended: kernels wait by themselves, see kern.h.
	// shared is the bytes of shared memory beyond those that the kernel declares.
	Launch(kernel string, grid, block [3]int, shared int, args []byte) error
	// Record returns what the launches that launches makes would run; they do not run yet.
	Record(launches func() error) (Graph, error)
	Sync() error
}

// A Graph is launches that are started together.
type Graph interface {
	Launch() error
	Free() error // waits for the launches
}

// Device is a GPU. It is used by one goroutine, like every kernels.Device.
type Device struct {
	drv             Driver
	products        Products
	multiprocessors int
	rowCopies       bool    // the GPU copies pieces of memory by one instruction
	wgmmaFrom       int     // rows of a product that are worth wgmma; 0 without it
	avoids          string  // what the GPU has and this device does not use, in its name
	library         Library // of products, nil where they are ours
	err             error   // first failure, until Sync
	fault           uint64  // the address of the fault words
	host            hostWords
	args            args // reused

	programs
	launches []launch // those of the list that is being planned
	busy     bool     // launches may still run

	step                 stepNumbers // of AdamW
	scratch, panelMemory lent        // shared by launches, which run in order

	memory arena
	unused *unused // memory that nobody refers to any more
	live   map[uint64]bool
}

// New returns the GPU behind drv, with its kernels loaded.
func New(drv Driver, products Products) (*Device, error) {
	major, minor, multiprocessors := drv.Processor()
	for _, m := range modules(major, minor) {
		if err := drv.Load(m.ptx); err != nil {
			return nil, fmt.Errorf("cuda: %s: %w", m.name, err)
		}
	}
	d := &Device{drv: drv, products: products, multiprocessors: max(1, multiprocessors), live: map[uint64]bool{}, unused: &unused{},
		memory: arena{drv: drv, sizes: map[uint64]int{}, idle: map[int][]uint64{}}}
	d.rowCopies = has90(major)
	if has90a(major, minor) {
		d.wgmmaFrom = wgmmaRows
	}
	p, err := drv.Alloc(faultBytes)
	if err == nil {
		d.fault, d.live[p] = p, true
		err = drv.Clear(p, faultBytes)
	}
	if err == nil {
		d.cells, err = drv.Alloc(8 * maxCells)
		d.live[d.cells] = true
	}
	if err == nil {
		err = d.host.alloc(drv)
	}
	if err != nil {
		return nil, fmt.Errorf("cuda: the fault words: %w", err)
	}
	return d, nil
}

// Name says which driver runs the kernels, whether activations are [Rounded], and what is avoided:
// "cuda/NVIDIA H200", "cuda/NVIDIA H200/bf16", "cuda/NVIDIA H200/bf16/mma". With the products of a
// library it ends in "+cublaslt".
func (d *Device) Name() string {
	name := "cuda/" + d.drv.Name()
	if d.products == Rounded {
		name += "/bf16"
	}
	name += d.avoids
	if d.library != nil {
		name += "+cublaslt"
	}
	return name
}

// AvoidWGMMA has products use mma.sync, as on GPUs that have no wgmma: "/mma" in the name.
func (d *Device) AvoidWGMMA() {
	if d.wgmmaFrom > 0 {
		d.wgmmaFrom, d.avoids = 0, "/mma"
	}
}

// FreeMemory returns the bytes that can be allocated.
func (d *Device) FreeMemory() (int64, error) {
	free, _, err := d.drv.Memory()
	return free + min(d.memory.bytes, math.MaxInt64-free), err
}

// Close frees all of the device's memory, that of its matrices too.
func (d *Device) Close() error {
	d.forget()
	err := errors.Join(d.drv.Sync(), d.memory.drain())
	for p := range d.live {
		if e := d.drv.Free(p); err == nil {
			err = e
		}
	}
	d.live = nil
	d.unused.take()
	return err
}

// A buffer is an allocation; the arena gets it some time after the last Mat with it is gone.
type buffer struct {
	addr    uint64
	written bool // by an op, not only by Write
}

// Alloc returns a matrix of zeros. Without memory it panics, as make does.
func (d *Device) Alloc(t kernels.Type, rows, cols int) kernels.Mat {
	d.flush()
	d.forget() // programs hold on to the memory of their operands
	d.freeUnused()
	n := max(1, rows*cols*int(t.Size()))
	p, err := d.memory.take(n)
	if err == nil {
		err = d.drv.Clear(p, n)
	}
	if err != nil {
		panic(fmt.Sprintf("cuda: allocating %d bytes for [%d×%d] of %v: %v", n, rows, cols, t, err))
	}
	b := &buffer{addr: p}
	d.live[p] = true
	runtime.AddCleanup(b, d.unused.add, p)
	return kernels.Mat{Type: t, Rows: rows, Cols: cols, Stride: cols, Mem: b}
}

// unused is memory to be freed. It is apart from the device, which would be kept for ever by the
// cleanups of what it refers to. These run on a goroutine of their own, where the driver must not
// be called.
type unused struct {
	mu sync.Mutex
	at []uint64
}

func (u *unused) add(p uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.at = append(u.at, p)
}

func (u *unused) take() []uint64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	at := u.at
	u.at = nil
	return at
}

func (d *Device) freeUnused() {
	for _, p := range d.unused.take() {
		if d.live[p] {
			delete(d.live, p)
			d.fail(d.memory.give(p))
		}
	}
}

// Write copies src into dst.
func (d *Device) Write(dst kernels.Mat, src []byte) {
	mustMatch(dst, src)
	d.flush()
	if len(src) > 0 {
		d.fail(d.drv.CopyIn(address(dst), src))
	}
}

// Read copies src into dst.
func (d *Device) Read(dst []byte, src kernels.Mat) {
	mustMatch(src, dst)
	d.flush()
	if len(dst) > 0 {
		d.fail(d.drv.CopyOut(dst, address(src)))
		d.busy = false // it waits for the work before
	}
}

// mustMatch panics where m cannot be copied to or from host: a mistake of the caller.
func mustMatch(m kernels.Mat, host []byte) {
	if !m.Contiguous() || int64(len(host)) != m.Bytes() {
		panic(fmt.Sprintf("cuda: copying %d bytes to or from %v of %v and stride %d", len(host), m, m.Type, m.Stride))
	}
}

// address is that of the first element of m; 0 if m is absent.
func address(m kernels.Mat) uint64 {
	if m.None() {
		return 0
	}
	return m.Mem.(*buffer).addr + uint64(m.Off)*uint64(m.Type.Size())
}

// fail keeps the first failure.
func (d *Device) fail(err error) {
	if err != nil && d.err == nil {
		d.err = fmt.Errorf("cuda: %w", err)
	}
}

// Sync waits for the work before it and returns the first failure since the last Sync.
func (d *Device) Sync() error {
	d.flush()
	d.fail(d.drv.Sync())
	d.busy = false
	d.fail(d.readFault())
	err := d.err
	d.err = nil
	return err
}

// Do notes op. A list of ops is run when its results are asked for: see program.go. After a
// failure that the host knows of it does nothing; after one that only the GPU knows of, the
// kernels do nothing.
func (d *Device) Do(op kernels.Op) {
	switch op.(type) {
	case *kernels.Enter, *kernels.Leave:
		return
	}
	if d.err != nil {
		return
	}
	if step, ok := op.(*kernels.AdamW); ok {
		d.setStep(step)
	}
	d.note(op)
}

// plan appends the launches of one op to the list.
func (d *Device) plan(op kernels.Op) {
	switch o := op.(type) {
	case *kernels.Zero:
		d.zero(o)
	case *kernels.Copy:
		d.copied(o)
	case *kernels.Add:
		d.add(o)
	case *kernels.Embed:
		d.embed(o)
	case *kernels.NegExp:
		d.negExp(o)
	case *kernels.ArgMax:
		d.argMax(o)
	case *kernels.RMSNorm:
		d.norm("rms_norm", o.Dst, o.X, o.Delta, o.Gain, kernels.Mat{}, o.Eps)
	case *kernels.LayerNorm:
		d.norm("layer_norm", o.Dst, o.X, o.Delta, o.Gain, o.Bias, o.Eps)
	case *kernels.MatMul:
		d.matMul(o)
	case *kernels.GroupedMatMul:
		d.groupedMatMul(o)
	case *kernels.Activation:
		d.activation(o)
	case *kernels.ConvSiLU:
		d.convSiLU(o)
	case *kernels.Scan:
		d.scan(o)
	case *kernels.RotaryStore:
		d.rotaryStore(o)
	case *kernels.Attend:
		d.attend(o)
	case *kernels.Sinkhorn:
		d.sinkhorn(o)
	case *kernels.Route:
		d.route(o)
	case *kernels.Sort:
		d.sort(o)
	case *kernels.Combine:
		d.combine(o, kernels.Mat{})
	case *kernels.Sum:
		d.sum(o)
	case *kernels.HashRoute:
		d.hashRoute(o)
	case *kernels.LimitLoad:
		d.limitLoad(o)
	case *kernels.BalanceLoss:
		d.balanceLoss(o)
	case *kernels.Average:
		d.average(o)
	case *kernels.BiasStep:
		d.biasStep(o)
	default:
		d.planTraining(op)
	}
}

func unknown(op kernels.Op) string { return fmt.Sprintf("cuda: no kernel for %T", op) }
