package arch

import (
	"math"

	"quadrant/kernels"
)

type router struct {
	Router
	experts int
	w, bias Param // absent where tokens are routed by their id
	balance Param // [1, experts], added to the logits to choose by; absent where nothing learns it
}

func newRouter(c Router, experts, dim int, st style) router {
	r := router{Router: c, experts: experts, bias: vectorIf(c.Bias, experts, constant(0)), balance: vectorIf(c.learnsBalance(), experts, constant(0))}
	if !c.Hash {
		r.w = st.linear(experts, dim)
	}
	r.w.Wide, r.balance.Buffer = true, true
	return r
}

func (r *router) params(visit visitor) {
	visit("w", &r.w)
	visit("bias", &r.bias)
	visit("balance", &r.balance)
}

// routes are a router's choices for T tokens: experts and their gates [T, k], and the list of
// choices by expert, as kernels.Sort makes it; or, where experts choose, that list as
// kernels.ExpertChoice makes it, and gates by place [T·k, 1].
type routes struct{ experts, gates, slots, places, offsets kernels.Mat }

// route makes to from x, the mixer's input.
func (r *router) route(s step, to routes, x kernels.Mat) {
	sc := s.Scope("router", -1)
	defer sc.End()
	if r.ExpertsChoose(s.training) {
		s.Do(kernels.ExpertChoice{
			Slots: to.slots, Offsets: to.offsets, Gates: to.gates, Logits: r.logits(s, r.input(s, x)), K: r.TopK, GateScale: r.GateScale,
		})
		return
	}
	if r.Hash {
		s.Do(kernels.HashRoute{Experts: to.experts, Gates: to.gates, IDs: s.ids, Of: r.experts})
	} else {
		r.choose(s, to, r.input(s, x))
	}
	s.Do(kernels.Sort{Slots: to.slots, Places: to.places, Offsets: to.offsets, Experts: to.experts})
	if s.training && r.Capacity > 0 {
		s.Do(kernels.LimitLoad{Gates: to.gates, Places: to.places, Offsets: to.offsets, Experts: to.experts, Capacity: r.room(x.Rows)})
	}
	if s.learning && r.LossFree != nil {
		s.Do(kernels.BiasStep{Bias: r.balance.Mat, Offsets: to.offsets, Rate: r.LossFree.Rate})
	}
}

// input is what the router reads.
func (r *router) input(s step, x kernels.Mat) kernels.Mat {
	switch r.Input {
	case EmbeddingInput:
		return s.embedding
	case BothInput:
		both := s.Temp(kernels.F32, x.Rows, x.Cols)
		s.Do(kernels.Sum{Dst: both, X: x, Y: s.embedding, Scale: math.Sqrt2 / 2})
		return both
	}
	return x
}

// logits scores the experts by x.
func (r *router) logits(s step, x kernels.Mat) kernels.Mat {
	logits := s.Temp(kernels.F32, x.Rows, r.experts)
	s.Do(kernels.MatMul{Dst: logits, A: x, B: r.w.Mat, Bias: r.bias.Mat})
	return logits
}

// choose scores the experts by x and takes the best.
func (r *router) choose(s step, to routes, x kernels.Mat) {
	logits := r.logits(s, x)
	s.Do(kernels.Route{
		Experts: to.experts, Gates: to.gates, Logits: logits, Bias: r.balanced(s, logits), Score: r.Score, GateScale: r.GateScale,
	})
	if s.learning && (r.BalanceLoss > 0 || r.ZLoss > 0) {
		s.Do(kernels.BalanceLoss{
			Loss: s.Temp(kernels.F32, 1, 2), Grad: s.Temp(kernels.F32, logits.Rows, logits.Cols), Logits: logits, Experts: to.experts,
			Balance: r.BalanceLoss * s.share, Z: r.ZLoss * s.share,
		})
	}
}

// balanced is the bias that the choice adds to logits, or none.
func (r *router) balanced(s step, logits kernels.Mat) kernels.Mat {
	if r.Sinkhorn == nil || !s.training && r.Inference != SinkhornInference {
		if s.training && r.LossFree == nil {
			return kernels.Mat{}
		}
		return r.balance.Mat
	}
	bias, iterations := s.Temp(kernels.F32, 1, r.experts), kernels.Mat{}
	if s.learning { // for whoever watches the step
		iterations = s.Temp(kernels.I32, 1, 1)
	}
	s.Do(kernels.Sinkhorn{
		Bias: bias, Logits: logits, Iterations: iterations,
		Temperature: r.Sinkhorn.Temperature, ColumnFirst: r.Sinkhorn.ColumnFirst, Absolute: r.Sinkhorn.Absolute,
		MaxIterations: r.Sinkhorn.MaxIterations, Tolerance: r.Sinkhorn.Tolerance,
	})
	if s.learning && r.Inference == EMABiasInference {
		s.Do(kernels.Average{Dst: r.balance.Mat, X: bias, Rate: emaRate})
	}
	return bias
}

// room is how many of a step's tokens an expert takes while training.
func (r *router) room(tokens int) int {
	return int(math.Ceil(float64(r.Capacity) * float64(tokens*r.TopK) / float64(r.experts)))
}
