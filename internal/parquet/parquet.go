// Package parquet reads rows of Apache Parquet files that nobody vouches for.
//
// A file says itself how much memory reading it takes: lengths, counts, how much a page
// unpacks to. Here none of that is believed before it is held against the bytes that there
// are, so that memory is bounded by a page and a dictionary for each column that is read,
// and a small file stays small: see the limits in footer.go and unpack.go. Runs are not
// unrolled, so a thousand million nulls take time, not memory.
//
// It reads flat columns and lists of values, also inside groups, in all encodings of values
// that are in use, packed with snappy, gzip, brotli, zstd or LZ4_RAW. Not read: lists of
// lists, encryption, page indexes, statistics, the encoding BIT_PACKED, the codecs LZO and LZ4.
// The format: https://github.com/apache/parquet-format.
package parquet

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strings"
)

// A Kind is the type of a column's values, as numbered in the format.
type Kind int8

// The kinds of values.
const (
	Bool Kind = iota
	Int32
	Int64
	Int96 // a time of the past: 12 bytes
	Float
	Double
	Bytes
	FixedBytes // all equally long
)

var kindNames = [...]string{"boolean", "int32", "int64", "int96", "float", "double", "byte array", "fixed-length byte array"}

func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("Kind(%d)", int8(k))
	}
	return kindNames[k]
}

// A Column is a leaf of a file's schema.
type Column struct {
	Path []string // from the outermost group to the column
	Kind Kind

	maxDef, maxRep int // how many of the path's nodes may be missing, may repeat
	itemDef        int // the definition level from which on a list has an item
	length         int // bytes of a FixedBytes
}

// Name is the column's path with dots.
func (c Column) Name() string { return strings.Join(c.Path, ".") }

// List reports whether a row has a list of values.
func (c Column) List() bool { return c.maxRep > 0 }

// Lists is how many lists the values lie in.
func (c Column) Lists() int { return c.maxRep }

// A File is a parquet file that is open.
type File struct {
	name string
	in   io.ReaderAt
	end  int64 // where the footer begins
	footer

	closer    io.Closer
	unchecked bool // pages' checksums are not looked at: for tests that change pages
}

const magic = "PAR1"

// Open opens the file at path.
func Open(path string) (*File, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := in.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	var f *File
	if err == nil {
		f, err = Read(path, in, info.Size())
	}
	if err != nil {
		in.Close()
		return nil, err
	}
	f.closer = in
	return f, nil
}

// Read reads the footer of a file of size bytes. Errors begin with name.
func Read(name string, in io.ReaderAt, size int64) (*File, error) {
	f := &File{name: name, in: in}
	if err := f.readFooter(size); err != nil {
		return nil, fmt.Errorf("%s: not the parquet file that its name says, or one that is cut off or damaged; get it again: %w", name, err)
	}
	return f, nil
}

func (f *File) readFooter(size int64) error {
	const tail = 4 + len(magic)
	if size < int64(len(magic)+tail) {
		return fmt.Errorf("it has %d bytes", size)
	}
	var begin [len(magic)]byte
	var end [tail]byte
	if _, err := f.in.ReadAt(begin[:], 0); err != nil {
		return short(err)
	}
	if _, err := f.in.ReadAt(end[:], size-int64(tail)); err != nil {
		return short(err)
	}
	n := int64(binary.LittleEndian.Uint32(end[:]))
	f.end = size - int64(tail) - n
	switch {
	case string(end[4:]) != magic:
		return fmt.Errorf("no parquet file ends with %q, but with %s", end[4:], magic)
	case string(begin[:]) != magic:
		return fmt.Errorf("no parquet file begins with %q, but with %s", begin[:], magic)
	case f.end < int64(len(magic)):
		return fmt.Errorf("a footer of %d bytes in %d", n, size)
	case n > maxFooter:
		return fmt.Errorf("a footer of %d bytes, at most %d are read", n, maxFooter)
	}
	b := make([]byte, n)
	if _, err := f.in.ReadAt(b, f.end); err != nil {
		return short(err)
	}
	var err error
	f.footer, err = parseFooter(b)
	return err
}

// Close closes a file that Open opened.
func (f *File) Close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}

// NumRows is the number of rows.
func (f *File) NumRows() int64 { return f.rows }

// Columns are the columns, in the order of the schema.
func (f *File) Columns() []Column { return f.columns }
