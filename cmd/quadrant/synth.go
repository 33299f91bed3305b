package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"quadrant/arch"
	"quadrant/flops"
	"quadrant/kernels"
	"quadrant/reports"
	"quadrant/results"
	"quadrant/synth"
	"quadrant/train"
)

// synthFlags are what the flags of 'synth' say.
type synthFlags struct {
	task          string
	difficulty    synth.Difficulty
	models        []string
	width, hidden int
	steps, batch  int
	lr            float64
	turns         int // of four quarters of each head, those that turn with the position
	test, seeds   int
	format, out   string
}

// A synthDefault is how a task is trained where the flags do not say.
type synthDefault struct {
	models        []string
	width, hidden int
	steps, batch  int
	lr            float64
	turns         int
}

// synthDefaults are settings in which architectures differ within minutes.
var synthDefaults = map[string]synthDefault{
	"mqar":      {[]string{"attention-attention", "mamba-mamba"}, 64, 128, 600, 64, 4e-3, 1},
	"selcopy":   {[]string{"attention-attention", "mamba-mamba"}, 64, 128, 600, 64, 2e-3, 4},
	"induction": {[]string{"attention-attention", "mamba-mamba"}, 64, 128, 600, 64, 2e-3, 4},
	"copy":      {[]string{"attention-attention", "mamba-mamba"}, 64, 128, 600, 64, 2e-3, 4},
	"facts":     {[]string{"attention+mlp-attention+mlp", "attention+moe-attention+moe"}, 32, 64, 1500, 32, 4e-3, 4},
}

