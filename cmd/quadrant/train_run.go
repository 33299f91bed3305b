package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"quadrant/arch"
	"quadrant/bench"
	"quadrant/configs"
	"quadrant/corpus"
	"quadrant/kernels"
	"quadrant/reports"
	"quadrant/results"
	"quadrant/tokenizer"
	"quadrant/train"
)

// A trainRun is training under way.
type trainRun struct {
	*app
	runSettings
	keep       int
	tokens     tokenizer.Tokenizer
	trainer    *train.Trainer
	validators []*train.Validator
	held       []train.Held
	text       *train.Mixture

	results *sink
	steps   []stepLine // made so far, those before a resumption included
	since   int        // of steps, those before it
	log     *os.File
	status  *trainStatus
	env     results.Env
	subject results.Subject
}

// openRun reads the text, makes the model, and goes on from the latest checkpoint if that is
// asked for. What can be wrong is found before anything is written.
func (a *app) openRun(ctx context.Context, s runSettings, o trainFlags) (*trainRun, error) {
	r := &trainRun{app: a, runSettings: s, keep: o.keep}
	dev, err := a.openDevice()
	if err != nil {
		return nil, err
	}
	if err := r.readText(ctx); err != nil {
		return nil, err
	}
	if err := r.makeTrainer(dev); err != nil {
		return nil, err
	}
	if err := r.openFolder(o.resume); err != nil {
		return nil, err
	}
	r.env = environment(dev)
	return r, r.startStatus(dev, o.peak)
}

func (r *trainRun) readText(ctx context.Context) (err error) {
	if r.tokens, err = tokenizer.Open(r.Tokenizer); err != nil {
		return err
	}
	if r.tokens.Vocab() > r.Config.Vocab {
		return fmt.Errorf("tokenizer %s has %d tokens, and %s a vocabulary of %d: take another tokenizer or model", r.Tokenizer, r.tokens.Vocab(), r.Model, r.Config.Vocab)
	}
	c, err := r.corpus(ctx)
	if err != nil {
		return err
	}
	if r.Stream {
		r.Limits.File = existing(r.out)
		r.app.log.Info("reading all of the corpus into a file of tokens", "corpus", c.Name, "folder", r.Limits.File)
	}
	most := r.Limits.Train
	if most == everything {
		most = 0 // nobody knows how much there is
	}
	bar := newProgress(r.stderr, "reading "+c.Name, most)
	defer bar.end()
	done := 0
	r.text, r.held, err = train.ReadText(ctx, c, r.tokens, r.Limits, func(n int) {
		if done += n; most > 0 {
			bar.set(min(done, most), most)
		}
	})
	if err != nil {
		return err
	}
	r.text.Seed = r.Seed
	return r.text.Check(r.Options.Context)
}

// existing is the folder at path, or the nearest above it that there is.
func existing(path string) string {
	for {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			return path
		}
		above := filepath.Dir(path)
		if above == path {
			return path
		}
		path = above
	}
}

func (r *trainRun) corpus(ctx context.Context) (corpus.Corpus, error) {
	if len(r.Corpus) == 0 {
		return corpus.Mix(ctx)
	}
	c, err := corpus.Open(r.Corpus...)
	if err == nil && c.Skipped > 0 {
		r.app.log.Info("files without text were skipped", "corpus", c.Name, "files", c.Skipped)
	}
	return c, err
}

func (r *trainRun) makeTrainer(dev kernels.Device) error {
	p := configs.Preset{Name: r.Model, Config: r.Config, Checkpoint: r.Checkpoint}
	var err error
	if r.subject, err = r.app.subject(p, arch.Types{}); err != nil {
		return err
	}
	r.subject.Weights = fmt.Sprintf("trained on %s, seed %d", r.text.Name, r.Seed)
	bytes, err := need(p, size{seqs: r.Options.Batch, maxLen: r.Options.Context})
	if err != nil {
		return err
	}
	if err := checkMemory(dev, "training "+r.Model, 4*bytes); err != nil { // weights, gradients, two moments
		return err
	}
	m, err := r.firstWeights(train.NewTape(dev), p)
	if err != nil {
		return err
	}
	l, err := train.Learn(m)
	if err != nil {
		return err
	}
	if r.trainer, err = train.NewTrainer(l, r.text, r.Options); err != nil {
		return err
	}
	for _, choice := range train.Choices(r.Config) {
		v, err := train.NewValidator(l, choice, r.Options.Context, r.Options.Batch)
		if err != nil {
			return err
		}
		r.validators = append(r.validators, v)
	}
	return nil
}

// firstWeights makes the model with the weights that training starts from.
func (r *trainRun) firstWeights(dev kernels.Device, p configs.Preset) (*arch.Model, error) {
	if p.Checkpoint != "" {
		return r.app.build(dev, p, arch.Types{})
	}
	m, err := arch.New(p.Config, dev, arch.Types{})
	if err == nil {
		m.Init(r.Seed)
	}
	return m, err
}

