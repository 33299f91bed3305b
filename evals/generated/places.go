package generated

import (
	"bytes"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Sizes of continuation, in bytes.
const (
	continuationContext = 256
	continuationLength  = 48
)

// continuation: the other choices come of other documents of the same kind; where there
// is no other, of places far away in the same.
func (m *maker) continuation() error {
	byKind := map[string][]Document{}
	for _, d := range m.text.Held {
		byKind[kindOf(d)] = append(byKind[kindOf(d)], d)
	}
	return m.draw(func() bool {
		d, at := m.place(m.text.Held)
		at, right := m.piece(d, at)
		context := before(d, at, continuationContext)
		if right == "" || len(context) < 64 {
			return false
		}
		choices := []string{right}
		for range tries {
			other, place := m.place(byKind[kindOf(d)])
			if other.Name == d.Name && (len(byKind[kindOf(d)]) > 1 || abs(place-at) < 4*continuationContext) {
				continue
			}
			if _, wrong := m.piece(other, place); wrong != "" && !slices.Contains(choices, wrong) {
				choices = append(choices, wrong)
			}
			if len(choices) == 4 {
				m.choose(context, choices...)
				return true
			}
		}
		return false
	})
}

func abs(n int) int { return max(n, -n) }

// piece is about continuationLength bytes of d after at, from a space before a word to the
// end of one, or "".
func (m *maker) piece(d Document, at int) (int, string) {
	i := bytes.IndexByte(d.Text[at:], ' ')
	if i < 0 || at+i+continuationLength >= len(d.Text) {
		return at, ""
	}
	at += i
	s := d.Text[at : at+continuationLength]
	j := bytes.LastIndexByte(s, ' ')
	if j < continuationLength/2 || !utf8.Valid(s[:j]) || len(bytes.TrimSpace(s[:j])) < continuationLength/3 {
		return at, ""
	}
	return at, string(s[:j])
}

// closers are the brackets that close.
const closers = ")]}"

// bracket: places in held-out Go code before a closing bracket, each of the three as
// often.
func (m *maker) bracket() error {
	var code []Document
	for _, d := range m.text.Held {
		if kindOf(d) == ".go" {
			code = append(code, d)
		}
	}
	if len(code) == 0 {
		return fmt.Errorf("the held-out part of %s has no Go code", m.text.Name)
	}
	return m.draw(func() bool {
		want := closers[len(m.docs)%len(closers)]
		d, at := m.place(code)
		i := bytes.IndexByte(d.Text[at:], want)
		if i < 0 || i > 512 {
			return false
		}
		context := before(d, at+i, continuationContext)
		if len(context) < 64 {
			return false
		}
		choices := []string{string(want)}
		for _, c := range closers {
			if c != rune(want) {
				choices = append(choices, string(c))
			}
		}
		m.choose(context, choices...)
		return true
	})
}
