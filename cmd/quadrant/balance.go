package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"quadrant/arch"
	"quadrant/configs"
	"quadrant/corpus"
	"quadrant/evals"
	"quadrant/kernels"
	"quadrant/reports"
	"quadrant/results"
	"quadrant/tokenizer"
)

// balanceOptions are what 'balance' and 'reproduce' watch.
type balanceOptions struct {
	model     string
	name      string // that results give it, "" for its own
	dtype     string
	corpus    []string // files and folders; none is the texts of the Go toolchain
	task      string   // whose questions and right answers are read instead, "" for none
	data      string   // of a published task
	tokenizer string   // "" is bytes
	tokens    int
	window    int
	phase     string // "inference", "training" or "both"
	by        string // "class" or ""
}

func newBalance(a *app) *cobra.Command {
	var o balanceOptions
	var format, out, run string
	var experts bool
	cmd := &cobra.Command{
		Use:   "balance",
		Short: "Count the tokens that each expert of each layer is given on real text",
		Long: `Reads text with a model that has mixtures of experts and counts, layer by layer,
how many tokens the router sends to each expert, and how many an expert has no room
for. Text is read as bytes, or by --tokenizer, in windows that start afresh. --phase
training lets routers that balance their load while training (Sinkhorn) do so within
each window.

P is the probability that counts are as uneven if every token chooses its experts
blindly; Holm is P corrected for as many layers. Tokens of a text are not independent,
so a small P means more than noise of single tokens, not a faulty router.

--task reads a task's questions with their right answers instead; tasks are those of
'quadrant eval'.

--by class counts letters, digits, spaces, punctuation, bytes from 0x80 on and what is
left separately, by the first byte of each token. --experts lists every expert.

--run takes the folder of a run of 'quadrant train' instead of a model: what its layers
did with the tokens of training, as it went on.

The default corpus is text that comes with Go: Newton's Opticks and the sources of
the standard library.`,
		Example: `  quadrant balance --model tiny-mamba-moe
  quadrant balance --model tiny-transformer-moe --corpus ~/books --tokens 100000 --phase both
  quadrant balance --model tiny-mamba-moe --by class --experts --format csv
  quadrant balance --run runs/books`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			if run != "" {
				if o.model != "" || out != "" || experts {
					return misusef("--run prints what a run has measured: it goes without --model, --out and --experts")
				}
				return a.trainingBalance(run, format)
			}
			s, err := a.openSink(out)
			if err != nil {
				return err
			}
			if err := errors.Join(a.balance(cmd.Context(), o, s), s.close()); err != nil {
				return resumable(err, out)
			}
			makeTable := reports.BalanceTable
			if experts {
				makeTable = reports.ExpertTable
			}
			t, err := makeTable(s.results())
			if err != nil {
				return err
			}
			return a.table(t, format)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.model, "model", "", "preset, YAML file or checkpoint folder")
	f.StringVar(&run, "run", "", "folder of a run of 'quadrant train', instead of a model")
	f.StringSliceVar(&o.corpus, "corpus", nil, "files, folders or patterns to read; none is text that comes with Go")
	f.StringVar(&o.task, "task", "", "read the questions and right answers of a task of 'quadrant eval' instead of the corpus itself")
	f.StringVar(&o.data, "data", "", "folder of the data of published tasks, or one task's file")
	f.IntVar(&o.tokens, "tokens", 32768, "tokens to read")
	f.IntVar(&o.window, "window", 512, "tokens after which a sequence starts afresh")
	f.StringVar(&o.phase, "phase", "inference", "how routers choose: inference, training, both")
	f.StringVar(&o.tokenizer, "tokenizer", "", "tokenizer.json file or folder that holds one; none is bytes")
	f.StringVar(&o.by, "by", "", "count separately by: class (of the token's first byte)")
	f.BoolVar(&experts, "experts", false, "list every expert instead of summing up its layer")
	f.StringVar(&o.dtype, "dtype", "", "type of weights and KV cache: "+dtypeUsage)
	f.StringVar(&format, "format", "table", "of the output: "+reports.Formats())
	f.StringVar(&out, "out", "", "file to append the counts to, as JSON lines")
	return cmd
}

