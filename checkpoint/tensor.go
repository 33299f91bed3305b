package checkpoint

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"quadrant/kernels"
)

// A Tensor is an array of numbers in a file, under its name there. Data is row-major and
// little-endian, of no particular alignment. It belongs to the file: it must not be
// written to, and is gone when the file is closed.
type Tensor struct {
	Name  string
	DType string // as safetensors calls it: F32, BF16, I64, ...
	Shape []int  // empty for a single number
	Data  []byte

	// Strides says, for a view of PyTorch's that is not row-major, how many elements lie
	// between neighbours along each dimension. Data then begins with the first element and
	// ends with the last. It is nil for all others.
	Strides []int
}

// Contiguous returns t in row-major order: itself, or a copy where it has Strides.
func (t Tensor) Contiguous() (Tensor, error) {
	if err := t.check(); err != nil {
		return Tensor{}, fmt.Errorf("checkpoint: %w", err)
	}
	if t.Strides == nil {
		return t, nil
	}
	n, _ := elements(t.Shape)
	width := int(widths[t.DType] / 8)
	data := make([]byte, 0, n*width)
	index := make([]int, len(t.Shape))
	for at := 0; len(data) < n*width; {
		data = append(data, t.Data[at*width:(at+1)*width]...)
		for i := len(index) - 1; i >= 0; i-- { // the next index, as an odometer turns
			index[i]++
			at += t.Strides[i]
			if index[i] < t.Shape[i] {
				break
			}
			at -= index[i] * t.Strides[i]
			index[i] = 0
		}
	}
	t.Data, t.Strides = data, nil
	return t, nil
}

// Elements is the number of t's elements.
func (t Tensor) Elements() int {
	n, _ := elements(t.Shape)
	return n
}

// widths are the bits of one element of each type that safetensors 0.6 knows.
var widths = map[string]uint64{
	"BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
	"F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64,
	"F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
}

// Float32s returns the elements as float32: F32, F16 and BF16 exactly, F64 rounded to
// the nearest float32, which is an infinity beyond its range. Other types are an error.
func (t Tensor) Float32s() ([]float32, error) {
	switch t.DType {
	case "F32", "F16", "BF16", "F64":
	default:
		return nil, fmt.Errorf("checkpoint: tensor %q is %s, want F32, F16, BF16 or F64", t.Name, t.DType)
	}
	t, err := t.Contiguous()
	if err != nil {
		return nil, err
	}
	d := t.Data
	switch t.DType {
	case "F32":
		return convert(t, 4, func(i int) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(d[i:])) }), nil
	case "F16":
		return convert(t, 2, func(i int) float32 { return kernels.FromF16(binary.LittleEndian.Uint16(d[i:])) }), nil
	case "BF16":
		return convert(t, 2, func(i int) float32 {
			return math.Float32frombits(uint32(binary.LittleEndian.Uint16(d[i:])) << 16)
		}), nil
	}
	return convert(t, 8, func(i int) float32 {
		return float32(math.Float64frombits(binary.LittleEndian.Uint64(d[i:])))
	}), nil
}

// Ints returns the elements as int64; those of BOOL are 0 and 1. Floating-point types,
// and a U64 that an int64 cannot hold, are an error.
func (t Tensor) Ints() ([]int64, error) {
	switch t.DType {
	case "BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64":
	default:
		return nil, fmt.Errorf("checkpoint: tensor %q is %s, want an integer type or BOOL", t.Name, t.DType)
	}
	t, err := t.Contiguous()
	if err != nil {
		return nil, err
	}
	d := t.Data
	switch t.DType {
	case "BOOL":
		return convert(t, 1, func(i int) int64 { return int64(min(d[i], 1)) }), nil
	case "U8":
		return convert(t, 1, func(i int) int64 { return int64(d[i]) }), nil
	case "I8":
		return convert(t, 1, func(i int) int64 { return int64(int8(d[i])) }), nil
	case "U16":
		return convert(t, 2, func(i int) int64 { return int64(binary.LittleEndian.Uint16(d[i:])) }), nil
	case "I16":
		return convert(t, 2, func(i int) int64 { return int64(int16(binary.LittleEndian.Uint16(d[i:]))) }), nil
	case "U32":
		return convert(t, 4, func(i int) int64 { return int64(binary.LittleEndian.Uint32(d[i:])) }), nil
	case "I32":
		return convert(t, 4, func(i int) int64 { return int64(int32(binary.LittleEndian.Uint32(d[i:]))) }), nil
	}
	values := convert(t, 8, func(i int) int64 { return int64(binary.LittleEndian.Uint64(d[i:])) })
	for i, v := range values {
		if v < 0 && t.DType == "U64" {
			return nil, fmt.Errorf("checkpoint: tensor %q: element %d is %d, more than int64 holds", t.Name, i, uint64(v))
		}
	}
	return values, nil
}

// convert reads the elements of t, each of size bytes, with at, which takes the place of
// an element's first byte.
func convert[T float32 | int64](t Tensor, size int, at func(i int) T) []T {
	values := make([]T, len(t.Data)/size)
	for i := range values {
		values[i] = at(i * size)
	}
	return values
}

// check tells whether Data is as long as Shape, Strides and DType say. A type that is not
// known has no size to compare.
func (t Tensor) check() error {
	size, err := byteSize(t.DType, t.Shape)
	if err != nil {
		return fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	width, known := widths[t.DType]
	if t.Strides != nil {
		ok := known && width%8 == 0 && len(t.Strides) == len(t.Shape) && !slices.ContainsFunc(t.Strides, func(s int) bool { return s < 0 })
		if ok {
			var n int
			n, ok = span(t.Shape, t.Strides)
			ok = ok && int64(n) <= math.MaxInt64/8
			size = int64(n) * int64(width/8)
		}
		if !ok {
			return fmt.Errorf("tensor %q: %s %v cannot have strides %v", t.Name, t.DType, t.Shape, t.Strides)
		}
	}
	if known && size != int64(len(t.Data)) {
		return fmt.Errorf("tensor %q: %s %v takes %d bytes, but has %d", t.Name, t.DType, t.Shape, size, len(t.Data))
	}
	return nil
}

// byteSize is the number of bytes of an array, 0 for one of a type that is not known.
func byteSize(dtype string, shape []int) (int64, error) {
	n, err := elements(shape)
	if err != nil {
		return 0, err
	}
	width := widths[dtype]
	hi, size := bits.Mul64(uint64(n), width)
	if hi != 0 || size%8 != 0 || size/8 > math.MaxInt64 {
		return 0, fmt.Errorf("%d elements of %d bits are not a number of bytes below 2^63", n, width)
	}
	return int64(size / 8), nil
}

// maxDims is far beyond any tensor's, and keeps a hostile header small in memory.
const maxDims = 64

// elements is the product of a shape. That of its dimensions other than 0 must fit an
// int too, so that whoever multiplies some of them is safe.
func elements(shape []int) (int, error) {
	if len(shape) > maxDims {
		return 0, fmt.Errorf("shape has %d dimensions, want at most %d", len(shape), maxDims)
	}
	product, empty := uint64(1), false
	for i, d := range shape {
		if d < 0 {
			return 0, fmt.Errorf("shape %v: dimension %d is %d, want 0 or more", shape, i, d)
		}
		if d == 0 {
			empty = true
			continue
		}
		hi, lo := bits.Mul64(product, uint64(d))
		if hi != 0 || lo > math.MaxInt {
			return 0, fmt.Errorf("shape %v has more than %d elements", shape, math.MaxInt)
		}
		product = lo
	}
	if empty {
		return 0, nil
	}
	return int(product), nil
}
