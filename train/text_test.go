package train_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quadrant/corpus"
	"quadrant/tokenizer"
	"quadrant/train"
)

func corpusOf(t *testing.T, files map[string]string) corpus.Corpus {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	c, err := corpus.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Of documents each is wholly learned from or wholly held out, and nothing is lost.
func TestReadText(t *testing.T) {
	var lines strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&lines, "{\"text\": \"document %04d\"}\n", i)
	}
	c := corpusOf(t, map[string]string{"a.jsonl": lines.String()})
	read := 0
	m, held, err := train.ReadText(t.Context(), c, tokenizer.Bytes{}, train.TextLimits{Train: 1 << 20, Valid: 1 << 20}, func(n int) { read += n })
	if err != nil {
		t.Fatal(err)
	}
	const each = len("document 0000\n")
	n, h := m.Domains[0].Tokens.Len(), held[0]
	if n+len(h.IDs) != 1000*each || n%each != 0 || len(h.IDs) < 20*each || len(h.IDs) > 90*each || h.Bytes != len(h.IDs)-1 || read != 1000*(each-1) {
		t.Errorf("%d bytes to learn from, %d held out which stand for %d, %d read", n, len(h.IDs), h.Bytes, read)
	}
	all := make([]int32, n)
	m.Domains[0].Tokens.Read(all, 0)
	learned, _ := tokenizer.Bytes{}.Decode(all)
	out, _ := tokenizer.Bytes{}.Decode(h.IDs)
	for i := range 1000 {
		line := fmt.Sprintf("document %04d\n", i)
		if strings.Contains(learned, line) == strings.Contains(out, line) {
			t.Fatalf("%q is in both parts or in none", line)
		}
	}
}

// Limits are kept, by bytes that end where a character does.
func TestReadTextLimits(t *testing.T) {
	c := corpusOf(t, map[string]string{"a.txt": strings.Repeat("é", 200_000)})
	m, held, err := train.ReadText(t.Context(), c, tokenizer.Bytes{}, train.TextLimits{Train: 1001, Valid: 101}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := m.Domains[0].Tokens.Len(); n != 1001 || len(held[0].IDs) != 101 { // with an end of line
		t.Errorf("%d and %d tokens, want 1001 and 101", n, len(held[0].IDs))
	}
}

// Of a corpus too small for a document to be held out, the end is.
func TestReadTextOfOneDocument(t *testing.T) {
	c := corpusOf(t, map[string]string{"a.txt": strings.Repeat("text\n", 100)})
	m, held, err := train.ReadText(t.Context(), c, tokenizer.Bytes{}, train.TextLimits{Train: 1 << 20, Valid: 1 << 20}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := m.Domains[0].Tokens.Len(); n != 475 || len(held[0].IDs) != 25 || held[0].Bytes != 24 {
		t.Errorf("%d tokens to learn from and %d held out, which stand for %d bytes; want 475, 25 and 24", n, len(held[0].IDs), held[0].Bytes)
	}
}
