// Package arch builds language models from two choices per layer: how it moves
// information between positions (attention, Mamba or nothing) and how it transforms each
// position (an MLP, a mixture of experts or nothing).
//
//	Config → Model (weights) → Session (what a number of sequences remember)
//
// A model's work is the stream of ops that a Session feeds to a kernels.Device. Nothing
// here computes or measures.
package arch

import (
	"fmt"

	"quadrant/internal/enum"
	"quadrant/kernels"
)

// A Config says everything about a model except the values of its weights.
type Config struct {
	Vocab     int     `yaml:"vocab" json:"vocab"` // rows of the embedding, padding included
	Dim       int     `yaml:"d_model" json:"d_model"`
	Norm      Norm    `yaml:"norm" json:"norm"`             // before every mixer
	FinalNorm Norm    `yaml:"final_norm" json:"final_norm"` // before the head
	TiedHead  bool    `yaml:"tied_head" json:"tied_head,omitempty"`
	HeadBias  bool    `yaml:"head_bias" json:"head_bias,omitempty"`
	Layers    []Layer `yaml:"layers" json:"layers"`
}

// A Layer is the two choices, each of which may be none, but not both. In sequence
// (x += Sequence(norm(x)); x += Channel(norm(x))), or Parallel, where both read the same
// x through norms of their own.
type Layer struct {
	Sequence Sequence `yaml:"sequence" json:"sequence,omitzero"`
	Channel  Channel  `yaml:"channel" json:"channel,omitzero"`
	Parallel bool     `yaml:"parallel" json:"parallel,omitempty"`
}

// A Sequence is the choice of a sequence mixer: at most one field is set.
type Sequence struct {
	Attention *Attention `yaml:"attention" json:"attention,omitempty"`
	Mamba     *Mamba     `yaml:"mamba" json:"mamba,omitempty"`
}

// A Channel is the choice of a channel mixer: at most one field is set.
type Channel struct {
	MLP *MLP `yaml:"mlp" json:"mlp,omitempty"`
	MoE *MoE `yaml:"moe" json:"moe,omitempty"`
}

// A Norm normalises rows; see kernels.RMSNorm and kernels.LayerNorm.
type Norm struct {
	Kind NormKind `yaml:"kind" json:"kind"`
	Bias bool     `yaml:"bias" json:"bias,omitempty"` // of a layer norm
	Eps  float32  `yaml:"eps" json:"eps"`
}

// A NormKind is a way to normalise. The zero NormKind is none.
type NormKind uint8

const (
	RMSNorm NormKind = iota + 1
	LayerNorm
)

var normNames = enum.Names{"rms", "layer"}

func (k NormKind) String() string { return normNames.Of(uint8(k)) }