// trainingBalance prints the balance of a run's layers as training went on.
func (a *app) trainingBalance(run, format string) error {
	rs, err := results.ReadFile(filepath.Join(run, resultsName))
	if err != nil {
		return err
	}
	t, err := reports.TrainingBalanceTable(results.Latest(rs))
	if err != nil {
		return fmt.Errorf("%s: %w", run, err)
	}
	return a.table(t, format)
}

func openCorpus(ctx context.Context, paths []string) (corpus.Corpus, error) {
	if len(paths) == 0 {
		return corpus.Default(ctx)
	}
	return corpus.Open(paths...)
}

// phases are those that a --phase names.
func phases(phase string) ([]string, error) {
	switch phase {
	case "inference", "training":
		return []string{phase}, nil
	case "both":
		return []string{"inference", "training"}, nil
	}
	return nil, misusef("phase %q is unknown: want inference, training or both", phase)
}

// balance counts what o asks for, unless s has it.
func (a *app) balance(ctx context.Context, o balanceOptions, s *sink) error {
	if o.tokens < 1 || o.window < 1 {
		return misusef("--tokens %d, --window %d: want at least 1", o.tokens, o.window)
	}
	if o.by != "" && o.by != "class" {
		return misusef("--by %q: want class", o.by)
	}
	wanted, err := phases(o.phase)
	if err != nil {
		return err
	}
	b, err := a.prepareBalance(ctx, o)
	if err != nil {
		return err
	}
	for _, phase := range wanted {
		if err := b.count(ctx, phase, s); err != nil {
			return err
		}
	}
	return nil
}

// A balanceRun is a model and a text, ready to be counted.
type balanceRun struct {
	*app
	o       balanceOptions
	preset  configs.Preset
	types   arch.Types
	dev     kernels.Device
	routes  *evals.Routes
	model   *arch.Model // nil until something is to be counted
	subject results.Subject
	text    tokenText
	classes []evals.Class
}

func (a *app) prepareBalance(ctx context.Context, o balanceOptions) (*balanceRun, error) {
	p, err := findModel(o.model)
	if err != nil {
		return nil, err
	}
	if o.name != "" {
		p.Name = o.name
	}
	chosen, err := a.typesOf(p, o.dtype)
	if err != nil {
		return nil, err
	}
	b := &balanceRun{app: a, o: o, preset: p, types: chosen.types}
	if b.subject, err = a.subject(p, b.types); err != nil {
		return nil, err
	}
	bytes, err := need(p, size{b.types, 1, o.window})
	if err != nil {
		return nil, err
	}
	if b.dev, err = a.openDevice(); err != nil {
		return nil, err
	}
	if err := checkMemory(b.dev, p.Name, bytes); err != nil {
		return nil, err
	}
	if o.task != "" {
		b.text, err = a.readTaskTokens(ctx, o)
	} else {
		b.text, err = a.readTokens(ctx, o.corpus, o.tokenizer, o.tokens)
	}
	if err != nil {
		return nil, err
	}
	if o.by == "class" {
		b.classes, err = evals.ClassesOf(b.text.tokens, b.text.ids)
	}
	return b, err
}

// A tokenText is the beginning of a corpus in tokens.
type tokenText struct {
	corpus string
	task   string // that the corpus is made of, "" where it is none
	tokens tokenizer.Tokenizer
	ids    []int32
}

// openTextTokenizer opens the tokenizer called name, "" being bytes.
func openTextTokenizer(name string) (tokenizer.Tokenizer, error) {
	if name == "" {
		return tokenizer.Bytes{}, nil
	}
	return tokenizer.Open(name)
}

// cut makes t of the first n of ids.
func (a *app) cut(t *tokenText, ids []int32, n int) {
	if len(ids) < n {
		a.log.Warn("the corpus has fewer tokens than asked for", "corpus", t.corpus, "has", len(ids), "asked", n)
	}
	t.ids = ids[:min(n, len(ids))]
}

// taskItems is how many questions are made of a task that is made.
const taskItems = 400

// readTaskTokens reads a task's questions, each with its right answer and an empty line.
func (a *app) readTaskTokens(ctx context.Context, o balanceOptions) (t tokenText, err error) {
	if t.tokens, err = openTextTokenizer(o.tokenizer); err != nil {
		return t, err
	}
	sets, err := a.readTasks(ctx, evalOptions{tasks: []string{o.task}, data: o.data, corpus: o.corpus, items: taskItems})
	if err != nil {
		return t, err
	}
	set := sets[0]
	t.task, t.corpus = set.Task.Name, set.Task.Name
	if set.Task.DatasetPath != "" {
		t.corpus += " of " + set.Task.DatasetPath
	}
	var text strings.Builder
	for _, d := range set.Docs {
		right := d.Requests[d.Gold]
		text.WriteString(right.Context + right.Continuation + "\n\n")
	}
	ids, err := t.tokens.Encode(text.String())
	a.cut(&t, ids, o.tokens)
	return t, err
}

