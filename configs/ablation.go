package configs

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"quadrant/arch"
	"quadrant/internal/enum"
)

// An Ablation is a question to an architecture: a base model, what is changed in it, what
// stays equal, and how long each answer is trained. Package sweep makes models of it.
type Ablation struct {
	Name     string
	About    string // what is asked, in one line
	Base     Preset
	Axes     Axes
	Design   Design
	Match    Match
	Seeds    int // runs of each model, from the seeds that follow each other
	Training Training
}

// Axes are the values that each setting takes. An empty one is not changed.
type Axes struct {
	AttentionRatio []float64          `yaml:"attention_ratio"` // share of sequence mixers that are attention, spread evenly
	Expand         []float64          `yaml:"expand"`          // d_inner of Mamba over d_model
	State          []int              `yaml:"d_state"`
	Conv           []int              `yaml:"d_conv"`
	MoEEvery       []int              `yaml:"moe_every"` // every n-th channel mixer is a MoE, others an MLP of the active size; 0 is none
	Parallel       []bool             `yaml:"parallel"`  // sequence and channel mixers read the same input
	Activation     []Activation       `yaml:"activation"`
	Experts        []int              `yaml:"experts"`
	TopK           []int              `yaml:"top_k"`
	Router         []RouterKind       `yaml:"router"`
	Input          []arch.RouterInput `yaml:"input"`
	GateScale      []float64          `yaml:"gate_scale"`
	Iterations     []int              `yaml:"iterations"`   // of Sinkhorn, at most
	Tolerance      []float64          `yaml:"tolerance"`    // of Sinkhorn: when it stops
	ColumnFirst    []bool             `yaml:"column_first"` // Sinkhorn's initialisation
	Absolute       []bool             `yaml:"absolute"`     // Sinkhorn's rule for when to stop
	LR             []float64          `yaml:"lr"`
}

// Training is how each model is trained. What is zero follows from the model's width, as
// 'quadrant train' has it.
type Training struct {
	Steps      int      `yaml:"steps"`
	Context    int      `yaml:"context"`
	Batch      int      `yaml:"batch"`
	Accumulate int      `yaml:"accumulate"`
	LR         float64  `yaml:"lr"`
	Corpus     []string `yaml:"corpus"` // files, folders and patterns; none is the texts that come with Go
	ValidBytes int      `yaml:"valid_bytes"`
}

// A Design says which values of the axes are put together.
type Design uint8

const (
	Grid Design = iota + 1 // all with all
	Each                   // each value of each axis with the base's values of others
)

var designNames = enum.Names{"grid", "each"}

func (d Design) String() string { return designNames.Of(uint8(d)) }

// UnmarshalText sets d to the design called text.
func (d *Design) UnmarshalText(text []byte) error {
	v, err := designNames.Parse("design", text)
	*d = Design(v)
	return err
}

// A Match says what all models of an ablation have in common with the base. All but
// MatchTokens are met by the hidden size of MLPs and experts.
type Match uint8

const (
	MatchTokens       Match = iota + 1 // the tokens read, and nothing else
	MatchActiveParams                  // parameters that one token uses
	MatchTotalParams
	MatchTrainFLOPs // FLOPs per token of the context that is trained
)

var matchNames = enum.Names{"tokens", "active_params", "total_params", "train_flops"}

func (m Match) String() string { return matchNames.Of(uint8(m)) }

// UnmarshalText sets m to what text calls.
func (m *Match) UnmarshalText(text []byte) error {
	v, err := matchNames.Parse("match", text)
	*m = Match(v)
	return err
}

// A RouterKind is a router of docs/routers.md with the numbers that are usual for it.
type RouterKind uint8

const (
	SinkhornRouter     RouterKind = iota + 1 // Sinkhorn balances; the base's settings of it, if it has any
	SwitchRouter                             // softmax, balance_loss 0.01, z_loss 0.001, gate_scale 1
	LossFreeRouter                           // a learned bias, rate 0.001
	HashRouter                               // by the token's id
	ArgmaxRouter                             // nothing balances
	ExpertChoiceRouter                       // experts choose tokens; softmax, gate_scale 1
)

var routerKindNames = enum.Names{"sinkhorn", "switch", "loss_free", "hash", "none", "expert_choice"}

func (k RouterKind) String() string { return routerKindNames.Of(uint8(k)) }

// UnmarshalText sets k to the kind called text.
func (k *RouterKind) UnmarshalText(text []byte) error {
	v, err := routerKindNames.Parse("router", text)
	*k = RouterKind(v)
	return err
}

// An Activation is that of MLPs and experts, with its gating.
type Activation uint8

const (
	SwiGLU Activation = iota + 1 // silu, gated by the first half
	GeGLU
	ReGLU
	SiLU // ungated, as those that follow
	GELU
	ReLU
)

