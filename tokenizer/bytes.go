package tokenizer

import "fmt"

// Bytes is the tokenizer whose ids are the bytes of the text. It never fails to encode;
// what it decodes need not be UTF-8.
type Bytes struct{}

var _ Tokenizer = Bytes{}

// Name is "bytes".
func (Bytes) Name() string { return "bytes" }

// Vocab is 256.
func (Bytes) Vocab() int { return 256 }

// Encode returns the bytes of text. The error is nil.
func (Bytes) Encode(text string) ([]int32, error) {
	ids := make([]int32, len(text))
	for i := range ids {
		ids[i] = int32(text[i])
	}
	return ids, nil
}

// Decode returns the text whose bytes are ids.
func (Bytes) Decode(ids []int32) (string, error) {
	text := make([]byte, len(ids))
	for i, id := range ids {
		if id < 0 || id > 255 {
			return "", fmt.Errorf("tokenizer: bytes: id %d at position %d is not in the vocabulary, want 0 to 255", id, i)
		}
		text[i] = byte(id)
	}
	return string(text), nil
}
