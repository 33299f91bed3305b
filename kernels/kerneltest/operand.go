package kerneltest

import (
	"encoding/binary"
	"fmt"
	"math"

	"quadrant/kernels"
)

// An operand is a view of a larger allocation, whose other elements no op may touch.
type operand struct {
	name          string
	role          role
	view, whole   kernels.Mat
	before, after []byte // of whole
}

type role uint8

const (
	input   role = iota // must not change
	result              // is compared
	clobber             // is unspecified afterwards
)

// The methods below place a matrix on the device, under a name for messages. An absent
// matrix stays absent.

// in places an operand that the op reads.
func (b *bench) in(name string, m matrix) kernels.Mat { return b.add(input, name, m, true) }

// update places an operand that the op reads and writes.
func (b *bench) update(name string, m matrix) kernels.Mat { return b.add(result, name, m, true) }

// store places an operand that the op copies elements into: all others stay as they are.
func (b *bench) store(name string, m matrix) kernels.Mat { return b.add(result, name, m, false) }

// spend places an operand that is unspecified after the op.
func (b *bench) spend(name string, m matrix) kernels.Mat { return b.add(clobber, name, m, true) }

// out places a destination. It is filled with guards: the op has to set all of it.
func (b *bench) out(name string, t kernels.Type, rows, cols int) kernels.Mat {
	m := matrix{t, rows, cols, make([]uint32, rows*cols)}
	guard := guards[t]
	for i := range m.bits {
		m.bits[i] = guard
	}
	return b.add(result, name, m, false)
}

// guards are what surrounds operands: quiet NaNs, and an index out of any bounds.
var guards = map[kernels.Type]uint32{kernels.F32: 0x7fc0ba5e, kernels.BF16: 0x7fc1, kernels.F16: 0x7e55, kernels.I32: 0x5ca1ab1e}

func (b *bench) add(r role, name string, m matrix, read bool) kernels.Mat {
	if m.rows == 0 {
		return kernels.Mat{}
	}
	dev := b.stream.Device()
	o := &operand{name: name, role: r}
	o.whole, o.view = b.place(dev, m)
	o.before = make([]byte, o.whole.Bytes())
	guard := guards[m.typ]
	for i := range o.whole.Len() {
		putElement(m.typ, o.before, i, guard)
	}
	for i, e := range m.bits {
		putElement(m.typ, o.before, index(o.view, i/m.cols, i%m.cols), e)
	}
	dev.Write(o.whole, o.before)
	b.operands = append(b.operands, o)
	if b.terms != nil {
		b.terms.place(o, m, read)
	}
	return o.view
}

// A placement allocates room for a matrix and returns the allocation and the view of it
// that is the matrix.
type placement func(dev kernels.Device, m matrix) (whole, view kernels.Mat)

// The sides of an allocation: its rows before and after those of the view, its columns
// left and right. They are odd, so that a view is not aligned to anything.
const above, below, left, right = 1, 2, 3, 5

// dense has nothing between the rows.
func dense(dev kernels.Device, m matrix) (whole, view kernels.Mat) {
	whole = dev.Alloc(m.typ, above+m.rows+below, m.cols)
	return whole, whole.RowRange(above, above+m.rows)
}

// columns is a range of the columns of wider rows.
func columns(dev kernels.Device, m matrix) (whole, view kernels.Mat) {
	whole = dev.Alloc(m.typ, above+m.rows+below, left+m.cols+right)
	return whole, whole.RowRange(above, above+m.rows).ColRange(left, left+m.cols)
}

// lastRows is the last of every three rows.
func lastRows(dev kernels.Device, m matrix) (whole, view kernels.Mat) {
	whole = dev.Alloc(m.typ, above+3*m.rows+below, m.cols)
	return whole, whole.RowRange(above, above+3*m.rows).LastRows(m.rows)
}

// index is where element [i, j] of view is in its allocation.
func index(view kernels.Mat, i, j int) int { return view.Off + i*view.Stride + j }

func putElement(t kernels.Type, bytes []byte, i int, bits uint32) {
	if t.Size() == 2 {
		binary.LittleEndian.PutUint16(bytes[2*i:], uint16(bits))
	} else {
		binary.LittleEndian.PutUint32(bytes[4*i:], bits)
	}
}

func element(t kernels.Type, bytes []byte, i int) uint32 {
	if t.Size() == 2 {
		return uint32(binary.LittleEndian.Uint16(bytes[2*i:]))
	}
	return binary.LittleEndian.Uint32(bytes[4*i:])
}

// value is the number that an element's bits stand for.
func value(t kernels.Type, bits uint32) float64 {
	switch t {
	case kernels.BF16:
		return float64(kernels.FromBF16(uint16(bits)))
	case kernels.F16:
		return float64(kernels.FromF16(uint16(bits)))
	case kernels.I32:
		return float64(int32(bits))
	}
	return float64(math.Float32frombits(bits))
}

// at is element [i, j] after the ops.
func (o *operand) at(i, j int) float64 {
	return value(o.whole.Type, element(o.whole.Type, o.after, index(o.view, i, j)))
}

// untouched says where an element has changed that no op may write.
func (o *operand) untouched() error {
	mayChange := make([]bool, o.whole.Len())
	for i := range o.view.Rows {
		for j := range o.view.Cols {
			mayChange[index(o.view, i, j)] = o.role != input
		}
	}
	first, width := o.view.Off, o.whole.Cols
	for i, may := range mayChange {
		was, is := element(o.whole.Type, o.before, i), element(o.whole.Type, o.after, i)
		if !may && was != is {
			return fmt.Errorf("%s %v: memory at [%d, %d] must not change: it was %#x and is %#x",
				o.name, o.view, i/width-first/width, i%width-first%width, was, is)
		}
	}
	return nil
}
