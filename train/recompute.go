package train

import "quadrant/kernels"

// follow keeps track of where a layer begins and ends whose ops will be computed again.
func (t *Tape) follow(op kernels.Op) {
	if !t.Recompute {
		return
	}
	switch o := op.(type) {
	case *kernels.Enter:
		if t.depth > 0 || isLayer(o) {
			t.depth++
		}
		if isLayer(o) {
			t.normed = false
			t.layer.Release()
		}
	case *kernels.Leave:
		t.depth = max(0, t.depth-1)
	}
}

func isLayer(o *kernels.Enter) bool { return o.Name == "layer" }

// scratch lends memory for what the tape adds to the step, or to the layer if that will be
// computed again.
func (t *Tape) scratch() *kernels.Stream {
	if t.depth > 0 {
		return t.layer
	}
	return t.own
}

// learns reports whether op moves what routers learn without gradients: once a step, and
// after all that reads it.
func learns(op kernels.Op) bool {
	switch op.(type) {
	case *kernels.Average, *kernels.BiasStep:
		return true
	}
	return false
}

// replay emits the ops of the layer that the records from … to hold, in their order, with
// what the tape saves of them. They compute what they computed first, bit for bit: what a
// layer writes elsewhere is set to what it was.
func (c *compiler) replay(from, to int) {
	normed := false
	norm := func(op kernels.Op, x, saved kernels.Mat, delta *kernels.Mat) {
		if normed {
			c.list.Do(op)
			c.emit.Do(kernels.Copy{Dst: saved, X: x})
			return
		}
		c.emit.Do(kernels.Copy{Dst: x, X: saved}) // what the layer before left is in it already
		*delta, normed = kernels.Mat{}, true
		c.list.Do(op)
	}
	for _, r := range c.ops[from : to+1] {
		switch o := r.op.(type) {
		case *kernels.RMSNorm:
			again := *o
			norm(&again, o.X, r.saved, &again.Delta)
		case *kernels.LayerNorm:
			again := *o
			norm(&again, o.X, r.saved, &again.Delta)
		case *kernels.ConvSiLU:
			c.clear(o.State)
			c.list.Do(o)
		case *kernels.Scan:
			c.clear(o.State)
			c.list.Do(o)
		case *kernels.BalanceLoss: // its gradient is kept
		default:
			c.list.Do(o)
		}
	}
}

// clear emits the beginning of a sequence: a state of zeros.
func (c *compiler) clear(state kernels.Mat) {
	if !state.None() {
		c.emit.Do(kernels.Zero{Dst: state})
	}
}
