package configs

import (
	_ "embed"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"quadrant/internal/enum"
)

// A Status says how well something in the paper is known. The zero Status is none.
type Status uint8

const (
	Primary    Status = iota + 1 // read in a primary source
	Derived                      // by arithmetic from primary sources
	Secondary                    // from a secondary summary
	Unverified                   // a recollection: to be drawn only where labelled as such
)

var statusNames = enum.Names{"S", "D", "2", "U"}

// String is the letter that the paper's facts are marked with: S, D, 2 or U.
func (s Status) String() string { return statusNames.Of(uint8(s)) }

// A Value is a number of the paper. Its text is the number and its status: "0.365 U".
type Value struct {
	Value  float64
	Status Status
}

// UnmarshalText reads a number and a status.
func (v *Value) UnmarshalText(text []byte) error {
	number, status, err := cutStatus(string(text))
	if err != nil {
		return err
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsInf(n, 0) || math.IsNaN(n) {
		return fmt.Errorf("have %q, want a finite number before the status", number)
	}
	*v = Value{n, status}
	return nil
}

// A Fact is something of the paper that is no number. Its text is "bf16 2".
type Fact struct {
	Text   string
	Status Status
}

// UnmarshalText reads words and a status.
func (f *Fact) UnmarshalText(text []byte) error {
	words, status, err := cutStatus(string(text))
	*f = Fact{words, status}
	return err
}

func cutStatus(text string) (string, Status, error) {
	i := strings.LastIndexByte(text, ' ')
	if i < 0 {
		return "", 0, fmt.Errorf("have %q, want a value, a space and a status, one of %s", text, strings.Join(statusNames, ", "))
	}
	status, err := statusNames.Parse("status", []byte(text[i+1:]))
	return strings.TrimSpace(text[:i]), Status(status), err
}

// Paper holds what is known of the BlackMamba paper's results, each with its status.
// What is not known is not in it. Counts are counts, scores are fractions of 1.
type Paper struct {
	Title            string            `yaml:"title"`
	ArXiv            string            `yaml:"arxiv"`
	Year             int               `yaml:"year"`
	Models           []PaperModel      `yaml:"models"`
	Training         PaperTraining     `yaml:"training"`
	TransformerMoE   PaperRuns         `yaml:"transformer_moe_runs"`
	Dataset          PaperDataset      `yaml:"dataset"`
	Sinkhorn         PaperSinkhorn     `yaml:"sinkhorn"`
	Evaluation       PaperEvaluation   `yaml:"evaluation"`
	Anchors          []PaperAnchor     `yaml:"anchors"`
	MambaPaperScores []PaperMambaScore `yaml:"mamba_paper_averages"`
}

// A PaperModel is one of the two models that the paper introduces.
type PaperModel struct {
	Name   string `yaml:"name"`   // in the paper: active/total parameters
	Preset string `yaml:"preset"` // see Load

	Layers       Value `yaml:"layers"`
	MambaLayers  Value `yaml:"mamba_layers"`
	MoELayers    Value `yaml:"moe_layers"`
	Dim          Value `yaml:"d_model"`
	Hidden       Value `yaml:"expert_hidden"`
	Experts      Value `yaml:"experts"`
	TopK         Value `yaml:"top_k"`
	State        Value `yaml:"d_state"`
	Conv         Value `yaml:"d_conv"`
	Expand       Value `yaml:"expand"`
	Inner        Value `yaml:"d_inner"`
	Rank         Value `yaml:"dt_rank"`
	Vocab        Value `yaml:"vocab"`
	Sequence     Value `yaml:"sequence"` // tokens
	Total        Value `yaml:"total_parameters"`
	Active       Value `yaml:"active_parameters"` // per token
	FLOPs        Value `yaml:"training_flops"`    // the authors' convention, no recomputation
	PrintedFLOPs Value `yaml:"printed_training_flops"`
}

// PaperTraining is how the paper's models were trained.
type PaperTraining struct {
	Tokens    Value `yaml:"tokens"`
	Sequence  Value `yaml:"sequence"` // tokens
	Precision Fact  `yaml:"precision"`
}

// PaperRuns are the authors' own transformer-MoE runs of the same width.
type PaperRuns struct {
	Experts     Value `yaml:"experts"`
	Layers      Value `yaml:"layers"`
	Dim         Value `yaml:"d_model"`
	Batch       Value `yaml:"batch"` // sequences
	LR          Value `yaml:"lr"`
	FinalLR     Value `yaml:"final_lr"` // of the cosine
	WarmUp      Value `yaml:"warm_up"`  // fraction of the steps
	Beta2       Value `yaml:"beta2"`
	Clip        Value `yaml:"clip"`
	WeightDecay Value `yaml:"weight_decay"`
	MLP         Fact  `yaml:"mlp"`
	Positions   Fact  `yaml:"positions"`
}

// PaperDataset is the pretraining data; its weights are not known.
type PaperDataset struct {
	Parts  []Fact `yaml:"parts"`
	Tokens Value  `yaml:"tokens"` // of all parts together
	Used   Value  `yaml:"used"`   // tokens
}

// PaperSinkhorn is how soon balancing converges, as printed and as derived.
type PaperSinkhorn struct {
	StandardIterations []Value        `yaml:"printed_standard_iterations"` // from, to
	Iterations         Value          `yaml:"printed_iterations"`          // with the paper's start
	Derived            []PaperBalance `yaml:"derived"`
}

// A PaperBalance is Sinkhorn on Gaussian logits for 8 experts with a relative tolerance,
// from the standard start (ones) and from the paper's.
type PaperBalance struct {
	Deviation       float64 `yaml:"logit_sd"`
	OnesIterations  Value   `yaml:"ones_iterations"`
	PaperIterations *Value  `yaml:"paper_iterations"` // nil: it does not converge
	OnesLoad        Value   `yaml:"ones_load"`        // max/mean after one pass
	PaperLoad       Value   `yaml:"paper_load"`
}

// PaperEvaluation is the paper's table of zero-shot scores, plain accuracy throughout.
type PaperEvaluation struct {
	Tasks []string   `yaml:"tasks"`
	Rows  []PaperRow `yaml:"rows"`
}

// A PaperRow has one score per task of its table.
type PaperRow struct {
	Model   string  `yaml:"model"`  // name of the series, without the size
	Active  Value   `yaml:"active"` // parameters used per token
	Total   Value   `yaml:"total"`  // parameters
	FLOPs   Value   `yaml:"training_flops"`
	Scores  []Value `yaml:"scores"`
	Average Value   `yaml:"average"`
}

// A PaperAnchor is a published score to check an evaluation harness by.
type PaperAnchor struct {
	Model  string `yaml:"model"`
	Task   string `yaml:"task"`
	Metric string `yaml:"metric"` // acc or ppl
	Value  Value  `yaml:"value"`
}

// A PaperMambaScore is a model's average over seven tasks by the protocol of Mamba's own
// paper (acc_norm in two of them), not to be mixed with [PaperEvaluation].
type PaperMambaScore struct {
	Model   string `yaml:"model"`
	Average Value  `yaml:"average"`
}

//go:embed paper.yaml
var paper []byte

// LoadPaper returns the paper's facts.
func LoadPaper() (Paper, error) { return parsePaper("paper.yaml", paper) }

func parsePaper(file string, data []byte) (Paper, error) {
	var p Paper
	if err := decode(data, &p); err != nil {
		return Paper{}, fmt.Errorf("configs: %s:%w", file, err)
	}
	if err := complete(reflect.ValueOf(p), ""); err != nil {
		return Paper{}, fmt.Errorf("configs: %s: %w", file, err)
	}
	for i, row := range p.Evaluation.Rows {
		if have, want := len(row.Scores), len(p.Evaluation.Tasks); have != want {
			return Paper{}, fmt.Errorf("configs: %s: evaluation.rows[%d] has %d scores for %d tasks", file, i, have, want)
		}
	}
	return p, nil
}

// complete returns an error if a field that v holds was left out. A nil pointer may be.
func complete(v reflect.Value, path string) error {
	switch v.Interface().(type) {
	case Value, Fact:
		v = v.FieldByName("Status")
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			name := v.Type().Field(i).Tag.Get("yaml")
			if err := complete(v.Field(i), strings.TrimPrefix(path+"."+name, ".")); err != nil {
				return err
			}
		}
		return nil
	case reflect.Slice:
		for i := range v.Len() {
			if err := complete(v.Index(i), fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	case reflect.Pointer:
		return nil
	}
	if v.IsZero() {
		return fmt.Errorf("%s is missing", path)
	}
	return nil
}
