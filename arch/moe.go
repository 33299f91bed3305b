package arch

import "quadrant/kernels"

type moe struct {
	MoE
	router       router
	in, inBias   Param // the experts' weights, stacked
	out, outBias Param
}

func newMoE(c MoE, dim int, st style) *moe {
	m := &moe{
		MoE:    c,
		router: newRouter(c.Router, c.Experts, dim, st),
		in:     st.linear(c.Experts*c.Expert.width(), dim),
		out:    st.residual(c.Experts*dim, c.Expert.Hidden),
	}
	if c.Expert.Bias {
		m.inBias = matrix(c.Experts, c.Expert.width(), constant(0))
		m.outBias = matrix(c.Experts, dim, constant(0))
		m.inBias.Wide, m.outBias.Wide = true, true
	}
	for _, p := range []*Param{&m.in, &m.inBias, &m.out, &m.outBias} {
		p.Experts, p.Chosen = c.Experts, c.Router.TopK
	}
	return m
}

func (m *moe) params(visit visitor) {
	visit = visit.under("moe")
	m.router.params(visit.under("router"))
	visit("in", &m.in)
	visit("in_bias", &m.inBias)
	visit("out", &m.out)
	visit("out_bias", &m.outBias)
}

func (m *moe) mix(s step, dst, x kernels.Mat) {
	sc := s.Scope("moe", -1)
	defer sc.End()
	k := m.router.TopK
	n := x.Rows * k
	r := routes{slots: s.Temp(kernels.I32, n, 1), offsets: s.Temp(kernels.I32, m.Experts+1, 1)}
	chosen := m.router.ExpertsChoose(s.training)
	if chosen {
		r.gates = s.Temp(kernels.F32, n, 1)
	} else {
		r.experts, r.gates, r.places = s.Temp(kernels.I32, x.Rows, k), s.Temp(kernels.F32, x.Rows, k), s.Temp(kernels.I32, n, 1)
	}
	h := s.Temp(kernels.F32, n, m.Expert.width())
	y := s.Temp(kernels.F32, n, x.Cols)

	m.router.route(s, r, x)
	s.Do(kernels.GroupedMatMul{Dst: h, A: x, B: m.in.Mat, Bias: m.inBias.Mat, Offsets: r.offsets, Slots: r.slots, K: k})
	s.Do(kernels.GroupedMatMul{Dst: y, A: m.Expert.activate(s.Stream, h), B: m.out.Mat, Bias: m.outBias.Mat, Offsets: r.offsets})
	if chosen {
		s.Do(kernels.ScatterAdd{Dst: dst, Src: y, Gates: r.gates, Slots: r.slots, Offsets: r.offsets, K: k})
		return
	}
	s.Do(kernels.Combine{Dst: dst, Src: y, Places: r.places, Gates: r.gates})
}
