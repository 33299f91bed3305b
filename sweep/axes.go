package sweep

import (
	"fmt"
	"slices"

	"quadrant/arch"
	"quadrant/configs"
	"quadrant/kernels"
)

// An axis is a setting and the values that it takes.
type axis struct {
	name   string
	values []value
}

// A value is one change of a model.
type value struct {
	text  string // "experts=4"
	apply func(*draft) error
}

// axesOf are the axes that a has values of, in the order in which they are applied: those
// that replace mixers come before those that change them.
func axesOf(a configs.Axes) []axis {
	return slices.DeleteFunc([]axis{
		over("attention_ratio", a.AttentionRatio, setAttentionRatio),
		over("expand", a.Expand, setExpand),
		over("d_state", a.State, eachMamba(func(m *arch.Mamba, n int) { m.State = n })),
		over("d_conv", a.Conv, eachMamba(func(m *arch.Mamba, n int) { m.Conv = n })),
		over("moe_every", a.MoEEvery, setMoEEvery),
		over("parallel", a.Parallel, setParallel),
		over("activation", a.Activation, setActivation),
		over("experts", a.Experts, eachMoE(func(m *arch.MoE, n int) { m.Experts = n })),
		over("top_k", a.TopK, eachMoE(func(m *arch.MoE, n int) { m.Router.TopK = n })),
		over("router", a.Router, eachMoE(setRouter)),
		over("input", a.Input, eachMoE(func(m *arch.MoE, i arch.RouterInput) { m.Router.Input = i })),
		over("gate_scale", a.GateScale, eachMoE(func(m *arch.MoE, s float64) { m.Router.GateScale = float32(s) })),
		over("iterations", a.Iterations, eachSinkhorn(func(s *arch.Sinkhorn, n int) { s.MaxIterations = n })),
		over("tolerance", a.Tolerance, eachSinkhorn(func(s *arch.Sinkhorn, x float64) { s.Tolerance = float32(x) })),
		over("column_first", a.ColumnFirst, eachSinkhorn(func(s *arch.Sinkhorn, b bool) { s.ColumnFirst = b })),
		over("absolute", a.Absolute, eachSinkhorn(func(s *arch.Sinkhorn, b bool) { s.Absolute = b })),
		over("lr", a.LR, setLR),
	}, func(x axis) bool { return len(x.values) == 0 })
}

func over[T any](name string, values []T, set func(*draft, T) error) axis {
	x := axis{name: name}
	for _, v := range values {
		x.values = append(x.values, value{fmt.Sprintf("%s=%v", name, v), func(d *draft) error { return set(d, v) }})
	}
	return x
}

// check finds a value that is there twice.
func (x axis) check() error {
	for i, v := range x.values {
		for _, w := range x.values[:i] {
			if v.text == w.text {
				return fmt.Errorf("axes.%s: %s is there twice", x.name, v.text)
			}
		}
	}
	return nil
}

func setLR(d *draft, lr float64) error {
	if !(lr > 0) {
		return fmt.Errorf("want a learning rate above 0")
	}
	d.lr = lr
	return nil
}

func eachMamba[T any](set func(*arch.Mamba, T)) func(*draft, T) error {
	return func(d *draft, v T) error {
		n := 0
		for _, l := range d.cfg.Layers {
			if m := l.Sequence.Mamba; m != nil {
				set(m, v)
				n++
			}
		}
		if n == 0 {
			return fmt.Errorf("the model has no Mamba layer")
		}
		return nil
	}
}

func setExpand(d *draft, x float64) error {
	width := x * float64(d.cfg.Dim)
	if !(width >= 1 && width < 1<<20) || width != float64(int(width)) {
		return fmt.Errorf("d_inner would be %v, want a whole number of at least 1", width)
	}
	return eachMamba(func(m *arch.Mamba, n int) { m.Inner = n })(d, int(width))
}

func eachMoE[T any](set func(*arch.MoE, T)) func(*draft, T) error {
	return func(d *draft, v T) error {
		n := 0
		for _, l := range d.cfg.Layers {
			if m := l.Channel.MoE; m != nil {
				set(m, v)
				n++
			}
		}
		if n == 0 {
			return fmt.Errorf("the model has no mixture of experts")
		}
		return nil
	}
}

func eachSinkhorn[T any](set func(*arch.Sinkhorn, T)) func(*draft, T) error {
	return func(d *draft, v T) error {
		n := 0
		for _, l := range d.cfg.Layers {
			if m := l.Channel.MoE; m != nil && m.Router.Sinkhorn != nil {
				set(m.Router.Sinkhorn, v)
				n++
			}
		}
		if n == 0 {
			return fmt.Errorf("the model has no router that Sinkhorn balances")
		}
		return nil
	}
}

// setRouter replaces how m chooses, and keeps top_k, bias, input and capacity, where the
// kind has them.
func setRouter(m *arch.MoE, kind configs.RouterKind) {
	r := m.Router
	sinkhorn, inference := r.Sinkhorn, r.Inference
	r.Sinkhorn, r.LossFree, r.Hash, r.ExpertChoice, r.Inference, r.BalanceLoss, r.ZLoss = nil, nil, false, false, 0, 0, 0
	if r.Score == 0 {
		r.Score = kernels.SigmoidScore // of a base that hashes
	}
	switch kind {
	case configs.SinkhornRouter:
		if sinkhorn == nil {
			sinkhorn, inference = &arch.Sinkhorn{Temperature: 1, ColumnFirst: true, MaxIterations: 8, Tolerance: 0.01}, arch.EMABiasInference
		}
		r.Sinkhorn, r.Inference = sinkhorn, inference
	case configs.SwitchRouter:
		r.Score, r.GateScale, r.BalanceLoss, r.ZLoss = kernels.SoftmaxScore, 0, 0.01, 0.001
	case configs.LossFreeRouter:
		r.LossFree = &arch.LossFree{Rate: 0.001}
	case configs.ExpertChoiceRouter:
		r.Score, r.GateScale, r.Capacity, r.ExpertChoice = kernels.SoftmaxScore, 0, 0, true
	case configs.HashRouter:
		r = arch.Router{TopK: r.TopK, Hash: true, Capacity: r.Capacity}
	}
	m.Router = r
}

// activations say what the names of [configs.Activation] mean.
var activations = []struct {
	act  kernels.Act
	gate arch.Gating
}{
	configs.SwiGLU: {kernels.SiLU, arch.FirstHalf}, configs.GeGLU: {kernels.GELU, arch.FirstHalf}, configs.ReGLU: {kernels.ReLU, arch.FirstHalf},
	configs.SiLU: {kernels.SiLU, arch.Ungated}, configs.GELU: {kernels.GELU, arch.Ungated}, configs.ReLU: {kernels.ReLU, arch.Ungated},
}

func setActivation(d *draft, a configs.Activation) error {
	all := mlps(d.cfg)
	if len(all) == 0 {
		return fmt.Errorf("the model has no MLP and no experts")
	}
	for _, m := range all {
		m.Act, m.Gate = activations[a].act, activations[a].gate
	}
	return nil
}

// mlps are the MLPs of c and those that its experts are.
func mlps(c arch.Config) (all []*arch.MLP) {
	for _, l := range c.Layers {
		if l.Channel.MLP != nil {
			all = append(all, l.Channel.MLP)
		}
		if l.Channel.MoE != nil {
			all = append(all, &l.Channel.MoE.Expert)
		}
	}
	return all
}
