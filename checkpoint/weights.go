package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Weights are open tensors by name, whatever the format and number of their files.
type Weights struct {
	Tensors []Tensor
	Others  []string // what torch files hold beside tensors
	Format  string   // "safetensors" or "torch"
	Files   []string // in whose order the Tensors are

	index map[string]int // of each name in Tensors
	close []func() error
}

// weightFiles are the names that a folder's weights go by, in the order in which they are
// looked for, which is that of transformers.
var weightFiles = []string{"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"}

// FindWeights returns the file that OpenWeights opens for path: path itself, or if it is a
// folder, the file or index in it of a name that is usual.
func FindWeights(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("checkpoint: %w", err)
	}
	if !info.IsDir() {
		return path, nil
	}
	for _, name := range weightFiles {
		file := filepath.Join(path, name)
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
	}
	var others []string
	for _, pattern := range []string{"*.safetensors", "*.bin", "*.pt", "*.pth"} {
		found, _ := filepath.Glob(filepath.Join(path, pattern))
		others = append(others, found...)
	}
	if len(others) == 1 {
		return others[0], nil
	}
	if len(others) > 1 {
		return "", fmt.Errorf("checkpoint: %s has several files of weights under unusual names: name one of %s", path, strings.Join(others, ", "))
	}
	return "", fmt.Errorf("checkpoint: %s has no weights: want one of %s", path, strings.Join(weightFiles, ", "))
}

// OpenWeights opens the weights at path: a file of safetensors or torch.save, the
// index of several (….index.json), or a folder with either. Nothing but headers is read.
func OpenWeights(path string) (*Weights, error) {
	file, err := FindWeights(path)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(file, ".index.json") {
		return openShards(file)
	}
	w := &Weights{index: map[string]int{}}
	if err := w.add(file); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// add opens one more file and keeps its tensors, whose names must be new.
func (w *Weights) add(path string) error {
	format, tensors, others, closer, err := openFile(path)
	if err != nil {
		return err
	}
	w.Format, w.Others = format, append(w.Others, others...)
	w.Files, w.close = append(w.Files, path), append(w.close, closer)
	for _, t := range tensors {
		if _, ok := w.index[t.Name]; ok {
			return fmt.Errorf("checkpoint: tensor %q of %s is in another file too", t.Name, path)
		}
		w.index[t.Name] = len(w.Tensors)
		w.Tensors = append(w.Tensors, t)
	}
	return nil
}

func openFile(path string) (format string, tensors []Tensor, others []string, closer func() error, err error) {
	format, err = formatOf(path)
	if err != nil {
		return "", nil, nil, nil, fmt.Errorf("checkpoint: %w", err)
	}
	if format == formatTorch {
		t, err := ReadTorch(path)
		if err != nil {
			return "", nil, nil, nil, err
		}
		return format, t.Tensors, t.Others, t.Close, nil
	}
	s, err := ReadSafetensors(path)
	if err != nil {
		return "", nil, nil, nil, err
	}
	return format, s.Tensors, nil, s.Close, nil
}

const formatSafetensors, formatTorch = "safetensors", "torch"

// formatOf tells the formats apart by a file's first bytes, for names are not to be
// trusted, and by its name where they say nothing.
func formatOf(path string) (string, error) {
	f, _, err := openRegular(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var b [9]byte
	n, _ := io.ReadFull(f, b[:])
	switch magic := string(b[:n]); {
	case strings.HasPrefix(magic, "PK"), strings.HasPrefix(magic, "\x80\x02"):
		return formatTorch, nil
	case n == len(b) && b[8] == '{', strings.HasSuffix(path, ".safetensors"):
		return formatSafetensors, nil
	}
	return formatTorch, nil
}

// Tensor returns the tensor called name.
func (w *Weights) Tensor(name string) (Tensor, bool) {
	i, ok := w.index[name]
	if !ok {
		return Tensor{}, false
	}
	return w.Tensors[i], true
}

// DTypes lists the types of the tensors, the one with most bytes first.
func (w *Weights) DTypes() []string {
	bytes := map[string]int{}
	var types []string
	for _, t := range w.Tensors {
		if !slices.Contains(types, t.DType) {
			types = append(types, t.DType)
		}
		bytes[t.DType] += len(t.Data)
	}
	slices.SortStableFunc(types, func(a, b string) int { return bytes[b] - bytes[a] })
	return types
}

// Close gives the files back. The Data of the tensors must not be used after it.
func (w *Weights) Close() error {
	var errs []error
	for _, c := range w.close {
		errs = append(errs, c())
	}
	w.Tensors, w.index, w.close = nil, nil, nil
	return errors.Join(errs...)
}
