// Package ptxsim runs CUDA kernels without a GPU: it interprets the PTX text that a
// compiler made of them, exactly as that text reads.
//
// It is stricter than a GPU. Memory is poisoned until it is written. An access outside an
// allocation or not aligned to its size, two threads that touch one location without a
// barrier between them, a read of shared memory that the block has not written, a barrier
// or a shuffle that some threads do not reach, and work without end are errors that name
// the kernel, the block, the thread and the line. So is an instruction, a modifier or an
// operand that the interpreter does not know: it never guesses.
//
// What it does not show: time, occupancy, registers, bank conflicts, and what a
// GPU's memory model allows beyond races within a launch.
package ptxsim

import (
	"errors"
	"fmt"
	"math"
)

// An Order is the order in which blocks, and the warps of a block between two barriers,
// run. A correct kernel gives the same result in both.
type Order uint8

const (
	Forward Order = iota
	Backward
)

// DefaultMaxSteps is the number of instructions of warps that a launch may take.
const DefaultMaxSteps = 1 << 27

// A Machine is a simulated GPU: memory and the kernels that were loaded. It is used by
// one goroutine.
type Machine struct {
	Order    Order
	MaxSteps int      // instructions of warps in a launch; a kernel that takes more hangs
	Library  *Library // where it finds what others have loaded; may be nil

	kernels map[string]*kernel
	allocs  []*allocation
	launch  int32 // the number of the launch, for the check of races

	recording *Graph // that takes launches in place of running them
}

// New returns a machine without kernels.
func New(order Order) *Machine {
	return &Machine{Order: order, MaxSteps: DefaultMaxSteps, kernels: map[string]*kernel{}}
}

// Name is "ptxsim".
func (m *Machine) Name() string { return "ptxsim" }

// Processor is one of compute capability 9.0 with few multiprocessors, so that blocks that share
// work by their number have several pieces of it.
func (m *Machine) Processor() (major, minor, multiprocessors int) { return 9, 0, 3 }

// Memory is without limit but the host's.
func (m *Machine) Memory() (free, total int64, err error) { return math.MaxInt64, math.MaxInt64, nil }

// Load reads the kernels of a PTX text.
func (m *Machine) Load(ptx string) error {
	ks, err := m.Library.parse(ptx)
	if err != nil {
		return fmt.Errorf("ptxsim: %w", err)
	}
	for _, k := range ks {
		if m.kernels[k.name] != nil {
			return fmt.Errorf("ptxsim: kernel %s is loaded twice", k.name)
		}
		m.kernels[k.name] = k
	}
	return nil
}

// Launch runs a kernel before it returns. args are the bytes of its one parameter.
func (m *Machine) Launch(name string, grid, block [3]int, shared int, args []byte) error {
	k := m.kernels[name]
	if k == nil {
		return fmt.Errorf("ptxsim: no kernel %q is loaded", name)
	}
	if err := checkLaunch(k, grid, block, shared, args); err != nil {
		return fmt.Errorf("ptxsim: launch of %s: %w", name, err)
	}
	if m.recording != nil {
		m.recording.add(name, grid, block, shared, args)
		return nil
	}
	m.launch++
	m.forget()
	l := &launcher{m: m, k: k, grid: grid, dim: block, args: args, shared: shared}
	if err := l.run(); err != nil {
		return fmt.Errorf("ptxsim: %w", err)
	}
	return nil
}

// The limits of a launch, those of compute capability 8 and 9.
const (
	maxThreads = 1024
	maxGridYZ  = 65535
	maxShared  = 48 << 10  // that a kernel may declare
	maxDynamic = 227 << 10 // with what a launch asks for, on capability 9.0
)

func checkLaunch(k *kernel, grid, block [3]int, shared int, args []byte) error {
	for i, n := range grid {
		if n < 1 || i > 0 && n > maxGridYZ || n > 1<<31-1 {
			return fmt.Errorf("grid %v, want 1 to 2147483647, 65535 and 65535 blocks", grid)
		}
	}
	if n := block[0] * block[1] * block[2]; n < 1 || n > k.maxThreads {
		return fmt.Errorf("block %v has %d threads, want 1 to %d", block, n, k.maxThreads)
	}
	if k.sharedBytes > maxShared {
		return fmt.Errorf("%d bytes of shared memory declared, want at most %d", k.sharedBytes, maxShared)
	}
	if n := k.sharedBytes + shared; n > maxDynamic {
		return fmt.Errorf("%d bytes of shared memory, want at most %d", n, maxDynamic)
	}
	if len(args) != k.paramBytes {
		return fmt.Errorf("%d bytes of arguments, want %d", len(args), k.paramBytes)
	}
	return nil
}

// Sync has nothing to wait for.
func (m *Machine) Sync() error { return nil }

var errNoMemory = errors.New("ptxsim: allocation of no bytes")

// AllocHost returns memory that is the host's and the machine's.
func (m *Machine) AllocHost(n int) (host []byte, p uint64, err error) {
	host = make([]byte, n)
	p, err = m.Share(host)
	return host, p, err
}

// Share gives kernels access to memory of the host.
func (m *Machine) Share(host []byte) (p uint64, err error) {
	if p, err = m.Alloc(len(host)); err == nil {
		m.allocs[len(m.allocs)-1].data = host
	}
	return p, err
}
