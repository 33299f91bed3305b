package tokenizer

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"
)

const data = "../../shared/data/"

// shared opens a tokenizer that lies beside the checkout, or skips the test.
func shared(t testing.TB, name string) *BPE {
	t.Helper()
	path := data + "tokenizers/" + name + ".json"
	if _, err := os.Stat(path); err != nil {
		t.Skipf("%s is not here: %v", path, err)
	}
	tok, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return tok.(*BPE)
}

// lines reads a file of JSON lines that lies beside the checkout, or skips the test.
func lines[T any](t testing.TB, name string) (all []T) {
	t.Helper()
	f, err := os.Open(data + name)
	if err != nil {
		t.Skipf("%s is not here: %v", name, err)
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<24)
	for s.Scan() {
		var v T
		if err := json.Unmarshal(s.Bytes(), &v); err != nil {
			t.Fatalf("%s: line %d: %v", name, len(all)+1, err)
		}
		all = append(all, v)
	}
	if s.Err() != nil {
		t.Fatal(s.Err())
	}
	return all
}

// Every string has the ids that Hugging Face's tokenizers gives it, and they are the text
// again (its normal form, where the file normalizes).
func TestVectors(t *testing.T) {
	type vector struct {
		Cat, Text string
		NeoX      []int32 `json:"20B_tokenizer"`
		GPT2      []int32 `json:"gpt2"`
	}
	vectors := lines[vector](t, "tokenizers/hf_vectors.jsonl")
	if len(vectors) != 739 {
		t.Fatalf("%d vectors, want 739", len(vectors))
	}
	for _, name := range []string{"gpt2", "20B_tokenizer"} {
		tok := shared(t, name)
		wrong, changed := 0, 0
		for _, v := range vectors {
			want, text := v.GPT2, v.Text
			if name != "gpt2" {
				want, text = v.NeoX, nfc(v.Text)
			}
			ids, err := tok.Encode(v.Text)
			if err != nil || !slices.Equal(ids, want) {
				wrong++
				t.Errorf("%s: %s: %q is %v (%v), want %v", name, v.Cat, v.Text, ids, err, want)
			}
			back, err := tok.Decode(want)
			if err != nil || back != text {
				t.Errorf("%s: %s: %v decodes to %q (%v), want %q", name, v.Cat, want, back, err, text)
			}
			if text != v.Text {
				changed++
			}
		}
		t.Logf("%s: %d of %d strings have other ids; normalization changes %d", name, wrong, len(vectors), changed)
	}
}

func TestLambadaTotals(t *testing.T) {
	type text struct{ Text string }
	texts := lines[text](t, "lambada_openai/lambada_test.jsonl")
	if len(texts) != 5153 {
		t.Fatalf("%d texts, want 5153", len(texts))
	}
	for name, want := range map[string]int{"gpt2": 430_230, "20B_tokenizer": 418_644} {
		tok := shared(t, name)
		total := 0
		for i, x := range texts {
			ids, err := tok.Encode(x.Text)
			if err != nil {
				t.Fatalf("%s: text %d: %v", name, i, err)
			}
			total += len(ids)
			if back, err := tok.Decode(ids); err != nil || back != nfc(x.Text) {
				t.Fatalf("%s: text %d decodes to %q (%v), want %q", name, i, back, err, x.Text)
			}
		}
		if total != want {
			t.Errorf("%s: %d tokens, want %d", name, total, want)
		}
		t.Logf("%s: %d tokens", name, total)
	}
}

// BenchmarkEncode reads running text: warm, with the cache as the text before left it, and
// cold, with an empty one. llama2 is of 800 tokens and has the whole text as one word.
func BenchmarkEncode(b *testing.B) {
	text, err := os.ReadFile(data + "text/moby-dick.txt")
	if err != nil {
		b.Skip(err)
	}
	for _, name := range []string{"gpt2", "20B_tokenizer", "llama2"} {
		for _, warm := range []bool{true, false} {
			b.Run(fmt.Sprintf("%s/warm=%v", name, warm), func(b *testing.B) {
				tok := open(b, "llama2")
				if name != "llama2" {
					tok = shared(b, name)
				}
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					if !warm {
						tok.cache = newCache()
					}
					if _, err := tok.Encode(string(text)); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		shared(b, "20B_tokenizer")
	}
}