// readTokens reads n tokens of a corpus, or all it has; name names the tokenizer, "" being
// bytes.
func (a *app) readTokens(ctx context.Context, paths []string, name string, n int) (t tokenText, err error) {
	if t.tokens, err = openTextTokenizer(name); err != nil {
		return t, err
	}
	c, err := openCorpus(ctx, paths)
	if err != nil {
		return t, err
	}
	t.corpus = c.Name
	for bytes := n; ; bytes *= 2 { // a token has at least a byte, and often several
		text, err := c.Take(bytes)
		if err != nil {
			return t, err
		}
		ids, err := t.tokens.Encode(string(text))
		if err != nil {
			return t, err
		}
		if len(ids) >= n || len(text) < bytes {
			a.cut(&t, ids, n)
			return t, nil
		}
	}
}

// of is a result of a layer.
func (b *balanceRun) of(metric, phase, class string, layer int, values []float64) results.Result {
	r := b.preset.Config.Layers[layer].Channel.MoE.Router
	choice := r.InferenceChoice()
	if phase == "training" {
		choice = r.TrainingChoice()
	}
	return results.Result{
		Schema: results.Schema, Env: environment(b.dev), Subject: b.subject, Metric: metric, Values: values,
		Point: results.Point{
			Phase: phase, Choice: choice, TopK: r.TopK, Class: class, Layer: &layer,
			Corpus: b.text.corpus, Task: b.text.task, Tokens: len(b.text.ids), Window: b.o.window, Tokenizer: b.text.tokens.Name(),
		},
	}
}

// known reports whether s has what a phase comes to.
func (b *balanceRun) known(phase string, s *sink) bool {
	known, layers := true, 0
	ask := func(metric, class string, layer int) {
		known = s.known(b.of(metric, phase, class, layer, nil)) && known
	}
	for i, l := range b.preset.Config.Layers {
		if l.Channel.MoE == nil {
			continue
		}
		layers++
		limited := phase == "training" && l.Channel.MoE.Router.Capacity > 0
		ask("expert_tokens", "", i)
		if limited {
			ask("expert_dropped", "", i)
		}
		for c, name := range evals.Classes {
			if !slices.Contains(b.classes, evals.Class(c)) {
				continue
			}
			ask("class_expert_tokens", name, i)
			if limited {
				ask("expert_dropped", name, i)
			}
		}
	}
	return known && layers > 0
}

// count counts one phase, unless s has it.
func (b *balanceRun) count(ctx context.Context, phase string, s *sink) error {
	if b.known(phase, s) {
		return nil
	}
	if b.model == nil {
		b.routes = &evals.Routes{Device: b.dev}
		m, err := b.build(b.routes, b.preset, b.types)
		if err != nil {
			return err
		}
		b.model = m
	}
	n := len(b.text.ids)
	bar := newProgress(b.stderr, "balance", n)
	defer bar.end()
	loads, err := evals.Balance(ctx, b.routes, b.model, b.text.ids, evals.BalanceOptions{
		Window: b.o.window, Training: phase == "training", Classes: b.classes, Progress: func(done int) { bar.set(done, n) },
	})
	if err != nil {
		return fmt.Errorf("%s: %w", b.preset.Name, err)
	}
	var rs []results.Result
	for _, l := range loads {
		rs = append(rs, b.of("expert_tokens", phase, "", l.Layer, l.Tokens))
		if l.Limited {
			rs = append(rs, b.of("expert_dropped", phase, "", l.Layer, l.Dropped))
		}
		for c, tally := range l.Classes {
			if !slices.Contains(b.classes, evals.Class(c)) {
				continue
			}
			rs = append(rs, b.of("class_expert_tokens", phase, evals.Classes[c], l.Layer, tally.Tokens))
			if l.Limited {
				rs = append(rs, b.of("expert_dropped", phase, evals.Classes[c], l.Layer, tally.Dropped))
			}
		}
	}
	return s.write(slices.DeleteFunc(rs, s.known)...)
}
