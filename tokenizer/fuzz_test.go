package tokenizer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzLoad reads files that are anything: an error or a tokenizer that encodes and decodes
// without a panic.
func FuzzLoad(f *testing.F) {
	for _, name := range small {
		text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, "the king's <mask> 12 \xff")
	}
	for _, c := range hostile {
		f.Add([]byte(c.file), "ab")
	}
	f.Fuzz(func(t *testing.T, file []byte, text string) {
		tok, err := Parse("fuzz", file)
		if err != nil {
			return
		}
		if len(text) > 1000 {
			text = text[:1000]
		}
		ids, err := Prompt(tok, text)
		if err != nil {
			return
		}
		for _, id := range ids {
			if !tok.known(id) {
				t.Fatalf("%q has the id %d, which is not in the vocabulary", text, id)
			}
		}
		if _, err := tok.Decode(ids); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzEncode wants what a byte-level tokenizer encodes to be decoded to the same, whole and
// streamed.
func FuzzEncode(f *testing.F) {
	for _, text := range []string{"", "Hello world", " \n\n  x", "e\u0301\u0327", "\xff\xc3", "<|end|>it's 1234", strings.Repeat("\u0301", 40)} {
		f.Add(text)
	}
	toks := []*BPE{open(f, "llama3"), open(f, "digits"), open(f, "qwen2")}
	llama2 := open(f, "llama2")
	f.Fuzz(func(t *testing.T, text string) {
		for _, tok := range toks {
			want, err := tok.normalizer.apply(text)
			if err != nil {
				t.Fatal(err)
			}
			ids, err := tok.Encode(text)
			if err != nil {
				t.Fatal(err)
			}
			if back, err := tok.Decode(ids); err != nil || back != want {
				t.Fatalf("%s: %q became %q (%v)", tok.Name(), text, back, err)
			}
			s := NewStream(tok)
			got, err := s.Push(ids...)
			if err != nil {
				t.Fatal(err)
			}
			if got += s.Close(); !utf8.ValidString(got) || utf8.ValidString(want) && got != want {
				t.Fatalf("%s: %q streams as %q", tok.Name(), text, got)
			}
		}
		if _, err := llama2.Encode(text); err != nil {
			t.Fatal(err)
		}
	})
}
