package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"quadrant/arch"
	"quadrant/configs"
	"quadrant/reports"
	"quadrant/results"
	"quadrant/sweep"
	"quadrant/train"
)

// ablateFlags are what the flags of 'ablate' say.
type ablateFlags struct {
	out, format  string
	seeds, steps int
	corpus       []string
	dryRun       bool
}

// An ablation is one under way: its cells, and how they are trained.
type ablation struct {
	*app
	configs.Ablation
	cells []sweep.Cell
	out   string
}

func newAblate(a *app) *cobra.Command {
	var o ablateFlags
	cmd := &cobra.Command{
		Use:   "ablate NAME|FILE.yaml",
		Short: "Train variants of a model that differ in one choice, and say what it is worth",
		Long: `Trains a base model and variants of it on the same text from the same seeds, and
prints bits per byte with the paired difference to the base over seeds, and its 95 %
interval (Student's). Differences under 0.02 are too small to order models by, and of
one seed there is no interval.

A file says the base, the values that settings take, and what stays equal: tokens,
active_params, total_params or train_flops, by the hidden size of MLPs and experts.
docs/training.md has the form. Built in: ` + strings.Join(configs.AblationNames(), ", ") + `.

Every model and seed is a run of 'quadrant train' in a folder of its own. After Ctrl-C
or a crash the same command goes on: runs that ended are not made again.`,
		Example: `  quadrant ablate experts --dry-run
  quadrant ablate router --seeds 1 --steps 200
  quadrant ablate mine.yaml --out runs/mine`,
		Args: func(cmd *cobra.Command, args []string) error { return misuse(cobra.ExactArgs(1)(cmd, args)) },
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(o.format); err != nil {
				return err
			}
			ab, err := a.planAblation(args[0], o)
			if err != nil {
				return err
			}
			if o.dryRun {
				return ab.dryRun(o.format)
			}
			return ab.run(cmd.Context(), o.format)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.out, "out", "", "folder of the runs; none is runs/ablate-NAME")
	f.BoolVar(&o.dryRun, "dry-run", false, "print models, FLOPs and the time that they may take; train nothing")
	f.IntVar(&o.seeds, "seeds", 0, "runs of each model, from --seed on; not given: as the file says")
	f.IntVar(&o.steps, "steps", 0, "steps of each run; not given: as the file says")
	f.StringSliceVar(&o.corpus, "corpus", nil, "files, folders or patterns to learn from; not given: as the file says")
	f.StringVar(&o.format, "format", "table", "of the output: "+reports.Formats())
	return cmd
}

// planAblation makes the cells of the ablation called name.
func (a *app) planAblation(name string, o ablateFlags) (*ablation, error) {
	if o.seeds < 0 || o.steps < 0 {
		return nil, misusef("--seeds %d, --steps %d: want at least 1", o.seeds, o.steps)
	}
	file, err := configs.OpenAblation(name)
	if err != nil {
		return nil, err
	}
	size, t := sizeFor(file.Base.Config), &file.Training
	file.Seeds, t.Steps = pick(o.seeds > 0, o.seeds, file.Seeds), pick(o.steps > 0, o.steps, t.Steps)
	t.Corpus = pickAny(len(o.corpus) > 0, o.corpus, t.Corpus)
	t.Context, t.Batch = pick(t.Context > 0, t.Context, size.context), pick(t.Batch > 0, t.Batch, size.batch)
	t.LR, t.Accumulate = pick(t.LR > 0, t.LR, size.lr), pick(t.Accumulate > 0, t.Accumulate, 1)
	file.Base.Config = learnsEMA(file.Base.Config)
	cells, err := sweep.Plan(file, sweep.Setting{Context: t.Context, LR: t.LR})
	if err != nil {
		return nil, err
	}
	ab := &ablation{app: a, Ablation: file, cells: cells, out: pick(o.out != "", o.out, filepath.Join("runs", "ablate-"+file.Name))}
	for _, c := range cells {
		if _, err := ab.settings(c, a.seed); err != nil {
			return nil, err
		}
	}
	return ab, nil
}

// seedsOf are the seeds of each cell's runs.
func (ab *ablation) seedsOf() (all []uint64) {
	for i := range ab.Seeds {
		all = append(all, ab.seed+uint64(i))
	}
	return all
}

// flags are those of 'train' that make a run as ab's file says.
func (ab *ablation) flags() (o trainFlags, given func(string) bool) {
	o, t := defaultTraining(), ab.Training
	o.steps, o.context, o.batch, o.accumulate, o.corpus, o.keep = t.Steps, t.Context, t.Batch, t.Accumulate, t.Corpus, 1
	if t.ValidBytes > 0 {
		o.validBytes = t.ValidBytes
	}
	return o, func(flag string) bool {
		return flag == "context" || flag == "batch" || flag == "lr" || flag == "steps" && t.Steps > 0
	}
}

// settings are those of the run of a cell from a seed.
func (ab *ablation) settings(c sweep.Cell, seed uint64) (runSettings, error) {
	o, given := ab.flags()
	o.lr = c.LR
	o.out = filepath.Join(ab.out, c.Name, fmt.Sprintf("seed-%d", seed))
	seeded := *ab.app
	seeded.seed = seed
	p := configs.Preset{Name: ab.Base.Name + " " + c.Name, Tokenizer: ab.Base.Tokenizer, Config: c.Config}
	return seeded.settingsFor(p, o, given)
}

