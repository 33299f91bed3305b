package tasks

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"quadrant/internal/parquet"
)

// questionLimits are how much a parquet file of questions may hold: questions stay in
// memory, and a dictionary can say the same text a million times. The largest published set
// has 100,000.
var questionLimits = limits{rows: 1 << 20, text: 1 << 30}

type limits struct {
	rows int64
	text int // bytes
}

// readParquet hands each row of a parquet file to take, as Hugging Face writes data sets:
// numbers, strings, lists of them, and groups of these. A file that is cut off or damaged
// is an error.
func readParquet(name string, in io.ReaderAt, size int64, take func(record) error) error {
	f, err := parquet.Read(name, in, size)
	if err != nil {
		return err
	}
	return questionLimits.read(name, f, take)
}

// read is readParquet for a file that is open.
func (most limits) read(name string, f *parquet.File, take func(record) error) error {
	slots, err := slotsOf(f.Columns())
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if f.NumRows() > most.rows {
		return fmt.Errorf("%s has %d rows, at most %d are read as questions: divide the file", name, f.NumRows(), most.rows)
	}
	all := make([]int, len(slots))
	for i := range all {
		all[i] = i
	}
	text := 0
	for row, err := range f.Rows(all...) {
		if err != nil {
			return err
		}
		r := record{where: fmt.Sprintf("%s: row %d", name, row.Number), fields: map[string]any{}}
		for i, v := range row.Values {
			n, err := slots[i].put(r, v)
			if err != nil {
				return err
			}
			text += n
		}
		if text > most.text {
			return fmt.Errorf("%s: with row %d its text has more than %d bytes: divide the file", name, row.Number, most.text)
		}
		if err := take(r); err != nil {
			return err
		}
	}
	return nil
}

// A slot is where a column's values go in a record: path is without the levels that a
// list is wrapped in.
type slot struct{ path []string }

// wrapping are the names of the two levels between a list and its items.
var wrapping = map[string]bool{"list": true, "element": true, "item": true, "bag": true, "array": true, "array_element": true}

func slotsOf(columns []parquet.Column) ([]slot, error) {
	var all []slot
	for _, c := range columns {
		if c.Lists() > 1 {
			return nil, fmt.Errorf("column %q is a list of lists, which no task has", c.Path)
		}
		f := slot{c.Path}
		if c.List() {
			f.path = nil
			for i, part := range c.Path {
				if i == 0 || !wrapping[part] {
					f.path = append(f.path, part)
				}
			}
		}
		if len(f.path) > 2 {
			return nil, fmt.Errorf("column %q lies deeper than any field of a task", c.Path)
		}
		all = append(all, f)
	}
	return all, nil
}

// put sets the field of r to v, as JSON would have it, and returns the bytes of its text.
func (f slot) put(r record, v any) (int, error) {
	at, name := r.fields, f.path[0]
	if len(f.path) == 2 {
		inner, ok := at[name].(map[string]any)
		if !ok {
			inner = map[string]any{}
			at[name] = inner
		}
		at, name = inner, f.path[1]
	}
	plain, n, err := jsonValue(v)
	if err != nil {
		return 0, r.failf(name, "%v", err)
	}
	at[name] = plain
	return n, nil
}

// jsonValue is a column's value as JSON would have it, and the bytes of its text.
func jsonValue(v any) (any, int, error) {
	switch v := v.(type) {
	case nil, bool:
		return v, 0, nil
	case int32:
		return json.Number(strconv.Itoa(int(v))), 0, nil
	case int64:
		return json.Number(strconv.FormatInt(v, 10)), 0, nil
	case float32:
		return json.Number(strconv.FormatFloat(float64(v), 'g', -1, 32)), 0, nil
	case float64:
		return json.Number(strconv.FormatFloat(v, 'g', -1, 64)), 0, nil
	case []byte:
		if !utf8.Valid(v) {
			return nil, 0, errors.New("is not UTF-8")
		}
		return string(v), len(v), nil
	case []any:
		items, text := make([]any, len(v)), 0
		for i, item := range v {
			plain, n, err := jsonValue(item)
			if err != nil {
				return nil, 0, err
			}
			items[i], text = plain, text+n
		}
		return items, text, nil
	}
	return nil, 0, fmt.Errorf("is a %T, which no task has", v)
}
