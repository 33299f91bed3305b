package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"quadrant/arch"
	"quadrant/kernels"
)

// An Export says how a model is written.
type Export struct {
	Family   string            // one of Families; "" is the first that fits
	Metadata map[string]string // of the safetensors file, beside "format"
	Copy     []string          // files to copy into the folder, such as tokenizer.json
}

// Fits returns the name of the family that Write writes a model of this config in.
func (e Export) Fits(c arch.Config) (string, error) {
	f, _, err := familyFor(c, e.Family)
	if err != nil {
		return "", fmt.Errorf("checkpoint: %w", err)
	}
	return f.name, nil
}

// Write writes the weights of m, which are on dev, as they lie in memory: matrices in the
// model's type, norms, biases, A_log, D and routers in F32. With config.json in the family's
// own format they make a folder that Open opens, to the same model bit for bit. The folder
// must not exist, or be empty; it appears complete or not at all.
func (e Export) Write(dir string, dev kernels.Device, m *arch.Model) error {
	f, config, err := familyFor(m.Config, e.Family)
	if err == nil {
		err = newFolder(dir, func(dir string) error { return e.fill(dir, dev, m, f, config) })
	}
	if err != nil {
		return fmt.Errorf("checkpoint: export to %s: %w", dir, err)
	}
	return nil
}

func (e Export) fill(dir string, dev kernels.Device, m *arch.Model, f *family, config any) error {
	text, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return err
	}
	if err := writeSynced(filepath.Join(dir, "config.json"), append(text, '\n')); err != nil {
		return err
	}
	all, err := f.weights(m)
	if err != nil {
		return err
	}
	metadata := map[string]string{"format": "pt"}
	for key, value := range e.Metadata {
		metadata[key] = value
	}
	if m.TiedHead && f.twin != "" { // as the hub's converter notes it
		metadata[f.twin] = f.parts(m.Config, place{-1, "embed"})[0].tensor
	}
	var outputs []output
	for _, w := range all {
		for _, p := range w.parts {
			outputs = append(outputs, exported(dev, w.param.Mat, p))
		}
	}
	if err := writeOutputs(filepath.Join(dir, "model.safetensors"), outputs, metadata); err != nil {
		return err
	}
	for _, name := range e.Copy {
		text, err := os.ReadFile(name)
		if err == nil {
			err = writeSynced(filepath.Join(dir, filepath.Base(name)), text)
		}
		if err != nil {
			return err
		}
	}
	return dev.Sync()
}

// exported is the tensor of p, a part of the Param src.
func exported(dev kernels.Device, src kernels.Mat, p part) output {
	dtype := dtypeOf(src.Type)
	size, _ := byteSize(dtype, p.shape) // p.shape is that of a matrix in memory
	width := int(src.Type.Size())
	return output{p.tensor, dtype, p.shape, size, func(w io.Writer) error {
		if len(p.runs) == 1 {
			buffer := make([]byte, min(int(size), loadBlock*width))
			for done := 0; done < p.runs[0].n; {
				n := min(loadBlock, p.runs[0].n-done)
				dev.Read(buffer[:n*width], stretch(src, p.runs[0].to+done, n))
				if _, err := w.Write(buffer[:n*width]); err != nil {
					return err
				}
				done += n
			}
			return nil
		}
		buffer := make([]byte, size)
		for _, r := range p.runs {
			dev.Read(buffer[r.at*width:(r.at+r.n)*width], stretch(src, r.to, r.n))
		}
		_, err := w.Write(buffer)
		return err
	}}
}

// newFolder makes the folder dir with what fill puts into it. After an error there is no
// trace of it.
func newFolder(dir string, fill func(dir string) error) error {
	files, err := os.ReadDir(dir)
	switch {
	case err == nil && len(files) > 0:
		return errors.New("the folder exists and is not empty: name another, or remove it first")
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	dir = filepath.Clean(dir)
	temporary := filepath.Join(filepath.Dir(dir), fmt.Sprintf(".%s.%016x.tmp", filepath.Base(dir), rand.Uint64()))
	if err := os.Mkdir(temporary, 0o777); err != nil {
		return err
	}
	err = fill(temporary)
	if err == nil && files != nil {
		err = os.Remove(dir) // it is empty
	}
	if err == nil {
		err = os.Rename(temporary, dir)
	}
	if err != nil {
		err = errors.Join(err, os.RemoveAll(temporary))
	}
	return err
}

func writeSynced(path string, text []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, bytes.NewReader(text))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
