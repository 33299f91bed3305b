package train

import (
	"reflect"

	"quadrant/kernels"
)

// A record is an op that passed, and what the tape saved beside it: of a norm, the residual
// stream, which the next norm overwrites.
type record struct {
	op    kernels.Op
	saved kernels.Mat
}

// copyOf returns a pointer to a copy of what op points to.
func copyOf(op kernels.Op) kernels.Op {
	p := reflect.New(reflect.TypeOf(op).Elem())
	p.Elem().Set(reflect.ValueOf(op).Elem())
	return p.Interface().(kernels.Op)
}

// same reports whether two ops, given as pointers, are of one type with equal operands. It
// allocates nothing.
func same(a, b kernels.Op) bool {
	x, y := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	if x.Type() != y.Type() {
		return false
	}
	for i := range x.NumField() {
		f, g := x.Field(i), y.Field(i)
		if m, ok := f.Addr().Interface().(*kernels.Mat); ok {
			if !sameMat(*m, *g.Addr().Interface().(*kernels.Mat)) {
				return false
			}
		} else if !f.Equal(g) {
			return false
		}
	}
	return true
}

func sameMat(a, b kernels.Mat) bool {
	return a.Type == b.Type && a.Rows == b.Rows && a.Cols == b.Cols && a.Stride == b.Stride && a.Off == b.Off && memory(a) == memory(b)
}

// memory identifies the allocation that m is part of: its address, for Mem is a pointer or a
// slice on every device. It is 0 where m is absent.
func memory(m kernels.Mat) uintptr {
	if m.Mem == nil {
		return 0
	}
	return reflect.ValueOf(m.Mem).Pointer()
}

// written are the matrices that op sets and that may have a gradient; those that it changes
// in place, as a norm does the residual stream, are not among them.
func written(op kernels.Op) [2]kernels.Mat {
	switch o := op.(type) {
	case *kernels.Embed:
		return [2]kernels.Mat{o.Dst}
	case *kernels.NegExp:
		return [2]kernels.Mat{o.Dst}
	case *kernels.RMSNorm:
		return [2]kernels.Mat{o.Dst}
	case *kernels.LayerNorm:
		return [2]kernels.Mat{o.Dst}
	case *kernels.MatMul:
		return [2]kernels.Mat{o.Dst}
	case *kernels.Activation:
		return [2]kernels.Mat{o.Dst}
	case *kernels.ConvSiLU:
		return [2]kernels.Mat{o.Dst}
	case *kernels.Scan:
		return [2]kernels.Mat{o.Dst}
	case *kernels.RotaryStore:
		return [2]kernels.Mat{o.KCache, o.VCache}
	case *kernels.Attend:
		return [2]kernels.Mat{o.Dst}
	case *kernels.Route:
		return [2]kernels.Mat{o.Gates}
	case *kernels.HashRoute:
		return [2]kernels.Mat{o.Gates}
	case *kernels.ExpertChoice:
		return [2]kernels.Mat{o.Gates}
	case *kernels.ScatterAdd:
		return [2]kernels.Mat{o.Dst}
	case *kernels.GroupedMatMul:
		return [2]kernels.Mat{o.Dst}
	case *kernels.Combine:
		return [2]kernels.Mat{o.Dst}
	case *kernels.Copy:
		return [2]kernels.Mat{o.Dst}
	case *kernels.Sum:
		return [2]kernels.Mat{o.Dst}
	}
	return [2]kernels.Mat{}
}