var activationNames = enum.Names{"swiglu", "geglu", "reglu", "silu", "gelu", "relu"}

func (a Activation) String() string { return activationNames.Of(uint8(a)) }

// UnmarshalText sets a to the activation called text.
func (a *Activation) UnmarshalText(text []byte) error {
	v, err := activationNames.Parse("activation", text)
	*a = Activation(v)
	return err
}

//go:embed ablations/*.yaml
var ablations embed.FS

// ablationNames are the ablations in the order in which they are listed; each is a file.
var ablationNames = []string{"experts", "topk", "router", "sinkhorn", "placement", "d_state", "hybrid", "router_input"}

// AblationNames returns the names of the ablations that are built in.
func AblationNames() []string { return slices.Clone(ablationNames) }

// OpenAblation returns the ablation that a user means: the YAML file if name ends in .yaml or
// .yml or has a path separator, and one that is built in otherwise.
func OpenAblation(name string) (Ablation, error) {
	ext := filepath.Ext(name)
	if ext == ".yaml" || ext == ".yml" || strings.ContainsRune(filepath.ToSlash(name), '/') {
		data, err := os.ReadFile(name)
		if err != nil {
			return Ablation{}, fmt.Errorf("configs: %w", err)
		}
		return ParseAblation(name, data)
	}
	if !slices.Contains(ablationNames, name) {
		return Ablation{}, fmt.Errorf("configs: ablation %q is unknown: want a .yaml file or one of %s", name, strings.Join(ablationNames, ", "))
	}
	data, err := ablations.ReadFile("ablations/" + name + ".yaml")
	if err != nil {
		return Ablation{}, fmt.Errorf("configs: %w", err)
	}
	return ParseAblation(name+".yaml", data)
}

// An ablationDocument is an ablation as its YAML says it.
type ablationDocument struct {
	Name     string   `yaml:"name"`
	About    string   `yaml:"about"`
	Base     baseOf   `yaml:"base"`
	Axes     Axes     `yaml:"axes"`
	Design   Design   `yaml:"design"`
	Match    Match    `yaml:"match"`
	Seeds    int      `yaml:"seeds"`
	Training Training `yaml:"training"`
}

// A baseOf is a preset's name or a model in the form of a preset's file.
type baseOf struct {
	Preset string    `yaml:"preset"`
	Model  *document `yaml:"model"`
}

// ParseAblation reads an ablation from YAML. file is what errors call it; they name the line
// or the field.
func ParseAblation(file string, data []byte) (Ablation, error) {
	d := ablationDocument{Design: Grid, Match: MatchTokens, Seeds: 1}
	if err := decode(data, &d); err != nil {
		return Ablation{}, fmt.Errorf("configs: %s:%w", file, err)
	}
	a, err := d.ablation()
	if err != nil {
		return Ablation{}, fmt.Errorf("configs: %s: %w", file, err)
	}
	return a, nil
}

func (d ablationDocument) ablation() (Ablation, error) {
	a := Ablation{Name: d.Name, About: d.About, Axes: d.Axes, Design: d.Design, Match: d.Match, Seeds: d.Seeds, Training: d.Training}
	if d.Name == "" || strings.ContainsAny(d.Name, `/\`) {
		return a, fmt.Errorf("name is missing or %q, want one that a folder can have", d.Name)
	}
	if d.Seeds < 1 || d.Seeds > 1000 {
		return a, fmt.Errorf("seeds is %d, want 1 to 1000", d.Seeds)
	}
	if err := d.Training.check(); err != nil {
		return a, err
	}
	var err error
	a.Base, err = d.Base.preset()
	return a, err
}

// check finds numbers that no default stands for; training checks the others.
func (t Training) check() error {
	for _, f := range []struct {
		name  string
		value float64
	}{
		{"steps", float64(t.Steps)}, {"context", float64(t.Context)}, {"batch", float64(t.Batch)},
		{"accumulate", float64(t.Accumulate)}, {"lr", t.LR}, {"valid_bytes", float64(t.ValidBytes)},
	} {
		if f.value < 0 {
			return fmt.Errorf("training.%s is %v, want more than 0, or 0 for what is usual", f.name, f.value)
		}
	}
	return nil
}

func (b baseOf) preset() (Preset, error) {
	switch {
	case (b.Preset == "") == (b.Model == nil):
		return Preset{}, errors.New("base: want one of preset (a name) and model (as in a preset's file)")
	case b.Model == nil:
		p, err := Load(b.Preset)
		if err != nil {
			return p, fmt.Errorf("base.preset: %w", err)
		}
		return p, nil
	}
	p, err := b.Model.preset()
	if err != nil {
		return p, fmt.Errorf("base.model: %w", err)
	}
	return p, nil
}
