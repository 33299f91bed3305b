package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"quadrant/arch"
	"quadrant/kernels"
)

// A Checkpoint is a model as it is published: a folder with config.json and weights.
type Checkpoint struct {
	Path    string // the folder, or one of several files of weights in it
	Config  arch.Config
	Options Options

	family *family
}

// maxConfig bounds config.json, in bytes.
const maxConfig = 1 << 22

// Open reads the config.json of a checkpoint: of the folder at path, or beside the file of
// weights at path. Weights are not opened, and need not be there.
func Open(path string, o Options) (*Checkpoint, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	c := &Checkpoint{Path: path, Options: o}
	if !info.IsDir() && !IsWeights(path) {
		return nil, fmt.Errorf("checkpoint: %s: want a folder with config.json and weights, or a file of weights in one (%s)", path, strings.Join(weightExts, ", "))
	}
	config := filepath.Join(c.Dir(), "config.json")
	text, err := readSmall(config, maxConfig)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("checkpoint: %s has no config.json, which says what the weights are of", c.Dir())
	}
	if err == nil {
		c.family, c.Config, err = parseConfig(text, o)
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %s: %w", config, err)
	}
	return c, nil
}

var weightExts = []string{".safetensors", ".bin", ".pt", ".pth", ".index.json"}

// IsWeights tells whether path is named as a file of weights or an index of some.
func IsWeights(path string) bool {
	return slices.ContainsFunc(weightExts, func(ext string) bool { return strings.HasSuffix(path, ext) })
}

// Dir is the folder.
func (c *Checkpoint) Dir() string {
	if info, err := os.Stat(c.Path); err == nil && info.IsDir() {
		return c.Path
	}
	return filepath.Dir(c.Path)
}

// Family is the name of the format, one of Families.
func (c *Checkpoint) Family() string { return c.family.name }

// Project is whose code defines the format.
func (c *Checkpoint) Project() string { return c.family.project }

// Tokenizer is the path of the folder's tokenizer.json, or the name of what models of the
// family usually use, or "".
func (c *Checkpoint) Tokenizer() string {
	path := filepath.Join(c.Dir(), "tokenizer.json")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	return c.family.tokenizer
}

// Source says in words where the weights are from, and how they are read where that is a
// choice: "models/BlackMamba-1.5B (torch), gelu in experts". It does not open them.
func (c *Checkpoint) Source() string {
	said := fmt.Sprintf("%s (%s)", filepath.Clean(c.Path), formatInWords(c.Path))
	if c.family == &blackMamba {
		for _, l := range c.Config.Layers {
			if l.Channel.MoE != nil {
				return said + fmt.Sprintf(", %v in experts", l.Channel.MoE.Expert.Act)
			}
			if l.Channel.MLP != nil {
				return said + fmt.Sprintf(", %v in MLPs", l.Channel.MLP.Act)
			}
		}
	}
	return said
}

func formatInWords(path string) string {
	file, err := FindWeights(path)
	if err != nil {
		return "config.json only"
	}
	if name, ok := strings.CutSuffix(file, ".index.json"); ok {
		if strings.HasSuffix(name, ".safetensors") {
			return formatSafetensors + ", sharded"
		}
		return formatTorch + ", sharded"
	}
	format, err := formatOf(file)
	if err != nil {
		return "unreadable"
	}
	return format
}

// Load makes the model on dev with the checkpoint's weights, those of types.Weights being
// converted if the file has another type. It is strict: what is missing, what is left over
// and what has the wrong shape or type is told all at once (a [Mismatch]), before any
// memory is asked for. Weights go from the mapped file to the device in pieces; there is no
// second copy of them.
func (c *Checkpoint) Load(dev kernels.Device, types arch.Types) (*arch.Model, error) {
	w, err := OpenWeights(c.Path)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	if _, err := c.Check(w); err != nil {
		return nil, err
	}
	m, err := arch.New(c.Config, dev, types)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %s: %w", c.Path, err)
	}
	all, err := c.family.weights(m)
	if err != nil {
		return nil, err
	}
	for _, weight := range all {
		for _, p := range weight.parts {
			t, _ := c.find(w, p.tensor)
			if err := load(dev, weight.param.Mat, t, p.runs); err != nil {
				return nil, err
			}
		}
	}
	return m, dev.Sync()
}