// MarshalText returns k's name in configs.
func (k NormKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText sets k to the kind called text.
func (k *NormKind) UnmarshalText(text []byte) error {
	v, err := normNames.Parse("norm", text)
	*k = NormKind(v)
	return err
}

// Attention is causal self-attention with a KV cache. Queries share keys and values in
// groups of Heads/KVHeads.
type Attention struct {
	Heads   int     `yaml:"heads" json:"heads"`
	KVHeads int     `yaml:"kv_heads" json:"kv_heads"`
	HeadDim int     `yaml:"head_dim" json:"head_dim"`
	Rotary  *Rotary `yaml:"rotary" json:"rotary,omitempty"` // nil: no positions
	QKVBias bool    `yaml:"qkv_bias" json:"qkv_bias,omitempty"`
	OutBias bool    `yaml:"out_bias" json:"out_bias,omitempty"`
}

// Rotary is the position encoding of attention: the first Dim columns of each head turn.
type Rotary struct {
	Dim  int     `yaml:"dim" json:"dim"`
	Base float64 `yaml:"base" json:"base"`
}

// Mamba is a selective state-space mixer (arXiv:2312.00752) in the field's own names.
type Mamba struct {
	Inner    int  `yaml:"d_inner" json:"d_inner"`
	State    int  `yaml:"d_state" json:"d_state"`
	Conv     int  `yaml:"d_conv" json:"d_conv"`
	Rank     int  `yaml:"dt_rank" json:"dt_rank"`
	Bias     bool `yaml:"bias" json:"bias,omitempty"`           // of the in and out projections
	ConvBias bool `yaml:"conv_bias" json:"conv_bias,omitempty"` // of the convolution
}

// MLP is a two-layer perceptron, gated or not.
type MLP struct {
	Hidden int         `yaml:"hidden" json:"hidden"`
	Act    kernels.Act `yaml:"act" json:"act"`
	Gate   Gating      `yaml:"gate" json:"gate"`
	Bias   bool        `yaml:"bias" json:"bias,omitempty"`
}

// Gating says which half of an MLP's first layer passes through the activation and
// gates the other. The zero Gating is not a choice.
type Gating uint8

const (
	Ungated    Gating = iota + 1 // down(act(up(x)))
	FirstHalf                    // [gate | value]: Megatron, BlackMamba, Llama
	SecondHalf                   // [value | gate]: state-spaces/mamba
)

var gatingNames = enum.Names{"none", "first", "second"}

func (g Gating) String() string { return gatingNames.Of(uint8(g)) }

// MarshalText returns g's name in configs.
func (g Gating) MarshalText() ([]byte, error) { return []byte(g.String()), nil }

// UnmarshalText sets g to the gating called text.
func (g *Gating) UnmarshalText(text []byte) error {
	v, err := gatingNames.Parse("gate", text)
	*g = Gating(v)
	return err
}

// MoE is a mixture of Experts MLPs, each token being sent to a few of them.
type MoE struct {
	Experts int    `yaml:"experts" json:"experts"`
	Expert  MLP    `yaml:"expert" json:"expert"`
	Router  Router `yaml:"router" json:"router"`
}

// A Family is one of the four architectures compared, or a mixture of them.
type Family string

const (
	DenseTransformer Family = "transformer"
	DenseMamba       Family = "mamba"
	TransformerMoE   Family = "transformer-moe"
	MambaMoE         Family = "mamba-moe"
	Hybrid           Family = "hybrid" // attention and Mamba in one model
)

// Family says which architecture c is: attention or Mamba, with experts anywhere or not.
func (c Config) Family() Family {
	var attention, mamba, moe bool
	for _, l := range c.Layers {
		attention = attention || l.Sequence.Attention != nil
		mamba = mamba || l.Sequence.Mamba != nil
		moe = moe || l.Channel.MoE != nil
	}
	switch {
	case attention && mamba:
		return Hybrid
	case mamba && moe:
		return MambaMoE
	case mamba:
		return DenseMamba
	case moe:
		return TransformerMoE
	}
	return DenseTransformer
}

// Validate returns the first thing wrong with c, naming the field and the numbers.
func (c Config) Validate() error {
	v := validator{}
	if c.Vocab < 1 || c.Vocab > maxVocab {
		v.failf("vocab is missing or %d, want 1 to %d", c.Vocab, maxVocab)
	}
	v.positive("d_model", c.Dim)
	v.norm("norm", c.Norm)
	v.norm("final_norm", c.FinalNorm)
	v.positive("number of layers", len(c.Layers))
	for i, l := range c.Layers {
		v.layer(fmt.Sprintf("layers[%d]", i), l)
	}
	return v.err
}

// A validator keeps the first error.
type validator struct{ err error }

func (v *validator) failf(format string, args ...any) {
	if v.err == nil {
		v.err = fmt.Errorf(format, args...)
	}
}

// Sizes are bounded, so that no product of those of one matrix overflows.
const (
	maxVocab = 1 << 24
	maxSize  = 1 << 20
)

// positive wants a size that was given and is at least 1.
func (v *validator) positive(name string, n int) {
	switch {
	case n == 0:
		v.failf("%s is missing or 0, want at least 1", name)
	case n < 0 || n > maxSize:
		v.failf("%s is %d, want 1 to %d", name, n, maxSize)
	}
}

func (v *validator) norm(name string, n Norm) {
	if n.Kind == 0 {
		v.failf("%s.kind is missing, want one of rms, layer", name)
	}
	if !(n.Eps > 0 && n.Eps < 1) {
		v.failf("%s.eps is missing or %v, want a number above 0 and below 1", name, n.Eps)
	}
	if n.Kind == RMSNorm && n.Bias {
		v.failf("%s.bias is true, but an rms norm has no bias", name)
	}
}

func (v *validator) layer(name string, l Layer) {
	a, m, mlp, moe := l.Sequence.Attention, l.Sequence.Mamba, l.Channel.MLP, l.Channel.MoE
	if a != nil && m != nil {
		v.failf("%s.sequence has both attention and mamba, want one", name)
	}
	if mlp != nil && moe != nil {
		v.failf("%s.channel has both mlp and moe, want one", name)
	}
	sequence, channel := a != nil || m != nil, mlp != nil || moe != nil
	if !sequence && !channel {
		v.failf("%s has no sequence (attention, mamba) and no channel (mlp, moe), want one or both", name)
	}
	if l.Parallel && !(sequence && channel) {
		v.failf("%s.parallel is true, but it does not have both a sequence and a channel", name)
	}
	if a != nil {
		v.attention(name+".sequence.attention", *a)
	}
	if m != nil {
		v.mamba(name+".sequence.mamba", *m)
	}
	if mlp != nil {
		v.mlp(name+".channel.mlp", *mlp)
	}
	if moe != nil {
		v.moe(name+".channel.moe", *moe)
	}
}

func (v *validator) attention(name string, a Attention) {
	v.positive(name+".heads", a.Heads)
	v.positive(name+".kv_heads", a.KVHeads)
	v.positive(name+".head_dim", a.HeadDim)
	if v.err == nil && a.Heads%a.KVHeads != 0 {
		v.failf("%s: %d kv_heads do not divide %d heads", name, a.KVHeads, a.Heads)
	}
	if r := a.Rotary; r != nil {
		if r.Dim < 2 || r.Dim > a.HeadDim || r.Dim%2 != 0 {
			v.failf("%s.rotary.dim is %d, want an even number from 2 to head_dim %d", name, r.Dim, a.HeadDim)
		}
		if !(r.Base > 1 && r.Base < 1e300) {
			v.failf("%s.rotary.base is missing or %v, want a number above 1 and below 1e300", name, r.Base)
		}
	}
}

func (v *validator) mamba(name string, m Mamba) {
	v.positive(name+".d_inner", m.Inner)
	v.positive(name+".d_state", m.State)
	v.positive(name+".d_conv", m.Conv)
	v.positive(name+".dt_rank", m.Rank)
}

func (v *validator) mlp(name string, m MLP) {
	v.positive(name+".hidden", m.Hidden)
	if m.Act == 0 {
		v.failf("%s.act is missing, want one of silu, gelu, gelu_tanh, relu", name)
	}
	if m.Gate == 0 {
		v.failf("%s.gate is missing, want one of none, first, second", name)
	}
}

func (v *validator) moe(name string, m MoE) {
	v.positive(name+".experts", m.Experts)
	v.mlp(name+".expert", m.Expert)
	v.router(name+".router", m.Router, m.Experts)
}
