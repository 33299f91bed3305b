package configs

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"quadrant/arch"
)

// A document is a preset as its YAML says it: an arch.Config whose layers are folded.
type document struct {
	Name      string    `yaml:"name"`
	Group     string    `yaml:"group"`
	Source    string    `yaml:"source"`
	Tokenizer string    `yaml:"tokenizer"`
	Vocab     int       `yaml:"vocab"`
	Dim       int       `yaml:"d_model"`
	Norm      arch.Norm `yaml:"norm"`
	FinalNorm arch.Norm `yaml:"final_norm"`
	TiedHead  bool      `yaml:"tied_head"`
	HeadBias  bool      `yaml:"head_bias"`
	Layers    []group   `yaml:"layers"`
}

// A group stands for its layers, Repeat times over.
type group struct {
	Repeat int          `yaml:"repeat"`
	Layers []arch.Layer `yaml:"layers"`
}

// maxLayers bounds what a file's repeats may ask for.
const maxLayers = 10_000

// tokenizers are those that a preset may name, with the number of their tokens.
var tokenizers = []struct {
	name   string
	tokens int
}{{"bytes", 256}, {"gpt-neox-20b", 50277}}

// Parse reads a preset from YAML. file is what errors call it; they name the line or the
// field, and the numbers that do not go together.
func Parse(file string, data []byte) (Preset, error) {
	var d document
	if err := decode(data, &d); err != nil {
		return Preset{}, fmt.Errorf("configs: %s:%w", file, err)
	}
	p, err := d.preset()
	if err != nil {
		return Preset{}, fmt.Errorf("configs: %s: %w", file, err)
	}
	return p, nil
}

func (d document) preset() (Preset, error) {
	for _, field := range []struct{ name, value string }{
		{"name", d.Name}, {"group", d.Group}, {"source", d.Source}, {"tokenizer", d.Tokenizer},
	} {
		if field.value == "" {
			return Preset{}, fmt.Errorf("%s is missing", field.name)
		}
	}
	c := arch.Config{
		Vocab: d.Vocab, Dim: d.Dim, Norm: d.Norm, FinalNorm: d.FinalNorm,
		TiedHead: d.TiedHead, HeadBias: d.HeadBias,
	}
	if len(d.Layers) == 0 {
		return Preset{}, fmt.Errorf("layers is missing or empty, want a list of {repeat, layers}")
	}
	for i, g := range d.Layers {
		if err := g.validate(fmt.Sprintf("layers[%d]", i), c); err != nil {
			return Preset{}, err
		}
		if n := len(c.Layers); g.Repeat > (maxLayers-n)/len(g.Layers) {
			return Preset{}, fmt.Errorf("layers[%d]: %d × %d layers after %d are too many, want at most %d in all", i, g.Repeat, len(g.Layers), n, maxLayers)
		}
		for range g.Repeat {
			c.Layers = append(c.Layers, clone(g.Layers)...)
		}
	}
	if err := c.Validate(); err != nil {
		return Preset{}, err
	}
	if err := checkTokenizer(d.Tokenizer, c.Vocab); err != nil {
		return Preset{}, err
	}
	return Preset{Name: d.Name, Group: d.Group, Source: d.Source, Tokenizer: d.Tokenizer, Config: c}, nil
}

// validate checks the group at place as the only layers of c, so that errors count layers
// as the file does, not as they are after repeating.
func (g group) validate(place string, c arch.Config) error {
	if len(g.Layers) == 0 {
		return fmt.Errorf("%s.layers is missing or empty, want at least 1 layer", place)
	}
	if g.Repeat < 1 {
		return fmt.Errorf("%s.repeat is missing or %d, want at least 1", place, g.Repeat)
	}
	c.Layers = g.Layers
	err := c.Validate()
	if err != nil && strings.HasPrefix(err.Error(), "layers[") {
		err = fmt.Errorf("%s.%w", place, err)
	}
	return err
}

// clone copies layers and all they point to.
func clone(layers []arch.Layer) []arch.Layer {
	text, err := json.Marshal(layers)
	var copied []arch.Layer
	if err == nil {
		err = json.Unmarshal(text, &copied)
	}
	if err != nil {
		panic(fmt.Sprintf("configs: layers that are valid have no JSON: %v", err))
	}
	return copied
}

func checkTokenizer(name string, vocab int) error {
	var known []string
	for _, t := range tokenizers {
		known = append(known, t.name)
	}
	i := slices.Index(known, name)
	if i < 0 {
		return fmt.Errorf("tokenizer %q is unknown, want one of %s", name, strings.Join(known, ", "))
	}
	if n := tokenizers[i].tokens; vocab < n {
		return fmt.Errorf("vocab is %d, but tokenizer %s has %d tokens", vocab, name, n)
	}
	return nil
}
