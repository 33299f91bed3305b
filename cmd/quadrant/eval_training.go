package main

import (
	"fmt"
	"os"
	"path/filepath"

	"quadrant/results"
)

// trainingWork is the FLOPs that training the model took, where its checkpoint lies in the
// folder of a run that began with random weights; of others nobody knows them.
func (e *evaluation) trainingWork(env results.Env) ([]results.Result, error) {
	out, step, ok := runOf(e.preset.Checkpoint)
	if !ok {
		return nil, nil
	}
	s, err := readSettings(out)
	if err != nil || s.Checkpoint != "" {
		return nil, err
	}
	pass, err := countTraining(s.Config, s.Options.Batch, s.Options.Context)
	if err != nil {
		return nil, err
	}
	at := results.Point{Step: step, Tokens: step * s.Options.TokensPerStep(), Window: s.Options.Context, Convention: "exact"}
	work := float64(pass) * float64(s.Options.Accumulate) * float64(step)
	return []results.Result{{Schema: results.Schema, Env: env, Subject: e.subject, Point: at, Metric: "training_flops", Values: []float64{work}}}, nil
}

// runOf is the folder of the run that a checkpoint is of, and after which step: that of
// checkpointPath.
func runOf(checkpoint string) (out string, step int, ok bool) {
	path, err := filepath.Abs(checkpoint)
	if checkpoint == "" || err != nil {
		return "", 0, false
	}
	folder := filepath.Dir(path)
	out = filepath.Dir(folder)
	if n, err := fmt.Sscanf(filepath.Base(path), "step-%d", &step); n != 1 || err != nil || step < 1 || checkpointPath(out, step) != path {
		return "", 0, false
	}
	_, err = os.Stat(filepath.Join(out, runName))
	return out, step, err == nil
}
