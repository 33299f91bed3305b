package corpus

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// folder makes a folder with the given files.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// all reads c as name=text pairs.
func all(t *testing.T, c Corpus) []string {
	t.Helper()
	var got []string
	for d, err := range c.Documents() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, d.Name+"="+string(d.Text))
	}
	return got
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "corpus: "):
		t.Errorf("got error %v, want one with %q", err, want)
	case strings.Contains(err.Error(), "\n"):
		t.Errorf("error %q has more than one line", err)
	}
}

func TestOpen(t *testing.T) {
	dir := folder(t, map[string]string{
		"books/b.txt":      "bé",
		"books/a.md":       "a\n",
		"books/sub/c.go":   "c",
		"books/sub.txt":    "s",
		"books/image.png":  "\x89PNG\x00",
		"books/latin1.txt": "caf\xe9",
		"books/empty.txt":  "",
		"books/x.gz":       "text all the same",
		"books/.git/HEAD":  "hidden",
		"books/.hidden":    "hidden",
		"one.jsonl":        `{"id": 1, "text": "é\n"}` + "\n\n" + `{"text": ""}` + "\r\n" + `{"text": "last"}`,
	})
	at := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	for _, c := range []struct {
		paths   []string
		name    string
		skipped int
		want    []string
	}{
		{[]string{at("books")}, "books", 4, []string{"a.md=a\n", "b.txt=bé", "sub/c.go=c", "sub.txt=s"}},
		{[]string{at("books/b.txt")}, "b.txt", 0, []string{"b.txt=bé"}},
		{[]string{at("books/.hidden")}, ".hidden", 0, []string{".hidden=hidden"}},
		{[]string{at("books/*.txt")}, "*.txt", 2, []string{"b.txt=bé", "sub.txt=s"}},
		{[]string{at("books/sub*")}, "sub*", 0, []string{"c.go=c", "sub.txt=s"}},
		{[]string{at("one.jsonl"), at("books/sub"), at("books/sub/../sub/c.go")}, "one.jsonl+2", 0, []string{
			"one.jsonl:1=é\n", "one.jsonl:3=", "one.jsonl:4=last", "c.go=c"}},
	} {
		got, err := Open(c.paths...)
		if err != nil {
			t.Errorf("%v: %v", c.paths, err)
			continue
		}
		if diff := cmp.Diff(c.want, all(t, got)); diff != "" || got.Name != c.name || got.Skipped != c.skipped {
			t.Errorf("%v: name %s, %d skipped, want %s, %d (-want +got):\n%s", c.paths, got.Name, got.Skipped, c.name, c.skipped, diff)
		}
	}
}

