package tasks

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
)

// readParquet hands each row of a parquet file to take, as Hugging Face writes data sets:
// numbers, strings, lists of them, and groups of these. A file that is cut off or damaged
// is an error, never a panic.
func readParquet(name string, in io.ReaderAt, size int64, take func(record) error) (err error) {
	taking := false // a panic of take is not the file's fault
	defer func() {
		if p := recover(); p != nil {
			if taking {
				panic(p)
			}
			err = fmt.Errorf("%s: the parquet file is damaged: %v", name, p)
		}
	}()
	if err := checkFooter(in, size); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	f, err := parquet.OpenFile(in, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return fmt.Errorf("%s: no parquet file, or one that is cut off: %w", name, err)
	}
	columns, err := leaves(f.Schema())
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	n := int64(0)
	for _, group := range f.RowGroups() {
		rows := group.Rows()
		err := eachRow(rows, func(row parquet.Row) error {
			n++
			r := record{where: fmt.Sprintf("%s: row %d", name, n), fields: map[string]any{}}
			if err := fill(r, columns, row); err != nil {
				return err
			}
			taking = true
			err := take(r)
			taking = false
			return err
		})
		if err := errors.Join(err, rows.Close()); err != nil {
			return fmt.Errorf("%s: after row %d: %w", name, n, err)
		}
	}
	if n != f.NumRows() {
		return fmt.Errorf("%s: %d rows, and the file says %d: it is damaged", name, n, f.NumRows())
	}
	return nil
}

// checkFooter makes sure that the footer's length, the four bytes before the mark at the
// end, can be true, before so much memory is asked for.
func checkFooter(in io.ReaderAt, size int64) error {
	var end [8]byte
	if size < 12 {
		return fmt.Errorf("%d bytes are no parquet file", size)
	}
	if _, err := in.ReadAt(end[:], size-8); err != nil {
		return err
	}
	if string(end[4:]) != "PAR1" {
		return errors.New("no parquet file, or one that is cut off: it does not end in PAR1")
	}
	if n := int64(binary.LittleEndian.Uint32(end[:])); n > size-12 {
		return fmt.Errorf("no parquet file, or one that is damaged: a footer of %d bytes in %d", n, size)
	}
	return nil
}

func eachRow(rows parquet.Rows, take func(parquet.Row) error) error {
	buffer := make([]parquet.Row, 64)
	for {
		n, err := rows.ReadRows(buffer)
		for _, row := range buffer[:n] {
			if err := take(row); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case n == 0:
			return io.ErrNoProgress
		}
	}
}

// A leaf is a column: where its values go in a record.
type leaf struct {
	path []string // without the levels that a list is wrapped in
	list bool
}

// wrapping are the names of the two levels between a list and its items.
var wrapping = map[string]bool{"list": true, "element": true, "item": true, "bag": true, "array": true, "array_element": true}

func leaves(s *parquet.Schema) ([]leaf, error) {
	var all []leaf
	for _, path := range s.Columns() {
		column, ok := s.Lookup(path...)
		if !ok {
			return nil, fmt.Errorf("column %q is not in its own schema", path)
		}
		l := leaf{path: path, list: column.MaxRepetitionLevel > 0}
		if column.MaxRepetitionLevel > 1 {
			return nil, fmt.Errorf("column %q is a list of lists, which no task has", path)
		}
		if l.list {
			l.path = nil
			for i, part := range path {
				if i == 0 || !wrapping[part] {
					l.path = append(l.path, part)
				}
			}
		}
		if len(l.path) > 2 {
			return nil, fmt.Errorf("column %q lies deeper than any field of a task", path)
		}
		all = append(all, l)
	}
	return all, nil
}

// fill puts the values of a row where columns say.
func fill(r record, columns []leaf, row parquet.Row) error {
	for _, v := range row {
		l := columns[v.Column()]
		at, name := r.fields, l.path[0]
		if len(l.path) == 2 {
			inner, ok := at[name].(map[string]any)
			if !ok {
				inner = map[string]any{}
				at[name] = inner
			}
			at, name = inner, l.path[1]
		}
		value, err := plain(v)
		if err != nil {
			return r.failf(name, "%v", err)
		}
		if !l.list {
			at[name] = value
			continue
		}
		items, ok := at[name].([]any)
		if !ok {
			items = []any{}
		}
		if !v.IsNull() {
			items = append(items, value)
		}
		at[name] = items
	}
	return nil
}

// plain is a value as JSON would have it.
func plain(v parquet.Value) (any, error) {
	if v.IsNull() {
		return nil, nil
	}
	switch v.Kind() {
	case parquet.Boolean:
		return v.Boolean(), nil
	case parquet.Int32:
		return json.Number(strconv.Itoa(int(v.Int32()))), nil
	case parquet.Int64:
		return json.Number(strconv.FormatInt(v.Int64(), 10)), nil
	case parquet.Float:
		return json.Number(strconv.FormatFloat(float64(v.Float()), 'g', -1, 32)), nil
	case parquet.Double:
		return json.Number(strconv.FormatFloat(v.Double(), 'g', -1, 64)), nil
	case parquet.ByteArray, parquet.FixedLenByteArray:
		s := string(v.ByteArray())
		if !utf8.ValidString(s) {
			return nil, errors.New("is not UTF-8")
		}
		return s, nil
	}
	return nil, fmt.Errorf("is of kind %v, which no task has", v.Kind())
}
