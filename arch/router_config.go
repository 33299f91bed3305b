package arch

import (
	"fmt"

	"quadrant/internal/enum"
	"quadrant/kernels"
)

// A Router chooses each token's experts and their gates; see kernels.Route. How it chooses
// while training and how afterwards are two settings.
//
// While training it chooses by the logits (none of Sinkhorn, LossFree, ExpertChoice and Hash is
// set), by the logits and a bias that balances the load (Sinkhorn: found for each batch;
// LossFree: learned), or by the token's id alone (Hash); or experts choose tokens, TopK of them
// a token on average (ExpertChoice).
type Router struct {
	TopK      int           `yaml:"top_k" json:"top_k"`
	Score     kernels.Score `yaml:"score" json:"score,omitempty"`           // of gates; Hash has none
	GateScale float32       `yaml:"gate_scale" json:"gate_scale,omitempty"` // of gates; 0 stands for 1
	Bias      bool          `yaml:"bias" json:"bias,omitempty"`             // of its linear layer
	Input     RouterInput   `yaml:"input" json:"input,omitempty"`           // that its linear layer reads

	Sinkhorn *Sinkhorn `yaml:"sinkhorn" json:"sinkhorn,omitempty"`
	LossFree *LossFree `yaml:"loss_free" json:"loss_free,omitempty"`
	Hash     bool      `yaml:"hash" json:"hash,omitempty"` // in inference too; see kernels.HashRoute
	// ExpertChoice lets each expert take its tokens, of a whole batch, while training; see
	// kernels.ExpertChoice. It goes with softmax, top_k, gate_scale, bias and input only.
	ExpertChoice bool `yaml:"expert_choice" json:"expert_choice,omitempty"`

	Inference Inference `yaml:"inference" json:"inference,omitempty"`

	BalanceLoss float32 `yaml:"balance_loss" json:"balance_loss,omitempty"` // see kernels.BalanceLoss
	ZLoss       float32 `yaml:"z_loss" json:"z_loss,omitempty"`             // see kernels.BalanceLoss
	// Capacity bounds an expert's tokens while training, as a multiple of its even share;
	// see kernels.LimitLoad. 0 drops none.
	Capacity float32 `yaml:"capacity" json:"capacity,omitempty"`
}

// Sinkhorn balances the choices of a router in training; see kernels.Sinkhorn.
type Sinkhorn struct {
	Temperature   float32 `yaml:"temperature" json:"temperature"`
	ColumnFirst   bool    `yaml:"column_first" json:"column_first,omitempty"`
	MaxIterations int     `yaml:"max_iterations" json:"max_iterations"`
	Tolerance     float32 `yaml:"tolerance" json:"tolerance"`
	Absolute      bool    `yaml:"absolute" json:"absolute,omitempty"` // the published code's rule for when to stop
}

// LossFree is a bias per expert that every step moves by Rate against the load; inference
// chooses by it too. (arXiv:2408.15664; kernels.BiasStep.)
type LossFree struct {
	Rate float32 `yaml:"rate" json:"rate"`
}

// A RouterInput is what a router reads. The zero RouterInput is the mixer's input.
type RouterInput uint8

const (
	HiddenInput    RouterInput = iota + 1 // the mixer's input h, as all published models
	EmbeddingInput                        // the token's embedding e
	BothInput                             // (h + e)/√2
)

var inputNames = enum.Names{"hidden", "embedding", "both"}

func (i RouterInput) String() string { return inputNames.Of(uint8(max(i, HiddenInput))) }

// MarshalText returns i's name in configs.
func (i RouterInput) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// UnmarshalText sets i to the input called text.
func (i *RouterInput) UnmarshalText(text []byte) error {
	v, err := inputNames.Parse("router input", text)
	*i = RouterInput(v)
	return err
}

// An Inference is how a router whose choices in training depend on the whole batch, by Sinkhorn
// or because experts choose, does it afterwards, when a token must not depend on what it comes
// with. The zero Inference is argmax.
type Inference uint8

const (
	// ArgmaxInference takes the largest logits, as BlackMamba and Megatron-LM do: what
	// Sinkhorn balanced is then no longer balanced.
	ArgmaxInference Inference = iota + 1
	// SinkhornInference balances what it reads. A choice then depends on all tokens of a
	// step, later ones too: for diagnosis only.
	SinkhornInference
	// EMABiasInference adds the moving average of the biases that Sinkhorn found in training.
	// It is a vector that is kept with the weights.
	EMABiasInference
	// ExpertChoiceInference lets experts choose among the tokens of a step, as in training: for
	// diagnosis only, as SinkhornInference.
	ExpertChoiceInference
)

// emaRate is how far a step moves the average of [EMABiasInference].
const emaRate = 0.02

var inferenceNames = enum.Names{"argmax", "sinkhorn", "ema_bias", "expert_choice"}

func (i Inference) String() string { return inferenceNames.Of(uint8(max(i, ArgmaxInference))) }

// MarshalText returns i's name in configs.
func (i Inference) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// UnmarshalText sets i to the rule called text.
func (i *Inference) UnmarshalText(text []byte) error {
	v, err := inferenceNames.Parse("inference", text)
	*i = Inference(v)
	return err
}

