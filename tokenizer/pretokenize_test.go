package tokenizer

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

// words pre-tokenizes a text.
func words(t *testing.T, raw, text string) (all []string) {
	t.Helper()
	steps, _, err := parsePreTokenizer(json.RawMessage(raw))
	if err != nil {
		t.Fatal(err)
	}
	if err := pipe(steps, func(p piece) error {
		all = append(all, p.text)
		return nil
	})(piece{text, true}); err != nil {
		t.Fatal(err)
	}
	return all
}

// The example is that of the documentation of Hugging Face's tokenizers.
func TestSplitBehaviors(t *testing.T) {
	for _, c := range []struct {
		behavior, invert, want string
	}{
		{"Removed", "false", "the|final|countdown"},
		{"Isolated", "false", "the|-|final|-|-|countdown"},
		{"MergedWithPrevious", "false", "the-|final-|-|countdown"},
		{"MergedWithNext", "false", "the|-final|-|-countdown"},
		{"Contiguous", "false", "the|-|final|--|countdown"},
		{"Removed", "true", "-|-|-"},
	} {
		raw := `{"type": "Split", "pattern": {"String": "-"}, "behavior": "` + c.behavior + `", "invert": ` + c.invert + `}`
		if got := strings.Join(words(t, raw, "the-final--countdown"), "|"); got != c.want {
			t.Errorf("%s, inverted %s: %s, want %s", c.behavior, c.invert, got, c.want)
		}
	}
	const gpt2 = `{"type": "Split", "pattern": {"Regex": "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"}, "behavior": "`
	for behavior, want := range map[string]string{
		`Isolated"}`: "it|'s| 12|!", `Removed", "invert": true}`: "it|'s| 12|!", `Contiguous"}`: "it's 12!", `Removed"}`: "",
	} {
		if got := strings.Join(words(t, gpt2+behavior, "it's 12!"), "|"); got != want {
			t.Errorf("%s: %s, want %s", behavior, got, want)
		}
	}
}

func TestMetaspace(t *testing.T) {
	for fields, want := range map[string]string{
		``:                            "▁a|▁b|▁|▁c",
		`, "add_prefix_space": false`: "a|▁b|▁|▁c",
		`, "prepend_scheme": "never"`: "a|▁b|▁|▁c",
		`, "prepend_scheme": "first"`: "▁a|▁b|▁|▁c",
		`, "split": false`:            "▁a▁b▁▁c",
		`, "add_prefix_space": true, "str_rep": "▁"`: "▁a|▁b|▁|▁c",
	} {
		if got := strings.Join(words(t, `{"type": "Metaspace", "replacement": "▁"`+fields+`}`, "a b  c"), "|"); got != want {
			t.Errorf("%s: %s, want %s", fields, got, want)
		}
	}
}

// The expressions as their authors write them: what they match in a few texts, by hand.
func TestScanners(t *testing.T) {
	llama3 := scanCL100K(3)
	for _, c := range []struct {
		scan       scanner
		text, want string
	}{
		{scanGPT2, "I'll say  'tis 1234 o'clock!?\n\n x", "I|'ll| say| | '|tis| 1234| o|'|clock|!?|\n\n| x"},
		{scanGPT2, "a   b", "a|  | b"},
		{scanGPT2, "a \t", "a| \t"},
		{scanGPT2, "é中٣Ⅷ·\xff", "é中|٣Ⅷ|·\xff"},
		{llama3, "I'LL say  'tis 1234567 o'clock!?\n\n x", "I|'LL| say| | '|tis| |123|456|7| o|'clock|!?\n\n| x"},
		{llama3, "a \n \n  b", "a| \n \n| | b"},
		{llama3, "\tx\rx\n\n", "\tx|\r|x|\n\n"},
		{llama3, "it'ſ", "it|'ſ"},
		{scanCL100K(1), "12 3", "1|2| |3"},
	} {
		var got []string
		for text := c.text; text != ""; {
			n := c.scan(text)
			got = append(got, text[:n])
			text = text[n:]
		}
		if !slices.Equal(got, strings.Split(c.want, "|")) {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}

// The composition that is written here is that of package norm, which the latter's limit on
// marks in a row alone makes necessary.
func TestNFC(t *testing.T) {
	marks := []rune("\u0301\u0327\u0308\u0323\u0344\u0345\u3099\u1161\u11a8\u0f71\u0f72")
	starters := []rune("aeéẹÅ한ᄒ각がकक़\u09c7\u09be\U0001d15e\u212b\u1e9b")
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom(marks), rapid.SampledFrom(starters), rapid.Rune()), 0, 12).Draw(t, "text"))
		if got, want := composeAll(text), norm.NFC.String(text); got != want {
			t.Fatalf("%+q becomes %+q, want %+q", text, got, want)
		}
	})
	long := "e" + strings.Repeat("\u0301", 100) + "\xff"
	if got, want := nfc(long), "é"+strings.Repeat("\u0301", 99)+"\xff"; got != want {
		t.Errorf("a hundred marks become %+q", got)
	}
}
