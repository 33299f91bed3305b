package corpus

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func open(t *testing.T, files map[string]string) Corpus {
	t.Helper()
	c, err := Open(folder(t, files))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func take(t *testing.T, c Corpus, n int) string {
	t.Helper()
	text, err := c.Take(n)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestTakeIsFair mixes one long English text with many short ones of code.
func TestTakeIsFair(t *testing.T) {
	files := map[string]string{"book.txt": strings.Repeat("english text\n", 1<<13)}
	for i := range 400 {
		files[fmt.Sprintf("code%03d.go", i)] = strings.Repeat(fmt.Sprintf("code %03d\n", i), 10+i)
	}
	c := open(t, files)
	for _, n := range []int{32 << 10, 64 << 10, 200 << 10} {
		text := take(t, c, n)
		english := 13 * strings.Count(text, "english text\n")
		if len(text) != n || english < n/2-pieceSize || english > n/2+pieceSize {
			t.Errorf("%d of %d bytes are English, want half of %d within %d", english, len(text), n, pieceSize)
		}
	}
	if text := take(t, c, 32<<10); strings.Contains(text, "code 000") && strings.Contains(text, "code 001") && strings.Contains(text, "code 002") {
		t.Error("the code begins with the first files, want them shuffled")
	}
}

func TestTakeBeginsTheSame(t *testing.T) {
	c := open(t, map[string]string{
		"a.txt": strings.Repeat("é", 30_000), // no line ends
		"b.go":  strings.Repeat("b\n", 10_000),
		"c.go":  "no line end",
	})
	whole := take(t, c, 1<<20)
	if want := 60_000 + 1 + 20_000 + 12; len(whole) != want {
		t.Errorf("all of it has %d bytes, want %d", len(whole), want)
	}
	for _, n := range []int{0, 1, 2, 3, 8191, 8192, 8193, 50_001, len(whole)} {
		text := take(t, c, n)
		if !strings.HasPrefix(whole, text) || len(text) > n || len(text) < n-1 {
			t.Errorf("Take(%d) has %d bytes, and is the beginning of all: %v", n, len(text), strings.HasPrefix(whole, text))
		}
		if invalid([]byte(text)) >= 0 {
			t.Errorf("Take(%d) is not UTF-8", n)
		}
	}
	_, err := c.Take(-1)
	wantError(t, err, "take -1 bytes")
}

// TestTakeKeepsDocuments checks that mixing adds an end of line without writing into a
// document, and loses nothing.
func TestTakeKeepsDocuments(t *testing.T) {
	c := open(t, map[string]string{"a.jsonl": `{"text":"one"}` + "\n" + `{"text":"two\n"}` + "\n" + `{"text":""}`})
	if got := take(t, c, 100); got != "one\ntwo\n" {
		t.Errorf("got %q", got)
	}
	long := bytes.Repeat([]byte("x"), 3*pieceSize)
	if n := pieceLen(long); n != pieceSize {
		t.Errorf("a text without lines has a first piece of %d bytes, want %d", n, pieceSize)
	}
}
