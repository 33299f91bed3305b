package parquet

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// A forged file is one column of texts in one row group, as a hand wrote it.
type forged struct {
	meta  format.FileMetaData
	pages []format.PageHeader
	data  [][]byte
}

func forge(rows int64, page format.PageHeader, data []byte) forged {
	return forged{
		meta: format.FileMetaData{
			Version: 1, NumRows: rows,
			Schema: []format.SchemaElement{
				{Name: "root", NumChildren: thrift.New[int32](1)},
				{Name: "text", Type: thrift.New(format.ByteArray), RepetitionType: thrift.New(format.Required)},
			},
			RowGroups: []format.RowGroup{{NumRows: rows, Columns: []format.ColumnChunk{{MetaData: format.ColumnMetaData{
				Type: format.ByteArray, PathInSchema: []string{"text"}, NumValues: rows, DataPageOffset: int64(len(magic)),
			}}}}},
		},
		pages: []format.PageHeader{page}, data: [][]byte{data},
	}
}

func (f forged) column() *format.ColumnMetaData { return &f.meta.RowGroups[0].Columns[0].MetaData }

// file is the bytes of the file; sizes that are 0 are filled in.
func (f forged) file(t testing.TB) []byte {
	t.Helper()
	out := []byte(magic)
	for i, h := range f.pages {
		if h.CompressedPageSize == 0 {
			h.CompressedPageSize = int32(len(f.data[i]))
		}
		b, err := thrift.Marshal(new(thrift.CompactProtocol), &h)
		if err != nil {
			t.Fatal(err)
		}
		out = append(append(out, b...), f.data[i]...)
	}
	if c := f.column(); c.TotalCompressedSize == 0 {
		c.TotalCompressedSize = int64(len(out) - len(magic))
	}
	b, err := thrift.Marshal(new(thrift.CompactProtocol), &f.meta)
	if err != nil {
		t.Fatal(err)
	}
	return closed(append(out, b...), len(b))
}

// closed ends a file after a footer of n bytes.
func closed(out []byte, n int) []byte {
	return append(binary.LittleEndian.AppendUint32(out, uint32(n)), magic...)
}

func dataPage(values, unpacked int32, encoding format.Encoding) format.PageHeader {
	return format.PageHeader{Type: format.DataPage, UncompressedPageSize: unpacked, DataPageHeader: thrift.New(format.DataPageHeader{
		NumValues: values, Encoding: encoding, DefinitionLevelEncoding: format.RLE, RepetitionLevelEncoding: format.RLE,
	})}
}

func text(s string) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(s))), s...)
}

// read reads all rows of all columns and counts them.
func read(data []byte) (int64, error) {
	f, err := Read("f.parquet", bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return 0, err
	}
	return f.count(math.MaxInt64)
}

// count reads all columns that can be, up to most rows.
func (f *File) count(most int64) (n int64, err error) {
	var columns []int
	for i := range f.Columns() {
		columns = append(columns, i)
	}
	for _, err := range f.Rows(columns...) {
		if err != nil {
			return n, err
		}
		if n++; n == most {
			break
		}
	}
	return n, nil
}

func TestForgedFileIsRead(t *testing.T) {
	if n, err := read(forge(2, dataPage(2, 11, format.Plain), append(text("ab"), text("c")...)).file(t)); n != 2 || err != nil {
		t.Fatalf("%d rows, %v", n, err)
	}
}

