package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"quadrant/arch"
	"quadrant/checkpoint"
	"quadrant/kernels"
)

// stateFile holds what beside the weights a run goes on from.
const stateFile = "trainer.safetensors"

// stepPrefix begins the names of a run's checkpoints: step-0001500.
const stepPrefix = "step-"

// A state is the settings that a run must have in common with the one it goes on from.
type state struct {
	Step    int     `json:"step"`
	Options Options `json:"options"`
	Source  string  `json:"source"`
}

// Save writes the run as it is after its latest step into the folder dir/step-N: the model,
// as every --model takes it, and beside it the moments of the optimiser. The folder appears
// whole or not at all, so that weights and moments are of one step whenever the program is
// stopped. metadata is noted in the model's file. copies are files, such as tokenizer.json,
// that belong to the model.
//
// Of older checkpoints in dir the latest keep−1 stay; all where keep is 0.
func (t *Trainer) Save(dir string, metadata map[string]string, copies []string, keep int) (path string, err error) {
	path = filepath.Join(dir, fmt.Sprintf("%s%07d", stepPrefix, t.Steps()))
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return path, fmt.Errorf("train: %w", err)
	}
	temporary, err := os.MkdirTemp(dir, ".step.*.tmp")
	if err != nil {
		return path, fmt.Errorf("train: %w", err)
	}
	defer os.RemoveAll(temporary)
	inner := filepath.Join(temporary, filepath.Base(path))
	e := checkpoint.Export{Family: "quadrant", Metadata: metadata, Copy: copies}
	if err := e.Write(inner, t.learner.Device(), t.learner.Model()); err != nil {
		return path, err
	}
	if err := t.saveState(filepath.Join(inner, stateFile)); err != nil {
		return path, err
	}
	if err := os.RemoveAll(path); err != nil { // of the same step, of a run that was resumed from before it
		return path, fmt.Errorf("train: %w", err)
	}
	if err := errors.Join(syncFolder(inner), os.Rename(inner, path), syncFolder(dir)); err != nil {
		return path, fmt.Errorf("train: %w", err)
	}
	return path, prune(dir, keep)
}

// syncFolder makes the names in a folder reach the disk.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (t *Trainer) saveState(path string) error {
	text, err := json.Marshal(state{t.Steps(), t.Options, t.source.Describe()})
	if err != nil {
		return fmt.Errorf("train: %w", err)
	}
	var tensors []checkpoint.Tensor
	dev := t.learner.Device()
	t.opt.moments(func(name string, m kernels.Mat) {
		data := make([]byte, m.Bytes())
		dev.Read(data, m)
		tensors = append(tensors, checkpoint.Tensor{Name: name, DType: "F32", Shape: []int{m.Rows, m.Cols}, Data: data})
	})
	if err := dev.Sync(); err != nil {
		return err
	}
	return checkpoint.WriteSafetensors(path, tensors, map[string]string{"quadrant.trainer": string(text)})
}

// moments shows those of every weight to visit.
func (o *Optimizer) moments(visit func(name string, m kernels.Mat)) {
	for i, p := range o.params {
		visit("m."+p.Name, o.m[i])
		visit("v."+p.Name, o.v[i])
	}
}

// prune removes all but the latest keep checkpoints in dir, and what a run that was killed
// left half written.
func prune(dir string, keep int) error {
	left, err := filepath.Glob(filepath.Join(dir, ".step.*.tmp"))
	if err != nil {
		return err
	}
	if all, err := Checkpoints(dir); err != nil {
		return err
	} else if keep > 0 && len(all) > keep {
		left = append(left, all[:len(all)-keep]...)
	}
	var errs []error
	for _, path := range left {
		errs = append(errs, os.RemoveAll(path))
	}
	return errors.Join(errs...)
}

// Checkpoints are the folders in dir that [Trainer.Save] wrote, by step. There are none where
// dir is none.
func Checkpoints(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("train: %w", err)
	}
	var all []string
	for _, e := range entries {
		if number, ok := strings.CutPrefix(e.Name(), stepPrefix); ok && e.IsDir() {
			if _, err := strconv.Atoi(number); err == nil {
				all = append(all, filepath.Join(dir, e.Name()))
			}
		}
	}
	slices.SortFunc(all, func(a, b string) int { return stepOf(a) - stepOf(b) })
	return all, nil
}

func stepOf(path string) int {
	n, _ := strconv.Atoi(strings.TrimPrefix(filepath.Base(path), stepPrefix)) // Checkpoints checked it
	return n
}

// Load makes t go on from the checkpoint in the folder path, whose model must be of t's
// config, and whose options and source must be t's.
func (t *Trainer) Load(path string) error {
	f, err := checkpoint.ReadSafetensors(filepath.Join(path, stateFile))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := t.checkState(f.Metadata["quadrant.trainer"]); err != nil {
		return fmt.Errorf("train: %s: %w", path, err)
	}
	if err := t.loadModel(path); err != nil {
		return err
	}
	dev := t.learner.Device()
	var errs []error
	t.opt.moments(func(name string, m kernels.Mat) {
		tensor, ok := f.Tensor(name)
		if !ok || tensor.DType != "F32" || !slices.Equal(tensor.Shape, []int{m.Rows, m.Cols}) {
			errs = append(errs, fmt.Errorf("train: %s: %s is missing or not of %v", path, name, m))
			return
		}
		dev.Write(m, tensor.Data)
	})
	return errors.Join(append(errs, dev.Sync())...)
}

// checkState reads a state, which must fit t, and takes its step.
func (t *Trainer) checkState(text string) error {
	var s state
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return fmt.Errorf("its %s does not say what run it is of: %w", stateFile, err)
	}
	if s.Options != t.Options {
		return fmt.Errorf("it is of a run with other settings: %+v, not %+v", s.Options, t.Options)
	}
	if now := t.source.Describe(); s.Source != now {
		return fmt.Errorf("it is of a run on other data: %s, not %s", s.Source, now)
	}
	if s.Step < 0 || s.Step > s.Options.Schedule.Steps {
		return fmt.Errorf("it is of step %d of %d", s.Step, s.Options.Schedule.Steps)
	}
	t.opt.steps = s.Step
	return nil
}

// loadModel copies the weights of the checkpoint at path into t's model.
func (t *Trainer) loadModel(path string) error {
	c, err := checkpoint.Open(path, checkpoint.Options{})
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(c.Config, t.learner.Model().Config) {
		return fmt.Errorf("train: %s is of a model with another config", path)
	}
	w, err := checkpoint.OpenWeights(path)
	if err != nil {
		return err
	}
	defer w.Close()
	if _, err := c.Check(w); err != nil {
		return err
	}
	dev := t.learner.Device()
	var errs []error
	n := 0
	t.learner.Model().Params(func(name string, p *arch.Param) {
		n++
		tensor, ok := w.Tensor(name)
		if !ok || tensor.DType != "F32" || tensor.Elements() != p.Len() {
			errs = append(errs, fmt.Errorf("train: %s: %s is missing or not of %v", path, name, p.Mat))
			return
		}
		dev.Write(p.Mat, tensor.Data)
	})
	if n != len(w.Tensors) {
		errs = append(errs, fmt.Errorf("train: %s holds %d tensors for a model of %d", path, len(w.Tensors), n))
	}
	return errors.Join(append(errs, dev.Sync())...)
}
