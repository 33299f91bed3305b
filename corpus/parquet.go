package corpus

import (
	"bytes"
	"fmt"

	"quadrant/internal/parquet"
)

// textColumn is the column of a .parquet file that holds the documents.
const textColumn = "text"

// readableParquet returns an error if the file at path has no column of texts.
func readableParquet(path string) error {
	f, _, err := openParquet(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// openParquet opens the file at path and finds its column of texts.
func openParquet(path string) (f *parquet.File, column int, err error) {
	f, err = parquet.Open(path)
	if err != nil {
		return nil, 0, err
	}
	var names [][]string
	for i, c := range f.Columns() {
		if len(c.Path) == 1 && c.Path[0] == textColumn && c.Kind == parquet.Bytes && !c.List() {
			return f, i, nil
		}
		names = append(names, c.Path)
	}
	f.Close()
	return nil, 0, fmt.Errorf("%s has no column %q of texts, but %v: rename the column that holds the text", path, textColumn, names)
}

// rows yields a document for each row whose text is neither null nor empty.
func (f file) rows(yield func(Document, error) bool) {
	p, column, err := openParquet(f.path)
	if err != nil {
		yield(Document{}, err)
		return
	}
	defer p.Close()
	for row, err := range p.Rows(column) {
		if err != nil {
			yield(Document{}, err)
			return
		}
		text, _ := row.Values[0].([]byte) // or null
		if i := invalid(text); i >= 0 {
			yield(Document{}, fmt.Errorf("%s: row %d: byte %d is not UTF-8 text", f.path, row.Number, i))
			return
		}
		if len(text) > 0 && !yield(Document{fmt.Sprintf("%s:%d", f.name, row.Number), bytes.Clone(text)}, nil) {
			return
		}
	}
}