// What a small file claims does not take memory or bring the program down: the error names
// the file, and the row and the column if it is about them.
func TestHostileFiles(t *testing.T) {
	ab := append(text("ab"), text("c")...)
	good := func() forged { return forge(2, dataPage(2, 11, format.Plain), ab) }
	changed := func(change func(f *forged)) []byte {
		f := good()
		change(&f)
		return f.file(t)
	}
	var zeros bytes.Buffer
	w := gzip.NewWriter(&zeros)
	_, _ = w.Write(make([]byte, 64<<20))
	_ = w.Close()
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	packed := encoder.EncodeAll(make([]byte, 64<<20), nil)
	deep := []byte{0x29, 0x1c} // a list of one struct
	for range 100_000 {
		deep = append(deep, 0x1c) // its first field a struct, and so on
	}
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"footer longer than the file": {closed([]byte(magic), 1<<31-1), "a footer of 2147483647 bytes in 12"},
		"footer of nothing":           {closed([]byte(magic), 0), "it ends in the middle of its metadata"},
		"a schema of 2³¹ columns":     {closed([]byte(magic+"\x29\xfc\xff\xff\xff\xff\x07\x00"), 8), "it ends in the middle of its metadata"},
		"columns without content":     {closed(append([]byte(magic+"\x29\xfc\x80\x80\x40"), make([]byte, 1<<20)...), 1<<20+5), "it has more than 16384 columns"},
		"metadata nested deep":        {closed(append([]byte(magic), deep...), len(deep)), "nested more than 32 deep"},
		"groups nested deep": {changed(func(f *forged) {
			f.meta.Schema = nil
			for range 1000 {
				f.meta.Schema = append(f.meta.Schema, format.SchemaElement{Name: "g", NumChildren: thrift.New[int32](1), RepetitionType: thrift.New(format.Optional)})
			}
		}), "lies deeper than 16 groups"},
		"schema cut short":   {changed(func(f *forged) { f.meta.Schema[0].NumChildren = thrift.New[int32](2) }), "its schema ends in the middle of a group"},
		"column of no group": {changed(func(f *forged) { f.meta.Schema[0].NumChildren = thrift.New[int32](0) }), "its schema has 1 columns that are part of nothing"},
		"unknown type":       {changed(func(f *forged) { f.meta.Schema[1].Type = thrift.New(format.Type(9)) }), `column ["text"] is of type 9`},
		"rows too many":      {changed(func(f *forged) { f.meta.NumRows = 3 }), "its row groups have 2 rows, and it says that it has 3"},
		"rows negative":      {changed(func(f *forged) { f.meta.NumRows, f.meta.RowGroups[0].NumRows = -1, -1 }), "row group 1 has -1 rows"},
		"rows without end":   {changed(func(f *forged) { f.meta.RowGroups[0].NumRows = 1 << 40 }), "row group 1 has 1099511627776 rows after 0"},
		"columns too many": {changed(func(f *forged) {
			f.meta.RowGroups[0].Columns = append(f.meta.RowGroups[0].Columns, f.meta.RowGroups[0].Columns[0])
		}), "row group 1 has 2 columns, and the schema 1"},

		"chunk outside":         {changed(func(f *forged) { f.column().TotalCompressedSize = 1 << 40 }), `f.parquet: row 1: column "text": its 1099511627776 bytes from 4 on are not among`},
		"chunk before the file": {changed(func(f *forged) { f.column().DataPageOffset = -5 }), `f.parquet: row 1: column "text": its`},
		"fewer values":          {changed(func(f *forged) { f.column().NumValues = 1 }), "it has 1 values in 2 rows"},
		"another type":          {changed(func(f *forged) { f.column().Type = format.Int64 }), "it has values of type 2, and in the schema 6"},
		"lists of lists": {changed(func(f *forged) {
			f.meta.Schema[0].RepetitionType = thrift.New(format.Repeated)
			f.meta.Schema[1].NumChildren, f.meta.Schema[1].Type = thrift.New[int32](1), thrift.Null[format.Type]{}
			f.meta.Schema[1].RepetitionType = thrift.New(format.Repeated)
			f.meta.Schema = append(f.meta.Schema, format.SchemaElement{Name: "x", Type: thrift.New(format.ByteArray), RepetitionType: thrift.New(format.Repeated)})
		}), "it is a list of lists"},
		"page longer than the chunk": {changed(func(f *forged) { f.pages[0].CompressedPageSize = math.MaxInt32 }), `row 1: column "text": the file is damaged: a page of 2147483647 bytes where 11 are left`},
		"negative page":              {changed(func(f *forged) { f.pages[0].CompressedPageSize = -1 }), "a page of -1 bytes where"},
		"negative values":            {changed(func(f *forged) { f.pages[0].DataPageHeader.V.NumValues = -1 }), "a page of -1 values"},
		"values without end":         {changed(func(f *forged) { f.pages[0].DataPageHeader.V.NumValues = math.MaxInt32 }), "a page of 2147483647 values where 2 are left"},
		"unpacked size wrong":        {changed(func(f *forged) { f.pages[0].UncompressedPageSize = 12 }), "a page unpacks to 11 bytes, and its header says 12"},
		"checksum":                   {changed(func(f *forged) { f.pages[0].CRC = 7 }), "a page's checksum is"},
		"unknown codec":              {changed(func(f *forged) { f.column().Codec = format.LZO }), "codec 3 is not supported"},
		"unknown page":               {changed(func(f *forged) { f.pages[0].Type = 9 }), "a page of type 9"},
		"unknown encoding":           {changed(func(f *forged) { f.pages[0].DataPageHeader.V.Encoding = 77 }), "encoding 77 of byte array values is not supported"},
		"no dictionary":              {changed(func(f *forged) { f.pages[0].DataPageHeader.V.Encoding = format.RLEDictionary }), "values of a dictionary that is not there"},
		"page missing":               {changed(func(f *forged) { f.pages[0].DataPageHeader.V.NumValues = 1 }), `row 2: column "text": the pages end, and 1 values are missing`},
		"text longer than the page":  {forge(1, dataPage(1, 6, format.Plain), []byte("\xff\xff\xff\x7fab")).file(t), "row 1: column \"text\": the page holds fewer values"},
		"second text cut":            {forge(2, dataPage(2, 7, format.Plain), append(text("a"), 9, 9)).file(t), "row 2: column \"text\": the page holds fewer values"},

		"a page beyond all": {changed(func(f *forged) {
			f.column().Codec = format.Zstd
			f.pages[0].UncompressedPageSize = 1 << 30
			f.data[0] = packed
		}), "is said to unpack to 1073741824, at most"},
		"a page beyond its size": {changed(func(f *forged) {
			f.column().Codec = format.Zstd
			f.pages[0].UncompressedPageSize = 11
			f.data[0] = packed
		}), "a page does not unpack"},
		"a page of gzip beyond its size": {changed(func(f *forged) {
			f.column().Codec = format.Gzip
			f.pages[0].UncompressedPageSize = 11
			f.data[0] = zeros.Bytes()
		}), "a page does not unpack: it holds another number of bytes"},
		"a text of snappy beyond its size": {changed(func(f *forged) {
			f.column().Codec = format.Snappy
			f.data[0] = []byte("\xff\xff\xff\xff\x0f\x00")
		}), "a page does not unpack: it holds another number of bytes"},
		"differences without end": {changed(func(f *forged) {
			f.pages[0].DataPageHeader.V.Encoding = format.DeltaLengthByteArray
			f.data[0] = []byte("\x80\x01\x04\xff\xff\xff\xff\x0f\x00\x00\x00")
		}), "4294967295 differences for 2 values"},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			n, err := read(c.file)
			runtime.ReadMemStats(&after)
			if err == nil || !strings.HasPrefix(err.Error(), "f.parquet: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%d rows and the error %v, want one with %s", n, err, c.want)
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > alwaysPage+4<<20 {
				t.Errorf("%d bytes were allocated for a file of %d", got, len(c.file))
			}
		})
	}
}

