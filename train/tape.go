// Package train finds the gradients of models.
//
// A [Tape] is a device that passes ops on and remembers them; played backward, it emits the
// ops that compute gradients, which are op values like any other and are checked, counted and
// timed like them. A [Learner] is a model on a tape, with the gradients of its weights.
package train

import (
	"fmt"

	"quadrant/kernels"
)

// A Tape is a device that computes on another and, between Begin and Backward, remembers what
// it computed. Backward then adds the gradient of the losses to the gradients of weights.
//
// What ops computed must still be there: see arch.Session.Keep. Logits are the exception.
// Their gradient stands in their place after a CrossEntropy, and the product that made them is
// played backward at once, so that their memory can be used again.
//
// With Recompute, what a layer computes in F32 need not be there: see arch.Session.Recompute.
// Backward then computes each layer again, from the residual stream that its first norm read,
// before it plays the layer's ops.
//
// The list of a step's gradient ops is made once and used again as long as steps consist of
// the same ops on the same matrices. Such a step allocates nothing.
type Tape struct {
	kernels.Device
	Recompute bool // not to be changed within a step

	own       *kernels.Stream         // of what the tape adds to a step; its Temps live for one
	weights   map[uintptr]kernels.Mat // the gradients of weights, by the weights' memory
	recording bool
	ops       []record
	at        int // of ops, those of this step so far; the rest is of the step before
	heads     []head
	backward  []kernels.Op
	compiled  bool // backward is that of ops
	pool      pool

	layer  *kernels.Stream // of what the tape adds to a layer that is computed again
	depth  int             // of scopes within such a layer; 0 is outside of any
	normed bool            // the layer's first norm has been

	scan    kernels.Scan // ops with what the tape wants to know of them
	attend  kernels.Attend
	loss    kernels.CrossEntropy
	balance kernels.BalanceLoss
}

// A head is a matrix that logits are computed from, and its gradient.
type head struct{ value, grad kernels.Mat }

// NewTape returns a tape on dev.
func NewTape(dev kernels.Device) *Tape {
	return &Tape{Device: dev, own: kernels.NewStream(dev), layer: kernels.NewStream(dev), weights: map[uintptr]kernels.Mat{}, pool: pool{dev: dev}}
}

// Watch makes Backward add the gradient of weight to grad, an F32 matrix of weight's shape
// with memory of its own. Every weight that a step reads must be watched.
func (t *Tape) Watch(weight, grad kernels.Mat) {
	t.weights[memory(weight)] = grad
	t.compiled = false
}

// Begin starts a step.
func (t *Tape) Begin() {
	t.own.Release()
	t.own.Retain()
	t.recording, t.at, t.heads = true, 0, t.heads[:0]
}

// Backward ends the step, and adds its gradients to those of the weights.
func (t *Tape) Backward() {
	t.recording = false
	if t.at != len(t.ops) {
		t.ops, t.compiled = t.ops[:t.at], false
	}
	if !t.compiled {
		t.backward, t.compiled = compile(t), true
	}
	for _, op := range t.backward {
		t.Device.Do(op)
	}
}

