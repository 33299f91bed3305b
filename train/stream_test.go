package train_test

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"quadrant/corpus"
	"quadrant/tokenizer"
	"quadrant/train"
)

// writeLines writes a packed .jsonl file of documents with n bytes of text altogether.
func writeLines(t *testing.T, path string, n int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	packed, _ := gzip.NewWriterLevel(f, gzip.BestSpeed)
	w := bufio.NewWriter(packed)
	r := rand.New(rand.NewPCG(1, 2))
	text := make([]byte, 4000)
	for done := 0; done < n; done += len(text) {
		for i := range text {
			text[i] = byte('a' + r.IntN(26))
		}
		fmt.Fprintf(w, "{\"text\": \"%s\"}\n", text)
	}
	for _, err := range []error{w.Flush(), packed.Close(), f.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// live is the memory in use, in bytes.
func live() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Text in a file is the same text, divided and shuffled alike, and takes no memory: of 24 MB
// less than 2 MB is held, where all of it is without a file.
func TestTextInAFile(t *testing.T) {
	const size = 24 << 20
	dir := t.TempDir()
	path := filepath.Join(dir, "text.jsonl.gz")
	writeLines(t, path, size)
	c, err := corpus.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	read := func(file string) (*train.Mixture, []train.Held, uint64) {
		before := live()
		m, held, err := train.ReadText(t.Context(), c, tokenizer.Bytes{}, train.TextLimits{Train: 1 << 40, Valid: 1000, File: file}, nil)
		if err != nil {
			t.Fatal(err)
		}
		m.Seed = 7
		return m, held, live() - before
	}
	inMemory, held, much := read("")
	inFile, heldToo, little := read(dir)
	if much < size*9/10 || little > 2<<20 {
		t.Errorf("%d bytes of text take %d bytes of memory, and with a file %d", size, much, little)
	}
	if inFile.Describe() != inMemory.Describe() || !slices.Equal(heldToo[0].IDs, held[0].IDs) {
		t.Errorf("%s with %d held out, want %s with %d", inFile.Describe(), len(heldToo[0].IDs), inMemory.Describe(), len(held[0].IDs))
	}
	ids, want := [2][]int32{make([]int32, 100), make([]int32, 100)}, [2][]int32{make([]int32, 100), make([]int32, 100)}
	for _, at := range []int64{0, 1, 2, 1000, 12345, 999999, 1 << 40} {
		inMemory.Sequence(at, want[0], want[1])
		inFile.Sequence(at, ids[0], ids[1])
		if !slices.Equal(ids[0], want[0]) || !slices.Equal(ids[1], want[1]) {
			t.Errorf("sequence %d differs", at)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v are left", entries, err)
	}
	if inFile.Err() != nil || inFile.Close() != nil {
		t.Error(inFile.Err())
	}
	inFile.Sequence(0, ids[0], ids[1])
	if inFile.Err() == nil {
		t.Error("reading a file that is closed is no error")
	}
}

// A file that cannot be made is an error that names it.
func TestNoFileForText(t *testing.T) {
	c := corpusOf(t, map[string]string{"a.txt": "some text"})
	_, _, err := train.ReadText(t.Context(), c, tokenizer.Bytes{}, train.TextLimits{Train: 100, Valid: 100, File: filepath.Join(t.TempDir(), "none")}, nil)
	if err == nil {
		t.Error("want an error")
	}
}

// Of a few documents, the end is held out, but no more than is asked for, wherever the text is.
func TestHeldOutOfAFewDocuments(t *testing.T) {
	c := corpusOf(t, map[string]string{"a.txt": "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789"})
	for _, file := range []string{"", t.TempDir()} {
		m, held, err := train.ReadText(t.Context(), c, tokenizer.Bytes{}, train.TextLimits{Train: 1000, Valid: 3, File: file}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n := m.Domains[0].Tokens.Len(); n != 96 || len(held[0].IDs) != 3 {
			t.Errorf("in a file in %q: %d tokens to learn from and %d held out, want 96 and 3", file, n, len(held[0].IDs))
		}
	}
}