func TestOpenFollowsLinkToFolder(t *testing.T) {
	dir := folder(t, map[string]string{"real/a.txt": "a"})
	link := filepath.Join(dir, "link")
	if err := os.Symlink("real", link); err != nil {
		t.Skipf("needs symbolic links: %v", err)
	}
	c, err := Open(link)
	if err != nil || c.Name != "link" || c.Files() != 1 {
		t.Errorf("%s has %d files, %v, want 1", c.Name, c.Files(), err)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := folder(t, map[string]string{
		"bin/a":      "\x00",
		"latin1.txt": "caf\xe9",
		"empty.txt":  "",
		"x.parquet":  "PAR1",
		"x.TXT.GZ":   "",
		"y.txt.gz":   "text all the same",
		"y.txt.zst":  "text all the same",
	})
	at := func(name string) string { return filepath.Join(dir, name) }
	for path, want := range map[string]string{
		at("absent"):     "no such file or directory: check the path",
		at("*.absent"):   "*.absent matches no file: check the pattern",
		at("[*"):         "[*: syntax error in pattern",
		at("bin"):        "no UTF-8 text found, 1 other files skipped",
		at("bin/a"):      "a: byte 0 is not UTF-8 text",
		at("latin1.txt"): "latin1.txt: byte 3 is not UTF-8 text: name a text file, or convert it",
		at("empty.txt"):  "empty.txt is empty",
		at("x.parquet"):  "x.parquet: not the parquet file that its name says",
		at("x.TXT.GZ"):   "x.TXT.GZ: not the gzip file that its name says: it is empty",
		at("y.txt.gz"):   "y.txt.gz: not the gzip file that its name says",
		at("y.txt.zst"):  "y.txt.zst: ",
		os.DevNull:       "is not a regular file",
	} {
		_, err := Open(path)
		wantError(t, err, want)
	}
	_, err := Open()
	wantError(t, err, "no path was given")
}

func TestDocumentErrors(t *testing.T) {
	dir := folder(t, map[string]string{
		"late.txt":   strings.Repeat("é", headSize) + "\xff",
		"bad.jsonl":  "{\"text\": \"a\"}\n{\"text\": 3}\n",
		"none.jsonl": "{\"content\": \"a\"}\n",
		"odd.jsonl":  "[]\n",
		"gone.txt":   "a",
	})
	for name, want := range map[string]string{
		"late.txt":   "late.txt: byte 131072 is not UTF-8 text: convert the file",
		"bad.jsonl":  `bad.jsonl:2: want a JSON object with a string "text"`,
		"none.jsonl": `none.jsonl:1: the object has no "text"`,
		"odd.jsonl":  `odd.jsonl:1: want a JSON object`,
		"gone.txt":   "gone.txt: no such file",
	} {
		path := filepath.Join(dir, name)
		c, err := Open(path)
		if err != nil {
			t.Error(err)
			continue
		}
		if name == "gone.txt" {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
		err = nil
		for _, e := range c.Documents() {
			if err != nil {
				t.Errorf("%s goes on after %v", name, err)
			}
			err = e
		}
		wantError(t, err, want)
		_, err = c.Take(1 << 20)
		wantError(t, err, want)
	}
}

// TestStopEarly leaves the loop over a corpus.
func TestStopEarly(t *testing.T) {
	c, err := Open(folder(t, map[string]string{"a.txt": "a", "b.jsonl": `{"text":"b"}`, "c.txt": "c"}))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		n := 0
		for range c.Documents() {
			if n++; n == 2 {
				break
			}
		}
	}
}

func TestCut(t *testing.T) {
	for text, want := range map[string]int{"": 0, "a": 0, "é": 0, "a\xc3": 1, "a\xe2\x82": 2, "\xf0\x9f\x98": 3, "a\xff": 0, "\x80\x80\x80\x80": 0} {
		if got := cut([]byte(text)); got != want {
			t.Errorf("cut(%q) is %d, want %d", text, got, want)
		}
	}
}

// A long file of text is several documents, which end where lines do and are the file
// together; what is no text in any of them is told by its place in the file.
func TestLongFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "long.txt")
	line := strings.Repeat("é", 499) + "\n"
	text := strings.Repeat(line, 40<<20/len(line))
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	c, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	at := 0
	for d, err := range c.Documents() {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, d.Name)
		if !strings.HasPrefix(text[at:], string(d.Text)) || !strings.HasSuffix(string(d.Text), "\n") || len(d.Text) > 16<<20 {
			t.Errorf("%s of %d bytes is not what follows, or is too long, or ends within a line", d.Name, len(d.Text))
		}
		at += len(d.Text)
	}
	if at != len(text) || !slices.Equal(names, []string{"long.txt", "long.txt#2", "long.txt#3"}) {
		t.Errorf("%v have %d bytes of %d", names, at, len(text))
	}
	bad := 35 << 20
	if err := os.WriteFile(path, []byte(text[:bad]+"\x00"+text[bad:]), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, err := range c.Documents() {
		if err != nil && !strings.Contains(err.Error(), fmt.Sprintf("byte %d is not UTF-8", bad)) {
			t.Errorf("error %v, want one about byte %d", err, bad)
		}
		if at++; err != nil {
			return
		}
	}
	t.Error("no error")
}
