package train

import (
	"fmt"
	"slices"

	"quadrant/kernels"
)

// A compiler makes the gradient ops of a step from its ops, the last first. The gradient of a
// value has memory from the first op that contributes to it, which sets it, until the op that
// wrote the value has been played.
type compiler struct {
	*Tape
	list    *list
	emit    *kernels.Stream // checks what it is given, and appends it to the list
	values  map[place][]*value
	layer   int // that is being played, if its memory was used again for others; else noLayer
	pending []contribution
}

// A place is memory, and whose it is: of a layer that is computed again while other layers
// use the same, or of the whole step.
type place struct {
	layer  int
	memory uintptr
}

const noLayer = -1

// A contribution is a gradient that waits in scratch memory to be added to what there is.
type contribution struct {
	to      *value
	part    rect
	scratch *buffer
}

// A list is a device that keeps the ops it is given.
type list struct {
	kernels.Device
	ops []kernels.Op
}

func (l *list) Do(op kernels.Op) { l.ops = append(l.ops, copyOf(op)) }

func compile(t *Tape) []kernels.Op {
	out := &list{Device: t.Device}
	c := &compiler{Tape: t, list: out, emit: kernels.NewStream(out), values: map[place][]*value{}, layer: noLayer}
	t.pool.reset()
	opens := c.survey()
	for _, h := range t.heads {
		v := c.value(h.value)
		v.grad, v.set = &buffer{Mat: h.grad, users: 1}, []rect{v.whole()}
	}
	for i := len(t.ops) - 1; i >= 0; i-- {
		if _, ok := headOf(t.ops[:i+1]); ok {
			i-- // both have been played
			continue
		}
		switch o := t.ops[i].op.(type) {
		case *kernels.Leave:
			open := t.ops[opens[i]].op.(*kernels.Enter)
			if t.Recompute && isLayer(open) {
				c.replay(opens[i], i)
				c.layer = opens[i]
			}
			c.do(*open)
		case *kernels.Enter:
			c.do(kernels.Leave{})
			if isLayer(o) {
				c.layer = noLayer
			}
		default:
			c.play(o, t.ops[i].saved)
			c.finish(o)
		}
	}
	return out.ops
}

// survey finds the values of a step, and for the index of each Leave that of the Enter that it
// ends.
func (c *compiler) survey() map[int]int {
	opens, open := map[int]int{}, []int(nil)
	for i, r := range c.ops {
		switch o := r.op.(type) {
		case *kernels.Enter:
			open = append(open, i)
			if c.Recompute && isLayer(o) {
				c.layer = i
			}
		case *kernels.Leave:
			opens[i] = open[len(open)-1]
			open = open[:len(open)-1]
			if opens[i] == c.layer {
				c.layer = noLayer
			}
		}
		if _, ok := headOf(c.ops[:min(i+2, len(c.ops))]); ok {
			continue // logits: each part of them takes the memory of the one before
		}
		for _, m := range written(r.op) {
			if !m.None() && c.find(m) == nil {
				p := place{c.layer, memory(m)}
				if c.crosses(m) {
					p.layer = noLayer
				}
				c.values[p] = append(c.values[p], &value{mat: m})
			}
		}
	}
	return opens
}

// crosses reports whether m goes from one layer to the next: norms add it, or add to it.
func (c *compiler) crosses(m kernels.Mat) bool {
	return slices.ContainsFunc(c.ops, func(r record) bool {
		switch o := r.op.(type) {
		case *kernels.RMSNorm:
			return sameMat(o.X, m) || sameMat(o.Delta, m)
		case *kernels.LayerNorm:
			return sameMat(o.X, m) || sameMat(o.Delta, m)
		}
		return false
	})
}

// find returns the value that m is part of, or nil.
func (c *compiler) find(m kernels.Mat) *value {
	for _, layer := range [2]int{c.layer, noLayer} {
		for _, v := range c.values[place{layer, memory(m)}] {
			if _, ok := within(v.mat, m); ok {
				return v
			}
		}
	}
	return nil
}

func (c *compiler) value(m kernels.Mat) *value {
	v := c.find(m)
	if v == nil {
		panic(fmt.Sprintf("train: the gradient of %v, which no op of this step wrote", m))
	}
	return v
}

// finish ends the use of the gradients of what op wrote.
func (c *compiler) finish(op kernels.Op) {
	for _, m := range written(op) {
		if m.None() {
			continue
		}
		v := c.value(m)
		if v.grad != nil {
			c.pool.drop(v.grad)
		}
		v.grad, v.set = nil, nil
	}
}

// do emits op, and then adds what it left in scratch memory.
func (c *compiler) do(op kernels.Op) {
	c.emit.Do(op)
	for _, p := range c.pending {
		c.own(p.to)
		c.emit.Do(kernels.Add{Dst: p.part.of(p.to.grad.Mat), X: p.scratch.Mat})
		c.pool.drop(p.scratch)
	}
	c.pending = c.pending[:0]
}

// grad is the gradient of m, if it has one.
func (c *compiler) grad(m kernels.Mat) (kernels.Mat, bool) {
	v := c.value(m)
	r, _ := within(v.mat, m)
	if !v.has(r) {
		return kernels.Mat{}, false
	}
	return r.of(v.grad.Mat), true
}

// slot is where the next op sets its contribution to the gradient of m: in its place if it is
// the first, and otherwise in scratch memory.
func (c *compiler) slot(m kernels.Mat) kernels.Mat {
	v := c.value(m)
	r, _ := within(v.mat, m)
	if v.has(r) {
		scratch := c.pool.take(m.Rows, m.Cols)
		c.pending = append(c.pending, contribution{v, r, scratch})
		return scratch.Mat
	}
	if v.grad == nil {
		v.grad = c.pool.take(v.mat.Rows, v.mat.Cols)
	}
	v.set = append(v.set, r)
	return r.of(v.grad.Mat)
}

// slotIf is slot, or absent as m is.
func (c *compiler) slotIf(m kernels.Mat) kernels.Mat {
	if m.None() {
		return m
	}
	return c.slot(m)
}

// sum is the gradient of m, all of a value, for an op that adds to it.
func (c *compiler) sum(m kernels.Mat) kernels.Mat {
	v := c.value(m)
	if !v.has(v.whole()) {
		c.do(kernels.Zero{Dst: c.slot(v.mat)})
	}
	c.own(v)
	return v.grad.Mat
}

// own makes v's gradient that of no other value, before an op changes it.
func (c *compiler) own(v *value) {
	if v.grad.users == 1 {
		return
	}
	shared := v.grad
	v.grad = c.pool.take(v.mat.Rows, v.mat.Cols)
	c.emit.Do(kernels.Copy{Dst: v.grad.Mat, X: shared.Mat})
	c.pool.drop(shared)
}

// pass makes the gradient of all of from a contribution to that of all of to.
func (c *compiler) pass(to, from kernels.Mat) {
	v, source := c.value(to), c.value(from)
	switch {
	case !source.has(source.whole()):
	case v.has(v.whole()):
		c.own(v)
		c.do(kernels.Add{Dst: v.grad.Mat, X: source.grad.Mat})
	default:
		source.grad.users++
		v.grad, v.set = source.grad, slices.Clone(source.set)
	}
}
