package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"quadrant/arch"
	"quadrant/bench"
	"quadrant/flops"
	"quadrant/results"
)

// A recipe is what 'reproduce' measures.
type recipe struct {
	name, doc string
	counted   []string // models of Fig. 1 and of the FLOPs and state figures
	timed     []string // models of Fig. 5
	balanced  []string // models of the expert figures, with random weights
	trained   []string // models of the training figures and, where they have experts, of the expert figures
	steps     int      // of training each
	tasks     []string // that trained models are scored in
	items     int      // questions of each task
	panels    []panel  // of synthetic tasks
	gens      string
	prompt    int
	repeats   int
	tokens    int // of text, for expert balance
	dtype     string
	contexts  string // lengths at which FLOPs and states are counted
}

var (
	paperQuartet = []string{"matched-transformer-340m", "matched-mamba-340m", "matched-transformer-moe-340m", "blackmamba-1.5b"}
	nanoQuintet  = []string{"nano-transformer", "nano-mamba", "nano-mamba-mlp", "nano-transformer-moe", "nano-mamba-moe"}
	tinyQuartet  = []string{"tiny-transformer", "tiny-mamba", "tiny-transformer-moe", "tiny-mamba-moe"}
)

// recipes are the presets of 'reproduce'.
var recipes = []recipe{
	{
		name: "quick", doc: "models of about 1M active parameters are timed, and of 0.2M trained: minutes on two cores",
		counted: paperQuartet, timed: tinyQuartet, trained: nanoQuintet, steps: 600,
		tasks: []string{"lastword", "continuation", "cloze4", "wordswap", "lexdec", "arith4", "bracket", "recall"}, items: 400,
		panels: []panel{{task: "mqar", steps: 300, seeds: 2, test: 256}, {task: "facts", items: 2048, steps: 750, seeds: 2, test: 256}},
		gens:   "128-8192*2", prompt: 128, repeats: 6, tokens: 131072, dtype: "f32", contexts: "128-131072*2",
	},
	{
		name: "paper", doc: "BlackMamba 340M/1.5B and models matched to it are timed, in bf16: 20 to 60 minutes on two cores, 12 GiB of memory",
		counted: paperQuartet, timed: paperQuartet, balanced: []string{"matched-transformer-moe-340m", "blackmamba-1.5b"},
		gens: "128-2048*2", prompt: 128, repeats: 3, tokens: 8192, dtype: "bf16", contexts: "128-131072*2",
	},
}

func recipeNamed(name string) (recipe, error) {
	var known []string
	for _, r := range recipes {
		if r.name == name {
			return r, nil
		}
		known = append(known, r.name)
	}
	return recipe{}, misusef("preset %q is unknown: want one of %s", name, strings.Join(known, ", "))
}

func newReproduce(a *app) *cobra.Command {
	var preset, out string
	var corpus []string
	var over recipe // what the user asked for instead of the preset's
	cmd := &cobra.Command{
		Use:   "reproduce",
		Short: "Measure what the paper's figures need, here and now, and draw them",
		Long: `Measures generation latency of the four architectures, counts their FLOPs and
states, trains small models and scores them in zero-shot tasks, watches where routers
send the tokens of real text, trains still smaller ones to recall and to memorise, and
draws the figures of the BlackMamba paper from what it measured, with a page that shows
them all.

Every sample is kept in results.jsonl. A command that was stopped goes on from
there when it is given again.

Presets:
` + recipeDocs(),
		Example: `  quadrant reproduce
  quadrant reproduce --preset paper --out paper-report
  quadrant reproduce --gen 64-512*2 --repeats 3 --corpus ~/books`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := recipeNamed(preset)
			if err != nil {
				return err
			}
			if over.gens != "" {
				r.gens = over.gens
			}
			if cmd.Flags().Changed("repeats") {
				r.repeats = over.repeats
			}
			if cmd.Flags().Changed("tokens") {
				r.tokens = over.tokens
			}
			if cmd.Flags().Changed("train-steps") {
				r.steps = over.steps
				r.panels = shorter(r.panels, r.steps, math.MaxInt)
			}
			if cmd.Flags().Changed("items") {
				if r.items = over.items; r.items < 1 {
					return misusef("--items is %d, want 1 or more", r.items)
				}
				r.panels = shorter(r.panels, math.MaxInt, r.items)
			}
			err = a.reproduce(cmd.Context(), r, corpus, out)
			return resumable(err, filepath.Join(out, resultsName))
		},
	}
	f := cmd.Flags()
	f.StringVar(&preset, "preset", "quick", "what to measure: quick, paper")
	f.StringVar(&out, "out", "quadrant-out", "folder for results, figures and the page")
	f.StringSliceVar(&corpus, "corpus", nil, "files, folders or patterns to read; none is text that comes with Go")
	f.StringVar(&over.gens, "gen", "", "tokens to generate, instead of the preset's")
	f.IntVar(&over.repeats, "repeats", 0, "runs of each model, instead of the preset's")
	f.IntVar(&over.steps, "train-steps", 0, "steps to train each model, instead of the preset's, and in synthetic tasks at most so many; 0 trains none")
	f.IntVar(&over.items, "items", 0, "questions of each task that trained models are scored in, instead of the preset's; of synthetic tasks at most so many sequences")
	f.IntVar(&over.tokens, "tokens", 0, "tokens of text read for expert balance, instead of the preset's")
	return cmd
}

