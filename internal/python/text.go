package python

import (
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// Capitalize is s.capitalize(): the first character in title case, the others in lower.
func Capitalize(s string) string {
	_, n := utf8.DecodeRuneInString(s)
	first := s[:n]
	lower := cases.Lower(language.Und)
	// The whole is made lower: a sigma's form depends on what stands before it.
	rest := lower.String(s)[len(lower.String(first)):]
	return cases.Title(language.Und, cases.NoLower).String(first) + rest
}