// A run of nulls is as short in memory as in the file.
func TestManyNulls(t *testing.T) {
	const rows = 5_000_000
	levels := append(binary.AppendUvarint(nil, rows<<1), 0) // the level 0, so often
	f := forge(rows, dataPage(rows, int32(len(levels)+4), format.Plain), append(binary.LittleEndian.AppendUint32(nil, uint32(len(levels))), levels...))
	f.meta.Schema[1].RepetitionType = thrift.New(format.Optional)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, err := read(f.file(t))
	runtime.ReadMemStats(&after)
	if n != rows || err != nil {
		t.Errorf("%d rows, %v", n, err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("%d bytes were allocated", got)
	}
}

// Values that begin like those before them do not fill the memory by being in a list.
func TestListOfSharedBeginnings(t *testing.T) {
	const long, items = 1 << 20, 1 << 10
	shared, rests := make([]int64, items), make([]int64, items)
	for i := range items {
		shared[i], rests[i] = long, 1
	}
	shared[0], rests[0] = 0, long
	data := append(append(packDeltas(shared), packDeltas(rests)...), make([]byte, long+items-1)...)
	data = append(levelRuns(1, 0, items-1, 1), append(levelRuns(items, 1), data...)...)
	f := forge(1, dataPage(items, int32(len(data)), format.DeltaByteArray), data)
	f.meta.Schema[1].RepetitionType = thrift.New(format.Repeated)
	f.column().NumValues = items
	_, err := read(f.file(t))
	if want := "f.parquet: row 1: column \"text\": a list of more than 134217728 bytes"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// levelRuns are levels of one bit: so many times this, so many times that, with their length.
func levelRuns(runs ...uint64) []byte {
	var out []byte
	for i := 0; i < len(runs); i += 2 {
		out = append(binary.AppendUvarint(out, runs[i]<<1), byte(runs[i+1]))
	}
	return text(string(out))
}

// packDeltas is values in the encoding DELTA_BINARY_PACKED, all differences of 64 bits.
func packDeltas(values []int64) []byte {
	out := binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(nil, 8), 1), uint64(len(values)))
	out = binary.AppendVarint(out, values[0])
	for i := 1; i < len(values); i++ {
		if i%8 == 1 {
			out = append(binary.AppendVarint(out, 0), 64)
		}
		out = binary.LittleEndian.AppendUint64(out, uint64(values[i]-values[i-1]))
	}
	for i := len(values); i%8 != 1; i++ {
		out = binary.LittleEndian.AppendUint64(out, 0)
	}
	return out
}

