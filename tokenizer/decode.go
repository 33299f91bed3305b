package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A decoder says what text tokens stand for. Every token stands for bytes of its own, but
// for the start of a text, where a space that encoding put there is taken away.
type decoder struct {
	replace      []replace
	byteLevel    bool
	byteFallback bool // <0x0A> is the byte 10
	strip        byte // is taken away at the start of the text,
	strips       int  // up to so many times
	metaspace    *metaspace
}

// parseDecoder reads a decoder.
func parseDecoder(raw json.RawMessage) (*decoder, error) {
	parts, err := flatten("decoder", "decoders", raw, 0)
	if err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		return nil, errors.New("the file has no decoder")
	}
	d := new(decoder)
	var bytes, fused bool // what has been seen: after it, tokens no longer stand for themselves
	for _, c := range parts {
		var err error
		switch c.kind {
		case "ByteLevel":
			if bytes || fused || len(parts) > 1 {
				return nil, c.unsupported("beside other decoders")
			}
			d.byteLevel, bytes = true, true
		case "Replace":
			if bytes || fused {
				return nil, c.unsupported("after ByteFallback or Fuse")
			}
			var r replace
			r, err = parseReplace(c)
			d.replace = append(d.replace, r)
		case "ByteFallback":
			if fused || d.metaspace != nil {
				return nil, c.unsupported("after Fuse or Metaspace")
			}
			d.byteFallback, bytes = true, true
		case "Fuse":
			fused = true
		case "Strip":
			if !fused || d.strips > 0 {
				return nil, c.unsupported("before Fuse, or twice,")
			}
			err = d.parseStrip(c)
		case "Metaspace":
			if bytes || fused || d.metaspace != nil {
				return nil, c.unsupported("after ByteFallback, Fuse or Metaspace")
			}
			var m metaspace
			m, err = readMetaspace(c)
			d.metaspace = &m
		default:
			err = c.unknown()
		}
		if err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *decoder) parseStrip(c component) error {
	var f struct {
		Type    string `json:"type"`
		Content string `json:"content"`
		Start   int    `json:"start"`
		Stop    int    `json:"stop"`
	}
	if err := c.decode(&f); err != nil {
		return err
	}
	switch {
	case len(f.Content) != 1 || f.Content[0] >= utf8.RuneSelf:
		return c.unsupported("content %q, which is not one ASCII character,", f.Content)
	case f.Start < 0 || f.Stop != 0:
		return c.unsupported("start %d with stop %d", f.Start, f.Stop)
	}
	d.strip, d.strips = f.Content[0], f.Start
	return nil
}

// text is the bytes that a token stands for. Added tokens stand for their content also in
// a byte-level vocabulary.
func (d *decoder) text(token string, added bool) (string, error) {
	most := 100*len(token) + 1<<10
	for _, r := range d.replace {
		var err error
		if token, err = r.apply(token, most); err != nil {
			return "", fmt.Errorf("decoder: %w", err)
		}
	}
	switch {
	case d.byteLevel && !added:
		if text, ok := fromByteLevel(token); ok {
			return text, nil
		}
	case d.byteFallback:
		if b, ok := fallbackByte(token); ok {
			return string([]byte{b}), nil
		}
	case d.metaspace != nil:
		return strings.ReplaceAll(token, d.metaspace.replacement, " "), nil
	}
	return token, nil
}

// opening is the text of a token that a text begins with, which text gave as text.
func (d *decoder) opening(text string) string {
	if d.metaspace != nil && d.metaspace.scheme != "never" {
		return strings.ReplaceAll(text, " ", "")
	}
	return text
}

// fallbackByte is the byte that a token such as <0x0A> stands for.
func fallbackByte(token string) (byte, bool) {
	if len(token) != 6 || token[:3] != "<0x" || token[5] != '>' {
		return 0, false
	}
	b, err := strconv.ParseUint(token[3:5], 16, 8)
	return byte(b), err == nil
}
