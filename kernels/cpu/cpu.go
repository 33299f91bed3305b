// Package cpu carries out ops in main memory, in float32: blocked loops in Go, shared by a
// pool of threads, around inner loops (internal/vec) in assembly for AVX-512 and AVX2 and in
// plain Go.
//
// Activations and sums are float32; weights and KV caches may be bf16 or f16 and are
// widened exactly. Every sum is taken in an order that depends neither on the number of threads
// nor on what else is in the batch, so that a sequence's numbers are the same bit for bit
// alone and in company.
package cpu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"quadrant/kernels"
	"quadrant/kernels/cpu/internal/vec"
)

// Device is the CPU. It is used by one goroutine, like every kernels.Device.
type Device struct {
	vec  vec.Funcs
	pool *pool
	err  error // first failure, until Sync

	scratch   [][]float32 // of each worker
	scratch16 [][]uint16
	table     []float32 // shared by workers: gathered rows, parts of sums
	turns     turns     // of rotary positions
	doubles   []float64 // of ops that one goroutine carries out
	rounded   []uint16  // shared by workers: activations as bf16
	jobs      jobs      // reused, so that an op allocates nothing
}

// Variants are the sets of inner loops that this processor runs and that compute in float32,
// the fastest first: "go" is always the last. [Rounding] are others.
func Variants() (names []string) {
	for _, set := range vec.Sets() {
		names = append(names, set.Name)
	}
	return names
}

// Open returns the CPU, computing with the inner loops called variant ("" is the fastest) and
// with the given number of threads; 0 means one per core that the process may use.
func Open(variant string, threads int) (*Device, error) {
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	if threads < 1 || threads > 1<<10 {
		return nil, fmt.Errorf("cpu: %d threads, want 1 to 1024, or 0 for one per core", threads)
	}
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		return nil, errors.New("cpu: this processor is big-endian; weights are stored little-endian")
	}
	set, err := setNamed(variant)
	if err != nil {
		return nil, err
	}
	d := &Device{vec: set, pool: newPool(threads), scratch: make([][]float32, threads), scratch16: make([][]uint16, threads)}
	d.jobs.bind(d)
	// Workers know only the pool, so an unused device can be collected and end them.
	runtime.AddCleanup(d, (*pool).close, d.pool)
	return d, nil
}

func setNamed(variant string) (vec.Funcs, error) {
	for _, set := range append(vec.Sets(), vec.Rounding()...) {
		if variant == "" || set.Name == variant {
			return set, nil
		}
	}
	return vec.Funcs{}, fmt.Errorf("cpu: variant %q is not one that this processor and program run: want one of %v", variant, append(Variants(), Rounding()...))
}

// Name says which inner loops run: "cpu/avx512".
func (d *Device) Name() string { return "cpu/" + d.vec.Name }

// Threads is the number of goroutines that compute.
func (d *Device) Threads() int { return d.pool.workers }

// Alloc returns a matrix of zeros.
func (d *Device) Alloc(t kernels.Type, rows, cols int) kernels.Mat {
	m := kernels.Mat{Type: t, Rows: rows, Cols: cols, Stride: cols}
	switch n := rows * cols; t {
	case kernels.F32:
		m.Mem = zeros[float32](n)
	case kernels.BF16, kernels.F16:
		m.Mem = zeros[uint16](n)
	case kernels.I32:
		m.Mem = zeros[int32](n)
	}
	return m
}

func zeros[T any](n int) []T {
	s := make([]T, n)
	useLargePages(asBytes(s))
	return s
}

// Write copies src into dst.
func (d *Device) Write(dst kernels.Mat, src []byte) { copy(memory(dst), src) }

// Read copies src into dst.
func (d *Device) Read(dst []byte, src kernels.Mat) { copy(dst, memory(src)) }

// memory is the bytes of a contiguous matrix.
func memory(m kernels.Mat) []byte {
	switch s := m.Mem.(type) {
	case []float32:
		return asBytes(s[m.Off : m.Off+m.Len()])
	case []uint16:
		return asBytes(s[m.Off : m.Off+m.Len()])
	case []int32:
		return asBytes(s[m.Off : m.Off+m.Len()])
	}
	return nil
}

func asBytes[T any](s []T) []byte {
	if len(s) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), len(s)*int(unsafe.Sizeof(s[0])))
}

// Sync returns the first failure since the last Sync.
func (d *Device) Sync() error {
	err := d.err
	d.err = nil
	return err
}

func (d *Device) failf(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("cpu: "+format, args...)
	}
}

