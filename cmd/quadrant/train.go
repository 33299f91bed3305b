package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"quadrant/arch"
	"quadrant/configs"
	"quadrant/train"
)

// trainFlags are what the flags of 'train' say, before defaults are filled in.
type trainFlags struct {
	model, tokenizer        string
	corpus                  []string
	steps                   int
	tokens                  int64
	batch, accumulate       int
	context, warmup         int
	lr, floor, decay, clip  float64
	schedule                string
	corpusBytes, validBytes int
	stream                  bool
	validEvery, saveEvery   int
	keep                    int
	out                     string
	resume, recompute       bool
	peak                    float64
	format                  string
}

// freeOnResume are the flags that say nothing of what is computed.
var freeOnResume = []string{"out", "resume", "device", "threads", "log-level", "format", "peak", "keep"}

// defaultTraining is what is trained where the flags do not say, but for what follows from
// the model.
func defaultTraining() trainFlags {
	return trainFlags{
		accumulate: 1, schedule: string(train.Cosine), floor: 0.1, decay: float64(train.DefaultAdamW.Decay), clip: train.DefaultAdamW.Clip,
		corpusBytes: 64 << 20, validBytes: 64 << 10, keep: 2, format: "table",
	}
}

func newTrain(a *app) *cobra.Command {
	o := defaultTraining()
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Train a model on text and measure how well it predicts text held out",
		Long: `Trains a model with AdamW on windows of text and validates it on text held out, in
bits per byte. Checkpoints are folders that every --model takes. A run that was
stopped, at any moment and however, goes on with --resume and ends with the same
weights, bit for bit.

Text comes from files, folders and patterns (--corpus): .txt, .jsonl and .parquet,
.gz and .zst; any other text is a document per file. Without --corpus it is a mix
of four domains that every Go toolchain holds: Newton's Opticks, Go source,
comments and sums. 5 % of it is held out, by document.

What is not given follows from the model's width: learning rate, context, batch.
Models with routers are validated with each way in which those can choose after
training. A context of a few hundred tokens is enough for models of this size.

In the folder --out: run.json (settings), steps.jsonl (a line per step),
results.jsonl (measurements), checkpoints/step-N.`,
		Example: `  quadrant train --model nano-mamba-moe
  quadrant train --model tiny-transformer --corpus ~/books --tokens 8M --out runs/books
  quadrant train --out runs/books --resume
  quadrant generate --model runs/books/checkpoints/step-0001953 --prompt 'Light is'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(o.format); err != nil {
				return err
			}
			s, err := a.trainSettings(cmd, o)
			if err != nil {
				return err
			}
			return a.train(cmd.Context(), s, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.model, "model", "", "preset, YAML file or checkpoint folder, whose weights training then starts from")
	f.StringSliceVar(&o.corpus, "corpus", nil, "files, folders or patterns to learn from; none is a mix of texts that come with Go")
	f.StringVar(&o.tokenizer, "tokenizer", "", "bytes, a tokenizer.json or its folder; none is the model's")
	f.IntVar(&o.steps, "steps", 0, "steps to make (600 if neither it nor --tokens is given)")
	f.Var((*tokenCount)(&o.tokens), "tokens", "tokens to read instead: 3000000, 3M, 1.5G")
	f.IntVar(&o.batch, "batch", 0, "sequences of a pass")
	f.IntVar(&o.accumulate, "accumulate", o.accumulate, "passes whose gradients make a step")
	f.IntVar(&o.context, "context", 0, "tokens of a sequence")
	f.BoolVar(&o.recompute, "recompute", false, "compute layers again for their gradients rather than keep what they computed: the same weights, less memory, a third more work")
	f.Float64Var(&o.lr, "lr", 0, "peak learning rate")
	f.StringVar(&o.schedule, "schedule", o.schedule, "of the learning rate: cosine, wsd (warm-up, stable, decay), constant")
	f.IntVar(&o.warmup, "warmup", 0, "steps of warm-up; not given: 5 %, at least 75, at most half of all")
	f.Float64Var(&o.floor, "final-lr", o.floor, "learning rate of the last step, as a share of the peak")
	f.Float64Var(&o.decay, "weight-decay", o.decay, "of matrices")
	f.Float64Var(&o.clip, "clip", o.clip, "norm that gradients are clipped to; 0 is none")
	f.IntVar(&o.corpusBytes, "corpus-bytes", o.corpusBytes, "bytes of text to learn from at most; they are held in memory as tokens")
	f.BoolVar(&o.stream, "stream", false, "learn from all of the corpus, however large: its tokens are kept in a file beside --out rather than in memory")
	f.IntVar(&o.validBytes, "valid-bytes", o.validBytes, "bytes of held-out text to validate on at most")
	f.IntVar(&o.validEvery, "valid-every", 0, "steps between validations; not given: a tenth of all")
	f.IntVar(&o.saveEvery, "save-every", 0, "steps between checkpoints; not given: a tenth of all")
	f.IntVar(&o.keep, "keep", o.keep, "checkpoints to keep, the latest; 0 is all")
	f.StringVar(&o.out, "out", "", "folder of the run; none is runs/MODEL")
	f.BoolVar(&o.resume, "resume", false, "go on with the run in --out, with its own settings")
	f.Float64Var(&o.peak, "peak", 0, "FLOP/s of the device that MFU is a share of; not given: its measured rate of products")
	f.StringVar(&o.format, "format", o.format, "of the output")
	return cmd
}

// trainSettings is what to train: of flags and defaults, or of the run to go on with.
func (a *app) trainSettings(cmd *cobra.Command, o trainFlags) (runSettings, error) {
	if !o.resume {
		return a.newSettings(o, cmd.Flags().Changed)
	}
	if o.out == "" {
		return runSettings{}, misusef("--resume goes on with the run in --out: name its folder")
	}
	var err error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if !slices.Contains(freeOnResume, f.Name) && err == nil {
			err = misusef("--%s cannot be given with --resume: a run goes on with its own settings (%s)", f.Name, filepath.Join(o.out, runName))
		}
	})
	if err != nil {
		return runSettings{}, err
	}
	s, err := readSettings(o.out)
	s.out = o.out
	return s, err
}

// A size of training that models of some width are usually trained with.
type trainSize struct {
	width          int // d_model, at most
	lr             float64
	context, batch int
}

// trainSizes are from small experiments up to a width of 128; beyond, what the literature
// uses.
var trainSizes = []trainSize{
	{64, 4e-3, 128, 16}, {128, 3e-3, 128, 32}, {256, 2e-3, 256, 64}, {512, 1e-3, 512, 128}, {1 << 30, 6e-4, 1024, 128},
}

func sizeFor(c arch.Config) trainSize {
	return trainSizes[slices.IndexFunc(trainSizes, func(s trainSize) bool { return c.Dim <= s.width })]
}

// everything is more bytes than a corpus has.
const everything = 1 << 50

// newSettings fills in what o leaves open. given tells which flags o says something of.
func (a *app) newSettings(o trainFlags, given func(flag string) bool) (runSettings, error) {
	p, err := findModel(o.model)
	if err != nil {
		return runSettings{}, err
	}
	return a.settingsFor(p, o, given)
}

// settingsFor is newSettings for a model that was found.
func (a *app) settingsFor(p configs.Preset, o trainFlags, given func(flag string) bool) (runSettings, error) {
	if given("steps") && given("tokens") {
		return runSettings{}, misuse(errors.New("--steps and --tokens say the same thing: give one"))
	}
	s := runSettings{
		Schema: 1, Model: p.Name, Config: learnsEMA(p.Config), Checkpoint: p.Checkpoint, Tokenizer: p.Tokenizer,
		Corpus: o.corpus, Seed: a.seed, Limits: train.TextLimits{Train: o.corpusBytes, Valid: o.validBytes}, out: o.out,
	}
	if o.tokenizer != "" {
		s.Tokenizer = o.tokenizer
	}
	if s.Stream = o.stream; o.stream && !given("corpus-bytes") {
		s.Limits.Train = everything
	}
	if s.out == "" {
		s.out = filepath.Join("runs", strings.ReplaceAll(p.Name, "/", "-"))
	}
	size := sizeFor(p.Config)
	s.Options = train.Options{
		Context: pick(given("context"), o.context, size.context), Batch: pick(given("batch"), o.batch, size.batch), Accumulate: o.accumulate,
		Recompute: o.recompute, AdamW: train.DefaultAdamW,
	}
	s.Options.AdamW.Decay, s.Options.AdamW.Clip = float32(o.decay), o.clip
	steps := pick(given("steps"), o.steps, 600)
	if given("tokens") {
		steps = int(o.tokens / int64(max(1, s.Options.TokensPerStep())))
	}
	s.Options.Schedule = train.Schedule{
		Shape: train.Shape(o.schedule), Peak: pick(given("lr"), o.lr, size.lr), Floor: o.floor, Steps: steps,
		Warmup: pick(given("warmup"), o.warmup, train.DefaultWarmup(steps)), Cooldown: 0.2,
	}
	s.ValidEvery = pick(given("valid-every"), o.validEvery, max(1, steps/10))
	s.SaveEvery = pick(given("save-every"), o.saveEvery, max(1, steps/10))
	if s.ValidEvery < 1 || s.SaveEvery < 1 || o.keep < 0 || o.corpusBytes < 1 || o.validBytes < 1 {
		return s, misusef("--valid-every %d, --save-every %d, --corpus-bytes %d, --valid-bytes %d: want at least 1; --keep %d: want at least 0",
			s.ValidEvery, s.SaveEvery, o.corpusBytes, o.validBytes, o.keep)
	}
	return s, misuse(s.Options.Check())
}

// pick is what was given, or otherwise what is usual.
func pick[T any](given bool, value, usual T) T {
	if given {
		return value
	}
	return usual
}

// learnsEMA is c with routers that, where Sinkhorn balances them and c does not say how they
// choose afterwards, learn the average of its biases and choose by that: it is causal, and
// balanced as training is.
func learnsEMA(c arch.Config) arch.Config {
	layers := slices.Clone(c.Layers)
	for i, l := range layers {
		if m := l.Channel.MoE; m != nil && m.Router.Sinkhorn != nil && m.Router.Inference == 0 {
			moe := *m
			moe.Router.Inference = arch.EMABiasInference
			layers[i].Channel.MoE = &moe
		}
	}
	c.Layers = layers
	return c
}

// train makes the run that s describes.
func (a *app) train(ctx context.Context, s runSettings, o trainFlags) (err error) {
	r, err := a.openRun(ctx, s, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	err = r.loop(ctx)
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("interrupted after step %d of %d; 'quadrant train --out %s --resume' goes on from there", r.trainer.Steps(), s.Options.Schedule.Steps, s.out)
	}
	if err != nil {
		return err
	}
	return r.report(o.format)
}
