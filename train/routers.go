package train

import "quadrant/kernels"

// A Router is what a router did in the last step.
type Router struct {
	Layer      int
	Loads      []int32 // choices of each expert, of k per token
	Dropped    int     // choices of experts that had no room left
	Unchosen   int     // tokens that no expert took, where experts choose
	Iterations int     // of Sinkhorn; 0 where there is none
	Balance, Z float32 // the losses that it adds, as kernels.BalanceLoss scales them
}

// Routers says what each router did in the last step. It reads a few numbers per layer from
// the device.
func (l *Learner) Routers() []Router {
	var all []Router
	var trace kernels.Trace
	for _, r := range l.tape.ops {
		if trace.Note(r.op) {
			if e, ok := r.op.(*kernels.Enter); ok && e.Name == "router" {
				all = append(all, Router{Layer: trace.Index("layer")})
			}
			continue
		}
		if trace.In("router") {
			all[len(all)-1].read(l.tape.Device, r.op)
		}
	}
	return all
}

func (r *Router) read(dev kernels.Device, op kernels.Op) {
	switch o := op.(type) {
	case *kernels.Sort:
		r.load(dev, o.Offsets)
	case *kernels.ExpertChoice:
		r.load(dev, o.Offsets)
		r.Unchosen = unchosen(dev, o)
	case *kernels.LimitLoad:
		for _, n := range r.Loads {
			r.Dropped += max(0, int(n)-o.Capacity)
		}
	case *kernels.Sinkhorn:
		if o.Iterations.None() { // of inference
			return
		}
		var n [1]int32
		kernels.Get(dev, n[:], o.Iterations)
		r.Iterations = int(n[0])
	case *kernels.BalanceLoss:
		var losses [2]float32
		kernels.Get(dev, losses[:], o.Loss)
		r.Balance, r.Z = losses[0], losses[1]
	}
}

func (r *Router) load(dev kernels.Device, offsets kernels.Mat) {
	ends := make([]int32, offsets.Rows)
	kernels.Get(dev, ends, offsets)
	for e, end := range ends[1:] {
		r.Loads = append(r.Loads, end-ends[e])
	}
}

// unchosen counts the tokens that no expert took.
func unchosen(dev kernels.Device, o *kernels.ExpertChoice) int {
	slots := make([]int32, o.Slots.Rows)
	kernels.Get(dev, slots, o.Slots)
	left, taken := o.Logits.Rows, make([]bool, o.Logits.Rows)
	for _, slot := range slots {
		if t := int(slot) / o.K; !taken[t] {
			taken[t] = true
			left--
		}
	}
	return left
}
