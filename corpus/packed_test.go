package corpus

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
)

func gzipped(t testing.TB, text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zstded(t testing.TB, text string) string {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(w.EncodeAll([]byte(text), nil))
}

// parqueted is a .parquet file of a column of texts, some of them null, beside another.
func parqueted(t testing.TB, texts ...*string) string {
	type row struct {
		ID   int64   `parquet:"id"`
		Text *string `parquet:"text,optional,zstd"`
	}
	var b bytes.Buffer
	w := parquet.NewGenericWriter[row](&b, parquet.PageBufferSize(64))
	for i, text := range texts {
		if _, err := w.Write([]row{{int64(i), text}}); err != nil {
			t.Fatal(err)
		}
		if i%100 == 99 {
			if err := w.Flush(); err != nil { // another row group
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPackedFiles(t *testing.T) {
	one, two := "one é", "two"
	c := open(t, map[string]string{
		"a.txt.gz":    gzipped(t, "a\n"),
		"b.jsonl.gz":  gzipped(t, `{"text":"b1"}`+"\n"+`{"text":"b2"}`),
		"c.go.ZST":    zstded(t, "c"),
		"d.parquet":   parqueted(t, &one, nil, &two),
		"e.txt.zst":   "not packed",
		"f.parquet":   parqueted(t)[:20],
		"g.jsonl.zst": zstded(t, strings.Repeat(`{"text":"g"}`+"\n", 3)),
	})
	want := []string{"a.txt.gz=a\n", "b.jsonl.gz:1=b1", "b.jsonl.gz:2=b2", "c.go.ZST=c", "d.parquet:1=one é", "d.parquet:3=two",
		"g.jsonl.zst:1=g", "g.jsonl.zst:2=g", "g.jsonl.zst:3=g"}
	if diff := cmp.Diff(want, all(t, c)); diff != "" || c.Skipped != 2 {
		t.Errorf("%d skipped, want 2 (-want +got):\n%s", c.Skipped, diff)
	}
	var kinds []string
	for _, f := range c.files {
		kinds = append(kinds, f.kind)
	}
	if diff := cmp.Diff([]string{".txt", ".jsonl", ".go", ".parquet", ".jsonl"}, kinds); diff != "" {
		t.Error(diff)
	}
}

// A parquet file of many pages and row groups has its rows in order.
func TestParquetInOrder(t *testing.T) {
	var texts []*string
	var want []string
	for i := range 250 {
		text := strings.Repeat("x", i%17) + string(rune('a'+i%26))
		texts = append(texts, &text)
		want = append(want, text)
	}
	var got []string
	for d, err := range open(t, map[string]string{"a.parquet": parqueted(t, texts...)}).Documents() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(d.Text))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPackedErrors(t *testing.T) {
	type other struct {
		Content string `parquet:"content"`
	}
	var b bytes.Buffer
	if err := parquet.Write(&b, []other{{"a"}}); err != nil {
		t.Fatal(err)
	}
	bad := "\xff"
	long := gzipped(t, strings.Repeat("text of many lines\n", 1<<14))
	dir := folder(t, map[string]string{
		"content.parquet": b.String(),
		"latin1.parquet":  parqueted(t, &bad),
		"cut.txt.gz":      long[:len(long)-9],
		"binary.gz":       gzipped(t, "a\x00"),
		"line.jsonl.gz":   gzipped(t, `{"text":"a"}`+"\n"+`{"tex":"a"}`),
	})
	for name, want := range map[string]string{
		"content.parquet": `content.parquet has no column "text" of texts, but [[content]]: rename the column`,
		"latin1.parquet":  "latin1.parquet: row 1: byte 0 is not UTF-8 text",
		"cut.txt.gz":      "cut.txt.gz: unexpected EOF",
		"binary.gz":       "binary.gz: byte 1 is not UTF-8 text",
		"line.jsonl.gz":   `line.jsonl.gz:2: the object has no "text"`,
	} {
		c, err := Open(filepath.Join(dir, name))
		if err == nil {
			_, err = c.Take(1 << 20)
		}
		wantError(t, err, want)
	}
}

// A parquet file that was cut off anywhere is refused when it is opened.
func TestParquetCutOff(t *testing.T) {
	one, two := "one", "two"
	whole := parqueted(t, &one, nil, &two)
	path := filepath.Join(t.TempDir(), "a.parquet")
	for n := range whole {
		if err := os.WriteFile(path, []byte(whole[:n]), 0o666); err != nil {
			t.Fatal(err)
		}
		_, err := Open(path)
		wantError(t, err, "a.parquet: not the parquet file that its name says")
	}
}