func newSynth(a *app) *cobra.Command {
	var o synthFlags
	cmd := &cobra.Command{
		Use:   "synth",
		Short: "Train small models on a synthetic task that architectures differ in",
		Long: `Trains small models on sequences made for one question, such as which value belonged
to a key that stands earlier in the sequence, and tests them on sequences that they
have not seen. Accuracies come with 95 % intervals and with what the literature found.
With --seeds they are of runs that differ in their weights and sequences (Student's
interval for the mean over seeds); of one run, the interval is of its answers alone
(Clopper and Pearson's), and another seed or learning rate may find otherwise.

Models are presets, YAML files, or layers joined by '-', each of attention, mamba, mlp
and moe joined by '+': attention+mlp-mamba+moe. Attention has four heads that turn
with the position, and for mqar two, of which a quarter does, as of GPT-NeoX's; Mamba
has 16 states and twice the width; MoEs have 8 experts of the MLP's size and send each
token to one, balanced by Sinkhorn.

Tasks:
` + synthDocs(),
		Example: `  quadrant synth --task mqar --items 8
  quadrant synth --task mqar --seeds 3 --out recall.jsonl
  quadrant synth --task facts --items 1024 --steps 500
  quadrant synth --task copy --models mamba-mamba,attention-mamba --width 32`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(o.format); err != nil {
				return err
			}
			k, err := synth.Named(o.task)
			if err != nil {
				return misuse(err)
			}
			d, given := synthDefaults[k.Name], cmd.Flags().Changed
			o.models = pickAny(given("models"), o.models, d.models)
			o.width, o.hidden = pick(given("width"), o.width, d.width), pick(given("hidden"), o.hidden, d.hidden)
			o.steps, o.batch = pick(given("steps"), o.steps, d.steps), pick(given("batch"), o.batch, d.batch)
			o.lr, o.turns = pick(given("lr"), o.lr, d.lr), d.turns
			return a.synth(cmd.Context(), k, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.task, "task", "mqar", "task to learn")
	f.IntVar(&o.difficulty.Items, "items", 0, "to remember: pairs, tokens to copy, facts")
	f.IntVar(&o.difficulty.Items, "kv", 0, "the same, as mqar's pairs are called")
	f.IntVar(&o.difficulty.Symbols, "symbols", 0, "different tokens that items are made of")
	f.IntVar(&o.difficulty.Length, "length", 0, "tokens of a sequence, where items do not fix it")
	f.StringSliceVar(&o.models, "models", nil, "models to train, by comma")
	f.IntVar(&o.width, "width", 0, "d_model of models given as layers")
	f.IntVar(&o.hidden, "hidden", 0, "hidden size of their MLPs and experts")
	f.IntVar(&o.steps, "steps", 0, "steps to make")
	f.IntVar(&o.batch, "batch", 0, "sequences of a step")
	f.Float64Var(&o.lr, "lr", 0, "peak learning rate")
	f.IntVar(&o.seeds, "seeds", 1, "runs of each model, from --seed on")
	f.IntVar(&o.test, "test", 512, "sequences to test on")
	f.StringVar(&o.format, "format", "table", "of the output: "+reports.Formats())
	f.StringVar(&o.out, "out", "", "file to append results to, as JSON lines; models that it has are not trained again")
	return cmd
}

func pickAny(given bool, value, usual []string) []string {
	if given {
		return value
	}
	return usual
}

func synthDocs() (s string) {
	for _, k := range synth.Kinds {
		s += fmt.Sprintf("  %-9s %s (%s)\n", k.Name, k.Doc, k.Default)
	}
	return s
}

// synth trains the models and prints how well they do.
func (a *app) synth(ctx context.Context, k synth.Kind, o synthFlags) error {
	task, err := k.New(o.difficulty, a.seed)
	if err != nil {
		return misuse(err)
	}
	if o.test < 1 {
		return misusef("--test %d: want at least 1 sequence", o.test)
	}
	if o.seeds < 1 {
		return misusef("--seeds %d: want at least 1 run", o.seeds)
	}
	models := make([]arch.Config, len(o.models))
	for i, name := range o.models {
		if models[i], err = synthModel(name, o, task.Vocab); err != nil {
			return misuse(fmt.Errorf("--models %s: %w", name, err))
		}
	}
	s, err := a.openSink(o.out)
	if err != nil {
		return err
	}
	err = a.synthAll(ctx, k, models, o, s)
	if err := errors.Join(err, s.close()); err != nil {
		return resumable(err, o.out)
	}
	return a.table(synthTable(task, s.results()), o.format)
}

// synthAll trains every model from every seed. What one seed makes of all models comes before
// the next seed, so that whoever stops early has something to compare.
func (a *app) synthAll(ctx context.Context, k synth.Kind, models []arch.Config, o synthFlags, s *sink) error {
	for i := range o.seeds {
		task, err := k.New(o.difficulty, a.seed+uint64(i))
		if err != nil {
			return err
		}
		for m, name := range o.models {
			if err := a.synthOne(ctx, task, name, models[m], o, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// synthOptions are how a model is trained on task.
func synthOptions(task *synth.Task, o synthFlags) train.Options {
	return train.Options{
		Context: task.Length, Batch: o.batch, Accumulate: 1, AdamW: train.DefaultAdamW,
		Schedule: train.Schedule{Shape: train.Cosine, Peak: o.lr, Floor: 0.1, Steps: o.steps, Warmup: train.DefaultWarmup(o.steps)},
	}
}

// synthOne trains one model, unless s knows how well it does.
func (a *app) synthOne(ctx context.Context, task *synth.Task, name string, cfg arch.Config, o synthFlags, s *sink) error {
	dev, err := a.openDevice()
	if err != nil {
		return err
	}
	options := synthOptions(task, o)
	if err := options.Check(); err != nil {
		return misuse(err)
	}
	r := results.Result{
		Schema: results.Schema, Env: environment(dev), Metric: "answers", Subject: synthSubject(name, cfg, task.Seed, o),
		Point: results.Point{Phase: task.Kind.Name, Corpus: task.Describe(), Step: o.steps, Tokens: o.steps * options.TokensPerStep(), Window: task.Length, Batch: o.batch},
	}
	if s.known(r) {
		return nil
	}
	l, err := train.NewLearner(cfg, dev)
	if err != nil {
		return err
	}
	l.Model().Init(task.Seed)
	trainer, err := train.NewTrainer(l, task, options)
	if err != nil {
		return err
	}
	status := newTrainStatus(a.stderr, name, o.steps, 0, 0)
	defer status.end()
	for !trainer.Done() {
		if err := ctx.Err(); err != nil {
			return err
		}
		start := time.Now()
		record, err := trainer.Step()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		line := stepLine{Record: record, Seconds: time.Since(start).Seconds()}
		line.Rate = float64(options.TokensPerStep()) / line.Seconds
		status.step(line)
	}
	right, asked, err := test(ctx, l, task, o)
	if err != nil {
		return err
	}
	r.Values = []float64{float64(right), float64(asked)}
	return s.write(r)
}

// test asks questions that training did not.
func test(ctx context.Context, l *train.Learner, task *synth.Task, o synthFlags) (right, asked int, err error) {
	v, err := train.NewValidator(l, 0, task.Length, o.batch)
	if err != nil {
		return 0, 0, err
	}
	n := task.Length
	ids, targets := make([]int32, o.batch*n), make([]int32, o.batch*n)
	for at := 0; at < o.test; at += o.batch {
		if err := ctx.Err(); err != nil {
			return 0, 0, err
		}
		for i := range o.batch {
			task.Sequence(synth.Test+int64(at+i), ids[i*n:(i+1)*n], targets[i*n:(i+1)*n])
			if at+i >= o.test {
				for t := range n {
					targets[i*n+t] = -1
				}
			}
		}
		r, q, err := v.Correct(ids, targets)
		if err != nil {
			return 0, 0, err
		}
		right, asked = right+r, asked+q
	}
	return right, asked, nil
}

func synthSubject(name string, cfg arch.Config, seed uint64, o synthFlags) results.Subject {
	var meter flops.Meter
	m, err := arch.New(cfg, &meter, arch.Types{})
	if err != nil {
		panic(err) // it was checked when it was made
	}
	n := m.Count()
	return results.Subject{
		Model: name, Family: string(cfg.Family()), Total: n.Total, Active: n.Active, DType: kernels.F32.String(), Outline: outline(cfg),
		Weights: fmt.Sprintf("trained here, seed %d, learning rate %g", seed, o.lr),
	}
}

// synthModel is the model that name means, for vocab tokens.
func synthModel(name string, o synthFlags, vocab int) (arch.Config, error) {
	if !strings.ContainsAny(name, "+-") || strings.Contains(name, ".") {
		if _, err := synthLayer(name, o); err != nil {
			return synthPreset(name, vocab)
		}
	}
	norm := arch.Norm{Kind: arch.RMSNorm, Eps: 1e-5}
	c := arch.Config{Vocab: vocab, Dim: o.width, Norm: norm, FinalNorm: norm, TiedHead: true}
	for layer := range strings.SplitSeq(name, "-") {
		l, err := synthLayer(layer, o)
		if err != nil {
			if p, other := synthPreset(name, vocab); other == nil {
				return p, nil
			}
			return c, err
		}
		c.Layers = append(c.Layers, l)
	}
	return c, c.Validate()
}

// synthPreset is a preset with another vocabulary.
func synthPreset(name string, vocab int) (arch.Config, error) {
	p, err := findModel(name)
	if err == nil && p.Checkpoint != "" {
		err = errors.New("a checkpoint has a vocabulary of its own")
	}
	p.Config.Vocab = vocab
	return learnsEMA(p.Config), err
}

// synthLayer is a layer as its name says: "attention+moe".
func synthLayer(name string, o synthFlags) (arch.Layer, error) {
	mlp := arch.MLP{Hidden: o.hidden, Act: kernels.SiLU, Gate: arch.FirstHalf}
	var l arch.Layer
	for part := range strings.SplitSeq(name, "+") {
		switch {
		case part == "attention" && l.Sequence == (arch.Sequence{}):
			l.Sequence.Attention = synthAttention(o.width, o.turns)
		case part == "mamba" && l.Sequence == (arch.Sequence{}):
			l.Sequence.Mamba = &arch.Mamba{Inner: 2 * o.width, State: 16, Conv: 4, Rank: (o.width + 15) / 16, ConvBias: true}
		case part == "mlp" && l.Channel == (arch.Channel{}):
			l.Channel.MLP = &mlp
		case part == "moe" && l.Channel == (arch.Channel{}):
			l.Channel.MoE = &arch.MoE{Experts: 8, Expert: mlp, Router: arch.Router{
				TopK: 1, Score: kernels.SigmoidScore, GateScale: 2, Bias: true, Inference: arch.EMABiasInference,
				Sinkhorn: &arch.Sinkhorn{Temperature: 1, ColumnFirst: true, MaxIterations: 8, Tolerance: 0.01},
			}}
		default:
			return l, fmt.Errorf("layer %q is unknown: want attention or mamba, mlp or moe, joined by '+'", name)
		}
	}
	return l, nil
}

// synthAttention turns some quarters of each head with the position: for recall one, as
// GPT-NeoX does. Where all of a head turns, what tokens are is blurred by how far apart they
// are: two layers then take far longer than a task here lasts to find that one must look at the
// token before, and the other for what the first found there. Where position matters more, in
// facts, all of four heads turn.
func synthAttention(width, turns int) *arch.Attention {
	heads := 4
	if turns < 4 {
		heads = 2
	}
	head := max(2, width/heads)
	heads = max(1, width/head)
	return &arch.Attention{Heads: heads, KVHeads: heads, HeadDim: head, Rotary: &arch.Rotary{Dim: max(2, head*turns/4/2*2), Base: 10000}}
}
