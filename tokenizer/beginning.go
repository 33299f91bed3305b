package tokenizer

// beginnings are the names that tokens for the beginning of a text have, then those for
// its end, which models without the former are trained to read first.
var beginnings = []string{"<s>", "<|begin_of_text|>", "<|startoftext|>", "<|endoftext|>", "</s>", "<|end_of_text|>"}

// Beginning returns the token that stands before any text: the first that the template
// puts there, or else the special token with the usual name of one. A tokenizer may have
// none.
func Beginning(t Tokenizer) (id int32, ok bool) {
	b, ok := t.(*BPE)
	if !ok {
		return 0, false
	}
	if len(b.template.before) > 0 {
		return b.template.before[0], true
	}
	for _, name := range beginnings {
		for id, text := range b.texts {
			if text == name && b.kinds[id] == specialKind {
				return int32(id), true
			}
		}
	}
	return 0, false
}
