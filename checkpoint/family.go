package checkpoint

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"quadrant/arch"
	"quadrant/kernels"
)

// Options are what a checkpoint does not say itself.
type Options struct {
	// ExpertAct is the activation of BlackMamba's MLPs and experts. 0 and GELU are what the
	// released code computes, whose "swiglu" turns on gating only; SiLU is what the same
	// word means to Megatron-LM, whose fork trained the model.
	ExpertAct kernels.Act
}

// A family is a way to publish models: the keys of config.json and the names of tensors.
type family struct {
	name      string
	project   string // whose code defines it
	tokenizer string // that its models use; "" where each brings its own
	is        func(*settings) bool
	config    func(*settings, Options) arch.Config
	// write is the inverse of config as far as there is one: what it returns is read
	// back and compared.
	write func(arch.Config) any
	parts func(arch.Config, place) []part
	// twin is the name that a tied head may have in a file beside the embedding's.
	twin string
	// own says that tensors are Params, under their own names: there is no parts.
	own bool
	// skip tells whether a tensor is no weight but a table that old code saved too.
	skip func(name string) bool
}

// families are all that are known, in the order in which export tries them.
var families = []*family{&blackMamba, &mamba, &mambaHF, &neox, &llama, &mixtral, &quadrant}

// Families lists the names of the families.
func Families() []string {
	var names []string
	for _, f := range families {
		names = append(names, f.name)
	}
	return names
}

// parseConfig tells the family of a config.json and the model that it describes.
func parseConfig(text []byte, o Options) (*family, arch.Config, error) {
	keys, err := parseObject(text)
	if err != nil {
		return nil, arch.Config{}, err
	}
	s := &settings{keys: keys}
	for _, f := range families {
		if !f.is(s) {
			continue
		}
		s.errs = nil
		c := f.config(s, o)
		err := s.err()
		if err == nil {
			err = c.Validate()
		}
		if err == nil && o.ExpertAct != 0 && f != &blackMamba {
			err = fmt.Errorf("an activation of experts can be chosen for %s only: this is %s, which says its own", blackMamba.name, f.name)
		}
		if err != nil {
			return f, arch.Config{}, fmt.Errorf("a config of %s (%s) that is not supported: %w", f.name, f.project, err)
		}
		return f, c, nil
	}
	kind := s.stringOr("model_type", "")
	if a, ok := keys["architectures"].([]any); ok && len(a) > 0 {
		kind = strings.TrimSpace(kind + " " + fmt.Sprint(a[0]))
	}
	return nil, arch.Config{}, fmt.Errorf("config.json is of no family that is known (model_type and architecture: %.100q): want one of %s", kind, strings.Join(Families(), ", "))
}

// modelType is the is of transformers' families.
func modelType(want string) func(*settings) bool {
	return func(s *settings) bool { return s.keys["model_type"] == any(want) }
}

// A place is what of a model a Param is: "mamba.in" of layer 3, or "embed" of layer −1.
type place struct {
	layer int
	name  string
}

func placeOf(param string) place {
	if rest, ok := strings.CutPrefix(param, "layers."); ok {
		number, name, _ := strings.Cut(rest, ".")
		if layer, err := strconv.Atoi(number); err == nil {
			return place{layer, name}
		}
	}
	return place{-1, param}
}

// A part is a tensor of a checkpoint and where its elements lie in a Param.
type part struct {
	tensor string
	shape  []int
	runs   []run
}

// A run is n elements that are neighbours in the Param, from to on, and in the tensor,
// from at on.
type run struct{ to, at, n int }

// slab is a part whose elements are neighbours in the Param, from to on.
func slab(to int, tensor string, shape ...int) part {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return part{tensor, shape, []run{{to, 0, n}}}
}

// one is the common case of a Param that is a tensor.
func one(tensor string, shape ...int) []part { return []part{slab(0, tensor, shape...)} }

// A weight is a Param with its parts.
type weight struct {
	name  string
	param *arch.Param
	parts []part
}

