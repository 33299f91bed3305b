package corpus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/parquet-go/parquet-go"
)

// textColumn is the column of a .parquet file that holds the documents.
const textColumn = "text"

// readableParquet returns an error if the file at path has no column of texts.
func readableParquet(path string) error {
	f, _, _, err := openParquet(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// openParquet opens the file at path and finds its column of texts. The library panics on
// some files that are damaged: that is an error here.
func openParquet(path string) (f *os.File, p *parquet.File, column int, err error) {
	f, err = os.Open(path)
	if err != nil {
		return nil, nil, 0, err
	}
	defer func() {
		if caught := recover(); caught != nil {
			err = fmt.Errorf("%s: a damaged parquet file: %v", path, caught)
		}
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return f, nil, 0, err
	}
	if err = checkFooter(f, info.Size()); err == nil {
		p, err = parquet.OpenFile(f, info.Size(), parquet.SkipBloomFilters(true))
	}
	if err != nil {
		return f, nil, 0, fmt.Errorf("%s: not the parquet file that its name says: %w", path, err)
	}
	leaf, ok := p.Schema().Lookup(textColumn)
	if !ok || leaf.Node.Type().Kind() != parquet.ByteArray || leaf.Node.Repeated() {
		return f, nil, 0, fmt.Errorf("%s has no column %q of texts, but %v: rename the column that holds the text", path, textColumn, p.Schema().Columns())
	}
	return f, p, leaf.ColumnIndex, nil
}

// checkFooter returns an error unless the footer of a file of size bytes lies within it: the
// library asks for as much memory as the file says.
func checkFooter(f io.ReaderAt, size int64) error {
	var end [8]byte
	if size < 12 {
		return fmt.Errorf("it has %d bytes", size)
	}
	if _, err := f.ReadAt(end[:], size-8); err != nil {
		return err
	}
	if n := int64(binary.LittleEndian.Uint32(end[:])); string(end[4:]) != "PAR1" || n > size-12 {
		return fmt.Errorf("it ends in %q, after a footer of %d bytes in %d", end[4:], n, size)
	}
	return nil
}

// rows yields a document for each row whose text is neither null nor empty.
func (f file) rows(yield func(Document, error) bool) {
	r, p, column, err := openParquet(f.path)
	if err != nil {
		yield(Document{}, err)
		return
	}
	defer r.Close()
	row := 0
	for _, group := range p.RowGroups() {
		texts := textReader{pages: group.ColumnChunks()[column].Pages()}
		more := true
		for more {
			text, err := texts.next()
			if errors.Is(err, io.EOF) {
				break
			}
			row++
			switch i := invalid(text); {
			case err != nil:
				yield(Document{}, fmt.Errorf("%s: row %d: %w", f.path, row, err))
				more = false
			case i >= 0:
				yield(Document{}, fmt.Errorf("%s: row %d: byte %d is not UTF-8 text", f.path, row, i))
				more = false
			case len(text) > 0:
				more = yield(Document{fmt.Sprintf("%s:%d", f.name, row), text}, nil)
			}
		}
		_ = texts.pages.Close()
		if !more {
			return
		}
	}
}

// A textReader reads a column value by value.
type textReader struct {
	pages  parquet.Pages
	values parquet.ValueReader
	buffer [64]parquet.Value
	have   []parquet.Value // of buffer, not yet given out
}

// next returns a copy of the next text, which is nil for null, or io.EOF.
func (t *textReader) next() (text []byte, err error) {
	defer func() {
		if caught := recover(); caught != nil {
			err = fmt.Errorf("the file is damaged: %v", caught)
		}
	}()
	for len(t.have) == 0 {
		if t.values == nil {
			page, err := t.pages.ReadPage()
			if err != nil {
				return nil, err
			}
			t.values = page.Values()
		}
		n, err := t.values.ReadValues(t.buffer[:])
		t.have = t.buffer[:n]
		if errors.Is(err, io.EOF) {
			t.values = nil
		} else if err != nil {
			return nil, err
		} else if n == 0 {
			return nil, io.ErrNoProgress
		}
	}
	v := t.have[0]
	t.have = t.have[1:]
	if v.IsNull() {
		return nil, nil
	}
	return append([]byte{}, v.ByteArray()...), nil
}
