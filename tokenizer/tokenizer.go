// Package tokenizer turns text into token ids and back: the bytes of the text, or a
// byte-pair encoding read from a tokenizer.json file.
//
// The file says which of a few dozen components a tokenizer is put together from. Those
// that the language models here need are implemented to agree with Hugging Face's
// tokenizers, id for id; any other is an error that names it, never a guess.
//
//	text → added tokens → normalizer → pre-tokenizer → words → merges → ids
//	ids → pieces → text
package tokenizer

// A Tokenizer is a fixed vocabulary with the rules to apply it. Its methods may be
// called concurrently.
type Tokenizer interface {
	// Name is what configs call the tokenizer.
	Name() string
	// Vocab is the number of ids, which are 0 to Vocab-1. A model's may be padded to more.
	Vocab() int
	// Encode returns the ids of text.
	Encode(text string) ([]int32, error)
	// Decode returns the text of ids. An id that is not in the vocabulary is an error.
	Decode(ids []int32) (string, error)
}

// Prompt encodes a text as a model wants to read it from its beginning: with what the
// tokenizer's template puts round it, such as a token for the beginning of the text.
func Prompt(t Tokenizer, text string) ([]int32, error) {
	ids, err := t.Encode(text)
	if b, ok := t.(*BPE); ok && err == nil {
		ids = b.template.apply(ids)
	}
	return ids, err
}

// Special reports whether id stands for no text of its own but for a mark such as the end
// of a text.
func Special(t Tokenizer, id int32) bool {
	b, ok := t.(*BPE)
	return ok && b.isSpecial(id)
}

// Piece returns the bytes that id stands for inside a text. They need not be whole
// characters.
func Piece(t Tokenizer, id int32) (string, error) {
	if b, ok := t.(*BPE); ok {
		return b.text(id)
	}
	return t.Decode([]int32{id})
}
