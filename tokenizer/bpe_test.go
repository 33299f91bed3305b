package tokenizer

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// small are the tokenizers of testdata: of a few hundred tokens, put together from every
// component that is supported. See testdata/README.md.
var small = []string{"llama3", "qwen2", "added", "digits", "llama2", "metaspace", "unk"}

func open(t testing.TB, name string) *BPE {
	t.Helper()
	tok, err := Open(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return tok.(*BPE)
}

// Ids and texts are those of Hugging Face's tokenizers 0.23.2, the template included.
func TestSmallVectors(t *testing.T) {
	f, err := os.Open("testdata/vectors.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	toks := make(map[string]*BPE)
	for _, name := range small {
		toks[name] = open(t, name)
	}
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	n := 0
	for ; s.Scan(); n++ {
		var v map[string]json.RawMessage
		var text string
		if err := errors.Join(json.Unmarshal(s.Bytes(), &v), json.Unmarshal(v["text"], &text)); err != nil {
			t.Fatal(err)
		}
		for _, name := range small {
			var want struct {
				IDs     []int32
				Decoded string
			}
			if err := json.Unmarshal(v[name], &want); err != nil {
				t.Fatal(err)
			}
			tok := toks[name]
			ids, err := Prompt(tok, text)
			if err != nil || !slices.Equal(ids, want.IDs) {
				t.Errorf("%s: %q is %v (%v), want %v", name, text, ids, err, want.IDs)
			}
			if got, err := tok.Decode(want.IDs); err != nil || strings.ToValidUTF8(got, "\uFFFD") != want.Decoded {
				t.Errorf("%s: %v decodes to %q (%v), want %q", name, want.IDs, got, err, want.Decoded)
			}
		}
	}
	if n < 200 {
		t.Errorf("only %d vectors", n)
	}
}

// anyText draws strings that have something of everything: bytes that are no UTF-8 too.
func anyText() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		parts := rapid.SliceOf(rapid.OneOf(
			rapid.String(),
			rapid.SampledFrom([]string{" ", "  ", "\n", "\r\n", "\u00a0", "'s", "'ſ", "123", "hello", " world", "e\u0301", "é", "한", "<|end|>", "<mask>", "▁", "\xff", "\xe2\x82", "\x00"}),
			rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, 4), func(b []byte) string { return string(b) }),
		)).Draw(t, "parts")
		return strings.Join(parts, "")
	})
}

// What a byte-level tokenizer encodes it decodes to, whatever it is.
func TestRoundTrip(t *testing.T) {
	toks := []*BPE{open(t, "llama3"), open(t, "digits"), open(t, "qwen2")}
	for _, name := range []string{"gpt2", "20B_tokenizer"} {
		if _, err := os.Stat(data + "tokenizers/" + name + ".json"); err == nil {
			toks = append(toks, shared(t, name))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		drawn := anyText().Draw(t, "text")
		for _, tok := range toks {
			text := drawn
			if tok.bytes[0xff] < 0 { // GPT-NeoX has no ids for bytes that UTF-8 does not use
				text = strings.ToValidUTF8(text, "")
			}
			want, err := tok.normalizer.apply(text)
			if err != nil {
				t.Fatal(err)
			}
			ids, err := tok.Encode(text)
			if err != nil {
				t.Fatalf("%s: %v", tok.Name(), err)
			}
			if back, err := tok.Decode(ids); err != nil || back != want {
				t.Fatalf("%s: %q became %v and %q (%v)", tok.Name(), text, ids, back, err)
			}
		}
	})
}

// A tokenizer with byte fallback gives back text that does not begin with a space of its
// own and has no characters that it writes spaces as.
func TestByteFallbackRoundTrip(t *testing.T) {
	tok := open(t, "llama2")
	rapid.Check(t, func(t *rapid.T) {
		text := strings.NewReplacer("▁", "", "<", "").Replace(anyText().Draw(t, "text"))
		ids, err := tok.Encode(text)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := tok.Decode(ids); err != nil || back != text {
			t.Fatalf("%q became %v and %q (%v)", text, ids, back, err)
		}
	})
}

// Both ways to merge are one, and the cache changes nothing.
func TestMergeWaysAgree(t *testing.T) {
	tok := open(t, "llama3")
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfN(rapid.Int32Range(60, 300), 2, shortWord).Draw(t, "ids")
		short, long := tok.merges.applyShort(slices.Clone(ids)), tok.merges.applyLong(slices.Clone(ids))
		if !slices.Equal(short, long) {
			t.Fatalf("%v becomes %v one way and %v the other", ids, short, long)
		}
	})
}

func TestConcurrentUse(t *testing.T) {
	tok := open(t, "llama3")
	text := strings.Repeat("What's past is prologue; what to come, in yours and my discharge. 1234567 \n\n", 20)
	want, err := tok.Encode(text)
	if err != nil {
		t.Fatal(err)
	}
	tok.cache = newCache()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if got, err := tok.Encode(text); err != nil || !slices.Equal(got, want) {
					t.Errorf("other ids (%v)", err)
				}
			}
		})
	}
	wg.Wait()
}

func TestLongWords(t *testing.T) {
	tok := open(t, "llama3")
	for _, text := range []string{strings.Repeat("the", 300_000), strings.Repeat(" ", 1_000_000), strings.Repeat("!", 1_000_001)} {
		ids, err := tok.Encode(text)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := tok.Decode(ids); err != nil || back != text {
			t.Errorf("a text of %d bytes did not come back (%v)", len(text), err)
		}
	}
}

func TestDescription(t *testing.T) {
	tok := open(t, "llama3")
	n := int32(tok.Vocab())
	if !Special(tok, n-1) || Special(tok, 5) || Special(tok, n) || Special(tok, -1) || Special(Bytes{}, 5) {
		t.Error("Special does not tell special tokens")
	}
	if _, err := tok.Decode([]int32{3, n}); err == nil || !strings.Contains(err.Error(), "is not in the vocabulary") || !strings.Contains(err.Error(), "at position 1") {
		t.Errorf("an id too large: %v", err)
	}
	if ids, err := Prompt(Bytes{}, "a"); err != nil || !slices.Equal(ids, []int32{'a'}) {
		t.Errorf("a prompt of bytes is %v (%v)", ids, err)
	}
}

func TestOpen(t *testing.T) {
	if tok, err := Open("bytes"); err != nil || tok != (Bytes{}) {
		t.Errorf("bytes is %v, %v", tok, err)
	}
	dir := t.TempDir()
	if _, err := Open(dir); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "holds no tokenizer.json") {
		t.Errorf("an empty folder: %v", err)
	}
	if _, err := Open("gpt-neox-20b"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "want bytes, a tokenizer.json file or a folder") {
		t.Errorf("a name: %v", err)
	}
	text, err := os.ReadFile("testdata/llama3.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), text, 0o666); err != nil {
		t.Fatal(err)
	}
	if tok, err := Open(dir); err != nil || tok.Name() != dir {
		t.Errorf("a folder: %v, %v", tok, err)
	}
	if err := os.Mkdir(filepath.Join(dir, "x"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "x", "tokenizer.json"), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(dir, "x")); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder called tokenizer.json: %v", err)
	}
}
