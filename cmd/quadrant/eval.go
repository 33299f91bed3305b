package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"quadrant/arch"
	"quadrant/configs"
	"quadrant/evals"
	"quadrant/evals/generated"
	"quadrant/evals/tasks"
	"quadrant/kernels"
	"quadrant/results"
)

// evalOptions is what the flags of eval say.
type evalOptions struct {
	model, tokenizer, dtype string
	name                    string // of the model in results, instead of its own
	tasks                   []string
	data                    string
	corpus                  []string
	items                   int // of generated tasks
	limit, shots            int
	window, batch           int
	bootstrap               int
	samples                 bool
	out                     string
}

func newEval(a *app) *cobra.Command {
	var o evalOptions
	cmd := &cobra.Command{
		Use:   "eval",
		Short: "Score a model in zero-shot tasks, as lm-evaluation-harness does",
		Long: `Asks a model the questions of evaluation tasks and marks its answers by the rules
of EleutherAI's lm-evaluation-harness, to the last digit.

Published tasks (--data takes the folder of their data, or one task's file; 'quadrant
pull --dataset' downloads them):
  ` + taskNames() + `

Tasks made of text held out from training, or of a seed, for models too small for
those, with byte 3-grams and 5-grams of the training text for comparison:
` + generatedNames() + `
  text          bits per byte and perplexities of the held-out text itself

A task of your own is a YAML file in the harness's field names: see docs/evals.md.

--out takes a folder for the harness's results file, with --log-samples its sample
files, and results.jsonl, which 'quadrant figure' draws. A run that was stopped goes
on where it was when the same command is given again.`,
		Example: `  quadrant eval --model state-spaces/mamba-130m --tokenizer 20B_tokenizer.json --tasks lambada_openai,piqa --data ~/evaldata --out evals
  quadrant eval --model tiny-mamba --tasks lastword,continuation,cloze4 --items 200`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.eval(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.model, "model", "", "preset, YAML file or checkpoint folder")
	f.StringVar(&o.tokenizer, "tokenizer", "", "tokenizer.json file, folder that holds one, or bytes; if not given, the model's")
	f.StringVar(&o.dtype, "dtype", "", "type of weights and KV cache: "+dtypeUsage)
	f.StringSliceVar(&o.tasks, "tasks", nil, "tasks, by comma")
	f.StringVar(&o.data, "data", "", "folder of the data of published tasks, or one task's file")
	f.StringSliceVar(&o.corpus, "corpus", nil, "text that tasks are made of: files, folders or patterns; none is text that comes with Go")
	f.IntVar(&o.items, "items", 400, "questions of each task that is made, at most")
	f.IntVar(&o.limit, "limit", 0, "ask only the first so many questions of each task; 0 is all")
	f.IntVar(&o.shots, "num-fewshot", 0, "examples before each question of published tasks")
	f.IntVar(&o.window, "window", 2048, "most tokens that the model reads at once; longer contexts are cut on the left")
	f.IntVar(&o.batch, "batch", 2048, "tokens side by side; changes no score")
	f.IntVar(&o.bootstrap, "bootstrap-iters", tasks.BootstrapIters, "draws for the standard error of perplexities")
	f.BoolVar(&o.samples, "log-samples", false, "write every question and answer, too")
	f.StringVar(&o.out, "out", "", "folder for results")
	return cmd
}

func generatedNames() string {
	var b strings.Builder
	for _, k := range generated.Kinds {
		fmt.Fprintf(&b, "  %-13s %s\n", k.Name, k.Doc)
	}
	return strings.TrimRight(b.String(), "\n")
}

func (o evalOptions) check() error {
	switch {
	case len(o.tasks) == 0:
		return errors.New("no task named: --tasks takes them by comma; 'quadrant eval --help' lists them")
	case o.limit < 0:
		return fmt.Errorf("--limit is %d, want 0 or more", o.limit)
	case o.shots < 0:
		return fmt.Errorf("--num-fewshot is %d, want 0 or more", o.shots)
	case o.items < 1:
		return fmt.Errorf("--items is %d, want 1 or more", o.items)
	case o.window < 1 || o.batch < 1:
		return fmt.Errorf("--window is %d and --batch %d, want at least 1", o.window, o.batch)
	case o.bootstrap < 0:
		return fmt.Errorf("--bootstrap-iters is %d, want 0 or more", o.bootstrap)
	case o.samples && o.out == "":
		return errors.New("--log-samples writes files: name a folder with --out")
	}
	for i, n := range o.tasks {
		for _, other := range o.tasks[:i] {
			if n == other {
				return fmt.Errorf("task %s is named twice", n)
			}
		}
	}
	return nil
}

// eval reads what is to be asked before it loads the model: that takes longest.
func (a *app) eval(ctx context.Context, o evalOptions) error {
	if err := o.check(); err != nil {
		return misuse(err)
	}
	e, err := a.prepareEvaluation(o)
	if err != nil {
		return err
	}
	sets, err := a.readTasks(ctx, o)
	if err != nil {
		return err
	}
	if err := e.answer(ctx, sets); err != nil {
		return err
	}
	return e.report()
}

// prepareEvaluation finds out which model is to be asked; it does not load it.
func (a *app) prepareEvaluation(o evalOptions) (*evaluation, error) {
	p, err := findModel(o.model)
	if err != nil {
		return nil, err
	}
	chosen, err := a.typesOf(p, o.dtype)
	if err != nil {
		return nil, err
	}
	tok, err := openTokenizer(p, o.tokenizer)
	if err != nil {
		return nil, err
	}
	if o.name != "" {
		p.Name = o.name
	}
	subject, err := a.subject(p, chosen.types)
	if err != nil {
		return nil, err
	}
	e := &evaluation{app: a, o: o, preset: p, types: chosen.types, subject: subject, tokenizer: tok.Name()}
	e.encoder, err = evals.NewEncoder(tok)
	return e, err
}

// answer loads the model and asks it all that it has not answered yet.
func (e *evaluation) answer(ctx context.Context, sets []taskSet) error {
	e.start = time.Now()
	if err := e.open(); err != nil {
		return err
	}
	if strings.HasPrefix(e.subject.Weights, "random") {
		e.log.Warn("the model has random weights: its scores are chance", "model", e.preset.Name)
	}
	for _, s := range sets {
		if err := e.run(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s.Task.Name, resumable(err, e.o.out))
		}
	}
	return nil
}

