package main

import (
	"errors"
	"fmt"
	"strings"

	"quadrant/arch"
	"quadrant/flops"
	"quadrant/kernels"
	"quadrant/results"
)

func synthSubject(name string, cfg arch.Config, seed uint64, o synthFlags) results.Subject {
	var meter flops.Meter
	m, err := arch.New(cfg, &meter, arch.Types{})
	if err != nil {
		panic(err) // it was checked when it was made
	}
	n := m.Count()
	return results.Subject{
		Model: name, Family: string(cfg.Family()), Total: n.Total, Active: n.Active, DType: kernels.F32.String(), Outline: outline(cfg),
		Weights: fmt.Sprintf("trained here for %d steps of %d, learning rate %g, seed %d", o.steps, o.batch, o.lr, seed),
	}
}

// synthModel is the model that name means, for vocab tokens.
func synthModel(name string, o synthFlags, vocab int) (arch.Config, error) {
	if !strings.ContainsAny(name, "+-") || strings.Contains(name, ".") {
		if _, err := synthLayer(name, o); err != nil {
			return synthPreset(name, vocab)
		}
	}
	norm := arch.Norm{Kind: arch.RMSNorm, Eps: 1e-5}
	c := arch.Config{Vocab: vocab, Dim: o.width, Norm: norm, FinalNorm: norm, TiedHead: true}
	for layer := range strings.SplitSeq(name, "-") {
		l, err := synthLayer(layer, o)
		if err != nil {
			if p, other := synthPreset(name, vocab); other == nil {
				return p, nil
			}
			return c, err
		}
		c.Layers = append(c.Layers, l)
	}
	return c, c.Validate()
}

// synthPreset is a preset with another vocabulary.
func synthPreset(name string, vocab int) (arch.Config, error) {
	p, err := findModel(name)
	if err == nil && p.Checkpoint != "" {
		err = errors.New("a checkpoint has a vocabulary of its own")
	}
	p.Config.Vocab = vocab
	return learnsEMA(p.Config), err
}

// synthLayer is a layer as its name says: "attention+moe".
func synthLayer(name string, o synthFlags) (arch.Layer, error) {
	mlp := arch.MLP{Hidden: o.hidden, Act: kernels.SiLU, Gate: arch.FirstHalf}
	var l arch.Layer
	for part := range strings.SplitSeq(name, "+") {
		switch {
		case part == "attention" && l.Sequence == (arch.Sequence{}):
			l.Sequence.Attention = synthAttention(o.width, o.heads)
		case part == "mamba" && l.Sequence == (arch.Sequence{}):
			l.Sequence.Mamba = &arch.Mamba{Inner: 2 * o.width, State: 16, Conv: 4, Rank: (o.width + 15) / 16, ConvBias: true}
		case part == "mlp" && l.Channel == (arch.Channel{}):
			l.Channel.MLP = &mlp
		case part == "moe" && l.Channel == (arch.Channel{}):
			l.Channel.MoE = &arch.MoE{Experts: 8, Expert: mlp, Router: arch.Router{
				TopK: 1, Score: kernels.SigmoidScore, GateScale: 2, Bias: true, Inference: arch.EMABiasInference,
				Sinkhorn: &arch.Sinkhorn{Temperature: 1, ColumnFirst: true, MaxIterations: 8, Tolerance: 0.01},
			}}
		default:
			return l, fmt.Errorf("layer %q is unknown: want attention or mamba, mlp or moe, joined by '+'", name)
		}
	}
	return l, nil
}

// synthAttention has as many heads as h says, or as the width has room for.
func synthAttention(width int, h synthHeads) *arch.Attention {
	head := max(2, width/h.count)
	heads := max(1, width/head)
	return &arch.Attention{Heads: heads, KVHeads: heads, HeadDim: head, Rotary: &arch.Rotary{Dim: max(2, head*h.turns/4/2*2), Base: h.base}}
}
