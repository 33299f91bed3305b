package evals_test

import (
	"slices"
	"testing"

	"quadrant/evals"
	"quadrant/tokenizer"
)

func TestClassOf(t *testing.T) {
	for class, bytes := range map[evals.Class]string{
		evals.Letter: "azAZ", evals.Digit: "09", evals.Space: " \t\n\r\f\v", evals.Punctuation: "!/:@[`{~", evals.High: "\x80\xc3\xff", evals.Other: "\x00\x08\x0e\x1f\x7f",
	} {
		for _, b := range []byte(bytes) {
			if got := evals.ClassOf(b); got != class {
				t.Errorf("%q is %v, want %v", b, got, class)
			}
		}
	}
}

func TestClassesOf(t *testing.T) {
	got, err := evals.ClassesOf(tokenizer.Bytes{}, []int32{'a', ' ', 0xe2, '7', 'a'})
	if want := []evals.Class{evals.Letter, evals.Space, evals.High, evals.Digit, evals.Letter}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v and %v, want %v", got, err, want)
	}
	if _, err := evals.ClassesOf(tokenizer.Bytes{}, []int32{256}); err == nil {
		t.Error("token 256 is a byte")
	}
}

// The class of a piece is its first byte's; Ġ stands for a blank and Ã for 0xc3. What marks
// the end of a text has none.
func TestClassesOfPieces(t *testing.T) {
	bpe, err := tokenizer.Parse("small", []byte(`{
		"normalizer": null, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
		"post_processor": null, "decoder": {"type": "ByteLevel"},
		"added_tokens": [{"id": 5, "content": "end", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
		"model": {"type": "BPE", "vocab": {"a": 0, "1": 1, "Ġ": 2, "Ġa": 3, "Ã": 4}, "merges": ["Ġ a"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := evals.ClassesOf(bpe, []int32{0, 1, 2, 3, 4, 5})
	if want := []evals.Class{evals.Letter, evals.Digit, evals.Space, evals.Space, evals.High, evals.Other}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v and %v, want %v", got, err, want)
	}
}