// run makes all runs, seed by seed so that those made can be compared, and prints the table.
func (ab *ablation) run(ctx context.Context, format string) error {
	o, _ := ab.flags()
	for _, seed := range ab.seedsOf() {
		for _, c := range ab.cells {
			s, err := ab.settings(c, seed)
			if err != nil {
				return err
			}
			if err := ab.trainIn(ctx, s, o); errors.Is(err, context.Canceled) {
				return fmt.Errorf("interrupted in %s; the same command goes on from there", s.out)
			} else if err != nil {
				return fmt.Errorf("%s: %w", s.out, err)
			}
		}
	}
	runs, err := ab.read()
	if err != nil {
		return err
	}
	return ab.table(ab.report(runs), format)
}

// read takes what all runs measured, which it also gathers in one file.
func (ab *ablation) read() (map[string][]cellRun, error) {
	all, err := ab.openSink(filepath.Join(ab.out, resultsName))
	if err != nil {
		return nil, err
	}
	runs := map[string][]cellRun{}
	err = func() error {
		for _, seed := range ab.seedsOf() {
			for _, c := range ab.cells {
				s, err := ab.settings(c, seed)
				if err != nil {
					return err
				}
				rs, err := results.ReadFile(filepath.Join(s.out, resultsName))
				if err != nil {
					return err
				}
				rs = results.Latest(rs)
				for _, r := range rs {
					if all.known(r) {
						continue
					}
					if err := all.write(r); err != nil {
						return err
					}
				}
				run, err := readRun(s, rs)
				if err != nil {
					return err
				}
				runs[c.Name] = append(runs[c.Name], run)
			}
		}
		return nil
	}()
	return runs, errors.Join(err, all.close())
}

// dryRun prints the cells, and how long they may take by a step of the base that it times.
func (ab *ablation) dryRun(format string) error {
	var perFLOP float64
	flopsOf := map[string]float64{}
	for _, c := range ab.cells {
		n, err := countTraining(c.Config, ab.Training.Batch, ab.Training.Context)
		if err != nil {
			return err
		}
		flopsOf[c.Name] = float64(n)
		if c.Base {
			seconds, err := ab.timeStep(c.Config)
			if err != nil {
				return err
			}
			perFLOP = seconds / float64(n)
		}
	}
	t := reports.Table{Columns: []reports.Column{
		textColumn("cell", "Cell"), numberColumn("params_total", "Parameters"), numberColumn("params_active", "Active"),
		numberColumn("flops_forward", "FLOPs/token"), numberColumn("flops_training", "Training FLOPs"),
		numberColumn("runs", "Runs"), numberColumn("trained", "Made"), numberColumn("seconds", "Time left"),
	}}
	total := 0.0
	for _, c := range ab.cells {
		made, steps := 0, 0
		for _, seed := range ab.seedsOf() {
			s, err := ab.settings(c, seed)
			if err != nil {
				return err
			}
			done, err := trained(s)
			if err != nil {
				return err
			}
			if steps = s.Options.Schedule.Steps * s.Options.Accumulate; done {
				made++
			}
		}
		work := flopsOf[c.Name] * float64(steps)
		left := work * float64(ab.Seeds-made) * perFLOP
		total += left
		t.Rows = append(t.Rows, []reports.Cell{
			reports.Text(cellName(c)), count(c.Params.Total), count(c.Params.Active), flopCount(int64(c.FLOPs)), flopCount(int64(work)),
			count(ab.Seeds), count(made), reports.Quantity(left, "s"),
		})
	}
	t.Caption = fmt.Sprintf("%s: %s Matched: %v. About %v in all, by one step of the base timed here and each model's FLOPs; reading and validating come on top.",
		ab.Name, ab.About, ab.Match, time.Duration(total*float64(time.Second)).Round(time.Second))
	return ab.table(t, format)
}

// timeStep is the time of one pass of training, the second.
func (ab *ablation) timeStep(cfg arch.Config) (float64, error) {
	dev, err := ab.openDevice()
	if err != nil {
		return 0, err
	}
	batch, length := ab.Training.Batch, ab.Training.Context
	bytes, err := need(configs.Preset{Config: cfg}, size{seqs: batch, maxLen: length})
	if err != nil {
		return 0, err
	}
	if err := checkMemory(dev, "training "+ab.Base.Name, 4*bytes); err != nil {
		return 0, err
	}
	m, err := arch.New(cfg, train.NewTape(dev), arch.Types{})
	if err != nil {
		return 0, err
	}
	m.Init(ab.seed)
	l, err := train.Learn(m)
	if err != nil {
		return 0, err
	}
	ids := make([]int32, batch*length)
	for i := range ids {
		ids[i] = int32(i * 31 % cfg.Vocab)
	}
	var start time.Time
	for range 2 { // the first allocates
		start = time.Now()
		l.ZeroGrad()
		if _, err := l.Step(ids, ids, batch, 1/float32(len(ids))); err != nil {
			return 0, err
		}
		if err := dev.Sync(); err != nil {
			return 0, err
		}
	}
	return time.Since(start).Seconds(), nil
}

func cellName(c sweep.Cell) string {
	if c.Base && c.Name != "base" {
		return c.Name + " (base)"
	}
	return c.Name
}
