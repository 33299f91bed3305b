package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"quadrant/checkpoint"
)

// exportOptions are what 'export' writes.
type exportOptions struct {
	model, out, dtype, family string
}

func newExport(a *app) *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write a model as safetensors and config.json in the format of its family",
		Long: `Writes a folder with model.safetensors and config.json, in the names and keys of the
project whose architecture the model is, so that a model from here loads there
(docs/checkpoints.md says how) and back here, bit for bit. A preset is written with
the random weights of --seed. The folder appears complete or not at all.

Families: ` + strings.Join(checkpoint.Families(), ", ") + `. Matrices are written as
--dtype; norms, biases, A_log, D and routers as f32.`,
		Example: `  quadrant export --model tiny-mamba --out tiny-mamba-hf --family mamba-hf
  quadrant export --model models/mamba-130m --out mamba-130m-bf16 --dtype bf16`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if o.out == "" {
				return misuse(errors.New("no folder named: --out takes the folder to write"))
			}
			return a.export(o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.model, "model", "", "preset, YAML file or checkpoint folder")
	f.StringVar(&o.out, "out", "", "folder to write; it must not exist, or be empty")
	f.StringVar(&o.dtype, "dtype", "", "type of the matrices: "+dtypeUsage)
	f.StringVar(&o.family, "family", "", "format to write; none is the checkpoint's own, or the first that fits")
	return cmd
}

func (a *app) export(o exportOptions) error {
	p, err := findModel(o.model)
	if err != nil {
		return err
	}
	chosen, err := a.typesOf(p, o.dtype)
	if err != nil {
		return err
	}
	types := chosen.types
	subject, err := a.subject(p, types)
	if err != nil {
		return err
	}
	e := checkpoint.Export{Family: o.family, Metadata: map[string]string{"quadrant.model": p.Name, "quadrant.weights": subject.Weights}}
	c, err := a.checkpointOf(p)
	if err != nil {
		return err
	}
	if c != nil {
		p.Config = c.Config
		e.Copy = tokenizerFiles(c)
		if e.Family == "" {
			e.Family = c.Family()
		}
	}
	if _, err := e.Fits(p.Config); err != nil {
		return err
	}
	bytes, err := need(p, size{types, 1, 1})
	if err != nil {
		return err
	}
	if err := checkMemory(nil, p.Name, bytes); err != nil {
		return err
	}
	dev, err := a.openDevice()
	if err != nil {
		return err
	}
	m, err := a.build(dev, p, types)
	if err != nil {
		return err
	}
	return e.Write(o.out, dev, m)
}

// tokenizerFiles are those of c's folder that belong to its tokenizer.
func tokenizerFiles(c *checkpoint.Checkpoint) (files []string) {
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json"} {
		path := filepath.Join(c.Dir(), name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			files = append(files, path)
		}
	}
	return files
}