// A file cut off anywhere is refused when it is opened.
func TestCutOff(t *testing.T) {
	whole := written(t, records(9))
	for n := range whole {
		if _, err := Read("f.parquet", bytes.NewReader(whole[:n]), int64(n)); err == nil {
			t.Fatalf("cut off after %d of %d bytes, it is opened", n, len(whole))
		}
	}
}

// With a byte changed a file is read or refused, never more.
func TestChangedBytes(t *testing.T) {
	for _, whole := range [][]byte{written(t, records(9)), written(t, records(130))} {
		step := 1 + len(whole)/300
		for i := 0; i < len(whole); i += step {
			for _, bit := range []byte{1, 0x80} {
				changed := bytes.Clone(whole)
				changed[i] ^= bit
				unchecked(t, changed)
			}
		}
	}
}

// unchecked reads a file whose checksums do not matter, up to some rows.
func unchecked(t testing.TB, data []byte) {
	f, err := Read("f.parquet", bytes.NewReader(data), int64(len(data)))
	if err == nil {
		f.unchecked = true
		_, err = f.count(1 << 16)
	}
	if err != nil && !strings.HasPrefix(err.Error(), "f.parquet: ") {
		t.Errorf("an error without the file's name: %v", err)
	}
}

func FuzzRows(f *testing.F) {
	for _, codec := range codecs {
		for _, version := range []int{1, 2} {
			f.Add(written(f, records(6), options(codec, version)...))
		}
	}
	f.Add(forge(2, dataPage(2, 11, format.Plain), append(text("ab"), text("c")...)).file(f))
	f.Fuzz(func(t *testing.T, data []byte) { unchecked(t, data) })
}
