package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"quadrant/bench"
	"quadrant/reports"
)

// replayOptions are what 'replay' measures.
type replayOptions struct {
	model, dtype, tokenizer string
	corpus                  []string
	plan                    bench.ReplayPlan
}

func newReplay(a *app) *cobra.Command {
	var o replayOptions
	var format, out string
	cmd := &cobra.Command{
		Use:   "replay",
		Short: "Measure what uneven routing costs in time",
		Long: `Records where a model's routers send the tokens of a text, and times the same forward
pass with tokens sent to experts in four ways, in turn: as recorded, as evenly as can
be (uniform), by Zipf's law, and all to the same experts (single; as many as a token
takes). Routers and kernels run as ever; only which expert works on which token differs.

The ratio to uniform is the cost of imbalance. With --prompt 1 and a larger --batch it
is that of a decode step.`,
		Example: `  quadrant replay --model tiny-mamba-moe
  quadrant replay --model blackmamba-1.5b --dtype bf16 --prompt 1 --batch 32 --out replay.jsonl`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			s, err := a.openSink(out)
			if err != nil {
				return err
			}
			if err := errors.Join(a.replay(cmd.Context(), o, s), s.close()); err != nil {
				return resumable(err, out)
			}
			t, err := reports.ReplayTable(s.results())
			if err != nil {
				return err
			}
			return a.table(t, format)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.model, "model", "", "preset, YAML file or checkpoint folder")
	f.StringSliceVar(&o.corpus, "corpus", nil, "files, folders or patterns to read; none is text that comes with Go")
	f.StringVar(&o.tokenizer, "tokenizer", "", "tokenizer.json file or folder that holds one; none is bytes")
	f.IntVar(&o.plan.Prompt, "prompt", 512, "tokens of each sequence")
	f.IntVar(&o.plan.Batch, "batch", 1, "sequences side by side")
	f.IntVar(&o.plan.Repeats, "repeats", 9, "passes under each routing")
	f.StringVar(&o.dtype, "dtype", "", "type of weights and KV cache: "+dtypeUsage)
	f.StringVar(&format, "format", "table", "of the summary: "+reports.Formats())
	f.StringVar(&out, "out", "", "file to append every sample to, as JSON lines")
	return cmd
}

// replay measures what o asks for and s does not have.
func (a *app) replay(ctx context.Context, o replayOptions, s *sink) error {
	if p := o.plan; p.Prompt < 1 || p.Batch < 1 || p.Repeats < 1 {
		return misusef("--prompt %d, --batch %d, --repeats %d: want at least 1", p.Prompt, p.Batch, p.Repeats)
	}
	p, err := findModel(o.model)
	if err != nil {
		return err
	}
	chosen, err := a.typesOf(p, o.dtype)
	if err != nil {
		return err
	}
	subject, err := a.subject(p, chosen.types)
	if err != nil {
		return err
	}
	bytes, err := need(p, size{chosen.types, o.plan.Batch, o.plan.Prompt})
	if err != nil {
		return err
	}
	dev, err := a.openDevice()
	if err != nil {
		return err
	}
	if err := checkMemory(dev, p.Name, bytes); err != nil {
		return err
	}
	text, err := a.readTokens(ctx, o.corpus, o.tokenizer, o.plan.Batch*o.plan.Prompt)
	if err != nil {
		return err
	}
	o.plan.IDs, o.plan.Corpus, o.plan.Tokenizer, o.plan.Seed = text.ids, text.corpus, text.tokens.Name(), a.seed
	bar := newProgress(a.stderr, "replay", o.plan.Repeats)
	defer bar.end()
	ms := bench.Measurer{Device: dev, Env: environment(dev), Clock: time.Now, Have: s.known, Write: s.write, Progress: bar.set}
	if ms.ReplayKnown(subject, p.Config, o.plan) {
		return nil
	}
	steered := &bench.Steered{Device: dev}
	m, err := a.build(steered, p, chosen.types)
	if err != nil {
		return err
	}
	if err := ms.Replay(ctx, steered, bench.Case{Subject: subject, Model: m}, o.plan); err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	return nil
}
