package tokenizer

import (
	"fmt"
	"strings"
	"testing"
)

// tiny is a file of three tokens with places for components.
func tiny(normalizer, pre, post, decoder, added, model string) string {
	or := func(text, otherwise string) string {
		if text == "" {
			return otherwise
		}
		return text
	}
	return fmt.Sprintf(`{"normalizer": %s, "pre_tokenizer": %s, "post_processor": %s, "decoder": %s, "added_tokens": %s, "model": %s}`,
		or(normalizer, "null"), or(pre, `{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true}`), or(post, "null"),
		or(decoder, `{"type": "ByteLevel"}`), or(added, "[]"), or(model, `{"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}`))
}

func model(fields string) string { return tiny("", "", "", "", "", `{`+fields+`}`) }

func nested(depth int) string {
	return strings.Repeat(`{"type": "Sequence", "normalizers": [`, depth) + `{"type": "NFC"}` + strings.Repeat(`]}`, depth)
}

var doubling = `{"type": "Sequence", "normalizers": [` + strings.TrimSuffix(strings.Repeat(`{"type": "Replace", "pattern": {"String": "a"}, "content": "aa"},`, 60), ",") + `]}`

// hostile are files that are refused, with what the error says.
var hostile = []struct{ name, file, err string }{
	{"nothing", "", "not a tokenizer.json"},
	{"no object", "[]", "not a tokenizer.json"},
	{"no model", "{}", "the file has no model"},
	{"model of another type", model(`"type": "Unigram", "vocab": []`), `model type "Unigram" is not supported, want BPE`},
	{"WordPiece without a type", model(`"vocab": {"a": 0}, "unk_token": "a"`), "the model has no merges"},
	{"unknown field", model(`"vocab": {"a": 0}, "merges": [], "surprise": 1`), "surprise"},
	{"dropout", model(`"vocab": {"a": 0}, "merges": [], "dropout": 0.1`), "dropout 0.1 is not supported"},
	{"prefix", model(`"vocab": {"a": 0}, "merges": [], "continuing_subword_prefix": "##"`), `continuing_subword_prefix "##"`},
	{"suffix", model(`"vocab": {"a": 0}, "merges": [], "end_of_word_suffix": "</w>"`), `end_of_word_suffix "</w>"`},
	{"no tokens", model(`"vocab": {}, "merges": []`), "the vocabulary is empty"},
	{"id negative", model(`"vocab": {"a": -1}, "merges": []`), "has id -1, want 0 to"},
	{"id huge", model(`"vocab": {"a": 2000000000}, "merges": []`), "has id 2000000000, want 0 to"},
	{"id no int", model(`"vocab": {"a": 1e99}, "merges": []`), "model: "},
	{"id twice", model(`"vocab": {"a": 0, "b": 0}, "merges": []`), `tokens "a" and "b" both have id 0`},
	{"merge of one", model(`"vocab": {"a": 0}, "merges": ["a"]`), `merge "a": want two tokens`},
	{"merge of three", model(`"vocab": {"a": 0}, "merges": ["a a a"]`), `merge "a a a"`},
	{"merge of a list of three", model(`"vocab": {"a": 0}, "merges": [["a", "a", "a"]]`), "has 3 tokens, want 2"},
	{"merge of numbers", model(`"vocab": {"a": 0}, "merges": [5]`), "merge 5: want"},
	{"merge of unknown", model(`"vocab": {"a": 0}, "merges": ["a z"]`), `"z" is not in the vocabulary`},
	{"merge to unknown", model(`"vocab": {"a": 0}, "merges": ["a a"]`), `"aa" is not in the vocabulary`},
	{"unk unknown", model(`"vocab": {"a": 0}, "merges": [], "unk_token": "?"`), `unk_token "?" is not in the vocabulary`},

	{"normalizer", tiny(`{"type": "Lowercase"}`, "", "", "", "", ""), `normalizer type "Lowercase" is not supported`},
	{"normalizer no object", tiny(`"NFC"`, "", "", "", "", ""), "normalizer: "},
	{"normalizer no type", tiny(`{}`, "", "", "", "", ""), "normalizer: the type is missing"},
	{"normalizer field", tiny(`{"type": "NFC", "x": 1}`, "", "", "", "", ""), "normalizer NFC: "},
	{"replace regex", tiny(`{"type": "Replace", "pattern": {"Regex": " +"}, "content": ""}`, "", "", "", "", ""), `the regular expression " +" is not supported`},
	{"replace nothing", tiny(`{"type": "Replace", "pattern": {"String": ""}, "content": "x"}`, "", "", "", "", ""), "an empty pattern"},
	{"deep", tiny(nested(1000), "", "", "", "", ""), "more than 8 deep"},
	{"sequence field", tiny(`{"type": "Sequence", "normalizers": [], "x": 1}`, "", "", "", "", ""), `field "x"`},

	{"pre-tokenizer", tiny("", `{"type": "Whitespace"}`, "", "", "", ""), `pre_tokenizer type "Whitespace" is not supported`},
	{"byte level unsaid", tiny("", `{"type": "ByteLevel"}`, "", "", "", ""), "add_prefix_space is missing"},
	{"split regex", tiny("", `{"type": "Split", "pattern": {"Regex": "(a+)+b"}, "behavior": "Isolated", "invert": false}`, "", "", "", ""), `the regular expression "(a+)+b" is not supported`},
	{"split behavior", tiny("", `{"type": "Split", "pattern": {"String": "a"}, "behavior": "Kept"}`, "", "", "", ""), `behavior "Kept"`},
	{"split nothing", tiny("", `{"type": "Split", "pattern": {"String": ""}, "behavior": "Isolated"}`, "", "", "", ""), "an empty pattern"},
	{"after byte level", tiny("", `{"type": "Sequence", "pretokenizers": [{"type": "ByteLevel", "add_prefix_space": false}, {"type": "Digits"}]}`, "", "", "", ""), "to come after ByteLevel"},
	{"metaspace of two", tiny("", `{"type": "Metaspace", "replacement": "__"}`, "", "", "", ""), `replacement "__"`},
	{"metaspace scheme", tiny("", `{"type": "Metaspace", "replacement": "_", "prepend_scheme": "last"}`, "", "", "", ""), `prepend_scheme "last"`},
	{"metaspace both", tiny("", `{"type": "Metaspace", "replacement": "_", "add_prefix_space": false, "prepend_scheme": "first"}`, "", "", "", ""), "prepend_scheme is first"},

	{"post-processor", tiny("", "", `{"type": "BertProcessing"}`, "", "", ""), `post_processor type "BertProcessing" is not supported`},
	{"template without a text", tiny("", "", `{"type": "TemplateProcessing", "single": [], "special_tokens": {}}`, "", "", ""), "holds the text 0 times"},
	{"template of B", tiny("", "", `{"type": "TemplateProcessing", "single": [{"Sequence": {"id": "B"}}]}`, "", "", ""), `sequence "B"`},
	{"template of neither", tiny("", "", `{"type": "TemplateProcessing", "single": [{}]}`, "", "", ""), "neither SpecialToken nor Sequence"},
	{"template unknown", tiny("", "", `{"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}]}`, "", "", ""), `"<s>" is not among the special_tokens`},
	{"template id", tiny("", "", `{"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}], "special_tokens": {"<s>": {"ids": [9]}}}`, "", "", ""), `"<s>" is id 9`},

	{"no decoder", tiny("", "", "", "null", "", ""), "the file has no decoder"},
	{"decoder", tiny("", "", "", `{"type": "WordPiece"}`, "", ""), `decoder type "WordPiece" is not supported`},
	{"decoder order", tiny("", "", "", `{"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "ByteFallback"}]}`, "", ""), "after Fuse"},
	{"decoder strip", tiny("", "", "", `{"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 0, "stop": 1}]}`, "", ""), "stop 1"},
	{"decoder doubling", tiny("", "", "", strings.ReplaceAll(doubling, "normalizers", "decoders"), "", ""), "far more than it had"},

	{"added negative", tiny("", "", "", "", `[{"id": -1, "content": "x"}]`, ""), "has id -1"},
	{"added on another", tiny("", "", "", "", `[{"id": 0, "content": "x"}]`, ""), `added token "x" has id 0, which another token has`},
	{"added otherwise", tiny("", "", "", "", `[{"id": 5, "content": "a"}]`, ""), `added token "a" has id 5, but also id 0`},
	{"added twice", tiny("", "", "", "", `[{"id": 5, "content": "x"}, {"id": 6, "content": "x"}]`, ""), "has id 6, but also id 5"},
	{"added long", tiny("", "", "", "", `[{"id": 5, "content": "`+strings.Repeat("a", 1025)+`"}]`, ""), "has 1025 bytes, want at most 1024"},
	{"added and doubled", tiny(doubling, "", "", "", `[{"id": 5, "content": "aaa", "normalized": true}]`, ""), "far more than it had"},
}