// TrainingChoice names how r chooses while training: argmax, sinkhorn, loss_free, hash or
// expert_choice.
func (r Router) TrainingChoice() string {
	switch {
	case r.Sinkhorn != nil:
		return "sinkhorn"
	case r.LossFree != nil:
		return "loss_free"
	case r.Hash:
		return "hash"
	case r.ExpertChoice:
		return "expert_choice"
	}
	return "argmax"
}

// InferenceChoice names how r chooses when it does not train: argmax, sinkhorn, ema_bias,
// loss_free, hash or expert_choice.
func (r Router) InferenceChoice() string {
	if r.LossFree != nil || r.Hash {
		return r.TrainingChoice()
	}
	return r.Inference.String()
}

// ExpertsChoose reports whether experts choose tokens, rather than tokens experts.
func (r Router) ExpertsChoose(training bool) bool {
	return r.ExpertChoice && (training || r.Inference == ExpertChoiceInference)
}

// Inferences are the ways in which r can choose once it is trained, where there are several;
// the last is the one to use.
func (r Router) Inferences() []Inference {
	switch {
	case r.ExpertChoice:
		return []Inference{ExpertChoiceInference, ArgmaxInference}
	case r.Sinkhorn == nil:
		return nil
	case r.Inference == EMABiasInference: // others do not learn it
		return []Inference{ArgmaxInference, SinkhornInference, EMABiasInference}
	}
	return []Inference{ArgmaxInference, SinkhornInference}
}

// learnsBalance reports whether r has a bias that is learned without a gradient.
func (r Router) learnsBalance() bool { return r.LossFree != nil || r.Inference == EMABiasInference }

func (r Router) readsEmbedding() bool { return r.Input == EmbeddingInput || r.Input == BothInput }

// readsEmbedding reports whether any router of c reads embeddings.
func (c Config) readsEmbedding() bool {
	for _, l := range c.Layers {
		if m := l.Channel.MoE; m != nil && m.Router.readsEmbedding() {
			return true
		}
	}
	return false
}

// Trainable returns an error where a model of c computes, but cannot learn.
func (c Config) Trainable() error {
	for i, l := range c.Layers {
		if m := l.Channel.MoE; m != nil && m.Router.TopK == 1 && m.Router.Score == kernels.SoftmaxTopKScore && m.Experts > 1 {
			return fmt.Errorf("layers[%d].channel.moe.router: the softmax_topk score of one expert is always 1, so that its router has no gradient: train with softmax or sigmoid", i)
		}
	}
	return nil
}

func (v *validator) router(name string, r Router, experts int) {
	v.positive(name+".top_k", r.TopK)
	if r.TopK > experts {
		v.failf("%s.top_k is %d, but there are %d experts", name, r.TopK, experts)
	}
	choices := 0
	for _, set := range []bool{r.Sinkhorn != nil, r.LossFree != nil, r.Hash, r.ExpertChoice} {
		if set {
			choices++
		}
	}
	if choices > 1 {
		v.failf("%s has %d of sinkhorn, loss_free, hash and expert_choice, want at most one", name, choices)
	}
	if r.Hash {
		if r != (Router{TopK: r.TopK, Hash: true, Capacity: r.Capacity}) {
			v.failf("%s.hash routes by token ids: it goes with top_k and capacity only", name)
		}
	} else if r.Score == 0 {
		v.failf("%s.score is missing, want one of sigmoid, softmax, softmax_topk", name)
	}
	if s := r.Sinkhorn; s != nil {
		v.positive(name+".sinkhorn.max_iterations", s.MaxIterations)
		if !(s.Temperature > 0 && s.Temperature < 1e6) || !(s.Tolerance > 0 && s.Tolerance < 1) {
			v.failf("%s.sinkhorn: temperature is %v and tolerance %v, want above 0, and below 1e6 and 1", name, s.Temperature, s.Tolerance)
		}
	} else if r.Inference == SinkhornInference || r.Inference == EMABiasInference {
		v.failf("%s.inference is %v, but it has no sinkhorn", name, r.Inference)
	}
	if r.ExpertChoice {
		only := Router{TopK: r.TopK, Score: kernels.SoftmaxScore, GateScale: r.GateScale, Bias: r.Bias, Input: r.Input, ExpertChoice: true, Inference: r.Inference}
		if choices == 1 && r != only {
			v.failf("%s.expert_choice fills experts evenly: it goes with score: softmax, and with no balance_loss, z_loss or capacity", name)
		}
	} else if r.Inference == ExpertChoiceInference {
		v.failf("%s.inference is %v, but it has no expert_choice", name, r.Inference)
	}
	if f := r.LossFree; f != nil && !(f.Rate > 0 && f.Rate < 1) {
		v.failf("%s.loss_free.rate is missing or %v, want above 0 and below 1", name, f.Rate)
	}
	for _, n := range []struct {
		field string
		value float32
	}{{"gate_scale", r.GateScale}, {"balance_loss", r.BalanceLoss}, {"z_loss", r.ZLoss}, {"capacity", r.Capacity}} {
		if !(n.value >= 0 && n.value < 1e6) {
			v.failf("%s.%s is %v, want at least 0 and below 1e6", name, n.field, n.value)
		}
	}
}
