package checkpoint

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"quadrant/arch"
	"quadrant/kernels"
)

// floats are n numbers as F32.
func floats(n int) []byte {
	var b []byte
	for i := range n {
		b = binary.LittleEndian.AppendUint32(b, uint32(0x3f800000+i))
	}
	return b
}

// put writes a file in dir.
func put(t *testing.T, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func putSafetensors(t *testing.T, dir, name string, tensors ...Tensor) {
	t.Helper()
	if err := WriteSafetensors(filepath.Join(dir, name), tensors, nil); err != nil {
		t.Fatal(err)
	}
}

func f32(name string, shape ...int) Tensor {
	n, _ := elements(shape)
	return Tensor{Name: name, DType: "F32", Shape: shape, Data: floats(n)}
}

func TestShards(t *testing.T) {
	dir := t.TempDir()
	putSafetensors(t, dir, "model-1.safetensors", f32("a", 2), f32("b", 3))
	putSafetensors(t, dir, "model-2.safetensors", f32("c", 1))
	put(t, dir, "model.safetensors.index.json", []byte(`{"metadata": {"total_size": 24}, "weight_map": {"a": "model-1.safetensors", "b": "model-1.safetensors", "c": "model-2.safetensors"}}`))
	w, err := OpenWeights(dir)
	if err != nil {
		t.Fatal(err)
	}
	if c, ok := w.Tensor("c"); !ok || len(c.Data) != 4 || len(w.Tensors) != 3 || len(w.Files) != 2 || w.Format != "safetensors" {
		t.Errorf("weights are %+v", w)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}

	dir = t.TempDir() // of torch, in any order
	put(t, dir, "x.bin", torchImage(t, pDict("a", pTensor("FloatStorage", "0", 2, 0, []int{2}, []int{1})), string(floats(2))))
	put(t, dir, "y.bin", torchImage(t, pDict("b", pTensor("FloatStorage", "0", 2, 0, []int{}, []int{})), string(floats(2))))
	put(t, dir, "pytorch_model.bin.index.json", []byte(`{"weight_map": {"b": "y.bin", "a": "x.bin"}}`))
	w, err = OpenWeights(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if len(w.Tensors) != 2 || w.Format != "torch" {
		t.Errorf("weights are %+v", w)
	}
}

// Every disagreement of an index and its files is told, all at once.
func TestShardErrors(t *testing.T) {
	for _, c := range []struct {
		index string
		wants []string
	}{
		{`{"weight_map": {"a": "1.safetensors", "z": "gone.safetensors", "y": "lost.safetensors"}}`, []string{"2 of 3 files are missing: gone.safetensors, lost.safetensors"}},
		{`{"weight_map": {"a": "1.safetensors"}}`, []string{`does not list tensor "b" of 1.safetensors`}},
		{`{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}`, []string{`tensor "b" is in 1.safetensors`, `does not list tensor "c"`}},
		{`{"weight_map": {"a": "1.safetensors", "b": "1.safetensors", "c": "2.safetensors", "d": "2.safetensors"}}`, []string{`tensor "d" is not in 2.safetensors`}},
		{`{"weight_map": {"a": "1.safetensors", "b": "1.safetensors", "c": "3.safetensors", "e": "2.safetensors"}}`, []string{`tensor "c" of`, "is in another file too"}},
		{`{"weight_map": {"a": "../1.safetensors"}}`, []string{"want the name of a file in the same folder"}},
		{`{"weight_map": {"a": "/etc/passwd"}}`, []string{"want the name of a file in the same folder"}},
		{`{"weight_map": {"a": 1}}`, []string{"want the name of a file"}},
		{`{"weight_map": {"a": "1.safetensors", "a": "2.safetensors"}}`, []string{`name "a" occurs twice`}},
		{`{"weight_map": {}}`, []string{"no weight_map"}},
		{`{}`, []string{"no weight_map"}},
		{`{`, []string{"JSON ends too early"}},
	} {
		dir := t.TempDir()
		putSafetensors(t, dir, "1.safetensors", f32("a", 2), f32("b", 3))
		putSafetensors(t, dir, "2.safetensors", f32("c", 1))
		putSafetensors(t, dir, "3.safetensors", f32("c", 1))
		put(t, dir, "model.safetensors.index.json", []byte(c.index))
		_, err := OpenWeights(dir)
		for _, want := range c.wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want one with %q", c.index, err, want)
			}
		}
	}
}

