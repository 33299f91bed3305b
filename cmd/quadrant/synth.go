package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"quadrant/reports"
	"quadrant/synth"
	"quadrant/train"
)

// synthFlags are what the flags of 'synth' say.
type synthFlags struct {
	synthDefault
	task        string
	difficulty  synth.Difficulty
	test, seeds int
	format, out string
}

// A synthDefault is how a task is trained where the flags do not say.
type synthDefault struct {
	models        []string
	width, hidden int
	steps, batch  int
	warmup        int // steps, at most half of all; 0 is train.DefaultWarmup
	lr            float64
	heads         synthHeads
}

// synthHeads are those of attention. Some quarters of each turn with the position.
type synthHeads struct {
	count, turns int
	base         float64 // of their frequencies
}

// wholeHeads turn as those of most models do.
var wholeHeads = synthHeads{count: 4, turns: 4, base: 10000}

// recallHeads leave room for what a token is: where all of a head turns, that is blurred by how
// far apart tokens are. Half of it turns, with a base that spreads the frequencies over the few
// dozen tokens that a sequence has, so that the token before is easily told from the others.
// One wide head recalls more surely than narrower ones.
var recallHeads = synthHeads{count: 1, turns: 2, base: 100}

// synthDefaults are settings in which architectures differ within minutes. Large batches and a long
// warm-up matter for mqar: without them, some seeds learn to guess among the values of the sequence,
// and stay there.
var synthDefaults = map[string]synthDefault{
	"mqar":      {[]string{"attention-attention", "mamba-mamba"}, 64, 128, 300, 128, 150, 4e-3, recallHeads},
	"selcopy":   {[]string{"attention-attention", "mamba-mamba"}, 64, 128, 600, 64, 0, 2e-3, wholeHeads},
	"induction": {[]string{"attention-attention", "mamba-mamba"}, 64, 128, 600, 64, 0, 2e-3, wholeHeads},
	"copy":      {[]string{"attention-attention", "mamba-mamba"}, 64, 128, 600, 64, 0, 2e-3, wholeHeads},
	"facts":     {[]string{"attention+mlp-attention+mlp", "attention+moe-attention+moe"}, 32, 64, 1500, 32, 0, 8e-3, wholeHeads},
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
with the position, and for mqar one, of which half does, with a base of 100; Mamba has
16 states and twice the width; MoEs have 8 experts of the MLP's size and send each
token to one, balanced by Sinkhorn.

A file of results (--out) has the accuracy ten times on the way too: 'quadrant figure
synthetic' draws it.

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
			o.lr, o.heads = pick(given("lr"), o.lr, d.lr), d.heads
			if !given("warmup") {
				o.warmup = warmupOf(d, o.steps)
			}
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
	f.IntVar(&o.warmup, "warmup", 0, "steps of warm-up; not given: 5 % and at least 75, for mqar 150, at most half of all")
	f.IntVar(&o.seeds, "seeds", 1, "runs of each model, from --seed on")
	f.IntVar(&o.test, "test", 512, "sequences to test on")
	f.StringVar(&o.format, "format", "table", "of the output: "+reports.Formats())
	f.StringVar(&o.out, "out", "", "file to append results to, as JSON lines; models that it has are not trained again")
	return cmd
}

// warmupOf is the warm-up of a task that is trained as d says, in steps.
func warmupOf(d synthDefault, steps int) int {
	if d.warmup == 0 {
		return train.DefaultWarmup(steps)
	}
	return min(d.warmup, steps/2)
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