func TestRefusedFiles(t *testing.T) {
	for _, c := range hostile {
		tok, err := Parse("x.json", []byte(c.file))
		if err == nil || !strings.HasPrefix(err.Error(), "tokenizer: x.json: ") || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, error %v, want one with %q", c.name, tok != nil, err, c.err)
		}
	}
	if _, err := Parse("x", []byte(tiny("", "", "", "", "", ""))); err != nil {
		t.Errorf("the file that the others are made of: %v", err)
	}
}

func TestEncodeErrors(t *testing.T) {
	encode := func(file, text string) error {
		t.Helper()
		tok, err := Parse("x", []byte(file))
		if err != nil {
			t.Fatal(err)
		}
		_, err = tok.Encode(text)
		return err
	}
	if err := encode(tiny(doubling, "", "", "", "", ""), "a"); err == nil || !strings.Contains(err.Error(), "far more than it had") {
		t.Errorf("a text that is doubled 60 times: %v", err)
	}
	if err := encode(tiny("", "", "", "", "", ""), "abz"); err == nil || !strings.Contains(err.Error(), "byte 0x7A is not in the vocabulary") {
		t.Errorf("a byte without an id: %v", err)
	}
	if err := encode(tiny("", "null", "", "", "", ""), "abé"); err != nil {
		if !strings.Contains(err.Error(), `character "é" is not in the vocabulary`) {
			t.Errorf("a character without an id: %v", err)
		}
	} else {
		t.Error("a character without an id is encoded")
	}
}
