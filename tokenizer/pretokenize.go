package tokenizer

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A piece is a stretch of normalized text on its way to becoming words.
type piece struct {
	text  string
	first bool // the text that was encoded begins with it
}

// A preTokenizer takes a piece apart, or changes it, and hands on the results in order.
type preTokenizer func(p piece, yield func(piece) error) error

// parsePreTokenizer reads the pre-tokenizers of a file. byteLevel says that words are then
// written as a byte-level vocabulary writes them.
func parsePreTokenizer(raw json.RawMessage) (steps []preTokenizer, byteLevel bool, err error) {
	parts, err := flatten("pre_tokenizer", "pretokenizers", raw, 0)
	if err != nil {
		return nil, false, err
	}
	for _, c := range parts {
		if byteLevel {
			return nil, false, c.unsupported("to come after ByteLevel")
		}
		var step preTokenizer
		switch c.kind {
		case "ByteLevel":
			step, err = parseByteLevel(c)
			byteLevel = true
		case "Split":
			step, err = parseSplit(c)
		case "Digits":
			step, err = parseDigits(c)
		case "Metaspace":
			step, err = parseMetaspace(c)
		default:
			err = c.unknown()
		}
		if err != nil {
			return nil, false, err
		}
		steps = append(steps, step)
	}
	return steps, byteLevel, nil
}

// pipe sends what comes out of each step into the next, and out of the last to yield.
func pipe(steps []preTokenizer, yield func(piece) error) func(piece) error {
	for i := len(steps) - 1; i >= 0; i-- {
		step, next := steps[i], yield
		yield = func(p piece) error { return step(p, next) }
	}
	return yield
}

func parseByteLevel(c component) (preTokenizer, error) {
	var f struct {
		Type           string `json:"type"`
		AddPrefixSpace *bool  `json:"add_prefix_space"`
		TrimOffsets    bool   `json:"trim_offsets"`
		UseRegex       *bool  `json:"use_regex"`
	}
	if err := c.decode(&f); err != nil {
		return nil, err
	}
	if f.AddPrefixSpace == nil {
		return nil, fmt.Errorf("%s %s: add_prefix_space is missing", c.role, c.kind)
	}
	scan := f.UseRegex == nil || *f.UseRegex
	return func(p piece, yield func(piece) error) error {
		if *f.AddPrefixSpace && !strings.HasPrefix(p.text, " ") {
			p.text = " " + p.text
		}
		if !scan {
			return yield(p)
		}
		return scanAll(scanGPT2, p, yield)
	}, nil
}

// scanAll hands on the words of a piece.
func scanAll(scan scanner, p piece, yield func(piece) error) error {
	for p.text != "" {
		n := scan(p.text)
		if err := yield(piece{p.text[:n], p.first}); err != nil {
			return err
		}
		p = piece{p.text[n:], false}
	}
	return nil
}

func parseSplit(c component) (preTokenizer, error) {
	var f struct {
		Type     string  `json:"type"`
		Pattern  pattern `json:"pattern"`
		Behavior string  `json:"behavior"`
		Invert   bool    `json:"invert"`
	}
	if err := c.decode(&f); err != nil {
		return nil, err
	}
	b, ok := behaviors[f.Behavior]
	if !ok {
		return nil, c.unsupported("behavior %q", f.Behavior)
	}
	var find finder
	switch {
	case f.Pattern.Regex != nil:
		scan, ok := scanners[*f.Pattern.Regex]
		if !ok {
			return nil, c.unsupported("the regular expression %q", *f.Pattern.Regex)
		}
		if b == isolated || b == removed && f.Invert { // for it matches everywhere
			return func(p piece, yield func(piece) error) error { return scanAll(scan, p, yield) }, nil
		}
		find = func(text string) (int, int) { return 0, scan(text) }
	case f.Pattern.String != nil && *f.Pattern.String != "":
		find = func(text string) (int, int) {
			i := strings.Index(text, *f.Pattern.String)
			return i, i + len(*f.Pattern.String)
		}
	default:
		return nil, c.unsupported("an empty pattern")
	}
	return splitter(find, f.Invert, b), nil
}

func parseDigits(c component) (preTokenizer, error) {
	var f struct {
		Type       string `json:"type"`
		Individual bool   `json:"individual_digits"`
	}
	if err := c.decode(&f); err != nil {
		return nil, err
	}
	b := contiguous
	if f.Individual {
		b = isolated
	}
	return splitter(func(text string) (int, int) {
		i := strings.IndexFunc(text, unicode.IsNumber)
		if i < 0 {
			return -1, -1
		}
		_, n := utf8.DecodeRuneInString(text[i:])
		return i, i + n
	}, false, b), nil
}

// A metaspace writes spaces as another character, as SentencePiece does.
type metaspace struct {
	replacement string
	scheme      string // where one is put in front: always, first (at the start of the whole text) or never
	split       bool
}

func readMetaspace(c component) (metaspace, error) {
	var f struct {
		Type           string `json:"type"`
		Replacement    string `json:"replacement"`
		StrRep         string `json:"str_rep"` // the replacement again, in old files
		AddPrefixSpace *bool  `json:"add_prefix_space"`
		PrependScheme  string `json:"prepend_scheme"`
		Split          *bool  `json:"split"`
	}
	if err := c.decode(&f); err != nil {
		return metaspace{}, err
	}
	if utf8.RuneCountInString(f.Replacement) != 1 {
		return metaspace{}, c.unsupported("replacement %q, which is not one character,", f.Replacement)
	}
	switch {
	case f.PrependScheme == "" && f.AddPrefixSpace != nil && !*f.AddPrefixSpace:
		f.PrependScheme = "never"
	case f.PrependScheme == "":
		f.PrependScheme = "always"
	case f.PrependScheme != "always" && f.PrependScheme != "first" && f.PrependScheme != "never":
		return metaspace{}, c.unsupported("prepend_scheme %q", f.PrependScheme)
	case f.AddPrefixSpace != nil && !*f.AddPrefixSpace && f.PrependScheme != "never":
		return metaspace{}, fmt.Errorf("%s %s: add_prefix_space is false, but prepend_scheme is %s", c.role, c.kind, f.PrependScheme)
	}
	return metaspace{f.Replacement, f.PrependScheme, f.Split == nil || *f.Split}, nil
}

func parseMetaspace(c component) (preTokenizer, error) {
	m, err := readMetaspace(c)
	if err != nil {
		return nil, err
	}
	split := splitter(func(text string) (int, int) {
		i := strings.Index(text, m.replacement)
		return i, i + len(m.replacement)
	}, false, mergedWithNext)
	return func(p piece, yield func(piece) error) error {
		p.text = strings.ReplaceAll(p.text, " ", m.replacement)
		if (m.scheme == "always" || m.scheme == "first" && p.first) && !strings.HasPrefix(p.text, m.replacement) {
			p.text = m.replacement + p.text
		}
		if !m.split {
			return yield(p)
		}
		return split(p, yield)
	}, nil
}
