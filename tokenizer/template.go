package tokenizer

import (
	"encoding/json"
	"fmt"
	"slices"
)

// A template is what a tokenizer puts round a text: ids before and after it.
type template struct{ before, after []int32 }

func (t template) apply(ids []int32) []int32 { return slices.Concat(t.before, ids, t.after) }

// parseTemplate reads a post-processor. known says which ids there are.
func parseTemplate(raw json.RawMessage, known func(int32) bool) (template, error) {
	parts, err := flatten("post_processor", "processors", raw, 0)
	if err != nil {
		return template{}, err
	}
	var t template
	for _, c := range parts {
		switch c.kind {
		case "ByteLevel": // is about offsets in the text
		case "TemplateProcessing":
			one, err := parseTemplateProcessing(c, known)
			if err != nil {
				return template{}, err
			}
			t = template{slices.Concat(one.before, t.before), slices.Concat(t.after, one.after)}
		default:
			return template{}, c.unknown()
		}
	}
	return t, nil
}

func parseTemplateProcessing(c component, known func(int32) bool) (template, error) {
	type part struct {
		SpecialToken *struct{ ID string }
		Sequence     *struct{ ID string }
	}
	var f struct {
		Type    string          `json:"type"`
		Single  []part          `json:"single"`
		Pair    json.RawMessage `json:"pair"` // of two texts, which nothing here has
		Special map[string]struct {
			ID     string   `json:"id"`
			IDs    []int32  `json:"ids"`
			Tokens []string `json:"tokens"`
		} `json:"special_tokens"`
	}
	if err := json.Unmarshal(c.raw, &f); err != nil {
		return template{}, fmt.Errorf("%s %s: %w", c.role, c.kind, err)
	}
	var t template
	texts := 0
	for i, p := range f.Single {
		switch {
		case p.Sequence != nil && p.SpecialToken == nil:
			if texts++; p.Sequence.ID != "A" {
				return template{}, c.unsupported("sequence %q in the template of a single text", p.Sequence.ID)
			}
		case p.SpecialToken != nil && p.Sequence == nil:
			s, ok := f.Special[p.SpecialToken.ID]
			if !ok {
				return template{}, fmt.Errorf("%s %s: %q is not among the special_tokens", c.role, c.kind, p.SpecialToken.ID)
			}
			for _, id := range s.IDs {
				if !known(id) {
					return template{}, fmt.Errorf("%s %s: %q is id %d, which is not in the vocabulary", c.role, c.kind, p.SpecialToken.ID, id)
				}
			}
			if texts == 0 {
				t.before = append(t.before, s.IDs...)
			} else {
				t.after = append(t.after, s.IDs...)
			}
		default:
			return template{}, fmt.Errorf("%s %s: part %d of the template is neither SpecialToken nor Sequence", c.role, c.kind, i)
		}
	}
	if texts != 1 {
		return template{}, fmt.Errorf("%s %s: the template holds the text %d times, want once", c.role, c.kind, texts)
	}
	return t, nil
}
