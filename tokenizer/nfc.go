package tokenizer

import (
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// nfc is Unicode's normalization form C of a text. Package norm breaks runs of more than
// 30 combining marks by a character of its own (Unicode's stream-safe format), which the
// reference tokenizer does not; texts with long runs are composed here.
func nfc(text string) string {
	if norm.NFC.IsNormalString(text) {
		return text
	}
	if !longRun(text) {
		return norm.NFC.String(text)
	}
	return composeAll(text)
}

// longRun reports whether a text has so many marks in a row that package norm may break
// them; a character can decompose into three.
func longRun(text string) bool {
	run := 0
	for i, r := range text {
		if r < utf8.RuneSelf {
			run = 0
			continue
		}
		p := norm.NFD.PropertiesString(text[i:])
		if p.CCC() == 0 && p.LeadCCC() == 0 && p.TrailCCC() == 0 {
			run = 0
			continue
		}
		if run++; run > 8 {
			return true
		}
	}
	return false
}

// A mark is a character of a decomposition with its combining class.
type mark struct {
	r     rune
	class uint8
}

// composeAll is the algorithm of Unicode 3.11: decompose, order marks, compose. Bytes that
// are no UTF-8 stay and compose with nothing.
func composeAll(text string) string {
	var out strings.Builder
	var seg []mark // a starter and the marks after it
	flush := func() {
		for _, m := range compose(seg) {
			out.WriteRune(m.r)
		}
		seg = seg[:0]
	}
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && n == 1 {
			flush()
			out.WriteByte(text[i])
			i++
			continue
		}
		for _, d := range norm.NFD.String(text[i : i+n]) {
			class := norm.NFD.PropertiesString(string(d)).CCC()
			if class == 0 && len(seg) > 0 {
				// A starter may compose with the one before, if nothing stands between.
				ordered := compose(seg)
				if c, ok := composePair(ordered[0].r, d); ok && len(ordered) == 1 && ordered[0].class == 0 {
					seg = append(seg[:0], mark{c, 0})
					continue
				}
				flush()
			}
			seg = append(seg, mark{d, class})
		}
		i += n
	}
	flush()
	return out.String()
}

// compose orders the marks after a starter and composes those that it can take.
func compose(seg []mark) []mark {
	if len(seg) == 0 {
		return nil
	}
	out := slices.Clone(seg)
	if out[0].class != 0 { // marks with nothing before
		slices.SortStableFunc(out, func(a, b mark) int { return int(a.class) - int(b.class) })
		return out
	}
	slices.SortStableFunc(out[1:], func(a, b mark) int { return int(a.class) - int(b.class) })
	kept := out[:1]
	last := uint8(0) // class of the last mark kept
	for _, m := range out[1:] {
		if c, ok := composePair(kept[0].r, m.r); ok && (len(kept) == 1 || last < m.class) {
			kept[0].r = c
			continue
		}
		kept = append(kept, m)
		last = m.class
	}
	return kept
}

// composePair returns the one character that two compose to.
func composePair(a, b rune) (rune, bool) {
	s := norm.NFC.String(string([]rune{a, b}))
	r, n := utf8.DecodeRuneInString(s)
	return r, n == len(s)
}
