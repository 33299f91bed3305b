// Package configs holds the models that Quadrant knows by name, and the facts of the
// paper it reproduces, as YAML files built into the program. A model of one's own is a
// YAML file of the same form; see [ParseFile].
package configs

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"quadrant/arch"
)

// A Preset is a model with a name and a history.
type Preset struct {
	Name      string
	Group     string // of presets that belong together: blackmamba, mamba, matched, ...
	Source    string // where the numbers come from
	Tokenizer string // bytes or gpt-neox-20b
	Config    arch.Config
	// Checkpoint is the folder or file that the weights are in; "" where they are drawn.
	// Files of presets do not say it: whoever opens a checkpoint makes such a Preset.
	Checkpoint string
}

//go:embed presets/*.yaml
var presets embed.FS

// names are the presets in the order in which they are listed; each is a file.
var names = []string{
	"blackmamba-1.5b", "blackmamba-2.8b",
	"mamba-130m", "mamba-370m", "mamba-790m", "mamba-1.4b", "mamba-2.8b",
	"pythia-70m", "pythia-160m", "pythia-410m", "pythia-1b", "pythia-1.4b", "pythia-2.8b",
	"transformer-moe-130m", "mamba-moe-130m",
	"transformer-moe-8x", "transformer-moe-4x",
	"matched-transformer-340m", "matched-mamba-340m", "matched-transformer-moe-340m",
	"transformer-90m", "mamba-90m", "transformer-moe-90m", "mamba-moe-90m",
	"tiny-transformer", "tiny-mamba", "tiny-transformer-moe", "tiny-mamba-moe",
	"nano-transformer", "nano-mamba", "nano-mamba-mlp", "nano-transformer-moe", "nano-mamba-moe",
}

// Names returns the names of the presets, those of one group together.
func Names() []string { return slices.Clone(names) }

// All returns the presets in the order of [Names].
func All() []Preset {
	all := make([]Preset, len(names))
	for i, name := range names {
		var err error
		if all[i], err = Load(name); err != nil {
			panic(err) // a test loads them all
		}
	}
	return all
}

// Load returns the preset called name. The caller may change it.
func Load(name string) (Preset, error) {
	if !slices.Contains(names, name) {
		return Preset{}, fmt.Errorf("configs: preset %q is unknown: %s", name, suggest(name))
	}
	file := name + ".yaml"
	data, err := presets.ReadFile("presets/" + file)
	if err != nil {
		return Preset{}, fmt.Errorf("configs: %w", err)
	}
	return Parse(file, data)
}

// ParseFile reads the preset in the YAML file at path.
func ParseFile(path string) (Preset, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Preset{}, fmt.Errorf("configs: %w", err)
	}
	return Parse(path, data)
}

// Open returns the model that a user means: the YAML file if model ends in .yaml or .yml
// or has a path separator, and a preset otherwise.
func Open(model string) (Preset, error) {
	ext := filepath.Ext(model)
	if ext == ".yaml" || ext == ".yml" || strings.ContainsRune(filepath.ToSlash(model), '/') {
		return ParseFile(model)
	}
	return Load(model)
}

// suggest names the presets nearest to name, or else those that contain it, or else all.
func suggest(name string) string {
	name = strings.ToLower(name)
	var near, containing []string
	least := 2 // letters wrong, at most
	for _, n := range names {
		switch d := distance(name, n); {
		case d < least:
			near, least = []string{n}, d
		case d == least:
			near = append(near, n)
		case name != "" && strings.Contains(n, name):
			containing = append(containing, n)
		}
	}
	if len(near) == 0 {
		near = containing
	}
	if len(near) > 0 {
		return "did you mean " + strings.Join(near, ", ") + "?"
	}
	return "want a .yaml file or one of " + strings.Join(names, ", ")
}

// distance counts the letters to insert, delete or replace to make a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
