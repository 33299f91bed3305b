package cuda

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"quadrant/kernels"
)

// args are the bytes of a kernel's parameter, 8-byte cells in the order of the struct in
// its .cu file.
type args []byte

func (a *args) int(values ...int) {
	for _, v := range values {
		*a = binary.LittleEndian.AppendUint64(*a, uint64(v))
	}
}

func (a *args) float(v float64) { *a = binary.LittleEndian.AppendUint64(*a, math.Float64bits(v)) }

func (a *args) pointer(p uint64) { *a = binary.LittleEndian.AppendUint64(*a, p) }

func (a *args) mats(ms ...kernels.Mat) {
	for _, m := range ms {
		a.pointer(address(m))
		a.int(m.Stride)
	}
}

// begin returns arguments that hold the fault words and ms.
func (d *Device) begin(ms ...kernels.Mat) *args {
	d.args = d.args[:0]
	d.args.pointer(d.fault)
	d.args.mats(ms...)
	return &d.args
}

const (
	warpThreads = 32
	maxThreads  = 256 // of a block, here
)

// threadsFor is a block of whole warps for n elements side by side.
func threadsFor(n int) int {
	return min(maxThreads, (max(n, 1)+warpThreads-1)/warpThreads*warpThreads)
}

func blocksFor(n, each int) int { return (n + each - 1) / each }

// maxBlocksY is the limit of a grid's second dimension.
const maxBlocksY = 65535

// A launch is one that is planned.
type launch struct {
	kernel      string
	grid, block [3]int
	shared      int // bytes beyond what the kernel declares
	args        []byte
	product     *Product // of the library, in place of a kernel
}

// launch plans a kernel on x·y blocks.
func (d *Device) launch(kernel string, x, y, threads int, a *args) {
	d.launchZ(kernel, [3]int{x, y, 1}, threads, a)
}

func (d *Device) launchZ(kernel string, grid [3]int, threads int, a *args) {
	d.launchShared(kernel, grid, threads, 0, a)
}

// launchShared gives the blocks shared memory beyond what the kernel declares.
func (d *Device) launchShared(kernel string, grid [3]int, threads, shared int, a *args) {
	if d.err != nil || grid[0] == 0 || grid[1] == 0 {
		return
	}
	if y := max(grid[1], grid[2]); y > maxBlocksY {
		d.fail(fmt.Errorf("%s needs %d blocks in its second dimension, and a grid has at most %d: use smaller steps", kernel, y, maxBlocksY))
		return
	}
	d.launches = append(d.launches, launch{kernel, grid, [3]int{threads, 1, 1}, shared, slices.Clone(*a), nil})
}

// start gives the planned launches to the driver.
func (d *Device) start() error {
	for _, l := range d.launches {
		if l.product != nil {
			if err := d.library.Multiply(*l.product); err != nil {
				return err
			}
			continue
		}
		if err := d.drv.Launch(l.kernel, l.grid, l.block, l.shared, l.args); err != nil {
			return err
		}
	}
	return nil
}

// lent is memory that is lent again and again.
type lent struct {
	at    uint64
	bytes int
}

// temp lends bytes of memory of unspecified content to the launches of one op.
func (d *Device) temp(bytes int) uint64 { return d.lend(&d.scratch, bytes) }

// lend is bytes of l. What it lent before it had to grow is freed with other memory, for launches
// that are planned may use it.
func (d *Device) lend(l *lent, bytes int) uint64 {
	if bytes <= l.bytes {
		return l.at
	}
	p, err := d.drv.Alloc(bytes)
	if err != nil {
		d.fail(fmt.Errorf("%d bytes of scratch memory: %w", bytes, err))
		return 0
	}
	if l.at != 0 {
		d.dropGraphs()
		d.unused.add(l.at)
	}
	l.at, l.bytes, d.live[p] = p, bytes, true
	return p
}

// scratch is a matrix of 4-byte elements at p, for the arguments of a kernel.
func scratch(p uint64, rows, cols int) kernels.Mat {
	return kernels.Mat{Rows: rows, Cols: cols, Stride: cols, Mem: &buffer{addr: p}}
}

// typed is the name of a kernel for operands of the types of ms: "embed_bf16".
func typed(kernel string, ms ...kernels.Mat) string {
	for _, m := range ms {
		kernel += "_" + m.Type.String()
	}
	return kernel
}
