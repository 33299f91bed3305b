package parquet

import (
	"errors"
	"fmt"
	"io"
	"iter"
)

// The longest list in a row. Its bytes are bounded because an encoding lets values share
// what they begin with.
const (
	maxItems = 1 << 20
	maxList  = 128 << 20 // bytes
)

// A Row is the values of some columns, in the order that Rows was asked for them: nil for
// null, bool, int32, int64, float32, float64 or []byte, and []any of these for a column
// with List set. Byte slices are part of the file's pages, which they keep in memory.
type Row struct {
	Number int64 // from 1
	Values []any // valid until the next row
}

// Rows yields the rows with the values of the columns with these indices. Of each column
// a page and the dictionary are in memory. The last yield has the error, if there is one.
func (f *File) Rows(columns ...int) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		row := Row{Values: make([]any, len(columns))}
		for _, g := range f.groups {
			readers := make([]reader, len(columns))
			for i, c := range columns {
				var err error
				if readers[i], err = f.reader(c, g); err != nil {
					yield(Row{}, fmt.Errorf("%s: row %d: column %q: %w", f.name, row.Number+1, f.columns[c].Name(), err))
					return
				}
			}
			for range g.rows {
				row.Number++
				for i := range readers {
					var err error
					if row.Values[i], err = readers[i].row(); err != nil {
						yield(Row{}, fmt.Errorf("%s: row %d: column %q: %w", f.name, row.Number, readers[i].column.Name(), err))
						return
					}
				}
				if !yield(row, nil) {
					return
				}
			}
			for _, r := range readers {
				if r.left != 0 {
					yield(Row{}, fmt.Errorf("%s: after row %d: column %q has %d more values: the file is damaged", f.name, row.Number, r.column.Name(), r.left))
					return
				}
			}
		}
	}
}

// A reader reads the values of a chunk.
type reader struct {
	column Column
	pages  pages
	left   int64 // values of the chunk, with those of the page
	dict   *dictionary

	page   page
	inPage int64 // values of the page that are left
	values source
	rep    uint64 // of the next value, which has been looked at
	peeked bool
}

func (f *File) reader(column int, g group) (reader, error) {
	c, k := f.columns[column], g.chunks[column]
	r := reader{column: c, left: k.values}
	begin := k.data
	if k.dict > 0 && k.dict < k.data {
		begin = k.dict
	}
	switch {
	case k.encrypted:
		return r, errors.New("it is encrypted, which is not supported: write it without encryption")
	case k.elsewhere:
		return r, errors.New("its values lie in another file, which is not supported")
	case c.maxRep > 1:
		return r, errors.New("it is a list of lists, which is not supported")
	case k.kind != int64(c.Kind):
		return r, fmt.Errorf("it has values of type %d, and in the schema %d: the file is damaged", k.kind, c.Kind)
	case k.values < 0 || k.values > maxRows || !c.List() && k.values != g.rows:
		return r, fmt.Errorf("it has %d values in %d rows: the file is damaged", k.values, g.rows)
	case begin < int64(len(magic)) || k.bytes < 0 || begin > f.end || k.bytes > f.end-begin:
		return r, fmt.Errorf("its %d bytes from %d on are not among the file's %d: the file is damaged", k.bytes, begin, f.end)
	}
	r.pages = pages{in: f.in, at: begin, end: begin + k.bytes, codec: k.codec, sums: !f.unchecked}
	return r, nil
}

// row is the next row's value.
func (r *reader) row() (any, error) {
	if !r.column.List() {
		def, err := r.next()
		if err != nil || def < r.column.maxDef {
			return nil, err
		}
		return r.values()
	}
	items := []any{}
	for n, bytes := 0, 0; ; n++ {
		more, err := r.more(n)
		if err != nil || !more {
			return items, err
		}
		def, err := r.next()
		switch {
		case err != nil:
			return nil, err
		case n == maxItems:
			return nil, fmt.Errorf("a list of more than %d items", maxItems)
		case def < r.column.itemDef: // an empty list, or none
			continue
		case def < r.column.maxDef:
			items = append(items, nil)
			continue
		}
		v, err := r.values()
		if err != nil {
			return nil, err
		}
		if b, ok := v.([]byte); ok {
			bytes += len(b)
		}
		if bytes > maxList {
			return nil, fmt.Errorf("a list of more than %d bytes", maxList)
		}
		items = append(items, v)
	}
}

// more reports whether a list goes on after n items.
func (r *reader) more(n int) (bool, error) {
	if r.left == 0 && n > 0 {
		return false, nil
	}
	if !r.peeked {
		if err := r.fill(); err != nil {
			return false, err
		}
		var err error
		if r.rep, err = r.page.rep.next(); err != nil {
			return false, err
		}
		r.peeked = true
	}
	if n == 0 && r.rep != 0 {
		return false, errors.New("a list that goes on where none began")
	}
	return n == 0 || r.rep != 0, nil
}

// next takes the levels of the next value and returns that of definition: whether there is
// a value.
func (r *reader) next() (int, error) {
	if err := r.fill(); err != nil {
		return 0, err
	}
	r.left--
	r.inPage--
	r.peeked = false
	if r.column.maxDef == 0 {
		return 0, nil
	}
	def, err := r.page.def.next()
	if err == nil && def > uint64(r.column.maxDef) {
		err = fmt.Errorf("a definition level of %d, at most %d is in the schema", def, r.column.maxDef)
	}
	return int(def), err
}

// fill reads pages until there is a value.
func (r *reader) fill() error {
	for r.inPage == 0 {
		if r.left == 0 {
			return errors.New("fewer values than rows: the file is damaged")
		}
		h, data, err := r.pages.next()
		switch {
		case err == io.EOF:
			return fmt.Errorf("the pages end, and %d values are missing: the file is damaged", r.left)
		case err != nil:
			return fmt.Errorf("the file is damaged: %w", err)
		}
		if err := r.take(h, data); err != nil {
			return fmt.Errorf("the file is damaged, or beyond this reader: %w", err)
		}
	}
	return nil
}

// take makes a page the current one, or the dictionary.
func (r *reader) take(h header, data []byte) (err error) {
	switch {
	case h.kind == pageIndex:
		return nil
	case !h.known || h.kind != pageData && h.kind != pageDict && h.kind != pageDataV2:
		return fmt.Errorf("a page of type %d without a header of it", h.kind)
	case h.kind == pageDict:
		if r.dict != nil {
			return errors.New("a second dictionary")
		}
		if h.unpacked > maxDictionary {
			return fmt.Errorf("a dictionary of %d bytes, at most %d are read", h.unpacked, maxDictionary)
		}
		if data, err = unpack(r.pages.codec, data, h.unpacked); err == nil {
			r.dict, err = newDictionary(r.column, h, data)
		}
		return err
	case h.values > r.left:
		return fmt.Errorf("a page of %d values where %d are left", h.values, r.left)
	}
	if r.page, err = r.pages.open(r.column, h, data); err != nil {
		return err
	}
	r.inPage = h.values
	r.values, err = r.column.source(h.encoding, r.page.data, h.values, r.dict)
	return err
}