func (r *trainRun) stepsPath() string   { return filepath.Join(r.out, "steps.jsonl") }
func (r *trainRun) checkpoints() string { return filepath.Join(r.out, "checkpoints") }

// checkpointPath is the checkpoint of a step in the folder of a run.
func checkpointPath(out string, step int) string {
	return filepath.Join(out, "checkpoints", fmt.Sprintf("step-%07d", step))
}

// openFolder begins the run's folder, or goes on from what is in it.
func (r *trainRun) openFolder(resume bool) error {
	if !resume {
		if err := r.begin(); err != nil {
			return err
		}
	} else if err := r.resume(); err != nil {
		return err
	}
	var err error
	if r.steps, err = readSteps(r.stepsPath(), r.trainer.Steps()); err != nil {
		return err
	}
	r.since = len(r.steps)
	if r.log, err = openSteps(r.stepsPath(), r.steps); err != nil {
		return err
	}
	r.results, err = r.openSink(filepath.Join(r.out, resultsName))
	return err
}

func (r *trainRun) resume() error {
	all, err := train.Checkpoints(r.checkpoints())
	if err != nil || len(all) == 0 {
		return err // it was stopped before its first checkpoint: from the beginning, then
	}
	latest := all[len(all)-1]
	if err := r.trainer.Load(latest); err != nil {
		return err
	}
	r.app.log.Info(fmt.Sprintf("going on after step %d of %d", r.trainer.Steps(), r.Options.Schedule.Steps))
	return nil
}

func (r *trainRun) startStatus(dev kernels.Device, peak float64) error {
	pass, err := countTraining(r.Config, r.Options.Batch, r.Options.Context)
	if err != nil {
		return err
	}
	if peak == 0 && dev.Name() != "ref" {
		if peak, err = bench.MatMulRate(dev, 100*time.Millisecond); err != nil {
			return err
		}
	}
	tokens := 0
	for _, d := range r.text.Domains {
		tokens += d.Tokens.Len()
	}
	r.app.log.Info(fmt.Sprintf("%s: %s parameters, %s active; %s tokens in %d steps of %d, from %s tokens of %s", r.Model,
		count(r.subject.Total).Text, count(r.subject.Active).Text, count(r.Options.TokensPerStep()*r.Options.Schedule.Steps).Text,
		r.Options.Schedule.Steps, r.Options.TokensPerStep(), count(tokens).Text, r.text.Name))
	r.status = newTrainStatus(r.stderr, r.Model, r.Options.Schedule.Steps, float64(pass)*float64(r.Options.Accumulate), peak)
	return nil
}

// loop makes the steps that are left. Where ctx ends, it saves the run and returns ctx's
// error.
func (r *trainRun) loop(ctx context.Context) error {
	defer r.status.end()
	for !r.trainer.Done() {
		if ctx.Err() != nil {
			return errors.Join(r.save(), ctx.Err())
		}
		if err := r.step(); err != nil {
			return err
		}
		n, done := r.trainer.Steps(), r.trainer.Done()
		if done || n%r.ValidEvery == 0 {
			if err := r.validate(ctx); errors.Is(err, context.Canceled) {
				return errors.Join(r.save(), err)
			} else if err != nil {
				return err
			}
		}
		if done || n%r.SaveEvery == 0 {
			if err := r.save(); err != nil {
				return err
			}
		}
	}
	return errors.Join(r.ngrams(), r.writeSteps())
}

func (r *trainRun) step() error {
	start := time.Now()
	record, err := r.trainer.Step()
	if err != nil {
		return err
	}
	s := stepLine{Record: record, Seconds: time.Since(start).Seconds()}
	s.Rate = float64(r.Options.TokensPerStep()) / s.Seconds
	line, err := json.Marshal(s)
	if err == nil {
		_, err = r.log.Write(append(line, '\n'))
	}
	r.steps = append(r.steps, s)
	r.status.step(s)
	return err
}

func (r *trainRun) save() error {
	if err := r.log.Sync(); err != nil { // a checkpoint is never ahead of the log
		return err
	}
	metadata := map[string]string{"quadrant.model": r.Model, "quadrant.weights": fmt.Sprintf("%s, step %d", r.subject.Weights, r.trainer.Steps())}
	var copies []string
	if r.Tokenizer != (tokenizer.Bytes{}).Name() {
		path := r.Tokenizer
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			path = filepath.Join(path, "tokenizer.json")
		}
		copies = append(copies, path)
	}
	_, err := r.trainer.Save(r.checkpoints(), metadata, copies, r.keep)
	return err
}

// of is a result of this run.
func (r *trainRun) of(metric string, at results.Point, values ...float64) results.Result {
	at.Corpus, at.Window, at.Tokenizer = r.text.Name, r.Options.Context, r.tokens.Name()
	return results.Result{Schema: results.Schema, Env: r.env, Subject: r.subject, Point: at, Metric: metric, Values: values}
}

