package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"quadrant/hub"
)

// pullOptions are the flags of pull.
type pullOptions struct {
	dataset, to, endpoint string
	choice                hub.Choice
	maxSize               float64 // GB
}

func newPull(a *app) *cobra.Command {
	var o pullOptions
	cmd := &cobra.Command{
		Use:   "pull org/name[@revision] | --dataset org/name[@revision]",
		Short: "Download a model or a data set",
		Long: `Downloads a model's config, weights (safetensors if there are any, else PyTorch's)
and tokenizer from a hub that speaks Hugging Face's protocol, verifies them, and
prints the folder that they are in.

With --dataset it downloads a data set's files of records and text (.parquet, .jsonl,
.json, .txt, .lst, also .gz and .zst): all of them, or those in the folder --config, of
the splits --split, and with names like --include. 'quadrant data check' and 'quadrant
eval --data' take the folder.

It is in the cache of Hugging Face's own programs, unless --to names another. What is
there already is not downloaded again, and a download that broke off goes on where
it ended.

The environment may say: HF_ENDPOINT (https://huggingface.co), HF_TOKEN (for what
needs one), HF_HOME (~/.cache/huggingface) or HF_HUB_CACHE.`,
		Example: `  quadrant pull state-spaces/mamba-130m-hf
  quadrant pull Zyphra/BlackMamba-1.5B@main --to blackmamba
  quadrant pull --dataset Rowan/hellaswag --split validation --to evaldata/hellaswag
  quadrant data check evaldata --task hellaswag`,
		Args: func(cmd *cobra.Command, args []string) error {
			if o.dataset != "" {
				return misuse(cobra.NoArgs(cmd, args))
			}
			return misuse(cobra.ExactArgs(1)(cmd, args))
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, name := range []string{"config", "split", "include", "max-size"} {
				if cmd.Flags().Changed(name) && o.dataset == "" {
					return misusef("--%s chooses files of a data set: give --dataset", name)
				}
			}
			if o.maxSize < 0 || o.maxSize > 1e9 {
				return misusef("--max-size is %v, want 0 to 1e9 GB", o.maxSize)
			}
			o.choice.MaxSize = int64(o.maxSize * 1e9)
			name := o.dataset
			if name == "" {
				name = args[0]
			}
			return a.pull(cmd.Context(), name, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.dataset, "dataset", "", "download this data set, no model")
	f.StringVar(&o.choice.Config, "config", "", "of a data set: only files in folders of this name, such as ARC-Easy")
	f.StringSliceVar(&o.choice.Splits, "split", nil, "of a data set: only these splits, by comma: train, validation, test or another name")
	f.StringSliceVar(&o.choice.Include, "include", nil, "of a data set: only files with names like these, such as 'data/*.parquet'")
	f.Float64Var(&o.maxSize, "max-size", 10, "of a data set: download nothing if it is more than this, in GB; 0 for no limit")
	f.StringVar(&o.to, "to", "", "folder to download to, instead of the cache")
	f.StringVar(&o.endpoint, "endpoint", "", "address of the hub, instead of HF_ENDPOINT")
	return cmd
}

func (a *app) pull(ctx context.Context, name string, o pullOptions) error {
	r, err := hub.ParseRef(name)
	if err != nil {
		return misuse(err)
	}
	c, err := hub.FromEnv()
	if err == nil && o.endpoint != "" {
		err = c.SetEndpoint("--endpoint", o.endpoint)
	}
	if err != nil {
		return misuse(err)
	}
	bar := newProgress(a.stderr, "pull", 1)
	defer bar.end()
	c.Progress = func(done, total int64) { bar.set(int(done), int(total)) }
	c.Log = func(format string, args ...any) { a.log.Warn(fmt.Sprintf(format, args...)) }
	var dir string
	if o.dataset != "" {
		dir, err = c.PullDataset(ctx, r, o.choice, o.to)
	} else {
		dir, err = c.Pull(ctx, r, o.to)
	}
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted; the same command goes on from there")
	}
	if err == nil {
		_, err = fmt.Fprintln(a.stdout, dir)
	}
	return err
}
