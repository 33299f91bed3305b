package kernels

import (
	"fmt"
	"unsafe"
)

// A Device owns memory and carries out ops in the order given. It is used by one
// goroutine. Alloc returns zeros. Do may return before the work is done; Read waits for the
// work before it. The first failure, such as a token id outside its table, is kept, and
// later ops do nothing, until Sync reports and forgets it.
//
// Ops arrive checked, as pointers (*MatMul), and the pointed-to value is valid until Do
// returns: a device that remembers an op copies it.
type Device interface {
	Name() string // the variant that runs, as results name it: "cpu/go", "ref"
	Alloc(t Type, rows, cols int) Mat
	Write(dst Mat, src []byte) // dst is contiguous; see Put
	Read(dst []byte, src Mat)  // src is contiguous; see Get
	Do(op Op)
	Sync() error
}

// Put copies src into dst, which must be contiguous and have as many elements. float32
// values are rounded where dst is BF16 or F16.
func Put[T float32 | int32](dev Device, dst Mat, src []T) {
	mustMatch(dst, src)
	switch dst.Type {
	case BF16:
		dev.Write(dst, asBytes(each(src, ToBF16)))
	case F16:
		dev.Write(dst, asBytes(each(src, ToF16)))
	default:
		dev.Write(dst, asBytes(src))
	}
}

func each[T float32 | int32](src []T, round func(float32) uint16) []uint16 {
	half := make([]uint16, len(src))
	for i, v := range src {
		half[i] = round(float32(v))
	}
	return half
}

// Get copies src, which must be contiguous, into dst, which must have as many elements.
// BF16 and F16 values are widened.
func Get[T float32 | int32](dev Device, dst []T, src Mat) {
	mustMatch(src, dst)
	if src.Type != BF16 && src.Type != F16 {
		dev.Read(asBytes(dst), src)
		return
	}
	half := make([]uint16, len(dst))
	dev.Read(asBytes(half), src)
	for i, b := range half {
		if src.Type == BF16 {
			dst[i] = T(FromBF16(b))
		} else {
			dst[i] = T(FromF16(b))
		}
	}
}

// mustMatch panics where host and m cannot be copies of each other: a mistake of the
// caller, not of any input.
func mustMatch[T float32 | int32](m Mat, host []T) {
	_, ints := any(host).([]int32)
	if ints != (m.Type == I32) || !m.Contiguous() || len(host) != m.Len() {
		panic(fmt.Sprintf("kernels: copying %d of %T to or from %v of %v and stride %d", len(host), host, m, m.Type, m.Stride))
	}
}

func asBytes[T float32 | int32 | uint16](s []T) []byte {
	var zero T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(zero)))
}
