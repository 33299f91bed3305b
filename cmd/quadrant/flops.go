package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"quadrant/arch"
	"quadrant/flops"
	"quadrant/reports"
	"quadrant/train"
)

// flopsOptions are what 'flops' counts.
type flopsOptions struct {
	models         []string
	prompt, tokens int
	batch          int
	convention     string
	dtype          string
	training       bool
}

// A flopsRow is the count of one model, in the names that other programs read.
type flopsRow struct {
	Model          string           `json:"model"`
	Family         string           `json:"family"`
	Convention     string           `json:"convention"`
	Prompt         int              `json:"prompt"`
	Tokens         int              `json:"tokens"`
	Batch          int              `json:"batch"`
	ParamsTotal    int64            `json:"params_total"`
	ParamsActive   int64            `json:"params_active"`
	Forward        int64            `json:"flops_forward"`
	Training       float64          `json:"flops_training_per_token"`
	TrainingMethod string           `json:"flops_training_method"`
	Counted        float64          `json:"flops_training_counted_per_token,omitempty"`
	StateBytes     int64            `json:"state_bytes"`
	WeightBytes    int64            `json:"weight_bytes"`
	WeightsRead    int64            `json:"weight_bytes_read"`
	DType          string           `json:"dtype"`
	Parts          map[string]int64 `json:"parts"`
}

func newFLOPs(a *app) *cobra.Command {
	var o flopsOptions
	var format, out string
	cmd := &cobra.Command{
		Use:   "flops",
		Short: "Count FLOPs, parameters and bytes by running a model on a device that computes nothing",
		Long: `Counts the forward pass of --tokens tokens that follow --prompt others, of each of
--batch sequences, with logits for every token. The ops counted are those that run.

Conventions:
` + conventions() + `
Training FLOPs are three times those of the forward pass, per token, as published
numbers take them. --training also counts them, by the exact convention: every op of
a training step on --batch sequences of --tokens tokens, forward and backward, without
the optimiser.`,
		Example: `  quadrant flops --model blackmamba-1.5b --convention paper
  quadrant flops --model tiny-transformer --model tiny-mamba --prompt 4096
  quadrant flops --model pythia-160m --tokens 2048 --format json
  quadrant flops --model mamba-1.4b --tokens 2048 --training`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			rows, err := a.countRows(o)
			if err != nil {
				return err
			}
			return a.output(out, func(w io.Writer) error { return writeFLOPs(w, rows, o, format) })
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.models, "model", nil, "preset, YAML file or checkpoint folder; may be given several times")
	f.IntVar(&o.prompt, "prompt", 0, "tokens of each sequence read before")
	f.IntVar(&o.tokens, "tokens", 1, "tokens of each sequence counted")
	f.IntVar(&o.batch, "batch", 1, "sequences")
	f.StringVar(&o.convention, "convention", "exact", "what is counted: exact, paper or gu9")
	f.BoolVar(&o.training, "training", false, "count a training step too, exactly")
	f.StringVar(&o.dtype, "dtype", "", "type of weights and KV cache: "+dtypeUsage)
	f.StringVar(&format, "format", "table", "of the output: "+reports.Formats())
	f.StringVar(&out, "out", "", "file to write instead of standard output")
	return cmd
}

func conventions() (s string) {
	for _, c := range flops.Conventions {
		s += fmt.Sprintf("  %-6s %s\n", c.Name, c.Doc)
	}
	return s
}

