package cuda

import "quadrant/kernels"

// What a device that remembers ops must know of each: how to copy it, whether it is the same as
// another but for Past, and what it writes. An op that is missing here is refused.

func copied[T any](o *T) *T {
	c := *o
	return &c
}

// clone copies op, which is only lent; nil if there are no kernels for it.
func clone(op kernels.Op) kernels.Op {
	switch o := op.(type) {
	case *kernels.Zero:
		return copied(o)
	case *kernels.Copy:
		return copied(o)
	case *kernels.Add:
		return copied(o)
	case *kernels.Embed:
		return copied(o)
	case *kernels.NegExp:
		return copied(o)
	case *kernels.ArgMax:
		return copied(o)
	case *kernels.RMSNorm:
		return copied(o)
	case *kernels.LayerNorm:
		return copied(o)
	case *kernels.MatMul:
		return copied(o)
	case *kernels.Activation:
		return copied(o)
	case *kernels.ConvSiLU:
		return copied(o)
	case *kernels.Scan:
		return copied(o)
	case *kernels.RotaryStore:
		return copied(o)
	case *kernels.Attend:
		return copied(o)
	case *kernels.Sinkhorn:
		return copied(o)
	case *kernels.Route:
		return copied(o)
	case *kernels.Sort:
		return copied(o)
	case *kernels.GroupedMatMul:
		return copied(o)
	case *kernels.Combine:
		return copied(o)
	case *kernels.Sum:
		return copied(o)
	case *kernels.HashRoute:
		return copied(o)
	case *kernels.LimitLoad:
		return copied(o)
	case *kernels.BalanceLoss:
		return copied(o)
	case *kernels.Average:
		return copied(o)
	case *kernels.BiasStep:
		return copied(o)
	}
	return cloneTraining(op)
}

func equal[T comparable](o *T, other kernels.Op) bool {
	p, ok := any(other).(*T)
	return ok && *p == *o
}

// same reports whether a and b differ in Past at most.
func same(a, b kernels.Op) bool {
	switch o := a.(type) {
	case *kernels.Zero:
		return equal(o, b)
	case *kernels.Copy:
		return equal(o, b)
	case *kernels.Add:
		return equal(o, b)
	case *kernels.Embed:
		return equal(o, b)
	case *kernels.NegExp:
		return equal(o, b)
	case *kernels.ArgMax:
		return equal(o, b)
	case *kernels.RMSNorm:
		return equal(o, b)
	case *kernels.LayerNorm:
		return equal(o, b)
	case *kernels.MatMul:
		return equal(o, b)
	case *kernels.Activation:
		return equal(o, b)
	case *kernels.ConvSiLU:
		return equal(o, b)
	case *kernels.Scan:
		return equal(o, b)
	case *kernels.RotaryStore:
		p, ok := b.(*kernels.RotaryStore)
		if !ok {
			return false
		}
		q := *p
		q.Past = o.Past
		return q == *o
	case *kernels.Attend:
		p, ok := b.(*kernels.Attend)
		if !ok {
			return false
		}
		q := *p
		q.Past = o.Past
		return q == *o
	case *kernels.Sinkhorn:
		return equal(o, b)
	case *kernels.Route:
		return equal(o, b)
	case *kernels.Sort:
		return equal(o, b)
	case *kernels.GroupedMatMul:
		return equal(o, b)
	case *kernels.Combine:
		return equal(o, b)
	case *kernels.Sum:
		return equal(o, b)
	case *kernels.HashRoute:
		return equal(o, b)
	case *kernels.LimitLoad:
		return equal(o, b)
	case *kernels.BalanceLoss:
		return equal(o, b)
	case *kernels.Average:
		return equal(o, b)
	case *kernels.BiasStep:
		return equal(o, b)
	}
	return sameTraining(a, b)
}

func pastOf(op kernels.Op) (past int, has bool) {
	switch o := op.(type) {
	case *kernels.RotaryStore:
		return o.Past, true
	case *kernels.Attend:
		return o.Past, true
	}
	return 0, false
}

// withPast is op with another Past. op stays as it is: other lists may hold it.
func withPast(op kernels.Op, past int) kernels.Op {
	switch o := op.(type) {
	case *kernels.RotaryStore:
		c := copied(o)
		c.Past = past
		return c
	case *kernels.Attend:
		c := copied(o)
		c.Past = past
		return c
	}
	return op
}

// written is what op writes.
func written(op kernels.Op) []kernels.Mat {
	switch o := op.(type) {
	case *kernels.Zero:
		return []kernels.Mat{o.Dst}
	case *kernels.Copy:
		return []kernels.Mat{o.Dst}
	case *kernels.Add:
		return []kernels.Mat{o.Dst}
	case *kernels.Embed:
		return []kernels.Mat{o.Dst}
	case *kernels.NegExp:
		return []kernels.Mat{o.Dst}
	case *kernels.ArgMax:
		return []kernels.Mat{o.Dst}
	case *kernels.RMSNorm:
		return []kernels.Mat{o.Dst, o.X}
	case *kernels.LayerNorm:
		return []kernels.Mat{o.Dst, o.X}
	case *kernels.MatMul:
		return []kernels.Mat{o.Dst}
	case *kernels.Activation:
		return []kernels.Mat{o.Dst}
	case *kernels.ConvSiLU:
		return []kernels.Mat{o.Dst, o.State}
	case *kernels.Scan:
		return []kernels.Mat{o.Dst, o.State, o.Starts}
	case *kernels.RotaryStore:
		return []kernels.Mat{o.Q, o.K, o.KCache, o.VCache}
	case *kernels.Attend:
		return []kernels.Mat{o.Dst, o.LSE}
	case *kernels.Sinkhorn:
		return []kernels.Mat{o.Bias, o.Iterations}
	case *kernels.Route:
		return []kernels.Mat{o.Experts, o.Gates}
	case *kernels.Sort:
		return []kernels.Mat{o.Slots, o.Places, o.Offsets}
	case *kernels.GroupedMatMul:
		return []kernels.Mat{o.Dst}
	case *kernels.Combine:
		return []kernels.Mat{o.Dst}
	case *kernels.Sum:
		return []kernels.Mat{o.Dst}
	case *kernels.HashRoute:
		return []kernels.Mat{o.Experts, o.Gates}
	case *kernels.LimitLoad:
		return []kernels.Mat{o.Gates}
	case *kernels.BalanceLoss:
		return []kernels.Mat{o.Loss, o.Grad}
	case *kernels.Average:
		return []kernels.Mat{o.Dst}
	case *kernels.BiasStep:
		return []kernels.Mat{o.Bias}
	}
	return writtenTraining(op)
}
