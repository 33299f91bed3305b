package generated

import (
	"bytes"
	"fmt"
	"slices"
)

// Sizes of continuation, in bytes. All choices are equally long, so that length decides
// nothing.
const (
	continuationContext = 256
	continuationLength  = 40
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
		right := piece(d, at)
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
			if wrong := piece(other, place); wrong != "" && !slices.Contains(choices, wrong) {
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

// piece is continuationLength bytes of d from at on, or "" where they are not plain text.
// It may begin within a word: what little a small model knows is how words go on.
func piece(d Document, at int) string {
	if at+continuationLength > len(d.Text) {
		return ""
	}
	s := d.Text[at : at+continuationLength]
	plain := bytes.IndexFunc(s, func(r rune) bool { return r > '~' || r < ' ' && r != '\n' && r != '\t' }) < 0
	if !plain || len(bytes.TrimSpace(s)) < continuationLength*3/4 {
		return ""
	}
	return string(s)
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
		return fmt.Errorf("the held-out part of %s has no Go code: %w", m.text.Name, ErrNoQuestion)
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
