package serve

import (
	"strings"
	"unicode/utf8"
)

// A stopper passes text on up to the first of some stops. Text that may be the beginning
// of one is held back.
type stopper struct {
	stops []string
	held  string
}

// push takes the text that follows and returns what of it is sure, and whether a stop was
// found: then nothing follows.
func (s *stopper) push(text string) (sure string, stopped bool) {
	s.held += text
	first := -1
	for _, stop := range s.stops {
		if at := strings.Index(s.held, stop); at >= 0 && (first < 0 || at < first) {
			first = at
		}
	}
	if first >= 0 {
		sure, s.held = s.held[:first], ""
		return sure, true
	}
	n := 0 // bytes at the end that a stop may begin with
	for _, stop := range s.stops {
		for k := min(len(stop)-1, len(s.held)); k > n; k-- {
			if strings.HasSuffix(s.held, stop[:k]) {
				n = k
			}
		}
	}
	sure, s.held = s.held[:len(s.held)-n], s.held[len(s.held)-n:]
	return sure, false
}

// close returns what was held back.
func (s *stopper) close() string {
	held := s.held
	s.held = ""
	return held
}

func characters(text string) int { return utf8.RuneCountInString(text) }