func (a *app) countRows(o flopsOptions) ([]flopsRow, error) {
	if o.tokens < 1 || o.prompt < 0 || o.batch < 1 {
		return nil, misusef("--tokens %d, --prompt %d, --batch %d: want at least 1, 0 and 1", o.tokens, o.prompt, o.batch)
	}
	if o.training && o.prompt > 0 {
		return nil, misusef("--training counts sequences from their first token: it does not go with --prompt %d", o.prompt)
	}
	convention, err := flops.ConventionNamed(o.convention)
	if err != nil {
		return nil, misuse(err)
	}
	presets, err := findModels(o.models)
	if err != nil {
		return nil, err
	}
	if len(presets) == 0 {
		return nil, misusef("no model named: %s", modelUsage)
	}
	var rows []flopsRow
	for _, p := range presets {
		c, err := a.checkpointOf(p)
		if err != nil {
			return nil, err
		}
		if c != nil {
			p.Config = c.Config
		}
		chosen, err := a.typesOf(p, o.dtype)
		if err != nil {
			return nil, err
		}
		row, err := countRow(chosen, o, convention)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func countRow(p typed, o flopsOptions, c flops.Convention) (flopsRow, error) {
	t, err := flops.Count(p.Config, flops.Work{Seqs: o.batch, Context: o.prompt, Tokens: o.tokens, Types: p.types, Convention: c})
	if err != nil {
		return flopsRow{}, err
	}
	row := flopsRow{
		Model: p.Name, Family: string(p.Config.Family()), Convention: c.Name, Prompt: o.prompt, Tokens: o.tokens, Batch: o.batch,
		ParamsTotal: t.Params.Total, ParamsActive: t.Params.Active, Forward: t.FLOPs,
		Training:       flops.TrainingFactor * float64(t.FLOPs) / float64(o.tokens*o.batch),
		TrainingMethod: fmt.Sprintf("%d x forward", flops.TrainingFactor),
		StateBytes:     t.StateBytes, WeightBytes: t.Params.Bytes, WeightsRead: t.Cost.Weight, DType: p.types.Weights.String(), Parts: t.Parts,
	}
	if o.training {
		n, err := countTraining(p.Config, o.batch, o.tokens)
		if err != nil {
			return flopsRow{}, fmt.Errorf("%s: %w", p.Name, err)
		}
		row.Counted = float64(n) / float64(o.batch*o.tokens)
	}
	return row, nil
}

// countTraining counts a training step on a number of sequences by running it on a meter.
func countTraining(cfg arch.Config, seqs, tokens int) (int64, error) {
	var meter flops.Meter
	l, err := train.NewLearner(cfg, &meter)
	if err != nil {
		return 0, err
	}
	ids := make([]int32, seqs*tokens)
	for range 2 { // the first step opens a session, which is no part of the others
		meter.Reset()
		if _, err := l.Step(ids, ids, seqs, 1); err != nil {
			return 0, err
		}
	}
	return meter.FLOPs, nil
}

func writeFLOPs(w io.Writer, rows []flopsRow, o flopsOptions, format string) error {
	if format == "json" {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(rows)
	}
	t := reports.Table{
		Caption: fmt.Sprintf("FLOPs of the forward pass. Tokens: %d after %d others, batch %d. Convention: %s. Training: %d x forward, per token.",
			o.tokens, o.prompt, o.batch, o.convention, flops.TrainingFactor),
		Columns: []reports.Column{
			textColumn("model", "Model"), numberColumn("params_total", "Parameters"), numberColumn("params_active", "Active"),
			numberColumn("flops_forward", "Forward"), numberColumn("flops_training_per_token", "Training"),
		},
	}
	if o.training {
		t.Caption += " Counted: all ops of a training step, exact, per token."
		t.Columns = append(t.Columns, numberColumn("flops_training_counted_per_token", "Counted"))
	}
	t.Columns = append(t.Columns, numberColumn("state_bytes", "State"), numberColumn("weight_bytes", "Weights"))
	parts := partsOf(rows)
	for _, part := range parts {
		t.Columns = append(t.Columns, numberColumn(part, strings.ToUpper(part[:1])+part[1:]))
	}
	for _, r := range rows {
		cells := []reports.Cell{
			reports.Text(r.Model), count(r.ParamsTotal), count(r.ParamsActive), flopCount(r.Forward),
			{Text: fmt.Sprintf("%.4g", r.Training), Raw: r.Training},
		}
		if o.training {
			cells = append(cells, reports.Cell{Text: fmt.Sprintf("%.4g", r.Counted), Raw: r.Counted})
		}
		cells = append(cells, byteSize(r.StateBytes), byteSize(r.WeightBytes))
		for _, part := range parts {
			cells = append(cells, flopCount(r.Parts[part]))
		}
		t.Rows = append(t.Rows, cells)
	}
	return t.Write(w, format)
}

// partsOf is the parts of which at least one model has any.
func partsOf(rows []flopsRow) (parts []string) {
	for _, part := range flops.Parts {
		if slices.ContainsFunc(rows, func(r flopsRow) bool { return r.Parts[part] > 0 }) {
			parts = append(parts, part)
		}
	}
	return parts
}
