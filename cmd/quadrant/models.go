package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"quadrant/configs"
	"quadrant/flops"
	"quadrant/reports"
)

func newModels(a *app) *cobra.Command {
	var format, dtype, out string
	cmd := &cobra.Command{
		Use:   "models",
		Short: "List the models that are known by name, with their sizes",
		Long: `Lists the presets with total and active parameters (those that one token uses),
the bytes that one sequence's KV cache or SSM state takes at 2,048 and 32,768 tokens,
and the bytes of the weights. A model of your own is a YAML file of the same form:
every --model takes one.`,
		Example: `  quadrant models
  quadrant models --dtype bf16 --format md`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			t, err := modelsTable(dtype)
			if err != nil {
				return err
			}
			return a.output(out, func(w io.Writer) error { return t.Write(w, format) })
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "of the output: "+reports.Formats())
	cmd.Flags().StringVar(&out, "out", "", "file to write instead of standard output")
	cmd.Flags().StringVar(&dtype, "dtype", "f32", "type of weights and KV cache: f32, bf16, f16")
	return cmd
}

// shortContext and longContext are where states are compared: what models are trained at
// and what people want of them.
const shortContext, longContext = 2048, 32768

func modelsTable(dtype string) (reports.Table, error) {
	types, err := parseTypes(dtype)
	if err != nil {
		return reports.Table{}, err
	}
	t := reports.Table{
		Caption: fmt.Sprintf("Models, with weights and KV cache of %s. Active: parameters that one token uses. State: of one sequence.", dtype),
		Columns: []reports.Column{
			textColumn("model", "Model"), textColumn("family", "Family"),
			numberColumn("layers", "Layers"), numberColumn("d_model", "d_model"),
			numberColumn("params_total", "Parameters"), numberColumn("params_active", "Active"),
			numberColumn("state_bytes_2048", "State at 2k"), numberColumn("state_bytes_32768", "State at 32k"),
			numberColumn("weight_bytes", "Weights"),
		},
	}
	for _, p := range configs.All() {
		var states [2]int64
		var tally flops.Tally
		for i, n := range []int{shortContext, longContext} {
			if tally, err = countAt(p, n, types); err != nil {
				return t, fmt.Errorf("%s: %w", p.Name, err)
			}
			states[i] = tally.StateBytes
		}
		t.Rows = append(t.Rows, []reports.Cell{
			reports.Text(p.Name), reports.Text(string(p.Config.Family())), count(len(p.Config.Layers)), reports.Int(p.Config.Dim),
			count(tally.Params.Total), count(tally.Params.Active), byteSize(states[0]), byteSize(states[1]), byteSize(tally.Params.Bytes),
		})
	}
	return t, nil
}
