package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"quadrant/arch"
	"quadrant/checkpoint"
	"quadrant/configs"
	"quadrant/reports"
)

func newInspect(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "inspect DIR",
		Short: "List a checkpoint's tensors, and say what of it would not load and why",
		Long: `Lists the tensors of a checkpoint: a folder with config.json and weights
(model.safetensors, pytorch_model.bin, or several with an index.json), or one file
of weights. Only headers are read. Tensors that would not load are listed with the
reason, those that are missing too; then the exit code is 1. Formats for machines
have the summary on standard error.`,
		Example: `  quadrant inspect models/BlackMamba-1.5B
  quadrant inspect model.safetensors --format csv`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return misusef("%d folders named, want one: quadrant inspect DIR", len(args))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			return a.inspect(args[0], format)
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "of the output: "+reports.Formats())
	return cmd
}

func (a *app) inspect(path, format string) error {
	c, unknown := checkpoint.Open(path, checkpoint.Options{})
	w, err := checkpoint.OpenWeights(path)
	if err != nil {
		return errors.Join(unknown, err)
	}
	defer w.Close()
	var ignored []string
	bad := unknown
	if c != nil {
		ignored, bad = c.Check(w)
	}
	t, err := inspectTable(c, w, ignored, bad)
	if err != nil {
		return err
	}
	if format != "table" && format != "md" { // which have a caption
		fmt.Fprintln(a.stderr, t.Caption)
	}
	if err := a.table(t, format); err != nil {
		return err
	}
	return bad
}

// inspectTable lists the tensors of w with what becomes of each.
func inspectTable(c *checkpoint.Checkpoint, w *checkpoint.Weights, ignored []string, bad error) (reports.Table, error) {
	t := reports.Table{Columns: []reports.Column{
		textColumn("tensor", "Tensor"), textColumn("dtype", "Type"), textColumn("shape", "Shape"),
		numberColumn("elements", "Elements"), numberColumn("bytes", "Bytes"), textColumn("state", "State"),
	}}
	problems := map[string]checkpoint.Problem{}
	var mismatch *checkpoint.Mismatch
	if errors.As(bad, &mismatch) {
		for _, p := range mismatch.Problems {
			problems[p.Tensor] = p
		}
	}
	var elements int64
	for _, x := range w.Tensors {
		state := "loads"
		switch p, ok := problems[x.Name]; {
		case ok:
			state = strings.TrimSpace(p.Kind + ": " + p.Detail)
		case c == nil:
			state = ""
		case slices.Contains(ignored, x.Name):
			state = "ignored"
		}
		elements += int64(x.Elements())
		t.Rows = append(t.Rows, []reports.Cell{
			reports.Text(x.Name), reports.Text(x.DType), reports.Text(fmt.Sprint(x.Shape)), count(x.Elements()), byteSize(int64(len(x.Data))), reports.Text(state),
		})
	}
	if mismatch != nil {
		for _, p := range mismatch.Problems {
			if p.Kind == "missing" {
				t.Rows = append(t.Rows, []reports.Cell{reports.Text(p.Tensor), {}, reports.Text(p.Detail), {}, {}, reports.Text("missing")})
			}
		}
	}
	t.Caption = fmt.Sprintf("%d tensors of %s in %d %s file(s), %s elements.", len(w.Tensors), strings.Join(w.DTypes(), ", "), len(w.Files), w.Format, count(elements).Text)
	if c == nil {
		t.Caption += " No family was recognised."
		return t, nil
	}
	size, err := countAt(configs.Preset{Config: c.Config}, 1, arch.Types{})
	if err != nil {
		return t, err
	}
	t.Caption += fmt.Sprintf(" Family %s (%s), architecture %s, %d layers, d_model %d; %s parameters, %s active per token.",
		c.Family(), c.Project(), c.Config.Family(), len(c.Config.Layers), c.Config.Dim, count(size.Params.Total).Text, count(size.Params.Active).Text)
	if bad == nil {
		types, err := c.MatrixTypes()
		if err != nil {
			return t, err
		}
		t.Caption += " It loads, its matrices as " + types[0].String()
		if len(types) > 1 {
			t.Caption += fmt.Sprintf(", the type of most bytes of %s", join(types))
		}
		t.Caption += "."
	}
	return t, nil
}
