package tokenizer

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// A segment is a stretch of text: an added token, or text between them.
type segment struct {
	text  string
	start int         // in the text that was segmented
	token *addedToken // or nil
}

// A matcher finds added tokens in text, the leftmost first and of those that begin at one
// place the longest: a trie over bytes. The zero matcher finds none.
type matcher struct {
	nodes []node // the first is the root
}

type node struct {
	next  map[byte]int32
	token *addedToken
}

// add makes the matcher find token where text stands. Of tokens with one text the first
// that is added stays.
func (m *matcher) add(text string, token *addedToken) {
	if text == "" {
		return
	}
	if len(m.nodes) == 0 {
		m.nodes = []node{{}}
	}
	at := int32(0)
	for i := range len(text) {
		next, ok := m.nodes[at].next[text[i]]
		if !ok {
			next = int32(len(m.nodes))
			m.nodes = append(m.nodes, node{})
			if m.nodes[at].next == nil {
				m.nodes[at].next = make(map[byte]int32)
			}
			m.nodes[at].next[text[i]] = next
		}
		at = next
	}
	if m.nodes[at].token == nil {
		m.nodes[at].token = token
	}
}

// longest is the longest token that text begins with, and its bytes.
func (m *matcher) longest(text string) (token *addedToken, n int) {
	at := int32(0)
	for i := range len(text) {
		next, ok := m.nodes[at].next[text[i]]
		if !ok {
			break
		}
		if at = next; m.nodes[at].token != nil {
			token, n = m.nodes[at].token, i+1
		}
	}
	return token, n
}

// segments takes a text apart and hands on the parts that are not empty, in order.
func (m *matcher) segments(text string, yield func(segment) error) error {
	done := 0 // bytes handed on
	hand := func(end int) error {
		if end <= done {
			return nil
		}
		from := done
		done = end
		return yield(segment{text: text[from:end], start: from})
	}
	if len(m.nodes) == 0 {
		return hand(len(text))
	}
	var first [256]bool
	for b := range m.nodes[0].next {
		first[b] = true
	}
	for i := 0; i < len(text); {
		if !first[text[i]] {
			i++
			continue
		}
		token, n := m.longest(text[i:])
		if token == nil {
			i++
			continue
		}
		start, end := i, i+n
		i = end
		if token.SingleWord && (endsWithWord(text[:start]) || startsWithWord(text[end:])) {
			continue
		}
		if token.LStrip {
			start = max(done, len(strings.TrimRightFunc(text[:start], unicode.IsSpace)))
		}
		if token.RStrip {
			end = len(text) - len(strings.TrimLeftFunc(text[end:], unicode.IsSpace))
		}
		if err := hand(start); err != nil {
			return err
		}
		if err := yield(segment{start: start, token: token}); err != nil {
			return err
		}
		// The reference, too, looks for tokens in the white space that the one before took,
		// and goes back to the end of one that it finds there.
		done = end
	}
	return hand(len(text))
}

func endsWithWord(text string) bool {
	r, n := utf8.DecodeLastRuneInString(text)
	return n > 0 && wordRune(r)
}

func startsWithWord(text string) bool {
	r, n := utf8.DecodeRuneInString(text)
	return n > 0 && wordRune(r)
}

// wordRune is \w of Unicode's regular expressions (UTS 18, annex C).
func wordRune(r rune) bool {
	return unicode.IsLetter(r) || unicode.In(r, unicode.Nl, unicode.Other_Alphabetic, unicode.M, unicode.Nd, unicode.Pc, unicode.Join_Control)
}
