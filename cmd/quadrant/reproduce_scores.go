package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"quadrant/evals/generated"
	"quadrant/evals/tasks"
	"quadrant/reports"
	"quadrant/results"
)

// scores asks every trained model of the recipe the questions of its tasks, which are made of
// the text that training held out, and takes over what was measured. Models that have answered
// the same questions already are not asked again; one that was stopped goes on.
func (a *app) scores(ctx context.Context, r recipe, corpus []string, out string, s *sink) error {
	if len(r.trained) == 0 || len(r.tasks) == 0 {
		return nil
	}
	o := evalOptions{tasks: r.tasks, corpus: corpus, items: r.items, dtype: r.dtype, window: 2048, batch: 2048, bootstrap: 1000}
	sets, err := a.makeTasks(ctx, o)
	if err != nil {
		return err
	}
	if len(sets) == 0 {
		return nil // makeTasks has said why
	}
	var all []results.Result
	for _, model := range r.trained {
		o.model, o.name = checkpointPath(trainingFolder(out, r, model), r.steps), model+", trained"
		o.out = filepath.Join(out, "scores", fmt.Sprintf("%s-%d", model, r.steps))
		if err := a.scoreOnce(ctx, o, sets); err != nil {
			return fmt.Errorf("scoring %s in %s: %w", model, o.out, err)
		}
		rs, err := takeOver(s, o.out)
		if err != nil {
			return err
		}
		all = append(all, rs...)
	}
	t, err := reports.ChanceTable(all)
	if err != nil {
		return err
	}
	return a.table(t, "table")
}

// makeTasks makes the tasks of o but for those that the text is too short for.
func (a *app) makeTasks(ctx context.Context, o evalOptions) ([]taskSet, error) {
	m, err := a.readMaterial(ctx, o)
	if err != nil {
		return nil, err
	}
	var sets []taskSet
	for _, name := range o.tasks {
		set, err := a.makeTask(name, m, o)
		if errors.Is(err, generated.ErrNoQuestion) {
			a.log.Warn("a task is left out", "why", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		sets = append(sets, set)
	}
	return sets, nil
}

// scoreOnce scores a model into the folder of o, unless that holds its scores.
func (a *app) scoreOnce(ctx context.Context, o evalOptions, sets []taskSet) error {
	e, err := a.prepareEvaluation(o)
	if err != nil {
		return err
	}
	scored, err := e.scored(sets)
	if scored || err != nil {
		return err
	}
	if err := e.answer(ctx, sets); err != nil {
		return err
	}
	return e.write(time.Now())
}

// scored reports whether the folder holds the model's answers to all of sets.
func (e *evaluation) scored(sets []taskSet) (bool, error) {
	rs, err := results.ReadFile(filepath.Join(e.o.out, resultsName))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, s := range sets {
		asked, err := tasks.RequestsSHA256(s.Task, s.Docs)
		if err != nil {
			return false, err
		}
		if !slices.ContainsFunc(rs, func(r results.Result) bool {
			return r.Metric == "acc" && r.Point.Task == s.Task.Name && r.Point.Data == asked && r.Subject.Model == e.subject.Model && r.Subject.Weights == e.subject.Weights
		}) {
			return false, nil
		}
	}
	return true, nil
}
