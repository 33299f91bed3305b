package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"quadrant/reports"
	"quadrant/results"
)

// trainingFolder is where 'reproduce' trains a model.
func trainingFolder(out string, r recipe, model string) string {
	return filepath.Join(out, "training", fmt.Sprintf("%s-%d", model, r.steps))
}

// trainings trains every model of the recipe on the same text, goes on with those that were
// stopped, and takes over what they measured. Models that are trained already are not trained
// again.
func (a *app) trainings(ctx context.Context, r recipe, corpus []string, out string, s *sink) error {
	if len(r.trained) == 0 {
		return nil
	}
	var all []results.Result
	for _, model := range r.trained {
		dir := trainingFolder(out, r, model)
		if err := a.trainOnce(ctx, r, model, corpus, dir); err != nil {
			return fmt.Errorf("training %s in %s: %w", model, dir, err)
		}
		rs, err := takeOver(s, dir)
		if err != nil {
			return err
		}
		all = append(all, rs...) // n-grams that counted the same come once for each model
	}
	t, err := reports.TrainingTable(results.Latest(all))
	if err != nil {
		return err
	}
	return a.table(t, "table")
}

// takeOver hands s the results in a folder that it has not got, and returns them all.
func takeOver(s *sink, dir string) ([]results.Result, error) {
	rs, err := results.ReadFile(filepath.Join(dir, resultsName))
	if err != nil {
		return nil, err
	}
	rs = results.Latest(rs)
	for _, res := range rs {
		if s.known(res) {
			continue
		}
		if err := s.write(res); err != nil {
			return nil, err
		}
	}
	return rs, nil
}

// trainOnce trains a model in dir, or goes on, unless it is trained.
func (a *app) trainOnce(ctx context.Context, r recipe, model string, corpus []string, dir string) error {
	o := defaultTraining()
	o.model, o.corpus, o.steps, o.out = model, corpus, r.steps, dir
	s, err := a.newSettings(o, func(flag string) bool { return flag == "steps" })
	if err != nil {
		return err
	}
	return a.trainIn(ctx, s, o)
}

// trainIn makes the run that s describes in its folder, or goes on, unless it is made.
func (a *app) trainIn(ctx context.Context, s runSettings, o trainFlags) error {
	if _, err := os.Stat(filepath.Join(s.out, runName)); err == nil {
		if err := sameRun(s); err != nil {
			return err
		}
		o.resume = true
	}
	if made, err := trained(s); made || err != nil {
		return err
	}
	run, err := a.openRun(ctx, s, o)
	if err != nil {
		return err
	}
	return errors.Join(run.loop(ctx), run.close())
}

// trained reports whether the run in the folder of s has ended.
func trained(s runSettings) (bool, error) {
	rs, err := results.ReadFile(filepath.Join(s.out, resultsName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return slices.ContainsFunc(rs, func(res results.Result) bool {
		return res.Metric == "training_loss" && res.Point.Step == s.Options.Schedule.Steps // the last that a run writes
	}), nil
}

// sameRun returns an error where the run in the folder of s is another than s says.
func sameRun(s runSettings) error {
	old, err := readSettings(s.out)
	if err != nil {
		return err
	}
	if old.out = s.out; !reflect.DeepEqual(old, s) {
		return errors.New("the folder holds a run with other settings: remove it, or name another --out")
	}
	return nil
}
