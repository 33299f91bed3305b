//go:build cuda && cgo && linux

package nvidia

// #include "cublaslt.h"
import "C"

import (
	"fmt"

	"quadrant/kernels"
	"quadrant/kernels/cuda"
)

var _ cuda.Library = (*driver)(nil)

// workspaceBytes are lent to the library, for products that several blocks share.
const workspaceBytes = 32 << 20

// OpenLibrary finds cublasLt: the file that the environment variable QUADRANT_CUBLASLT names, or
// where the system looks for libraries.
func (d *driver) OpenLibrary() error {
	if why := C.quadrant_no_lt(); why != nil {
		return fmt.Errorf("no cublasLt: %s; QUADRANT_CUBLASLT can name its file", C.GoString(why))
	}
	if d.workspace != 0 {
		return nil
	}
	var err error
	d.workspace, err = d.Alloc(workspaceBytes)
	return err
}

// Multiply puts the library's product on the stream.
func (d *driver) Multiply(p cuda.Product) error {
	add := C.int(0)
	if p.Add {
		add = 1
	}
	typ, ok := map[kernels.Type]C.cudaDataType_t{kernels.F32: C.CUDA_R_32F, kernels.BF16: C.CUDA_R_16BF}[p.Type]
	if !ok {
		return fmt.Errorf("cublasLt: a product of %v, want f32 or bf16", p.Type)
	}
	q := C.quadrant_product{
		_type: typ, rows: C.uint64_t(p.Rows), cols: C.uint64_t(p.Cols), inner: C.uint64_t(p.Inner),
		dst: C.CUdeviceptr(p.Dst), a: C.CUdeviceptr(p.A), b: C.CUdeviceptr(p.B), bias: C.CUdeviceptr(p.Bias),
		dst_stride: C.int64_t(p.DstStride), a_stride: C.int64_t(p.AStride), b_stride: C.int64_t(p.BStride),
		add: add, workspace: C.CUdeviceptr(d.workspace), workspace_bytes: workspaceBytes,
	}
	var what *C.char
	if status := C.quadrant_lt_multiply(d.handle, d.cstream(), &q, &what); status != 0 {
		return fmt.Errorf("cublasLt: %d×%d by %d of %v: status %d of %s", p.Rows, p.Inner, p.Cols, p.Type, int(status), C.GoString(what))
	}
	return nil
}
