package python

import (
	"strings"
	"unicode"
)

// IsSpace is str.isspace of one character: White_Space of Unicode and the four separators
// U+001C … U+001F.
func IsSpace(r rune) bool { return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f }

// Strip is s.strip().
func Strip(s string) string { return strings.TrimFunc(s, IsSpace) }

// RStrip is s.rstrip().
func RStrip(s string) string { return strings.TrimRightFunc(s, IsSpace) }

// LStrip is s.lstrip().
func LStrip(s string) string { return strings.TrimLeftFunc(s, IsSpace) }
