package parquet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	peer "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
)

// A group inside a group, lists, and what may be null.
type record struct {
	Flag    bool     `parquet:"flag"`
	Small   int32    `parquet:"small,delta"`
	Large   *int64   `parquet:"large,optional"`
	Single  float32  `parquet:"single,split"`
	Double  float64  `parquet:"double"`
	Text    string   `parquet:"text"`
	Maybe   *string  `parquet:"maybe,optional,dict"`
	Lengths string   `parquet:"lengths,delta"`
	Front   string   `parquet:"front,delta"`
	Items   []string `parquet:"items,list"`
	Numbers []int64  `parquet:"numbers"`
	Group   struct {
		Text  []string `parquet:"text,list,dict"`
		Label []string `parquet:"label,list"`
	} `parquet:"group"`
	Hash [5]byte `parquet:"hash"`
}

// records are n records of all that can vary.
func records(n int) []record {
	all := make([]record, n)
	for i := range all {
		word := strings.Repeat(string(rune('a'+i%7)), i%5)
		r := record{
			Flag: i%3 == 0, Small: int32(i*i) - 1000, Single: float32(i) / 3, Double: -float64(i) / 7,
			Text: word, Lengths: "l" + word, Front: "same" + word, Hash: [5]byte{byte(i), 1, 2},
		}
		if i%4 > 0 {
			large, maybe := int64(i)<<40, "maybe"+word
			r.Large, r.Maybe = &large, &maybe
		}
		for j := range i % 4 {
			r.Items = append(r.Items, fmt.Sprint(word, j))
			r.Numbers = append(r.Numbers, int64(i-j*3))
			r.Group.Text, r.Group.Label = append(r.Group.Text, word), append(r.Group.Label, fmt.Sprint(j))
		}
		all[i] = r
	}
	return all
}

