package tokenizer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxFile is the bytes of the largest tokenizer.json that is read. Those of vocabularies
// of 256,000 have 35 MB.
const maxFile = 256 << 20

// Open returns the tokenizer that a name means: "bytes", a tokenizer.json file, or a
// folder that holds one.
func Open(name string) (Tokenizer, error) {
	if name == (Bytes{}).Name() {
		return Bytes{}, nil
	}
	path := name
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		path = filepath.Join(name, "tokenizer.json")
		if info, err = os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("tokenizer: the folder %s holds no tokenizer.json: %w", name, err)
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("tokenizer: %q is no file or folder: want bytes, a tokenizer.json file or a folder that holds one: %w", name, err)
	case err != nil:
		return nil, fmt.Errorf("tokenizer: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("tokenizer: %s is not a regular file", path)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("tokenizer: %s has %d bytes, at most %d are read", path, info.Size(), maxFile)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	return Parse(name, data)
}