func recipeDocs() (s string) {
	for _, r := range recipes {
		s += fmt.Sprintf("  %-6s %s\n", r.name, r.doc)
	}
	return s
}

// resultsName is the file of samples in the folder of a report.
const resultsName = "results.jsonl"

func (a *app) reproduce(ctx context.Context, r recipe, corpus []string, out string) (err error) {
	gens, err := parseLengths(r.gens)
	if err != nil {
		return misuse(err)
	}
	if err := os.MkdirAll(out, 0o777); err != nil {
		return fmt.Errorf("output folder: %w", err)
	}
	s, err := a.openSink(filepath.Join(out, resultsName))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()

	start := time.Now()
	if r.steps < 1 {
		r.trained, r.panels = nil, nil
	}
	steps := []reproduceStep{
		{"describing and counting " + strings.Join(r.counted, ", "), func() error { return a.count(r, s) }},
		{"timing " + strings.Join(r.timed, ", "), func() error {
			return a.latency(ctx, latencyOptions{
				models: r.timed, dtype: r.dtype,
				plan: bench.Plan{Gens: gens, Prompt: r.prompt, Batch: 1, Repeats: r.repeats, Seed: a.seed},
			}, s)
		}},
		{"training " + strings.Join(r.trained, ", "), func() error { return a.trainings(ctx, r, corpus, out, s) }},
		{"scoring " + strings.Join(r.trained, ", "), func() error { return a.scores(ctx, r, corpus, out, s) }},
		{"watching routers", func() error { return a.balances(ctx, r, corpus, out, s) }},
		{"training on synthetic tasks", func() error { return a.panels(ctx, r, s) }},
		{"drawing", func() error { return a.report(s.results(), out) }},
	}
	for i, step := range steps {
		a.log.Info(fmt.Sprintf("[%d/%d] %s", i+1, len(steps), step.name))
		if err := step.do(); err != nil {
			return err
		}
	}
	fmt.Fprintf(a.stdout, "%s: every figure, measured in %v on this machine\n", filepath.Join(out, "index.html"), time.Since(start).Round(time.Second))
	return nil
}

// A reproduceStep is a part of the work of 'reproduce'.
type reproduceStep struct {
	name string
	do   func() error
}

// balances watches every model of the recipe as it is used and, where its routers balance
// their load while training, as it is trained.
func (a *app) balances(ctx context.Context, r recipe, corpus []string, out string, s *sink) error {
	var all []balanceOptions
	for _, model := range r.balanced {
		all = append(all, balanceOptions{model: model})
	}
	for _, model := range r.trained {
		p, err := findModel(model)
		if err != nil {
			return err
		}
		if f := p.Config.Family(); f == arch.TransformerMoE || f == arch.MambaMoE {
			path := checkpointPath(trainingFolder(out, r, model), r.steps)
			all = append(all, balanceOptions{model: path, name: fmt.Sprintf("%s, trained", model)})
		}
	}
	for _, o := range all {
		for _, phase := range []string{"inference", "training"} {
			o.dtype, o.corpus, o.tokens, o.window, o.phase = r.dtype, corpus, r.tokens, 512, phase
			if err := a.balance(ctx, o, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// count writes the parameters of every model that a figure shows, and the FLOPs and states
// of those that are counted. It runs no model.
func (a *app) count(r recipe, s *sink) error {
	types, err := parseTypes(r.dtype)
	if err != nil {
		return err
	}
	contexts, err := parseLengths(r.contexts)
	if err != nil {
		return err
	}
	env := environment(&flops.Meter{})
	for _, name := range r.counted {
		p, err := findModel(name)
		if err != nil {
			return err
		}
		subject, err := a.subject(p, types)
		if err != nil {
			return err
		}
		of := func(metric string, at results.Point, values ...float64) results.Result {
			return results.Result{Schema: results.Schema, Env: env, Subject: subject, Point: at, Metric: metric, Values: values}
		}
		rs := []results.Result{of("parameters", results.Point{}, float64(subject.Total), float64(subject.Active))}
		for _, n := range contexts {
			next, err1 := countAt(p, n+1, types)
			held, err2 := countAt(p, n, types)
			if err := errors.Join(err1, err2); err != nil {
				return fmt.Errorf("%s: %w", p.Name, err)
			}
			rs = append(rs,
				of("flops", results.Point{Context: n, Convention: "exact"}, float64(next.FLOPs)),
				of("state", results.Point{Context: n}, float64(held.StateBytes)))
		}
		if err := s.write(slices.DeleteFunc(rs, s.known)...); err != nil {
			return err
		}
	}
	return nil
}
