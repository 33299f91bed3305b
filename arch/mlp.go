package arch

import "quadrant/kernels"

type mlp struct {
	MLP
	in, inBias   Param
	out, outBias Param
}

func newMLP(c MLP, dim int, st style) *mlp {
	return &mlp{
		MLP: c,
		in:  st.linear(c.width(), dim), inBias: vectorIf(c.Bias, c.width(), constant(0)),
		out: st.residual(dim, c.Hidden), outBias: vectorIf(c.Bias, dim, constant(0)),
	}
}

// width is the number of outputs of the first layer.
func (c MLP) width() int {
	if c.Gate == Ungated {
		return c.Hidden
	}
	return 2 * c.Hidden
}

func (m *mlp) params(visit visitor) {
	visit = visit.under("mlp")
	visit("in", &m.in)
	visit("in_bias", &m.inBias)
	visit("out", &m.out)
	visit("out_bias", &m.outBias)
}

func (m *mlp) mix(s step, dst, x kernels.Mat) {
	sc := s.Scope("mlp", -1)
	defer sc.End()
	h := s.Temp(kernels.F32, x.Rows, m.width())
	s.Do(kernels.MatMul{Dst: h, A: x, B: m.in.Mat, Bias: m.inBias.Mat})
	s.Do(kernels.MatMul{Dst: dst, A: m.activate(s.Stream, h), B: m.out.Mat, Bias: m.outBias.Mat})
}

// activate returns the second layer's input, made of the first layer's output h.
func (c MLP) activate(s *kernels.Stream, h kernels.Mat) kernels.Mat {
	x, mul := h, kernels.Mat{}
	switch c.Gate {
	case FirstHalf:
		x, mul = h.ColRange(0, c.Hidden), h.ColRange(c.Hidden, 2*c.Hidden)
	case SecondHalf:
		mul, x = h.ColRange(0, c.Hidden), h.ColRange(c.Hidden, 2*c.Hidden)
	}
	dst := s.Temp(kernels.F32, h.Rows, c.Hidden)
	s.Do(kernels.Activation{Dst: dst, X: x, Mul: mul, Act: c.Act})
	return dst
}