// find returns the tensor called name. Where the head is tied, it goes by either of its
// names, of which writers of safetensors drop one.
func (c *Checkpoint) find(w *Weights, name string) (Tensor, bool) {
	t, ok := w.Tensor(name)
	if !ok && c.Config.TiedHead && c.family.twin != "" && name == c.embedding() {
		return w.Tensor(c.family.twin)
	}
	return t, ok
}

// embedding is the name of the embedding.
func (c *Checkpoint) embedding() string {
	return c.family.parts(c.Config, place{-1, "embed"})[0].tensor
}

// A Mismatch is all that a config and weights disagree on.
type Mismatch struct {
	Path     string
	Problems []Problem
}

// A Problem is a tensor that is not as the config asks.
type Problem struct {
	Tensor string
	Kind   string // "missing", "wrong" or "left over"
	Detail string
}

func (e *Mismatch) add(tensor, kind, format string, args ...any) {
	e.Problems = append(e.Problems, Problem{tensor, kind, fmt.Sprintf(format, args...)})
}

func (e *Mismatch) Error() string {
	var lines strings.Builder
	count := map[string]int{}
	for _, p := range e.Problems {
		count[p.Kind]++
		fmt.Fprintf(&lines, "\n  %s: %s %s", p.Kind, p.Tensor, p.Detail)
	}
	return fmt.Sprintf("checkpoint: %s does not hold the model that config.json describes: %d tensors are missing, %d are wrong, %d are left over%s",
		e.Path, count["missing"], count["wrong"], count["left over"], lines.String())
}

// Check compares the names, shapes and types of all tensors with what the config asks
// for, and returns the names of those that are rightly ignored.
func (c *Checkpoint) Check(w *Weights) (ignored []string, err error) {
	m, err := arch.New(c.Config, shapes{}, arch.Types{})
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %s: %w", c.Path, err)
	}
	all, err := c.family.weights(m)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %s: %w", c.Path, err)
	}
	bad := &Mismatch{Path: c.Path}
	used := map[string]bool{}
	for _, weight := range all {
		for _, p := range weight.parts {
			used[p.tensor] = true
			switch t, ok := c.find(w, p.tensor); {
			case !ok:
				bad.add(p.tensor, "missing", "%v", p.shape)
			case !slices.Equal(t.Shape, p.shape):
				bad.add(t.Name, "wrong", "is %v, want %v", t.Shape, p.shape)
			default:
				if _, loads := typeOf(t.DType); !loads {
					bad.add(t.Name, "wrong", "is %s, want F32, F16 or BF16", t.DType)
				}
			}
		}
	}
	for _, t := range w.Tensors {
		switch {
		case used[t.Name]:
		case c.Config.TiedHead && c.family.twin != "" && t.Name == c.family.twin:
			ignored = append(ignored, t.Name)
			if table, ok := w.Tensor(c.embedding()); ok && !equal(t, table) {
				bad.add(t.Name, "wrong", "differs from %s, but config.json says that they are tied", table.Name)
			}
		case c.family.skip != nil && c.family.skip(t.Name):
			ignored = append(ignored, t.Name)
		default:
			bad.add(t.Name, "left over", "%v", t.Shape)
		}
	}
	if len(bad.Problems) > 0 {
		return ignored, bad
	}
	return ignored, nil
}

// equal tells whether two tensors hold the same values.
func equal(a, b Tensor) bool {
	if a.DType != b.DType || !slices.Equal(a.Shape, b.Shape) {
		return false
	}
	if slices.Equal(a.Strides, b.Strides) && (len(a.Data) == 0 || &a.Data[0] == &b.Data[0] && len(a.Data) == len(b.Data)) {
		return true
	}
	a, errA := a.Contiguous()
	b, errB := b.Contiguous()
	return errA == nil && errB == nil && bytes.Equal(a.Data, b.Data)
}

// shapes is a device without memory.
type shapes struct{}

func (shapes) Name() string { return "shapes" }
func (shapes) Alloc(t kernels.Type, rows, cols int) kernels.Mat {
	return kernels.Mat{Type: t, Rows: rows, Cols: cols, Stride: cols}
}
func (shapes) Write(kernels.Mat, []byte) {}
func (shapes) Read([]byte, kernels.Mat)  {}
func (shapes) Do(kernels.Op)             {}
func (shapes) Sync() error               { return nil }