// weights lists the Params of m, and the tensors that hold them.
func (f *family) weights(m *arch.Model) ([]weight, error) {
	var all []weight
	var errs []error
	m.Params(func(name string, p *arch.Param) {
		var parts []part
		if f.own {
			parts = one(name, p.Rows, p.Cols)
		} else {
			parts = f.parts(m.Config, placeOf(name))
		}
		n := 0
		for _, part := range parts {
			for _, r := range part.runs {
				n += r.n
			}
		}
		if n != p.Len() {
			errs = append(errs, fmt.Errorf("%s has no place for %s %v", f.name, name, p.Mat))
		}
		all = append(all, weight{name, p, parts})
	})
	return all, errors.Join(errs...)
}

// fits tells whether f's config.json can say what c is, and returns it.
func (f *family) fits(c arch.Config) (any, error) {
	v := f.write(c)
	_, back, err := parseConfig(appendJSON(nil, v), Options{})
	if err != nil {
		return nil, err
	}
	if err := sameModel(c, back); err != nil {
		return nil, fmt.Errorf("its config.json cannot say that %w", err)
	}
	return v, nil
}

// sameModel says the first thing in which c computes something else than back, leaving
// aside how routers choose in training, which no family's config.json says.
func sameModel(c, back arch.Config) error {
	text := func(v any) string { return string(appendJSON(nil, v)) }
	differ := func(what string, a, b any) error {
		if x, y := text(a), text(b); x != y {
			return fmt.Errorf("%s is %s, rather than %s", what, x, y)
		}
		return nil
	}
	err := errors.Join(
		differ("vocab", c.Vocab, back.Vocab), differ("d_model", c.Dim, back.Dim), differ("norm", c.Norm, back.Norm),
		differ("final_norm", c.FinalNorm, back.FinalNorm), differ("tied_head", c.TiedHead, back.TiedHead),
		differ("head_bias", c.HeadBias, back.HeadBias), differ("the number of layers", len(c.Layers), len(back.Layers)))
	if err != nil {
		return firstOf(err)
	}
	for i := range c.Layers {
		if err := differ(fmt.Sprintf("layer %d", i), withoutSinkhorn(c.Layers[i]), withoutSinkhorn(back.Layers[i])); err != nil {
			return err
		}
	}
	return nil
}

func firstOf(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()[0]
	}
	return err
}

func withoutSinkhorn(l arch.Layer) arch.Layer {
	if m := l.Channel.MoE; m != nil {
		moe := *m
		moe.Router.Sinkhorn = nil
		l.Channel.MoE = &moe
	}
	return l
}

// familyFor returns the family whose config.json can say what c is, which must be called
// name unless that is empty, with the value of that config.json.
func familyFor(c arch.Config, name string) (*family, any, error) {
	i := slices.IndexFunc(families, func(f *family) bool { return f.name == name })
	if name != "" && i < 0 {
		return nil, nil, fmt.Errorf("family %q is unknown: want one of %s", name, strings.Join(Families(), ", "))
	}
	var errs []error
	for j, f := range families {
		if name != "" && i != j {
			continue
		}
		v, err := f.fits(c)
		if err == nil {
			return f, v, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", f.name, err))
	}
	return nil, nil, fmt.Errorf("no family of checkpoints fits this model:\n%w", errors.Join(errs...))
}

// repeat makes n layers that are alike but share nothing.
func repeat(n int, layer func() arch.Layer) []arch.Layer {
	layers := make([]arch.Layer, n)
	for i := range layers {
		layers[i] = layer()
	}
	return layers
}

// rms and layerNorm are the norms of a config.
func rms(eps float64) arch.Norm { return arch.Norm{Kind: arch.RMSNorm, Eps: float32(eps)} }

func layerNorm(eps float64) arch.Norm {
	return arch.Norm{Kind: arch.LayerNorm, Bias: true, Eps: float32(eps)}
}

// first returns the first of a config's mixers of a kind, or an empty one.
func first[T any](c arch.Config, of func(arch.Layer) *T) T {
	for _, l := range c.Layers {
		if m := of(l); m != nil {
			return *m
		}
	}
	return *new(T)
}

func mambaOf(l arch.Layer) *arch.Mamba         { return l.Sequence.Mamba }
func attentionOf(l arch.Layer) *arch.Attention { return l.Sequence.Attention }
func mlpOf(l arch.Layer) *arch.MLP             { return l.Channel.MLP }
func moeOf(l arch.Layer) *arch.MoE             { return l.Channel.MoE }
