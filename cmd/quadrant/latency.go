package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"quadrant/bench"
	"quadrant/flops"
	"quadrant/kernels"
	"quadrant/reports"
)

// latencyOptions are what 'latency' and 'reproduce' measure.
type latencyOptions struct {
	models []string
	dtype  string
	plan   bench.Plan
}

func newLatency(a *app) *cobra.Command {
	var o latencyOptions
	var gens, format, out string
	cmd := &cobra.Command{
		Use:   "latency",
		Short: "Measure generation latency by sequence length",
		Long: `Reads a prompt of random tokens and generates greedily, timing every token, for
each model in turn, several times. One run to the longest length gives the
latency at all lengths. A preset's weights are random: time does not depend on
their values, but for the router's choices. How fast the device moves bytes is
measured first: MBU is the share of that which a decode step needs.

With --out every sample is appended to a file as it is measured. A command that
was stopped goes on from there when it is given again.`,
		Example: `  quadrant latency --models tiny-transformer,tiny-mamba --gen 128-1024*2
  quadrant latency --models blackmamba-1.5b --dtype bf16 --gen 16 --prompt 32 --repeats 1
  quadrant latency --models tiny-mamba-moe --batch 8 --gen 256 --out runs.jsonl --format md`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			lengths, err := parseLengths(gens)
			if err != nil {
				return misuse(err)
			}
			o.plan.Gens, o.plan.Seed = lengths, a.seed
			s, err := a.openSink(out)
			if err != nil {
				return err
			}
			err = errors.Join(a.latency(cmd.Context(), o, s), s.close())
			if err != nil {
				return resumable(err, out)
			}
			return a.table(reports.LatencyTable(s.results()), format)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.models, "models", nil, "presets, YAML files or checkpoint folders, by comma")
	f.StringVar(&gens, "gen", "128", "tokens to generate: 128,512 or a range such as 128-2048*2")
	f.IntVar(&o.plan.Prompt, "prompt", 128, "tokens of the prompt")
	f.IntVar(&o.plan.Batch, "batch", 1, "sequences side by side")
	f.IntVar(&o.plan.Repeats, "repeats", 5, "runs of each model")
	f.StringVar(&o.dtype, "dtype", "", "type of weights and KV cache: "+dtypeUsage)
	f.StringVar(&format, "format", "table", "of the summary: "+reports.Formats())
	f.StringVar(&out, "out", "", "file to append every sample to, as JSON lines")
	return cmd
}

// resumable says what becomes of the work of a command that was stopped.
func resumable(err error, out string) error {
	if !errors.Is(err, context.Canceled) {
		return err
	}
	if out == "" {
		return errors.New("interrupted; nothing was kept, for --out named no file")
	}
	return fmt.Errorf("interrupted; what was measured is in %s, and the same command goes on from there", out)
}

// latency measures what o asks for and s does not have.
func (a *app) latency(ctx context.Context, o latencyOptions, s *sink) error {
	if err := o.plan.Validate(); err != nil {
		return misuse(err)
	}
	presets, err := findModels(o.models)
	if err != nil {
		return err
	}
	if len(presets) == 0 {
		return misuse(errors.New("no models named: --models takes presets or YAML files, by comma"))
	}
	models, err := a.typesOfAll(presets, o.dtype)
	if err != nil {
		return err
	}
	dev, err := a.openDevice()
	if err != nil {
		return err
	}
	var bytes int64
	for _, m := range models {
		n, err := need(m.Preset, size{m.types, o.plan.Batch, o.plan.Prompt + o.plan.Gens[len(o.plan.Gens)-1]})
		if err != nil {
			return err
		}
		bytes += n
	}
	if err := checkMemory(dev, fmt.Sprintf("holding %d models at once", len(models)), bytes); err != nil {
		return err
	}
	ms := bench.Measurer{
		Device: dev, Env: environment(dev), Clock: time.Now, Have: s.known, Write: s.write,
		Log: func(format string, args ...any) { a.log.Debug(fmt.Sprintf(format, args...)) },
	}
	cases, err := a.cases(dev, models, o.plan, &ms)
	if err != nil {
		return err
	}
	if err := tokenBytes(&ms, cases, models, o.plan, s); err != nil {
		return err
	}
	if err := ms.Bandwidth(ctx, largeFootprint(dev), bandwidthRepeats); err != nil {
		return err
	}
	bar := newProgress(a.stderr, "latency", 1)
	defer bar.end()
	ms.Progress = bar.set
	return ms.Latency(ctx, cases, o.plan)
}

const bandwidthRepeats = 3

// largeFootprint is more bytes than the caches of dev hold.
func largeFootprint(dev kernels.Device) int64 {
	if d, ok := dev.(bench.SelfTimed); ok {
		return max(leastColdOfGPU, 16*d.CacheBytes())
	}
	return beyondCaches()
}

// tokenBytes writes what decode steps must move: the weights that they read, and the caches or
// states that they read and write.
func tokenBytes(ms *bench.Measurer, cases []bench.Case, models []typed, plan bench.Plan, s *sink) error {
	for i, c := range cases {
		for _, gen := range plan.Gens {
			t, err := flops.Count(models[i].Config, flops.Work{
				Seqs: plan.Batch, Context: plan.Middle(gen), Tokens: 1, LastLogits: true, Types: models[i].types,
			})
			if err != nil {
				return err
			}
			if r := ms.TokenBytes(c, plan, gen, t.Cost.Weight+t.Cost.State); gen > 1 && !s.known(r) {
				if err := s.write(r); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// cases builds the models, unless all their runs are known.
func (a *app) cases(dev kernels.Device, models []typed, plan bench.Plan, ms *bench.Measurer) ([]bench.Case, error) {
	var cases []bench.Case
	for _, m := range models {
		subject, err := a.subject(m.Preset, m.types)
		if err != nil {
			return nil, err
		}
		c := bench.Case{Subject: subject}
		if !ms.Known(c, plan) {
			if c.Model, err = a.build(dev, m.Preset, m.types); err != nil {
				return nil, err
			}
		}
		cases = append(cases, c)
	}
	return cases, nil
}