// Do carries out op before it returns.
func (d *Device) Do(op kernels.Op) {
	if d.err != nil {
		return
	}
	j := &d.jobs
	switch o := op.(type) {
	case *kernels.Enter, *kernels.Leave:
	case *kernels.Zero:
		j.training.zero.start(o)
	case *kernels.Copy:
		j.training.copy.start(o)
	case *kernels.Add:
		j.add.start(o)
	case *kernels.Embed:
		d.embed(o)
	case *kernels.NegExp:
		j.negExp.start(o)
	case *kernels.ArgMax:
		j.argMax.start(o)
	case *kernels.RMSNorm:
		j.norm.startRMS(o)
	case *kernels.LayerNorm:
		j.norm.startLayer(o)
	case *kernels.MatMul:
		j.matMul.start(o)
	case *kernels.GroupedMatMul:
		j.grouped.start(o)
	case *kernels.Activation:
		j.activation.start(o)
	case *kernels.ConvSiLU:
		j.conv.start(o)
	case *kernels.Scan:
		j.scan.start(o)
	case *kernels.RotaryStore:
		j.rotary.start(o)
	case *kernels.Attend:
		j.attend.start(o)
	case *kernels.Sinkhorn:
		d.sinkhorn(o)
	case *kernels.Route:
		j.route.start(o)
	case *kernels.Sort:
		d.sort(o)
	case *kernels.Combine:
		j.combine.start(o)
	default:
		d.doTraining(op)
	}
}

// jobs holds one job of each kind: an op fills its job's fields and hands it to the pool.
type jobs struct {
	add        addJob
	negExp     negExpJob
	argMax     argMaxJob
	norm       normJob
	matMul     matMulJob
	grouped    groupedJob
	activation activationJob
	conv       convJob
	scan       scanJob
	rotary     rotaryJob
	attend     attendJob
	cached     cachedAttention
	route      routeJob
	combine    combineJob
	training   trainingJobs
	read       readJob
	round      roundJob
	fused      fusedJob
}

func (j *jobs) bind(d *Device) {
	for _, own := range []**Device{
		&j.add.d, &j.negExp.d, &j.argMax.d, &j.norm.d, &j.matMul.d, &j.grouped.d, &j.activation.d,
		&j.conv.d, &j.scan.d, &j.rotary.d, &j.attend.d, &j.route.d, &j.combine.d, &j.read.d, &j.fused.d, &j.round.d,
	} {
		*own = d
	}
	j.training.bind(d)
}

// A view is a matrix of F32 or I32 with its memory in hand.
type view[T any] struct {
	data               []T // from the first element on
	rows, cols, stride int
}

func (v view[T]) row(i int) []T { return v.data[i*v.stride:][:v.cols] }

func (v view[T]) none() bool { return v.rows == 0 }

func of[T any](m kernels.Mat) view[T] {
	if m.None() {
		return view[T]{}
	}
	return view[T]{m.Mem.([]T)[m.Off:], m.Rows, m.Cols, m.Stride}
}

func f32(m kernels.Mat) view[float32] { return of[float32](m) }
func i32(m kernels.Mat) view[int32]   { return of[int32](m) }

// vector is the one row of m, nil where m is absent.
func vector(m kernels.Mat) []float32 {
	if m.None() {
		return nil
	}
	return f32(m).row(0)
}

// weights is a matrix of any float type: one of its two slices is set.
type weights struct {
	typ    kernels.Type
	f      []float32
	h      []uint16 // of BF16 or F16
	rows   int
	stride int
}

func weightsOf(m kernels.Mat) weights {
	w := weights{typ: m.Type, rows: m.Rows, stride: m.Stride}
	switch s := m.Mem.(type) {
	case []float32:
		w.f = s[m.Off:]
	case []uint16:
		w.h = s[m.Off:]
	}
	return w
}

// at is w from row i and column j on.
func (w weights) at(i, j int) weights {
	off := i*w.stride + j
	if w.f != nil {
		w.f = w.f[off:]
	} else {
		w.h = w.h[off:]
	}
	return w
}

// temp lends worker w n values of unspecified content until its next temp.
func (d *Device) temp(w, n int) []float32 {
	if cap(d.scratch[w]) < n {
		d.scratch[w] = make([]float32, n)
	}
	return d.scratch[w][:n]
}

// shared lends all workers of one job n values of unspecified content.
func (d *Device) shared(n int) []float32 {
	if cap(d.table) < n {
		d.table = make([]float32, n)
	}
	return d.table[:n]
}

// doubled lends n values of unspecified content.
func (d *Device) doubled(n int) []float64 {
	if cap(d.doubles) < n {
		d.doubles = make([]float64, n)
	}
	return d.doubles[:n]
}
