package tokenizer

import (
	"encoding/json"
	"fmt"
	"strings"
)

// A normalizer changes text before words are looked for in it: step by step. A step may
// not make it longer than most bytes.
type normalizer []func(text string, most int) (string, error)

func parseNormalizer(raw json.RawMessage) (normalizer, error) {
	parts, err := flatten("normalizer", "normalizers", raw, 0)
	if err != nil {
		return nil, err
	}
	var n normalizer
	for _, c := range parts {
		switch c.kind {
		case "NFC":
			var f struct {
				Type string `json:"type"`
			}
			if err := c.decode(&f); err != nil {
				return nil, err
			}
			n = append(n, func(text string, _ int) (string, error) { return nfc(text), nil })
		case "Prepend":
			var f struct {
				Type    string `json:"type"`
				Prepend string `json:"prepend"`
			}
			if err := c.decode(&f); err != nil {
				return nil, err
			}
			n = append(n, func(text string, _ int) (string, error) {
				if text == "" {
					return "", nil
				}
				return f.Prepend + text, nil
			})
		case "Replace":
			r, err := parseReplace(c)
			if err != nil {
				return nil, err
			}
			n = append(n, r.apply)
		default:
			return nil, c.unknown()
		}
	}
	return n, nil
}

// apply normalizes a text. Replacements that make it a hundred times longer are refused: a
// few of them in a row could ask for any amount of memory.
func (n normalizer) apply(text string) (string, error) {
	most := 100*len(text) + 1<<16
	for _, step := range n {
		var err error
		if text, err = step(text, most); err != nil {
			return "", err
		}
	}
	return text, nil
}

// A replace puts one text for another: as a normalizer and as a decoder.
type replace struct{ from, to string }

func parseReplace(c component) (replace, error) {
	var f struct {
		Type    string  `json:"type"`
		Pattern pattern `json:"pattern"`
		Content string  `json:"content"`
	}
	if err := c.decode(&f); err != nil {
		return replace{}, err
	}
	switch {
	case f.Pattern.Regex != nil:
		return replace{}, c.unsupported("the regular expression %q", *f.Pattern.Regex)
	case f.Pattern.String == nil || *f.Pattern.String == "":
		return replace{}, c.unsupported("an empty pattern")
	}
	return replace{*f.Pattern.String, f.Content}, nil
}

func (r replace) apply(text string, most int) (string, error) {
	if grow := len(r.to) - len(r.from); grow > 0 {
		if n := strings.Count(text, r.from); n > 0 && n > (most-len(text))/grow {
			return "", fmt.Errorf("replacing %.20q by %.20q makes a text longer than %d bytes, which is far more than it had", r.from, r.to, most)
		}
	}
	return strings.ReplaceAll(text, r.from, r.to), nil
}
