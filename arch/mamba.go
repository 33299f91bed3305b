package arch

import (
	"math"
	"math/rand/v2"

	"quadrant/kernels"
)

type mamba struct {
	Mamba
	in, inBias     Param // rows: x, z
	conv, convBias Param
	selectors      Param // x_proj; rows: dt, B, C
	dt, dtBias     Param
	aLog, d        Param
	out, outBias   Param

	a kernels.Mat // −exp(aLog), derived at every reset
}

// newMamba draws weights as mamba_simple.py does.
func newMamba(c Mamba, dim int, st style) *mamba {
	m := &mamba{
		Mamba: c,
		in:    st.linear(2*c.Inner, dim), inBias: vectorIf(c.Bias, 2*c.Inner, constant(0)),
		conv:      matrix(c.Inner, c.Conv, uniform(1/math.Sqrt(float64(c.Conv)))),
		convBias:  vectorIf(c.ConvBias, c.Inner, uniform(1/math.Sqrt(float64(c.Conv)))),
		selectors: st.linear(c.Rank+2*c.State, c.Inner),
		dt:        matrix(c.Inner, c.Rank, uniform(1/math.Sqrt(float64(c.Rank)))),
		dtBias:    vector(c.Inner, byElement(initialDtBias)),
		aLog:      matrix(c.Inner, c.State, byElement(func(_ *rand.Rand, i int) float64 { return math.Log(float64(i%c.State + 1)) })),
		d:         vector(c.Inner, constant(1)),
		out:       matrix(dim, c.Inner, uniform(1/math.Sqrt(float64(c.Inner)*float64(st.layers)))),
		outBias:   vectorIf(c.Bias, dim, constant(0)),
	}
	m.conv.Wide, m.aLog.Wide = true, true
	return m
}

// initialDtBias is the inverse softplus of a step size that is log-uniform in 0.001 … 0.1.
func initialDtBias(r *rand.Rand, _ int) float64 {
	dt := math.Exp(r.Float64()*(math.Log(0.1)-math.Log(0.001)) + math.Log(0.001))
	return dt + math.Log(-math.Expm1(-dt))
}

func (m *mamba) params(visit visitor) {
	visit = visit.under("mamba")
	visit("in", &m.in)
	visit("in_bias", &m.inBias)
	visit("conv", &m.conv)
	visit("conv_bias", &m.convBias)
	visit("x", &m.selectors)
	visit("dt", &m.dt)
	visit("dt_bias", &m.dtBias)
	visit("a_log", &m.aLog)
	visit("d", &m.d)
	visit("out", &m.out)
	visit("out_bias", &m.outBias)
}

func (m *mamba) open(dev kernels.Device, _ kernels.Type, seqs, _ int) memory {
	s := &ssmState{mamba: m, state: dev.Alloc(kernels.F32, seqs*m.Inner, m.State)}
	if m.Conv > 1 {
		s.tail = dev.Alloc(kernels.F32, seqs*(m.Conv-1), m.Inner)
	}
	return s
}

// An ssmState is what Mamba remembers, however long the sequence: the last inputs of the
// convolution [seqs·(d_conv−1), d_inner] and the state [seqs·d_inner, d_state].
type ssmState struct {
	*mamba
	tail, state kernels.Mat
}

func (m *ssmState) reset(s *kernels.Stream) {
	s.Do(kernels.NegExp{Dst: m.a, X: m.aLog.Mat})
	s.Do(kernels.Zero{Dst: m.state})
	if !m.tail.None() {
		s.Do(kernels.Zero{Dst: m.tail})
	}
}

func (m *ssmState) copyFrom(s *kernels.Stream, src memory, i, j, _ int) {
	from := src.(*ssmState)
	e, w := m.Inner, m.Conv-1
	s.Do(kernels.Copy{Dst: m.state.RowRange(i*e, (i+1)*e), X: from.state.RowRange(j*e, (j+1)*e)})
	if !m.tail.None() {
		s.Do(kernels.Copy{Dst: m.tail.RowRange(i*w, (i+1)*w), X: from.tail.RowRange(j*w, (j+1)*w)})
	}
}

func (m *ssmState) mix(s step, dst, x kernels.Mat) {
	sc := s.Scope("mamba", -1)
	defer sc.End()
	e, r, n := m.Inner, m.Rank, m.State
	xz := s.Temp(kernels.F32, x.Rows, 2*e)
	u := s.Temp(kernels.F32, x.Rows, e)
	dbc := s.Temp(kernels.F32, x.Rows, r+2*n)
	dt := s.Temp(kernels.F32, x.Rows, e)
	y := s.Temp(kernels.F32, x.Rows, e)

	s.Do(kernels.MatMul{Dst: xz, A: x, B: m.in.Mat, Bias: m.inBias.Mat})
	s.Do(kernels.ConvSiLU{Dst: u, X: xz.ColRange(0, e), W: m.conv.Mat, Bias: m.convBias.Mat, State: m.tail, Seqs: s.seqs})
	s.Do(kernels.MatMul{Dst: dbc, A: u, B: m.selectors.Mat})
	s.Do(kernels.MatMul{Dst: dt, A: dbc.ColRange(0, r), B: m.dt.Mat})
	s.Do(kernels.Scan{
		Dst: y, X: u, Dt: dt, A: m.a, B: dbc.ColRange(r, r+n), C: dbc.ColRange(r+n, r+2*n), D: m.d.Mat,
		Z: xz.ColRange(e, 2*e), DtBias: m.dtBias.Mat, State: m.state, Seqs: s.seqs,
	})
	s.Do(kernels.MatMul{Dst: dst, A: y, B: m.out.Mat, Bias: m.outBias.Mat})
}
