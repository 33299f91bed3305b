package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"quadrant/arch"
	"quadrant/reports"
	"quadrant/results"
	"quadrant/synth"
	"quadrant/train"
)

// synth trains the models and prints how well they do.
func (a *app) synth(ctx context.Context, k synth.Kind, o synthFlags) error {
	if o.test < 1 {
		return misusef("--test %d: want at least 1 sequence", o.test)
	}
	if o.seeds < 1 {
		return misusef("--seeds %d: want at least 1 run", o.seeds)
	}
	if _, err := k.New(o.difficulty, a.seed); err != nil {
		return misuse(err)
	}
	s, err := a.openSink(o.out)
	if err != nil {
		return err
	}
	err = a.synthAll(ctx, k, o, s)
	if err := errors.Join(err, s.close()); err != nil {
		return resumable(err, o.out)
	}
	return a.answersTable(s.results(), o.format)
}

// answersTable prints how well models do in synthetic tasks.
func (a *app) answersTable(rs []results.Result, format string) error {
	t, err := reports.AnswersTable(rs, literature)
	if err != nil {
		return err
	}
	return a.table(t, format)
}

// synthAll trains every model from every seed. What one seed makes of all models comes before
// the next seed, so that whoever stops early has something to compare.
func (a *app) synthAll(ctx context.Context, k synth.Kind, o synthFlags, s *sink) error {
	for i := range o.seeds {
		task, err := k.New(o.difficulty, a.seed+uint64(i))
		if err != nil {
			return misuse(err)
		}
		models := make([]arch.Config, len(o.models)) // all are checked before any is trained
		for m, name := range o.models {
			if models[m], err = synthModel(name, o, task.Vocab); err != nil {
				return misuse(fmt.Errorf("--models %s: %w", name, err))
			}
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
		Schedule: train.Schedule{Shape: train.Cosine, Peak: o.lr, Floor: 0.1, Steps: o.steps, Warmup: o.warmup},
	}
}

// synthTests is how often a run of a synthetic task is tested, evenly spread.
const synthTests = 10

// A synthRun is one model that learns one task.
type synthRun struct {
	name    string
	task    *synth.Task
	flags   synthFlags
	trainer *train.Trainer
	tests   *train.Validator
	result  func(step int, metric string, values ...float64) results.Result
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
	env, subject := environment(dev), synthSubject(name, cfg, task.Seed, o)
	r := synthRun{name: name, task: task, flags: o}
	r.result = func(step int, metric string, values ...float64) results.Result {
		return results.Result{
			Schema: results.Schema, Env: env, Metric: metric, Subject: subject, Values: values,
			Point: results.Point{Phase: task.Kind.Name, Corpus: task.Title(), Step: step, Tokens: step * options.TokensPerStep(), Window: task.Length, Batch: o.batch},
		}
	}
	if known, err := r.known(s); known || err != nil {
		return err
	}
	l, err := train.NewLearner(cfg, dev)
	if err != nil {
		return err
	}
	l.Model().Init(task.Seed)
	if r.trainer, err = train.NewTrainer(l, task, options); err != nil {
		return err
	}
	if r.tests, err = train.NewValidator(l, 0, task.Length, o.batch); err != nil {
		return err
	}
	rs, err := r.learn(ctx, newTrainStatus(a.stderr, name, o.steps, 0, 0))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return s.write(rs...)
}

// known reports whether s knows how well the model does in the end, and writes what guessing is
// worth. It asks for the tests on the way, too, so that what s has of them is shown.
func (r synthRun) known(s *sink) (inTheEnd bool, err error) {
	for i := 1; i <= synthTests; i++ {
		inTheEnd = s.known(r.result((i*r.flags.steps+synthTests-1)/synthTests, "answers"))
	}
	chance := r.result(0, "chance", r.task.Chance())
	chance.Subject = results.Subject{Model: "chance", Family: "baseline", Weights: "none"}
	chance.Point.Batch = 0
	if s.known(chance) {
		return inTheEnd, nil
	}
	return inTheEnd, s.write(chance)
}

// learn trains, and tests on the way: what came out, in order.
func (r synthRun) learn(ctx context.Context, status *trainStatus) (rs []results.Result, err error) {
	defer status.end()
	steps, tested := r.flags.steps, 0
	for !r.trainer.Done() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		start := time.Now()
		record, err := r.trainer.Step()
		if err != nil {
			return nil, err
		}
		line := stepLine{Record: record, Seconds: time.Since(start).Seconds()}
		line.Rate = float64(r.trainer.TokensPerStep()) / line.Seconds
		status.step(line)
		if due := record.Step * synthTests / steps; due > tested {
			tested = due
			right, asked, err := r.test(ctx)
			if err != nil {
				return nil, err
			}
			rs = append(rs, r.result(record.Step, "answers", float64(right), float64(asked)))
		}
	}
	return rs, nil
}

// test asks questions that training did not.
func (r synthRun) test(ctx context.Context) (right, asked int, err error) {
	n, batch := r.task.Length, r.flags.batch
	ids, targets := make([]int32, batch*n), make([]int32, batch*n)
	for at := 0; at < r.flags.test; at += batch {
		if err := ctx.Err(); err != nil {
			return 0, 0, err
		}
		for i := range batch {
			r.task.Sequence(synth.Test+int64(at+i), ids[i*n:(i+1)*n], targets[i*n:(i+1)*n])
			if at+i >= r.flags.test {
				for t := range n {
					targets[i*n+t] = -1
				}
			}
		}
		some, of, err := r.tests.Correct(ids, targets)
		if err != nil {
			return 0, 0, err
		}
		right, asked = right+some, asked+of
	}
	return right, asked, nil
}
