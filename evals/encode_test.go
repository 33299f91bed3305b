package evals_test

import (
	"errors"
	"io/fs"
	"reflect"
	"strings"
	"testing"

	"quadrant/evals"
	"quadrant/tokenizer"
)

// llamaLike has a token before every text, and merges a and b.
const llamaLike = `{
 "added_tokens": [{"id": 4, "content": "<s>", "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false}],
 "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
 "decoder": {"type": "ByteLevel"},
 "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
  "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [4], "tokens": ["<s>"]}}},
 "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "Ġ": 2, "ab": 3}, "merges": ["a b"]}}`

func pairs(t *testing.T, tok tokenizer.Tokenizer, want map[evals.Request]evals.Pair) {
	t.Helper()
	e, err := evals.NewEncoder(tok)
	if err != nil {
		t.Fatal(err)
	}
	for r, p := range want {
		if got, err := e.Pair(r); err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("%q becomes %v, %v; want %v", r, got, err, p)
		}
	}
}

// The harness's rules, by hand: specials on both encodings but not twice, white space
// moved, the tokens of the whole beyond those of the context.
func TestPairWithTemplate(t *testing.T) {
	tok, err := tokenizer.Parse("llama-like", []byte(llamaLike))
	if err != nil {
		t.Fatal(err)
	}
	pairs(t, tok, map[evals.Request]evals.Pair{
		{Context: "a", Continuation: " b"}:     {Context: []int32{4, 0}, Continuation: []int32{2, 1}},
		{Context: "a ", Continuation: "b"}:     {Context: []int32{4, 0}, Continuation: []int32{2, 1}},
		{Context: "<s>a", Continuation: " b"}:  {Context: []int32{4, 0}, Continuation: []int32{2, 1}},
		{Context: "b", Continuation: "ab"}:     {Context: []int32{4, 1}, Continuation: []int32{3}},
		{Context: "", Continuation: "ab"}:      {Context: []int32{4}, Continuation: []int32{3}},
		{Context: "", Continuation: "<s>a"}:    {Context: []int32{4}, Continuation: []int32{0}},
		{Context: " ", Continuation: "a"}:      {Context: []int32{4}, Continuation: []int32{2, 0}},
		{Context: "a", Continuation: " ab ab"}: {Context: []int32{4, 0}, Continuation: []int32{2, 3, 2, 3}},
	})
	e, err := evals.NewEncoder(tok)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []evals.Request{{Context: "a", Continuation: "b"}, {Context: "a"}, {}} { // a and b become one token
		if p, err := e.Pair(r); err == nil || !strings.Contains(err.Error(), "no tokens of its own") {
			t.Errorf("%q becomes %v, %v", r, p, err)
		}
	}
}

// GPT-NeoX has no token before a text, and reads the one for its end before an empty
// context.
func TestPairNeoX(t *testing.T) {
	tok, err := tokenizer.Open("../../shared/data/tokenizers/20B_tokenizer.json")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("no tokenizer: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	pairs(t, tok, map[evals.Request]evals.Pair{
		{Context: "Hello,", Continuation: " BlackMamba"}:  {Context: []int32{12092, 13}, Continuation: []int32{5418, 46, 31834}},
		{Context: "Hello, ", Continuation: "BlackMamba"}:  {Context: []int32{12092, 13}, Continuation: []int32{5418, 46, 31834}},
		{Context: "", Continuation: "Hello"}:              {Context: []int32{0}, Continuation: []int32{12092}},
		{Context: "", Continuation: "<|endoftext|>Hello"}: {Context: []int32{0}, Continuation: []int32{12092}},
	})
}

// Bytes have no token for the beginning: a new line stands there.
func TestPairBytes(t *testing.T) {
	pairs(t, tokenizer.Bytes{}, map[evals.Request]evals.Pair{
		{Context: "a\n", Continuation: "b"}: {Context: []int32{'a'}, Continuation: []int32{'\n', 'b'}},
		{Context: "", Continuation: "b"}:    {Context: []int32{'\n'}, Continuation: []int32{'b'}},
		{Context: "\n", Continuation: "b"}:  {Context: []int32{'\n'}, Continuation: []int32{'\n', 'b'}},
	})
}