// validate measures bits per byte of every domain with every choice of routers.
func (r *trainRun) validate(ctx context.Context) error {
	var rs []results.Result
	sum := 0.0
	for i, v := range r.validators {
		for _, h := range r.held {
			bits, err := v.BitsPerByte(ctx, h)
			if err != nil {
				return err
			}
			at := results.Point{Step: r.trainer.Steps(), Tokens: int(r.trainer.Tokens()), Domain: h.Name, Choice: r.choiceOf(v)}
			rs = append(rs, r.of("training_bits_per_byte", at, bits))
			if i == len(r.validators)-1 {
				sum += bits
			}
		}
	}
	r.status.end()
	r.app.log.Info(fmt.Sprintf("step %d: %.4f bits per byte of held-out text", r.trainer.Steps(), sum/float64(len(r.held))))
	return r.writeNew(rs)
}

// choiceOf names how routers choose for v; "" where there are none.
func (r *trainRun) choiceOf(v *train.Validator) string {
	if v.Choice != 0 {
		return v.Choice.String()
	}
	return r.ownChoice()
}

// ownChoice names how routers choose by the model's config; "" where there are none.
func (r runSettings) ownChoice() string {
	for _, l := range r.Config.Layers {
		if m := l.Channel.MoE; m != nil {
			return m.Router.InferenceChoice()
		}
	}
	return ""
}

// writeNew writes what a run that was resumed has not written before.
func (r *trainRun) writeNew(rs []results.Result) error {
	return r.results.write(slices.DeleteFunc(rs, r.results.known)...)
}

// writeSteps writes what the steps did: losses, times, and the loads of experts.
func (r *trainRun) writeSteps() error {
	n := len(r.steps)
	var losses, seconds []float64
	for i, s := range r.steps {
		losses = append(losses, s.Loss)
		if i >= r.since {
			seconds = append(seconds, s.Seconds)
		}
	}
	rs := []results.Result{r.of("training_loss", results.Point{Step: n}, losses...)}
	if len(seconds) > 0 {
		rs = append(rs, r.of("training_step", results.Point{Step: n, Batch: r.Options.TokensPerStep()}, seconds...))
	}
	return r.writeNew(append(rs, r.loads()...))
}

// loads sums what experts were given between validations, and lists Sinkhorn's iterations.
func (r *trainRun) loads() (rs []results.Result) {
	for from := 0; from < len(r.steps); from += r.ValidEvery {
		part := r.steps[from:min(from+r.ValidEvery, len(r.steps))]
		for i, routed := range part[0].Routers {
			sum := make([]float64, len(routed.Loads))
			for _, s := range part {
				for e, n := range s.Routers[i].Loads {
					sum[e] += float64(n)
				}
			}
			rs = append(rs, r.of("training_expert_tokens", results.Point{Step: part[len(part)-1].Step, Layer: &routed.Layer, Phase: "training"}, sum...))
			if routed.Iterations > 0 {
				rs = append(rs, r.of("training_sinkhorn_iterations", results.Point{Step: part[len(part)-1].Step, Layer: &routed.Layer, Phase: "training"}, iterations(part, i)...))
			}
		}
	}
	return rs
}

// iterations are those of the i-th router in steps.
func iterations(steps []stepLine, i int) (all []float64) {
	for _, s := range steps {
		all = append(all, float64(s.Routers[i].Iterations))
	}
	return all
}

func (r *trainRun) close() error {
	return errors.Join(r.log.Close(), r.results.close(), r.text.Close())
}

// report prints what the run came to.
func (r *trainRun) report(format string) error {
	t := reports.Table{
		Caption: fmt.Sprintf("Bits per byte of held-out text after %d steps, %s tokens", r.trainer.Steps(), count(r.trainer.Tokens()).Text),
		Columns: []reports.Column{textColumn("model", "Model"), textColumn("choice", "Routers")},
	}
	for _, h := range r.held {
		t.Columns = append(t.Columns, numberColumn(h.Name, h.Name))
	}
	t.Columns = append(t.Columns, numberColumn("mean", "Mean"))
	all := r.results.results()
	bits := map[[2]string]map[string]float64{}
	for _, res := range all {
		if row := [2]string{res.Subject.Model, res.Point.Choice}; res.Metric == "training_bits_per_byte" && res.Point.Step == r.trainer.Steps() {
			if bits[row] == nil {
				bits[row] = map[string]float64{}
			}
			bits[row][res.Point.Domain] = res.Values[0]
		}
	}
	mean := means(bits)
	for _, row := range rowsOf(all, r.trainer.Steps()) {
		cells := []reports.Cell{reports.Text(row[0]), reports.Text(row[1])}
		for _, h := range r.held {
			cells = append(cells, reports.Number(bits[row][h.Name], 4))
		}
		t.Rows = append(t.Rows, append(cells, reports.Number(mean[row], 4)))
	}
	if err := r.table(t, format); err != nil {
		return err
	}
	r.app.log.Info(fmt.Sprintf("the model is %s, for every --model", checkpointPath(r.out, r.trainer.Steps())))
	return nil
}
