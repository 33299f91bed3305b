package tokenizer

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// What a stream returns is whole characters, and together what Decode returns.
func TestStream(t *testing.T) {
	toks := []Tokenizer{Bytes{}}
	for _, name := range small {
		toks = append(toks, open(t, name))
	}
	rapid.Check(t, func(t *rapid.T) {
		tok := rapid.SampledFrom(toks).Draw(t, "tokenizer")
		ids := rapid.SliceOf(rapid.Int32Range(0, int32(tok.Vocab())-1)).Draw(t, "ids")
		want, err := tok.Decode(ids)
		if err != nil {
			t.Fatal(err)
		}
		s := NewStream(tok)
		var got strings.Builder
		for _, id := range ids {
			text, err := s.Push(id)
			if err != nil {
				t.Fatal(err)
			}
			if !utf8.ValidString(text) {
				t.Fatalf("%q is half a character", text)
			}
			got.WriteString(text)
		}
		got.WriteString(s.Close())
		// A run of bad bytes is one U+FFFD in ToValidUTF8, but may come in pieces.
		once := func(s string) string {
			for strings.Contains(s, "\uFFFD\uFFFD") {
				s = strings.ReplaceAll(s, "\uFFFD\uFFFD", "\uFFFD")
			}
			return s
		}
		if a, b := once(got.String()), once(strings.ToValidUTF8(want, "\uFFFD")); a != b {
			t.Fatalf("%s: %v streams as %q, want %q", tok.Name(), ids, a, b)
		}
	})
}

func TestStreamHoldsBack(t *testing.T) {
	s := NewStream(Bytes{})
	var got []string
	for _, b := range []byte("a🙂é\xf0\x9fz\xe2\x82") {
		text, err := s.Push(int32(b))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, text)
	}
	if g, want := strings.Join(got, "|"), "a||||🙂||é|||\uFFFDz||"; g != want {
		t.Errorf("pieces %q, want %q", g, want)
	}
	if rest := s.Close(); rest != "\uFFFD" {
		t.Errorf("left %q", rest)
	}
	if _, err := s.Push(300); err == nil {
		t.Error("id 300 of bytes has a text")
	}
}

// Pieces are what tokens add to a text that has begun.
func TestPiece(t *testing.T) {
	toks := []Tokenizer{Bytes{}}
	for _, name := range small {
		toks = append(toks, open(t, name))
	}
	rapid.Check(t, func(t *rapid.T) {
		tok := rapid.SampledFrom(toks).Draw(t, "tokenizer")
		ids := rapid.SliceOfN(rapid.Int32Range(0, int32(tok.Vocab())-1), 2, 9).Draw(t, "ids")
		whole, err := tok.Decode(ids)
		if err != nil {
			t.Fatal(err)
		}
		last, err := Piece(tok, ids[len(ids)-1])
		if err != nil || !strings.HasSuffix(whole, strings.TrimLeft(last, " ")) {
			t.Fatalf("%s: %v decodes as %q, its last as %q, %v", tok.Name(), ids, whole, last, err)
		}
	})
	if piece, err := Piece(Bytes{}, 256); err == nil {
		t.Errorf("id 256 is the byte %q", piece)
	}
}
