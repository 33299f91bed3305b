package corpus

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// kindOf is the extension of path in lower case, or of what is packed in it.
func kindOf(path string) string {
	path = strings.ToLower(path)
	ext := filepath.Ext(path)
	if _, ok := unpackers[ext]; ok {
		return filepath.Ext(strings.TrimSuffix(path, ext))
	}
	return ext
}

// unpackers open what files of an extension hold.
var unpackers = map[string]struct {
	name string
	open func(io.Reader) (io.ReadCloser, error)
}{
	".gz": {"gzip", func(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) }},
	".zst": {"zstd", func(r io.Reader) (io.ReadCloser, error) {
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(1<<27))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}},
}

// openPacked opens the file at path, unpacking it as its extension says. Every error names
// the file.
func openPacked(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	u, ok := unpackers[strings.ToLower(filepath.Ext(path))]
	if !ok {
		return f, nil
	}
	r, err := u.open(f)
	if errors.Is(err, io.EOF) {
		err = errors.New("it is empty")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: not the %s file that its name says: %w", path, u.name, err), f.Close())
	}
	return unpacked{r, f}, nil
}

// unpacked closes the file with what unpacks it.
type unpacked struct {
	io.ReadCloser
	file *os.File
}

func (u unpacked) Close() error { return errors.Join(u.ReadCloser.Close(), u.file.Close()) }
