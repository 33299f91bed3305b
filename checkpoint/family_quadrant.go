package checkpoint

import (
	"bytes"
	"encoding/json"

	"quadrant/arch"
)

// quadrant is the format of models that no other family describes, such as mixtures of
// their architectures, and of models trained here: config.json holds the whole Config,
// with how routers choose in training, and each tensor is a Param under its own name.
var quadrant = family{
	name: "quadrant", project: "quadrant", tokenizer: "bytes",
	is: modelType("quadrant"), config: quadrantConfig, write: writeQuadrant, own: true,
}

// quadrantFile is a config.json of the family.
type quadrantFile struct {
	ModelType string      `json:"model_type"`
	Config    arch.Config `json:"config"`
}

func quadrantConfig(s *settings, _ Options) arch.Config {
	var file quadrantFile
	d := json.NewDecoder(bytes.NewReader(appendJSON(nil, s.keys)))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		s.failf("%w", err)
	}
	return file.Config
}

func writeQuadrant(c arch.Config) any { return quadrantFile{"quadrant", c} }
