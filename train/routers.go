package train

import "quadrant/kernels"

// A Router is what a router did in the last step.
type Router struct {
	Layer      int
	Loads      []int32 // choices of each expert, of k per token
	Dropped    int     // choices of experts that had no room left
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
		ends := make([]int32, o.Offsets.Rows)
		kernels.Get(dev, ends, o.Offsets)
		for e, end := range ends[1:] {
			r.Loads = append(r.Loads, end-ends[e])
		}
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
