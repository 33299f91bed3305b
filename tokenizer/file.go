package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// A file is a tokenizer.json. Its truncation and padding are left to who uses the ids.
type file struct {
	Added         []addedToken    `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Decoder       json.RawMessage `json:"decoder"`
	Model         json.RawMessage `json:"model"`
}

// An addedToken is text that is one token wherever it stands.
type addedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	Special    bool   `json:"special"`
	SingleWord bool   `json:"single_word"` // not beside a letter, digit or underscore
	LStrip     bool   `json:"lstrip"`      // takes the white space before it
	RStrip     bool   `json:"rstrip"`      // takes the white space after it
	Normalized *bool  `json:"normalized"`  // is looked for in normalized text; if missing, unless special
}

func (a addedToken) normalized() bool {
	if a.Normalized == nil {
		return !a.Special
	}
	return *a.Normalized
}

// A modelFile is the model of a tokenizer.json.
type modelFile struct {
	Type         string           `json:"type"`
	Vocab        map[string]int32 `json:"vocab"`
	Merges       []pair           `json:"merges"`
	UnkToken     *string          `json:"unk_token"`
	Dropout      *float64         `json:"dropout"`
	Prefix       *string          `json:"continuing_subword_prefix"`
	Suffix       *string          `json:"end_of_word_suffix"`
	FuseUnk      bool             `json:"fuse_unk"`
	ByteFallback bool             `json:"byte_fallback"`
	IgnoreMerges bool             `json:"ignore_merges"`
}

// parseModel reads a model, which must be a byte-pair encoding.
func parseModel(raw json.RawMessage) (*modelFile, error) {
	if isNull(raw) {
		return nil, errors.New("the file has no model")
	}
	var head struct {
		Type   string          `json:"type"`
		Merges json.RawMessage `json:"merges"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	if head.Type != "BPE" && head.Type != "" { // which old files leave out
		return nil, fmt.Errorf("model type %q is not supported, want BPE", head.Type)
	}
	if isNull(head.Merges) {
		return nil, errors.New("the model has no merges: only BPE is supported")
	}
	var m modelFile
	if err := strict(raw, &m); err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	switch {
	case m.Dropout != nil && *m.Dropout != 0:
		return nil, fmt.Errorf("model: dropout %v is not supported: it makes ids random", *m.Dropout)
	case m.Prefix != nil && *m.Prefix != "":
		return nil, fmt.Errorf("model: continuing_subword_prefix %q is not supported", *m.Prefix)
	case m.Suffix != nil && *m.Suffix != "":
		return nil, fmt.Errorf("model: end_of_word_suffix %q is not supported", *m.Suffix)
	case len(m.Vocab) == 0:
		return nil, errors.New("model: the vocabulary is empty")
	}
	return &m, nil
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// strict decodes all of raw into v; a field that v does not have is an error, for it may
// change what the others mean.
func strict(raw json.RawMessage, v any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is more after the value")
	}
	return nil
}

// A component is a normalizer, a pre-tokenizer, a post-processor or a decoder of a file.
type component struct {
	role string // in errors
	kind string
	raw  json.RawMessage
}

func (c component) decode(v any) error {
	if err := strict(c.raw, v); err != nil {
		return fmt.Errorf("%s %s: %w", c.role, c.kind, err)
	}
	return nil
}

func (c component) unsupported(format string, args ...any) error {
	return fmt.Errorf("%s %s: %s is not supported", c.role, c.kind, fmt.Sprintf(format, args...))
}

func (c component) unknown() error {
	return fmt.Errorf("%s type %q is not supported", c.role, c.kind)
}

// maxDepth is how deep sequences may lie in sequences; in practice one.
const maxDepth = 8

// flatten lists the components of a role, those of sequences in their place; list is the
// name of a sequence's field.
func flatten(role, list string, raw json.RawMessage, depth int) ([]component, error) {
	if isNull(raw) {
		return nil, nil
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("%s: sequences lie more than %d deep", role, maxDepth)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, fmt.Errorf("%s: %w", role, err)
	}
	c := component{role: role, raw: raw}
	if err := json.Unmarshal(fields["type"], &c.kind); err != nil {
		return nil, fmt.Errorf("%s: the type is missing or no string: %.100s", role, raw)
	}
	if c.kind != "Sequence" {
		return []component{c}, nil
	}
	for name := range fields {
		if name != "type" && name != list {
			return nil, c.unsupported("field %q", name)
		}
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(fields[list], &parts); err != nil {
		return nil, fmt.Errorf("%s Sequence: %s is missing or no list", role, list)
	}
	var all []component
	for _, part := range parts {
		inner, err := flatten(role, list, part, depth+1)
		if err != nil {
			return nil, err
		}
		all = append(all, inner...)
	}
	return all, nil
}

// A pattern is what a Replace or a Split looks for: one of its fields.
type pattern struct {
	String *string `json:"String"`
	Regex  *string `json:"Regex"`
}
