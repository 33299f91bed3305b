package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// A Stream decodes ids as they come. What it returns is always whole characters: bytes
// that are the beginning of one are held back until the rest has come, and bytes that are
// no UTF-8 become U+FFFD.
type Stream struct {
	tok  Tokenizer
	read bool   // whether an id has been
	left int    // how many characters may still be stripped from the start
	tail []byte // of a character
}

// NewStream starts to decode a text.
func NewStream(t Tokenizer) *Stream {
	s := &Stream{tok: t}
	if b, ok := t.(*BPE); ok {
		s.left = b.decoder.strips
	}
	return s
}

// Push takes the next ids and returns the text that is now complete.
func (s *Stream) Push(ids ...int32) (string, error) {
	for _, id := range ids {
		var err error
		if s.tail, err = s.append(s.tail, id); err != nil {
			return "", err
		}
	}
	whole := len(s.tail) - incomplete(s.tail)
	text := strings.ToValidUTF8(string(s.tail[:whole]), "\uFFFD")
	s.tail = append(s.tail[:0], s.tail[whole:]...)
	return text, nil
}

// Close returns what was held back: U+FFFD for the character that has not come.
func (s *Stream) Close() string {
	text := strings.ToValidUTF8(string(s.tail), "\uFFFD")
	s.tail = nil
	return text
}

// append appends the bytes of the next id.
func (s *Stream) append(dst []byte, id int32) ([]byte, error) {
	b, ok := s.tok.(*BPE)
	if !ok {
		text, err := s.tok.Decode([]int32{id})
		return append(dst, text...), err
	}
	text, err := b.text(id)
	if !s.read {
		text, s.read = b.decoder.opening(text), true
	}
	for s.left > 0 && text != "" {
		if text[0] != b.decoder.strip {
			s.left = 0
			break
		}
		text = text[1:]
		s.left--
	}
	return append(dst, text...), err
}

// incomplete is the number of bytes at the end of text that may be the beginning of a
// character.
func incomplete(text []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if b := text[len(text)-n:]; utf8.RuneStart(b[0]) {
			if !utf8.FullRune(b) {
				return n
			}
			break
		}
	}
	return 0
}
