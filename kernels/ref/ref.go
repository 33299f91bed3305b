// Package ref carries out ops in float64, element by element, as their definitions in
// package kernels read. It is the answer that every other device is compared with, so it
// is slow on purpose: no function here does anything that its formula does not say.
package ref

import (
	"encoding/binary"
	"fmt"
	"math"

	"quadrant/kernels"
)

// Device keeps F32, BF16 and F16 matrices as []float64 and I32 matrices as []int32.
//
// What is stored into an F32 matrix keeps its float64 precision, and is rounded only when
// it is read: errors then belong to the device under comparison alone. What is stored
// into a BF16 or F16 matrix is rounded, because there the rounding is part of the model.
type Device struct{ err error }

// New returns a device.
func New() *Device { return &Device{} }

// Name is "ref".
func (d *Device) Name() string { return "ref" }

// Alloc returns a matrix of zeros.
func (d *Device) Alloc(t kernels.Type, rows, cols int) kernels.Mat {
	m := kernels.Mat{Type: t, Rows: rows, Cols: cols, Stride: cols}
	if t == kernels.I32 {
		m.Mem = make([]int32, rows*cols)
	} else {
		m.Mem = make([]float64, rows*cols)
	}
	return m
}

// Write sets dst from little-endian elements of its type.
func (d *Device) Write(dst kernels.Mat, src []byte) {
	mustMatch(dst, src)
	switch dst.Type {
	case kernels.F32:
		all := floats(dst).all()
		for i := range all {
			all[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:])))
		}
	case kernels.BF16:
		all := floats(dst).all()
		for i := range all {
			all[i] = float64(kernels.FromBF16(binary.LittleEndian.Uint16(src[2*i:])))
		}
	case kernels.F16:
		all := floats(dst).all()
		for i := range all {
			all[i] = float64(kernels.FromF16(binary.LittleEndian.Uint16(src[2*i:])))
		}
	case kernels.I32:
		all := ints(dst).all()
		for i := range all {
			all[i] = int32(binary.LittleEndian.Uint32(src[4*i:]))
		}
	}
}

// Read sets dst to the little-endian elements of src, rounded to its type.
func (d *Device) Read(dst []byte, src kernels.Mat) {
	mustMatch(src, dst)
	switch src.Type {
	case kernels.F32:
		for i, x := range floats(src).all() {
			binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(float32(x)))
		}
	case kernels.BF16:
		for i, x := range floats(src).all() {
			binary.LittleEndian.PutUint16(dst[2*i:], kernels.ToBF16(float32(x)))
		}
	case kernels.F16:
		for i, x := range floats(src).all() {
			binary.LittleEndian.PutUint16(dst[2*i:], kernels.ToF16(float32(x)))
		}
	case kernels.I32:
		for i, x := range ints(src).all() {
			binary.LittleEndian.PutUint32(dst[4*i:], uint32(x))
		}
	}
}

func mustMatch(m kernels.Mat, host []byte) {
	if !m.Contiguous() || int64(len(host)) != m.Bytes() {
		panic(fmt.Sprintf("ref: copying %d bytes to or from %v of %v and stride %d", len(host), m, m.Type, m.Stride))
	}
}

// Sync returns the first failure since the last Sync.
func (d *Device) Sync() error {
	err := d.err
	d.err = nil
	return err
}

// Do carries out op before it returns. It panics at an op that it does not know.
func (d *Device) Do(op kernels.Op) {
	if d.err == nil {
		d.err = run(op)
	}
}

// run carries out op; its error is about the data, which no check of shapes has seen.
func run(op kernels.Op) error {
	switch o := op.(type) {
	case *kernels.Enter, *kernels.Leave: // bracket work, and are none
	case *kernels.Zero:
		zero(o)
	case *kernels.Copy:
		copied(o)
	case *kernels.Add:
		add(o)
	case *kernels.Embed:
		return embed(o)
	case *kernels.NegExp:
		negExp(o)
	case *kernels.ArgMax:
		argMax(o)
	case *kernels.RMSNorm:
		rmsNorm(o)
	case *kernels.LayerNorm:
		layerNorm(o)
	case *kernels.MatMul:
		matMul(o)
	case *kernels.Activation:
		activation(o)
	case *kernels.ConvSiLU:
		convSiLU(o)
	case *kernels.Scan:
		scan(o)
	case *kernels.RotaryStore:
		rotaryStore(o)
	case *kernels.Attend:
		attend(o)
	case *kernels.Sinkhorn:
		sinkhorn(o)
	case *kernels.Route:
		return route(o)
	case *kernels.Sort:
		return sort(o)
	case *kernels.GroupedMatMul:
		return groupedMatMul(o)
	case *kernels.Combine:
		return combine(o)
	default:
		return train(op)
	}
	return nil
}

// Float64s returns a copy of the elements of m, a matrix of a float type, row by row.
func Float64s(m kernels.Mat) []float64 {
	v := floats(m)
	all := make([]float64, 0, m.Len())
	for i := range m.Rows {
		all = append(all, v.row(i)...)
	}
	return all
}
