package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"quadrant/evals/tasks"
	"quadrant/internal/atomicfile"
	"quadrant/internal/python"
	"quadrant/results"
)

// report writes the files and prints the tables.
func (e *evaluation) report() error {
	if e.o.out != "" {
		if err := e.write(time.Now()); err != nil {
			return err
		}
	}
	var published, made []tasks.TaskRun
	for _, f := range e.done {
		if f.baselines == nil {
			published = append(published, f.run)
		} else {
			made = append(made, f.run)
		}
	}
	if len(published) > 0 {
		fmt.Fprint(e.stdout, tasks.Table(published))
	}
	if len(made) > 0 {
		fmt.Fprint(e.stdout, tasks.Table(made, e.baselines()...))
	}
	return nil
}

// baselines are the columns of guessing and of n-grams.
func (e *evaluation) baselines() []tasks.Baseline {
	of := make(map[string]finished)
	for _, f := range e.done {
		of[f.run.Task.Name] = f
	}
	columns := []tasks.Baseline{{Name: "Chance", Score: func(task string, m tasks.Metric) (float64, bool) {
		c := of[task].Task.Chance
		return c, c > 0 && (m == tasks.Acc || m == tasks.AccNorm)
	}}}
	for i, n := range ngrams {
		columns = append(columns, tasks.Baseline{Name: fmt.Sprintf("%d-gram", n), Score: func(task string, m tasks.Metric) (float64, bool) {
			for _, s := range of[task].baselines[i].Scores {
				if s.Metric == m {
					return s.Value, true
				}
			}
			return 0, false
		}})
	}
	return columns
}

// write writes the harness's files and ours, and removes the journals.
func (e *evaluation) write(now time.Time) error {
	var journals []string
	for i := range e.done {
		f := &e.done[i]
		samples, err := f.samples()
		if err != nil {
			return err
		}
		f.run.Hash = tasks.HashSamples(samples)
		key, err := e.key(f.taskSet)
		if err != nil {
			return err
		}
		journals = append(journals, filepath.Join(e.folder(), fmt.Sprintf(".unfinished_%s_%s.jsonl", f.Task.Name, key)))
		if e.o.samples {
			if err := writeSamples(filepath.Join(e.folder(), fmt.Sprintf("samples_%s_%s.jsonl", f.Task.Name, tasks.Stamp(now))), samples); err != nil {
				return err
			}
		}
	}
	text, err := python.JSON{Indent: 2}.Dumps(e.harness(now).Results())
	if err != nil {
		return err
	}
	err = atomicfile.Write(filepath.Join(e.folder(), fmt.Sprintf("results_%s.json", tasks.Stamp(now))), func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
	if err != nil {
		return err
	}
	if err := e.appendResults(filepath.Join(e.o.out, "results.jsonl")); err != nil {
		return err
	}
	for _, j := range journals {
		err = errors.Join(err, os.Remove(j))
	}
	return err
}

func (f finished) samples() ([]python.Object, error) {
	var all []python.Object
	for i, d := range f.Docs {
		s, err := f.Task.Sample(i, d, f.answers[i], f.marks[i])
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func writeSamples(name string, samples []python.Object) error {
	return atomicfile.Write(name, func(w io.Writer) error {
		for _, s := range samples {
			line, err := python.JSON{}.Dumps(s)
			if err != nil {
				return err
			}
			if _, err := io.WriteString(w, line+"\n"); err != nil {
				return err
			}
		}
		return nil
	})
}

func (e *evaluation) harness(now time.Time) tasks.Run {
	env := environment(e.device)
	r := tasks.Run{
		Model: e.preset.Name, ModelArgs: fmt.Sprintf("pretrained=%s,dtype=%s,tokenizer=%s", e.preset.Name, e.subject.DType, e.tokenizer),
		Parameters: e.subject.Total, DType: e.subject.DType, Device: e.device.Name(), Batch: e.o.batch, Limit: e.o.limit, Bootstrap: e.o.bootstrap,
		Window: e.o.window, Commit: env.Commit, Start: e.start, End: now,
		Environment: fmt.Sprintf("quadrant %s, %s, %s, %s, weights: %s", env.Commit, env.Go, env.OS, env.CPU, e.subject.Weights),
	}
	for _, f := range e.done {
		r.Tasks = append(r.Tasks, f.run)
	}
	return r
}

// scoreContext is the context at which the work of a token is counted, for figures of
// scores against it.
const scoreContext = 1024

// appendResults adds what was measured to our own file: every mark, not their means.
func (e *evaluation) appendResults(name string) error {
	s, err := e.openSink(name)
	if err != nil {
		return err
	}
	env := environment(e.device)
	work, err := countAt(e.preset, scoreContext+1, e.types)
	if err != nil {
		return errors.Join(err, s.close())
	}
	rs := []results.Result{{
		Schema: results.Schema, Env: env, Subject: e.subject, Metric: "flops",
		Point: results.Point{Context: scoreContext, Convention: "exact"}, Values: []float64{float64(work.FLOPs)},
	}}
	trained, err := e.trainingWork(env)
	if err != nil { // answers are worth more than what training took
		e.log.Warn("the FLOPs of the model's training are not known", "why", err)
	}
	rs = append(rs, trained...)
	for _, f := range e.done {
		asked, err := tasks.RequestsSHA256(f.Task, f.Docs)
		if err != nil {
			return errors.Join(err, s.close())
		}
		at := results.Point{Task: f.Task.Name, Shots: f.shots, Data: asked, Tokenizer: e.tokenizer, Window: e.o.window}
		of := func(subject results.Subject, metric string, values ...float64) {
			rs = append(rs, results.Result{Schema: results.Schema, Env: env, Subject: subject, Point: at, Metric: metric, Values: values})
		}
		e.marks(f, of)
	}
	return errors.Join(s.write(rs...), s.close())
}

// marks hands on a task's marks, and the scores of what they are compared with.
func (e *evaluation) marks(f finished, of func(subject results.Subject, metric string, values ...float64)) {
	logged := false
	for i, m := range f.Task.Metrics {
		switch m {
		case tasks.Acc, tasks.AccNorm:
			of(e.subject, string(m), column(f.marks, i)...)
		case tasks.BitsPerByte:
			of(e.subject, string(m), f.run.Scores[i].Value)
		}
		if (m == tasks.Perplexity || m == tasks.BitsPerByte) && !logged {
			of(e.subject, "log_likelihood", column(f.marks, i)...)
			logged = true
		}
	}
	if f.Task.Chance > 0 {
		of(results.Subject{Model: "chance", Family: "baseline", Weights: "none"}, "chance", f.Task.Chance)
	}
	for k, b := range f.baselines {
		for _, s := range b.Scores {
			if s.Metric == tasks.Acc || s.Metric == tasks.BitsPerByte {
				of(results.Subject{Model: fmt.Sprintf("%d-gram", ngrams[k]), Family: "baseline", Weights: "counts of " + f.Task.DatasetPath}, string(s.Metric), s.Value)
			}
		}
	}
}

func column(marks [][]tasks.Mark, i int) []float64 {
	var values []float64
	for _, of := range marks {
		values = append(values, of[i].Value)
	}
	return values
}
