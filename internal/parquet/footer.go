package parquet

import (
	"errors"
	"fmt"
	"math"
)

// What a footer may say at most. Real files have a hundredth of it.
const (
	maxFooter  = 64 << 20 // bytes
	maxColumns = 1 << 14
	maxDepth   = 16      // of groups in groups
	maxChunks  = 1 << 20 // columns times row groups
	maxRows    = 1 << 31 // also the values of a column: repeated ones take no room in a file, but time
)

// How a column's values may occur, as numbered in the format.
const (
	required = 0
	optional = 1
	repeated = 2
)

// A footer is what a file says of itself.
type footer struct {
	columns []Column
	groups  []group
	rows    int64
}

// A group is a row group: the values of each column for some rows.
type group struct {
	rows   int64
	chunks []chunk // by column
}

// A chunk is a column's values in a row group: pages that lie one after the other.
type chunk struct {
	kind       int64
	codec      int64
	values     int64 // nulls among them
	bytes      int64
	data, dict int64 // where the first page of each kind is; dict is 0 if there is none
	elsewhere  bool  // in another file
	encrypted  bool
}

// An element is a node of the schema, in the order of a depth-first walk.
type element struct {
	name       string
	kind       int64 // −1 for a group
	length     int64
	repetition int64
	children   int64
}

// parseFooter reads a footer and makes sure that it agrees with itself.
func parseFooter(b []byte) (footer, error) {
	var f footer
	var elements []element
	t := &compact{b: b}
	chunks := 0
	t.structure(func(id int16, kind byte) bool {
		switch {
		case id == 2 && kind == thriftList:
			t.list(func(kind byte) {
				elements = append(elements, t.element(kind))
				if len(elements) > maxColumns {
					t.fail(fmt.Errorf("it has more than %d columns", maxColumns))
				}
			})
		case id == 3 && kind == thriftI64:
			f.rows = t.int()
		case id == 4 && kind == thriftList:
			t.list(func(kind byte) {
				g := t.group(kind)
				f.groups = append(f.groups, g)
				if chunks += len(g.chunks) + 1; chunks > maxChunks {
					t.fail(fmt.Errorf("it has more than %d row groups and columns in them", maxChunks))
				}
			})
		case id == 8:
			t.fail(errors.New("it is encrypted, which is not supported: write it without encryption"))
		default:
			return false
		}
		return true
	})
	if t.err != nil {
		return f, t.err
	}
	var err error
	if f.columns, err = leaves(elements); err != nil {
		return f, err
	}
	return f, f.check()
}

// check returns an error unless rows and columns are as many in each part as in the whole.
func (f footer) check() error {
	var rows int64
	for i, g := range f.groups {
		if g.rows < 0 || g.rows > maxRows-rows {
			return fmt.Errorf("row group %d has %d rows after %d, want up to %d in all", i+1, g.rows, rows, maxRows)
		}
		rows += g.rows
		if len(g.chunks) != len(f.columns) {
			return fmt.Errorf("row group %d has %d columns, and the schema %d", i+1, len(g.chunks), len(f.columns))
		}
	}
	if rows != f.rows {
		return fmt.Errorf("its row groups have %d rows, and it says that it has %d", rows, f.rows)
	}
	return nil
}

func (t *compact) element(kind byte) element {
	e := element{kind: -1}
	if kind != thriftStruct {
		t.fail(errors.New("its schema is no list of columns"))
		return e
	}
	t.structure(func(id int16, kind byte) bool {
		switch {
		case id == 1 && kind == thriftI32:
			e.kind = t.int()
		case id == 2 && kind == thriftI32:
			e.length = t.int()
		case id == 3 && kind == thriftI32:
			e.repetition = t.int()
		case id == 4 && kind == thriftBinary:
			e.name = string(t.bytes())
		case id == 5 && kind == thriftI32:
			e.children = t.int()
		default:
			return false
		}
		return true
	})
	return e
}

func (t *compact) group(kind byte) group {
	var g group
	if kind != thriftStruct {
		t.fail(errors.New("its row groups are no list of row groups"))
		return g
	}
	t.structure(func(id int16, kind byte) bool {
		switch {
		case id == 1 && kind == thriftList:
			t.list(func(kind byte) {
				g.chunks = append(g.chunks, t.chunk(kind))
				if len(g.chunks) > maxColumns {
					t.fail(fmt.Errorf("a row group has more than %d columns", maxColumns))
				}
			})
		case id == 3 && kind == thriftI64:
			g.rows = t.int()
		default:
			return false
		}
		return true
	})
	return g
}

func (t *compact) chunk(kind byte) chunk {
	c := chunk{kind: -1}
	if kind != thriftStruct {
		t.fail(errors.New("its row groups have no list of columns"))
		return c
	}
	t.structure(func(id int16, kind byte) bool {
		switch {
		case id == 1 && kind == thriftBinary:
			c.elsewhere = len(t.bytes()) > 0
		case id == 3 && kind == thriftStruct:
			t.integers(map[int16]*int64{1: &c.kind, 4: &c.codec, 5: &c.values, 7: &c.bytes, 9: &c.data, 11: &c.dict})
		case id == 8:
			c.encrypted = true
			return false
		default:
			return false
		}
		return true
	})
	if t.err == nil && c.kind < 0 && !c.encrypted { // also bounds what few bytes can be: many chunks
		t.fail(errors.New("a column of a row group has no metadata"))
	}
	return c
}

// leaves are the columns of a schema, its nodes without children.
func leaves(elements []element) ([]Column, error) {
	if len(elements) == 0 {
		return nil, errors.New("it has no schema")
	}
	var columns []Column
	rest := elements[1:]
	var walk func(parent Column, children int64) error
	walk = func(parent Column, children int64) error {
		for ; children > 0; children-- {
			if len(rest) == 0 {
				return errors.New("its schema ends in the middle of a group")
			}
			e := rest[0]
			rest = rest[1:]
			c, err := parent.child(e)
			if err != nil {
				return err
			}
			if e.kind >= 0 {
				columns = append(columns, c)
				continue
			}
			if len(c.Path) >= maxDepth {
				return fmt.Errorf("column %q lies deeper than %d groups", c.Path, maxDepth)
			}
			if err := walk(c, e.children); err != nil {
				return err
			}
		}
		return nil
	}
	if err := walk(Column{}, elements[0].children); err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("its schema has %d columns that are part of nothing", len(rest))
	}
	return columns, nil
}

// child is the column, or group of columns, that e is below c.
func (c Column) child(e element) (Column, error) {
	below := Column{
		Path: append(append(make([]string, 0, len(c.Path)+1), c.Path...), e.name), Kind: Kind(e.kind),
		maxDef: c.maxDef, maxRep: c.maxRep, itemDef: c.itemDef, length: int(e.length),
	}
	switch e.repetition {
	case required:
	case optional:
		below.maxDef++
	case repeated:
		below.maxDef++
		below.maxRep++
		below.itemDef = below.maxDef
	default:
		return below, fmt.Errorf("column %q has the unknown repetition %d", below.Path, e.repetition)
	}
	if e.kind >= 0 && (e.kind > int64(FixedBytes) || e.children > 0) {
		return below, fmt.Errorf("column %q is of type %d with %d columns below it, which is not in the format", below.Path, e.kind, e.children)
	}
	if below.Kind == FixedBytes && (e.length <= 0 || e.length > math.MaxInt32) {
		return below, fmt.Errorf("column %q has values of %d bytes", below.Path, e.length)
	}
	return below, nil
}