func TestFindWeights(t *testing.T) {
	dir := t.TempDir()
	_, err := FindWeights(dir)
	wantError(t, err, "has no weights: want one of model.safetensors,")
	one := put(t, dir, "mine.pt", nil)
	if got, err := FindWeights(dir); got != one || err != nil {
		t.Errorf("found %s, %v; want the only one", got, err)
	}
	put(t, dir, "yours.pt", nil)
	_, err = FindWeights(dir)
	wantError(t, err, "several files of weights under unusual names")
	bin := put(t, dir, "pytorch_model.bin", nil)
	if got, _ := FindWeights(dir); got != bin {
		t.Errorf("found %s, want %s", got, bin)
	}
	safe := put(t, dir, "model.safetensors", nil)
	if got, _ := FindWeights(dir); got != safe {
		t.Errorf("found %s, want %s", got, safe)
	}
	_, err = OpenWeights(filepath.Join(dir, "absent"))
	wantError(t, err, "no such file")
}

// What a file is called does not decide what it is.
func TestMisnamed(t *testing.T) {
	dir := t.TempDir()
	putSafetensors(t, dir, "pytorch_model.bin", f32("a", 2))
	w, err := OpenWeights(dir)
	if err != nil || w.Format != "safetensors" {
		t.Fatalf("%+v, %v", w, err)
	}
	_ = w.Close()
	put(t, dir, "model.safetensors", torchImage(t, pDict("a", pTensor("FloatStorage", "0", 2, 0, []int{2}, []int{1})), string(floats(2))))
	w, err = OpenWeights(dir)
	if err != nil || w.Format != "torch" {
		t.Fatalf("%+v, %v", w, err)
	}
	_ = w.Close()
	for text, want := range map[string]string{"version https://git-lfs.github.com/spec/v1\noid": "Git LFS pointer", "<!doctype html>": "web page", "": "too short"} {
		put(t, dir, "model.safetensors", []byte(text))
		_, err = OpenWeights(dir)
		wantError(t, err, want)
	}
}