// Do passes op on and, within a step, remembers it.
func (t *Tape) Do(op kernels.Op) {
	if !t.recording {
		t.Device.Do(op)
		return
	}
	t.follow(op)
	switch o := op.(type) {
	case *kernels.Scan:
		t.scan = *o
		t.scan.Starts = t.scratch().Temp(kernels.F32, kernels.ScanStarts(o.Seqs, o.X.Rows/o.Seqs, o.X.Cols), o.A.Cols)
		op = &t.scan
	case *kernels.Attend:
		t.attend = *o
		t.attend.LSE = t.scratch().Temp(kernels.F32, o.Q.Rows, o.Q.Cols/o.HeadDim)
		op = &t.attend
	case *kernels.BalanceLoss:
		t.balance = *o
		if t.depth > 0 { // not computed again, and read after the step
			t.balance.Loss = t.own.Temp(kernels.F32, 1, 2)
			t.balance.Grad = t.own.Temp(kernels.F32, o.Grad.Rows, o.Grad.Cols)
		}
		op = &t.balance
	}
	if t.depth == 0 || !learns(op) { // else it is done when the layer is computed again
		t.Device.Do(op)
	}
	switch o := op.(type) {
	case *kernels.RMSNorm:
		t.remember(op, t.save(o.X))
	case *kernels.LayerNorm:
		t.remember(op, t.save(o.X))
	case *kernels.CrossEntropy:
		t.loss = *o
		t.loss.Scale = 0 // no gradient op knows it
		t.remember(&t.loss, kernels.Mat{})
		t.playHead(o.Logits)
	case *kernels.BalanceLoss:
		t.balance.Balance, t.balance.Z = 0, 0 // as Scale
		t.remember(&t.balance, kernels.Mat{})
	default:
		t.remember(op, kernels.Mat{})
	}
}

// save copies x, which will be overwritten. Of a layer that is computed again, the first stays.
func (t *Tape) save(x kernels.Mat) kernels.Mat {
	from := t.scratch()
	if !t.normed {
		from, t.normed = t.own, true
	}
	kept := from.Temp(kernels.F32, x.Rows, x.Cols)
	t.own.Do(kernels.Copy{Dst: kept, X: x})
	return kept
}

func (t *Tape) remember(op kernels.Op, saved kernels.Mat) {
	if t.at == len(t.ops) || !same(t.ops[t.at].op, op) || !sameMat(t.ops[t.at].saved, saved) {
		t.ops = append(t.ops[:t.at], record{copyOf(op), saved})
		t.compiled = false
	}
	t.at++
}

// playHead plays the product that made logits backward; their gradient stands in their place.
func (t *Tape) playHead(logits kernels.Mat) {
	product, ok := headOf(t.ops[:t.at])
	if !ok {
		panic(fmt.Sprintf("train: a CrossEntropy of %v that no MatMul made just before", logits))
	}
	h := t.headWith(product.A)
	grad, _ := within(h.value, product.A)
	t.own.Do(kernels.MatMulGradA{DA: grad.of(h.grad), G: logits, B: product.B})
	t.own.Do(kernels.MatMulGradB{DB: t.weight(product.B), DBias: t.weightIf(product.Bias), G: logits, A: product.A})
}

// headOf returns the MatMul of the logits of the CrossEntropy that ops end with.
func headOf(ops []record) (*kernels.MatMul, bool) {
	n := len(ops)
	if n < 2 {
		return nil, false
	}
	loss, ok := ops[n-1].op.(*kernels.CrossEntropy)
	if !ok {
		return nil, false
	}
	product, ok := ops[n-2].op.(*kernels.MatMul)
	return product, ok && sameMat(product.Dst, loss.Logits)
}

// headWith returns the head that a is rows of.
func (t *Tape) headWith(a kernels.Mat) head {
	for _, h := range t.heads {
		if _, ok := within(h.value, a); ok {
			return h
		}
	}
	for i := t.at - 1; i >= 0; i-- {
		for _, m := range written(t.ops[i].op) {
			if _, ok := within(m, a); ok {
				h := head{m, t.own.Temp(kernels.F32, m.Rows, m.Cols)}
				t.heads = append(t.heads, h)
				return h
			}
		}
	}
	panic(fmt.Sprintf("train: logits of %v that no op of this step wrote", a))
}

// weight is the gradient of w.
func (t *Tape) weight(w kernels.Mat) kernels.Mat {
	g, ok := t.weights[memory(w)]
	if !ok || g.Rows != w.Rows || g.Cols != w.Cols {
		panic(fmt.Sprintf("train: a weight %v that is not watched", w))
	}
	return g
}

// weightIf is the gradient of w, or absent as w is.
func (t *Tape) weightIf(w kernels.Mat) kernels.Mat {
	if w.None() {
		return kernels.Mat{}
	}
	return t.weight(w)
}
