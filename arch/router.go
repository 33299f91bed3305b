package arch

import "quadrant/kernels"

type router struct {
	Router
	w, bias Param
}

func newRouter(c Router, experts, dim int, st style) router {
	r := router{Router: c, w: st.linear(experts, dim), bias: vectorIf(c.Bias, experts, constant(0))}
	r.w.Wide = true
	return r
}

func (r *router) params(visit visitor) {
	visit("w", &r.w)
	visit("bias", &r.bias)
}

// route chooses the experts [T, k] of each row of x and their gates [T, k].
func (r *router) route(s step, experts, gates, x kernels.Mat) {
	sc := s.Scope("router", -1)
	defer sc.End()
	logits := s.Temp(kernels.F32, x.Rows, r.w.Rows)
	s.Do(kernels.MatMul{Dst: logits, A: x, B: r.w.Mat, Bias: r.bias.Mat})
	balance := kernels.Mat{}
	if s.training && r.Sinkhorn != nil {
		balance = s.Temp(kernels.F32, 1, r.w.Rows)
		s.Do(kernels.Sinkhorn{
			Bias: balance, Logits: logits,
			Temperature: r.Sinkhorn.Temperature, ColumnFirst: r.Sinkhorn.ColumnFirst,
			MaxIterations: r.Sinkhorn.MaxIterations, Tolerance: r.Sinkhorn.Tolerance,
		})
	}
	s.Do(kernels.Route{Experts: experts, Gates: gates, Logits: logits, Bias: balance, Score: r.Score})
}