// An evaluation is one model in some tasks.
type evaluation struct {
	*app
	o         evalOptions
	preset    configs.Preset
	types     arch.Types
	subject   results.Subject
	encoder   *evals.Encoder
	tokenizer string
	device    kernels.Device
	scorer    *evals.Scorer
	start     time.Time

	done []finished
}

// A finished is a task whose questions are answered.
type finished struct {
	taskSet
	run     tasks.TaskRun
	answers [][]tasks.Answer
	marks   [][]tasks.Mark
	stamp   time.Time
}

// open loads the model.
func (e *evaluation) open() error {
	bytes, err := need(e.preset, size{e.types, max(1, e.o.batch/e.o.window), e.o.window})
	if err != nil {
		return err
	}
	if e.device, err = e.openDevice(); err != nil {
		return err
	}
	if err := checkMemory(e.device, e.preset.Name, bytes); err != nil {
		return err
	}
	m, err := e.build(e.device, e.preset, e.types)
	if err != nil {
		return err
	}
	e.scorer, err = evals.NewScorer(e.device, m, evals.ScorerOptions{Window: e.o.window, Batch: e.o.batch})
	return err
}

// run asks the questions of a task that are not answered yet, and marks the answers.
func (e *evaluation) run(ctx context.Context, s taskSet) error {
	j, err := e.openJournal(s)
	if err != nil {
		return err
	}
	err = errors.Join(e.ask(ctx, s, j), j.close())
	if err != nil {
		return err
	}
	f := finished{taskSet: s, answers: j.answers, stamp: time.Now()}
	for i, d := range s.Docs {
		m, err := s.Task.Mark(d, j.answers[i])
		if err != nil {
			return err
		}
		f.marks = append(f.marks, m)
	}
	scores, err := tasks.Scores(s.Task, f.marks, e.o.bootstrap)
	if err != nil {
		return err
	}
	f.run = tasks.TaskRun{Task: s.Task, Shots: s.shots, Records: s.records, Scores: scores}
	e.done = append(e.done, f)
	return nil
}

// ask scores the documents that j has no answers of.
func (e *evaluation) ask(ctx context.Context, s taskSet, j *journal) error {
	var index []int
	var docs [][]tasks.Request
	total, known := 0, 0
	for i, d := range s.Docs {
		total += weight(d)
		if j.answers[i] != nil {
			known += weight(d)
			continue
		}
		index, docs = append(index, i), append(docs, d.Requests)
	}
	if len(docs) == 0 {
		return nil
	}
	if known > 0 {
		e.log.Info("going on", "task", s.Task.Name, "answered", len(s.Docs)-len(docs), "of", len(s.Docs))
	}
	bar := newProgress(e.stderr, s.Task.Name, total-known)
	defer bar.end()
	seen := 0
	take := func(i int, answers []tasks.Answer) error {
		seen += weight(s.Docs[index[i]])
		bar.set(seen, total-known)
		return j.add(index[i], answers)
	}
	if s.Task.Output == tasks.Rolling {
		var texts []string
		for _, d := range docs {
			texts = append(texts, d[0].Continuation)
		}
		return e.scorer.Rolling(ctx, e.encoder, texts, func(i int, answer tasks.Answer) error { return take(i, []tasks.Answer{answer}) })
	}
	return e.scorer.LogLikelihood(ctx, e.encoder, docs, take)
}

// weight is about how much work a document is: its bytes.
func weight(d tasks.Doc) int {
	n := len(d.Requests[0].Context)
	for _, r := range d.Requests {
		n += len(r.Continuation)
	}
	return n
}