// Types that no model here has do not keep the others from being read.
func TestForeignTypes(t *testing.T) {
	dir := t.TempDir()
	putSafetensors(t, dir, "model.safetensors", f32("a", 2), Tensor{Name: "b", DType: "F8_E4M3", Shape: []int{3}, Data: []byte{1, 2, 3}},
		Tensor{Name: "c", DType: "F8_E5M2", Shape: []int{2}, Data: []byte{1, 2}}, Tensor{Name: "d", DType: "F4", Shape: []int{4}, Data: []byte{1, 2}},
		Tensor{Name: "e", DType: "NEW", Shape: []int{4}, Data: []byte{1, 2}})
	w, err := OpenWeights(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	a, _ := w.Tensor("a")
	if v, err := a.Float32s(); err != nil || v[0] != 1 {
		t.Errorf("a is %v, %v", v, err)
	}
	for _, name := range []string{"b", "c", "d", "e"} {
		x, ok := w.Tensor(name)
		if _, err := x.Float32s(); !ok || err == nil || !strings.Contains(err.Error(), x.DType) {
			t.Errorf("%s: %v, want an error that names %s", name, err, x.DType)
		}
	}
}

// smallMamba is a small Mamba model to break.
func smallMamba(t *testing.T, edit func(tensors []Tensor) []Tensor) *Checkpoint {
	t.Helper()
	dir := t.TempDir()
	const config = `{"d_model": 16, "n_layer": 1, "vocab_size": 20, "ssm_cfg": {"d_state": 4}, "pad_vocab_size_multiple": 1}`
	put(t, dir, "config.json", []byte(config))
	var tensors []Tensor
	for _, p := range partsOf(t, config) {
		tensors = append(tensors, f32(p.tensor, p.shape...))
	}
	putSafetensors(t, dir, "model.safetensors", edit(tensors)...)
	c, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What is missing, left over, of a wrong shape or type is told at once, and before any
// memory is asked for.
func TestStrict(t *testing.T) {
	c := smallMamba(t, func(all []Tensor) (edited []Tensor) {
		for _, x := range all {
			switch x.Name {
			case "backbone.norm_f.weight", "backbone.layers.0.mixer.D":
				continue
			case "backbone.layers.0.mixer.A_log":
				x.Shape = []int{x.Shape[1], x.Shape[0]}
			case "backbone.layers.0.norm.weight":
				x.DType = "I32"
			}
			edited = append(edited, x)
		}
		return append(edited, f32("backbone.layers.1.norm.weight", 16), f32("lm_head.weight", 20, 15))
	})
	_, err := c.Load(noDevice{}, arch.Types{})
	var bad *Mismatch
	if !errors.As(err, &bad) {
		t.Fatalf("error %v, want a Mismatch", err)
	}
	var got []string
	for _, p := range bad.Problems {
		got = append(got, p.Kind+" "+p.Tensor+" "+p.Detail)
	}
	slices.Sort(got)
	want := []string{
		"left over backbone.layers.1.norm.weight [16]",
		"missing backbone.layers.0.mixer.D [32]",
		"missing backbone.norm_f.weight [16]",
		"wrong backbone.layers.0.mixer.A_log is [4 32], want [32 4]",
		"wrong backbone.layers.0.norm.weight is I32, want F32, F16 or BF16",
		"wrong lm_head.weight differs from backbone.embedding.weight, but config.json says that they are tied",
	}
	if !slices.Equal(got, want) {
		t.Errorf("problems are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if text := err.Error(); !strings.Contains(text, "2 tensors are missing, 3 are wrong, 1 are left over") || strings.Count(text, "\n") != 6 {
		t.Errorf("error is %s", text)
	}
}

// noDevice fails the test that asks it for memory.
type noDevice struct{ shapes }

func (noDevice) Alloc(kernels.Type, int, int) kernels.Mat { panic("memory was asked for") }

// A tied head may be there under both of its names, or under either.
func TestTied(t *testing.T) {
	for name, edit := range map[string]func([]Tensor) []Tensor{
		"embedding only": func(all []Tensor) []Tensor { return all },
		"both":           func(all []Tensor) []Tensor { return append(all, f32("lm_head.weight", 20, 16)) },
		"head only": func(all []Tensor) []Tensor {
			for i := range all {
				if all[i].Name == "backbone.embedding.weight" {
					all[i].Name = "lm_head.weight"
				}
			}
			return all
		},
	} {
		c := smallMamba(t, edit)
		dev := openCPU(t)
		m, err := c.Load(dev, arch.Types{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := bytesByName(dev, m)["embed"]; string(got) != string(floats(320)) {
			t.Errorf("%s: the embedding is not the file's", name)
		}
	}
}

// A config without weights, weights without a config, and neither.
func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	_, err := Open(filepath.Join(dir, "absent"), Options{})
	wantError(t, err, "no such file")
	_, err = Open(dir, Options{})
	wantError(t, err, "has no config.json")
	put(t, dir, "config.json", []byte(mambaOnly))
	c, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Load(noDevice{}, arch.Types{})
	wantError(t, err, "has no weights")
	if got := c.Source(); !strings.HasSuffix(got, "(config.json only)") {
		t.Errorf("source is %q", got)
	}
	note := put(t, dir, "note.txt", []byte("x"))
	_, err = Open(note, Options{})
	wantError(t, err, "want a folder with config.json and weights, or a file of weights")
	put(t, dir, "config.json", make([]byte, maxConfig+1))
	_, err = Open(dir, Options{})
	wantError(t, err, "has 4194305 bytes, want at most 4194304")
}

// A device that counts the host memory that copies of weights would take.
type countingDevice struct {
	shapes
	largest, total int
}

func (d *countingDevice) Write(m kernels.Mat, b []byte) {
	d.largest, d.total = max(d.largest, len(b)), d.total+len(b)
}

// Weights of the model's type reach the device without a copy: what it is given lies in the
// mapped file. Converting takes a block at a time.
func TestLoadStreams(t *testing.T) {
	big := Tensor{Name: "a", DType: "BF16", Shape: []int{1 << 20}, Data: make([]byte, 2<<20)}
	for _, c := range []struct {
		to    kernels.Type
		bound uint64
	}{{kernels.BF16, 1 << 12}, {kernels.F32, 1 << 19}} {
		dev := &countingDevice{}
		m := dev.Alloc(c.to, 1024, 1024)
		runs := []run{{0, 0, 1 << 20}}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := load(dev, m, big, runs); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > c.bound {
			t.Errorf("loading 2 MiB as %v allocates %d bytes, want at most %d", c.to, allocated, c.bound)
		}
		if dev.total != int(m.Bytes()) {
			t.Errorf("%d bytes were written, want %d", dev.total, m.Bytes())
		}
	}
}
