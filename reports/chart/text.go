package chart

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// lineHeight is the distance of lines of text, in parts of its size.
const lineHeight = 1.25

// wrap breaks s at spaces, but not at those that do not break, into lines no wider than width. A word that is wider is broken
// where it has to be.
func wrap(s string, size, width float64) []string {
	var lines []string
	for paragraph := range strings.SplitSeq(s, "\n") {
		line := ""
		for word := range strings.SplitSeq(paragraph, " ") {
			if word == "" {
				continue
			}
			joined := strings.TrimPrefix(line+" "+word, " ")
			if line != "" && textWidth(joined, size) > width {
				lines = append(lines, line)
				joined = word
			}
			for textWidth(joined, size) > width {
				n := fitting(joined, size, width)
				if n == len(joined) {
					break
				}
				lines = append(lines, joined[:n])
				joined = joined[n:]
			}
			line = joined
		}
		if line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// fitting is how many bytes of s, whole characters and at least one of them, fit in width.
func fitting(s string, size, width float64) int {
	fits := 0
	for fits < len(s) {
		_, n := utf8.DecodeRuneInString(s[fits:])
		if fits > 0 && textWidth(s[:fits+n], size) > width {
			break
		}
		fits += n
	}
	return fits
}

// printable is s without what no font has and XML forbids: broken UTF-8 and control
// characters.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == 0xfffe || r == 0xffff {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
}

// shorten leaves out the middle of s if it is wider than width: names that differ mostly
// do so at an end.
func shorten(s string, size, width float64) string {
	if textWidth(s, size) <= width {
		return s
	}
	r := []rune(s)
	for keep := len(r) - 1; keep >= 2; keep-- {
		head := (keep + 1) / 2
		if t := string(r[:head]) + "…" + string(r[len(r)-(keep-head):]); textWidth(t, size) <= width {
			return t
		}
	}
	return "…"
}

// wrapParts breaks a list of words with commas between them where the commas are, and
// inside a part only if it is wider than width alone.
func wrapParts(s string, size, width float64) []string {
	var lines []string
	for paragraph := range strings.SplitSeq(s, "\n") {
		line := ""
		for part := range strings.SplitAfterSeq(paragraph, ", ") {
			if textWidth(strings.TrimSpace(line+part), size) <= width {
				line += part
				continue
			}
			lines = append(lines, wrap(line, size, width)...)
			line = part
		}
		lines = append(lines, wrap(line, size, width)...)
	}
	return lines
}
