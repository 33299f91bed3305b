package tokenizer

// A finder returns where the first match in a text that is not empty starts and ends; a
// negative start if there is none. A match is not empty.
type finder func(text string) (start, end int)

// A behavior is what becomes of the matches of a split.
type behavior int

const (
	isolated           behavior = iota // words of their own
	removed                            // left out
	mergedWithPrevious                 // the end of the word before, each match of one word
	mergedWithNext                     // the start of the word after
	contiguous                         // words of their own, those side by side one word
)

var behaviors = map[string]behavior{
	"Isolated": isolated, "Removed": removed, "MergedWithPrevious": mergedWithPrevious,
	"MergedWithNext": mergedWithNext, "Contiguous": contiguous,
}

// A span is a stretch of a text between two bytes.
type span struct {
	start, end int
	match      bool
}

// splitter takes pieces apart at the matches of find; inverted, at what lies between them.
func splitter(find finder, invert bool, b behavior) preTokenizer {
	return func(p piece, yield func(piece) error) error {
		for _, s := range join(spans(p.text, find, invert), b) {
			if s.start == s.end {
				continue
			}
			if err := yield(piece{p.text[s.start:s.end], p.first && s.start == 0}); err != nil {
				return err
			}
		}
		return nil
	}
}

// spans covers a text with matches and what lies between.
func spans(text string, find finder, invert bool) []span {
	var all []span
	for done := 0; done < len(text); {
		start, end := find(text[done:])
		if start < 0 {
			return append(all, span{done, len(text), invert})
		}
		if start > 0 {
			all = append(all, span{done, done + start, invert})
		}
		all = append(all, span{done + start, done + end, !invert})
		done += end
	}
	return all
}

// join makes words of spans.
func join(all []span, b behavior) []span {
	var words []span
	extend := func(s span) { words[len(words)-1].end = s.end }
	for i, s := range all {
		before := i > 0 && all[i-1].match
		switch {
		case b == removed && s.match:
		case b == mergedWithPrevious && s.match && !before && len(words) > 0:
			extend(s)
		case b == mergedWithNext && !s.match && before:
			extend(s)
		case b == contiguous && i > 0 && s.match == before:
			extend(s)
		default:
			words = append(words, s)
		}
	}
	return words
}