// written is a file that the peer writes, of small pages and several row groups.
func written(t testing.TB, rows []record, options ...peer.WriterOption) []byte {
	t.Helper()
	var b bytes.Buffer
	w := peer.NewGenericWriter[record](&b, append([]peer.WriterOption{peer.PageBufferSize(256)}, options...)...)
	for len(rows) > 0 {
		n := min(len(rows), 100)
		if _, err := w.Write(rows[:n]); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil { // a row group
			t.Fatal(err)
		}
		rows = rows[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// all is every row of some columns.
func all(f *File, columns []int) ([][]any, error) {
	var rows [][]any
	for row, err := range f.Rows(columns...) {
		if err != nil {
			return rows, err
		}
		if row.Number != int64(len(rows)+1) {
			return rows, fmt.Errorf("row %d follows %d rows", row.Number, len(rows))
		}
		rows = append(rows, append([]any{}, row.Values...))
	}
	return rows, nil
}

// peersRows is what the peer reads: the values of those columns.
func peersRows(t testing.TB, data []byte, columns []int) [][]any {
	t.Helper()
	f, err := peer.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	place := map[int]int{}
	for i, c := range columns {
		place[c] = i
	}
	paths := f.Schema().Columns()
	var all [][]any
	for _, group := range f.RowGroups() {
		rows := group.Rows()
		buffer := make([]peer.Row, 64)
		for done := false; !done; {
			n, err := rows.ReadRows(buffer)
			for _, row := range buffer[:n] {
				values := make([]any, len(columns))
				for _, v := range row {
					at, wanted := place[v.Column()]
					leaf, _ := f.Schema().Lookup(paths[v.Column()]...)
					switch {
					case !wanted:
					case leaf.MaxRepetitionLevel == 0:
						values[at] = plain(v)
					default:
						if values[at] == nil {
							values[at] = []any{}
						}
						if v.DefinitionLevel() >= itemLevel(f, paths[v.Column()]) {
							values[at] = append(values[at].([]any), plain(v))
						}
					}
				}
				all = append(all, values)
			}
			if done = errors.Is(err, io.EOF); err != nil && !done {
				t.Fatal(err)
			}
		}
		rows.Close()
	}
	return all
}

// itemLevel is the definition level of a list's items.
func itemLevel(f *peer.File, path []string) int {
	c, level := f.Root(), 0
	for _, name := range path {
		c = c.Column(name)
		if !c.Required() {
			level++
		}
		if c.Repeated() {
			return level
		}
	}
	return level
}

func plain(v peer.Value) any {
	if v.IsNull() {
		return nil
	}
	switch v.Kind() {
	case peer.Boolean:
		return v.Boolean()
	case peer.Int32:
		return v.Int32()
	case peer.Int64:
		return v.Int64()
	case peer.Float:
		return v.Float()
	case peer.Double:
		return v.Double()
	case peer.Int96:
		return v.AppendBytes(nil)
	}
	return append([]byte{}, v.ByteArray()...)
}

func compare(t *testing.T, data []byte) {
	t.Helper()
	f, err := Read("f.parquet", bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	var columns []int
	for i, c := range f.Columns() {
		if c.Lists() < 2 {
			columns = append(columns, i)
		}
	}
	got, err := all(f, columns)
	if err != nil {
		t.Fatal(err)
	}
	want := peersRows(t, data, columns)
	if reflect.DeepEqual(want, got) { // which is faster
		return
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("(-peer +got):\n%.3000s", diff)
	}
}

var codecs = []compress.Codec{&peer.Uncompressed, &peer.Snappy, &peer.Gzip, &peer.Brotli, &peer.Zstd, &peer.Lz4Raw}

func options(codec compress.Codec, version int) []peer.WriterOption {
	return []peer.WriterOption{peer.Compression(codec), peer.DataPageVersion(version)}
}

// All codecs, encodings and versions of pages are read as the peer reads them.
func TestReadsWhatIsWritten(t *testing.T) {
	rows := records(250)
	for _, version := range []int{1, 2} {
		for _, codec := range codecs {
			t.Run(fmt.Sprintf("%v/v%d", codec, version), func(t *testing.T) {
				compare(t, written(t, rows, options(codec, version)...))
			})
		}
	}
}

// notAsThePeer are files that are not read as the peer reads them, and why.
var notAsThePeer = map[string]string{
	"lz4_raw_compressed_larger.parquet": "the peer reads 10,000 empty texts, which have 36 bytes each: see TestTextsThatThePeerLoses",
	"repeated_no_annotation.parquet":    "it says that it has 0 rows, and its row group that it has 6: it is refused",
}

// peersFiles are the files that the peer keeps for its own tests.
func peersFiles(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/parquet-go/parquet-go").Output()
	if err != nil {
		t.Skipf("the peer's files are not at hand: go list -m: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "testdata", "*.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skipf("the peer's files are not at hand: none in %s (the module is not downloaded)", strings.TrimSpace(string(out)))
	}
	return files
}

func TestTextsThatThePeerLoses(t *testing.T) {
	for _, file := range peersFiles(t) {
		if filepath.Base(file) != "lz4_raw_compressed_larger.parquet" {
			continue
		}
		f, err := Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		rows, err := all(f, []int{0})
		if err != nil || len(rows) != 10000 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		for i, row := range rows {
			if len(row[0].([]byte)) != 36 {
				t.Fatalf("row %d is %q", i+1, row[0])
			}
		}
	}
}

// Files of other writers are read as the peer reads them.
func TestReadsFilesOfOtherWriters(t *testing.T) {
	for _, file := range peersFiles(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			if why := notAsThePeer[filepath.Base(file)]; why != "" {
				t.Skip(why)
			}
			const most = 1 << 18 // bytes
			switch info, err := os.Stat(file); {
			case err != nil:
				t.Fatal(err)
			case info.Size() > most:
				t.Skipf("the file has %d bytes: those of more than %d are left out, for time", info.Size(), most)
			}
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, data)
		})
	}
}

// A page's header may be long: this writer puts the least and the greatest value into it.
func TestLongTexts(t *testing.T) {
	rows := records(3)
	for i := range rows {
		rows[i].Text = strings.Repeat(string(rune('a'+i)), 3<<20)
	}
	compare(t, written(t, rows))
}

// Columns are read alone, in the order asked for; the schema says what they are.
func TestColumns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.parquet")
	if err := os.WriteFile(path, written(t, records(7)), 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var columns []string
	at := map[string]int{}
	for i, c := range f.Columns() {
		columns = append(columns, fmt.Sprintf("%s %v %d", c.Name(), c.Kind, c.Lists()))
		at[c.Name()] = i
	}
	want := []string{
		"flag boolean 0", "small int32 0", "large int64 0", "single float 0", "double double 0", "text byte array 0", "maybe byte array 0",
		"lengths byte array 0", "front byte array 0", "items.list.element byte array 1", "numbers int64 1", "group.text.list.element byte array 1",
		"group.label.list.element byte array 1", "hash fixed-length byte array 0",
	}
	if diff := cmp.Diff(want, columns); diff != "" {
		t.Error(diff)
	}
	rows, err := all(f, []int{at["group.label.list.element"], at["large"]})
	if err != nil || f.NumRows() != 7 {
		t.Fatalf("%d rows, %v", f.NumRows(), err)
	}
	if diff := cmp.Diff([]any{[]any{[]byte("0"), []byte("1")}, int64(6) << 40}, rows[6]); diff != "" {
		t.Error(diff)
	}
}
