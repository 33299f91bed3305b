package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Torch is an open file of torch.save (PyTorch 1.6 or later: a zip file with a pickle and
// an entry per storage). Methods may be called concurrently, except Close.
type Torch struct {
	Tensors []Tensor // in the order of the file
	Others  []string // names of what is no tensor, such as an epoch's number

	file []byte
}

// ReadTorch opens the file at path and carries out its pickle with an allow-list: nothing
// but tensors can be built, and nothing is ever run. The tensors are those of a dict: the
// one in the file, or the one that it has under "model" (Megatron, BlackMamba) or
// "state_dict" (Lightning). Their bytes are mapped, not read. The file must not be shortened
// while it is open.
func ReadTorch(path string) (*Torch, error) {
	file, err := mapFile(path)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	t, err := parseTorch(file)
	if err != nil {
		_ = unmapFile(file)
		return nil, fmt.Errorf("checkpoint: %s: %w", path, err)
	}
	return t, nil
}

// Close gives the file back. The Data of its tensors must not be used after it.
func (t *Torch) Close() error {
	file := t.file
	t.Tensors, t.file = nil, nil
	if err := unmapFile(file); err != nil {
		return fmt.Errorf("checkpoint: close: %w", err)
	}
	return nil
}

// legacyMagic begins files of PyTorch before 1.6: a pickle of the number 0x1950a86a20f9469cfc6c.
const legacyMagic = "\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."

func parseTorch(file []byte) (*Torch, error) {
	switch {
	case bytes.HasPrefix(file, []byte(legacyMagic)), len(file) > 262 && string(file[257:262]) == "ustar":
		return nil, errors.New("this is the format of PyTorch before 1.6, which is not a zip file; convert it: " +
			`python -c "import torch; torch.save(torch.load('OLD', weights_only=True, map_location='cpu'), 'NEW')"`)
	case !bytes.HasPrefix(file, []byte("PK")):
		return nil, fmt.Errorf("no zip file begins like these %d bytes%s", len(file), hint(file))
	}
	entries, err := zipEntries(file)
	if err != nil {
		return nil, err
	}
	root, err := torchRoot(entries)
	if err != nil {
		return nil, err
	}
	var pickle []byte
	storages := map[string][]byte{}
	for _, e := range entries {
		name, ok := strings.CutPrefix(e.name, root)
		if !ok {
			continue
		}
		switch key, isStorage := strings.CutPrefix(name, "data/"); {
		case isStorage:
			storages[key] = e.data
		case name == "data.pkl":
			pickle = e.data
		case name == "byteorder" && strings.TrimSpace(string(e.data[:min(len(e.data), 20)])) != "little":
			return nil, fmt.Errorf("%s says %.20q: only little-endian files are read; load it where it was written and save it as safetensors", e.name, e.data)
		}
	}
	value, err := unpickle(pickle)
	if err != nil {
		return nil, fmt.Errorf("%sdata.pkl: %w", root, err)
	}
	t := &Torch{file: file}
	if err := t.collect(value, storages); err != nil {
		return nil, fmt.Errorf("%sdata.pkl: %w", root, err)
	}
	return t, nil
}

// torchRoot returns the folder of the zip file that everything is in, "archive/" or the
// name of the file when it was saved.
func torchRoot(entries []zipEntry) (string, error) {
	root, found := "", false
	for _, e := range entries {
		dir, ok := strings.CutSuffix(e.name, "data.pkl")
		if !ok || dir != "" && !strings.HasSuffix(dir, "/") {
			continue
		}
		if found {
			return "", fmt.Errorf("the zip file has both %sdata.pkl and %sdata.pkl, want one", root, dir)
		}
		root, found = dir, true
	}
	if !found {
		return "", errors.New("the zip file has no entry that ends in /data.pkl: torch.save did not write it")
	}
	for _, e := range entries {
		if e.name == root+"constants.pkl" {
			return "", errors.New("this is a TorchScript program (it has a constants.pkl), not a checkpoint: save its state_dict() with torch.save")
		}
	}
	return root, nil
}

// collect finds the dict of tensors in value and keeps them.
func (t *Torch) collect(value any, storages map[string][]byte) error {
	d, ok := value.(*dict)
	if !ok {
		return fmt.Errorf("the file holds %s, want a dict of tensors by name, as model.state_dict() is", describe(value))
	}
	where := "the dict"
	for _, key := range []string{"model", "state_dict"} {
		if inner, ok := d.get(key).(*dict); ok {
			d, where = inner, fmt.Sprintf("the dict %q", key)
			break
		}
	}
	for i, key := range d.keys {
		v, ok := d.values[i].(*view)
		if !ok {
			t.Others = append(t.Others, describeKey(key))
			continue
		}
		name, ok := key.(string)
		if !ok {
			return fmt.Errorf("a tensor %v is called %s, want a string", v.shape, describe(key))
		}
		tensor, err := v.tensor(name, storages)
		if err != nil {
			return err
		}
		t.Tensors = append(t.Tensors, tensor)
	}
	if len(t.Tensors) == 0 && len(d.keys) > 0 {
		return fmt.Errorf("%s holds no tensors, only %s", where, strings.Join(t.Others[:min(len(t.Others), 10)], ", "))
	}
	return nil
}

func describeKey(key any) string {
	if s, ok := key.(string); ok {
		return s
	}
	return describe(key)
}

// tensor is v with its bytes.
func (v *view) tensor(name string, storages map[string][]byte) (Tensor, error) {
	data, ok := storages[v.key]
	if !ok {
		return Tensor{}, fmt.Errorf("tensor %q: the zip file has no entry data/%s for its storage", name, v.key)
	}
	width := int(widths[v.dtype] / 8)
	if v.count > len(data)/width {
		return Tensor{}, fmt.Errorf("tensor %q: its storage of %d %s takes %d bytes each, but entry data/%s has %d bytes", name, v.count, v.dtype, width, v.key, len(data))
	}
	n, _ := span(v.shape, v.strides)
	t := Tensor{Name: name, DType: v.dtype, Shape: v.shape, Data: data[v.offset*width : (v.offset+n)*width : (v.offset+n)*width]}
	if !rowMajor(v.shape, v.strides) {
		t.Strides = v.strides
	}
	return t, nil
}

// rowMajor tells whether a tensor's elements follow one another without gaps.
func rowMajor(shape, strides []int) bool {
	if slices.Contains(shape, 0) {
		return true
	}
	next := 1
	for i := len(shape) - 1; i >= 0; i-- {
		if shape[i] != 1 && strides[i] != next {
			return false
		}
		next *= shape[i]
	}
	return true
}
