package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"quadrant/hub"
)

func newPull(a *app) *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "pull org/name[@revision]",
		Short: "Download a model",
		Long: `Downloads a model's config, weights (safetensors if there are any, else PyTorch's)
and tokenizer from a hub that speaks Hugging Face's protocol, verifies them, and
prints the folder that they are in.

That is the cache of Hugging Face's own programs, unless --to names another. What is
there already is not downloaded again, and a download that broke off goes on where
it ended.

The environment may say: HF_ENDPOINT (https://huggingface.co), HF_TOKEN (for models
that need one), HF_HOME (~/.cache/huggingface) or HF_HUB_CACHE.`,
		Example: `  quadrant pull state-spaces/mamba-130m-hf
  quadrant pull Zyphra/BlackMamba-1.5B@main --to blackmamba`,
		Args: func(cmd *cobra.Command, args []string) error { return misuse(cobra.ExactArgs(1)(cmd, args)) },
		RunE: func(cmd *cobra.Command, args []string) error { return a.pull(cmd.Context(), args[0], to) },
	}
	cmd.Flags().StringVar(&to, "to", "", "folder to download to, instead of the cache")
	return cmd
}

func (a *app) pull(ctx context.Context, name, to string) error {
	r, err := hub.ParseRef(name)
	if err != nil {
		return misuse(err)
	}
	c, err := hub.FromEnv()
	if err != nil {
		return misuse(err)
	}
	bar := newProgress(a.stderr, "pull", 1)
	defer bar.end()
	c.Progress = func(done, total int64) { bar.set(int(done), int(total)) }
	c.Log = func(format string, args ...any) { a.log.Warn(fmt.Sprintf(format, args...)) }
	dir, err := c.Pull(ctx, r, to)
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted; the same command goes on from there")
	}
	if err == nil {
		_, err = fmt.Fprintln(a.stdout, dir)
	}
	return err
}
