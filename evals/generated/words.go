package generated

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"quadrant/evals/tasks"
	"quadrant/internal/python"
)

func letter(b byte) bool { return 'a' <= b && b <= 'z' }

// words counts the words of the training text: lower-case letters between anything else.
func (m *maker) words() map[string]int {
	if m.counts == nil {
		m.counts, m.held = map[string]int{}, map[string]bool{}
		for _, d := range m.text.Train {
			eachWord(d.Text, func(w string) { m.counts[w]++ })
		}
		for _, d := range m.text.Held {
			eachWord(d.Text, func(w string) { m.held[w] = true })
		}
	}
	return m.counts
}

func eachWord(text []byte, f func(string)) {
	for i := 0; i < len(text); i++ {
		j := i
		for j < len(text) && letter(text[j]) {
			j++
		}
		if j > i {
			f(string(text[i:j]))
			i = j
		}
	}
}

// wordAt is the word of at least n letters in which text[at] lies, with a space before it
// and the end of a word after it.
func wordAt(text []byte, at, n int) (from, to int, ok bool) {
	for from = at; from > 0 && letter(text[from-1]); from-- {
	}
	for to = at; to < len(text) && letter(text[to]); to++ {
	}
	ok = to-from >= n && from > 0 && text[from-1] == ' ' && to < len(text) && bytes.IndexByte([]byte(" .,;:!?\n"), text[to]) >= 0
	return from, to, ok
}

// lastWord: passages of up to 400 bytes whose last word has at least four letters. The
// field seen says whether the passage holds the word before its end.
func (m *maker) lastWord() error { return m.lastWordWhere(func(bool) bool { return true }) }

func (m *maker) lastWordSeen() error { return m.lastWordWhere(func(seen bool) bool { return seen }) }

func (m *maker) lastWordNew() error { return m.lastWordWhere(func(seen bool) bool { return !seen }) }

func (m *maker) lastWordWhere(wanted func(seen bool) bool) error {
	return m.draw(func() bool {
		d, at := m.place(m.text.Held)
		from, to, ok := wordAt(d.Text, at, 4)
		if !ok {
			return false
		}
		context, word := before(d, from-1, 400), string(d.Text[from:to])
		seen := slices.Contains(strings.FieldsFunc(context, func(r rune) bool { return r < 'a' || r > 'z' }), word)
		if len(context) < 100 || !wanted(seen) {
			return false
		}
		m.docs = append(m.docs, tasks.Doc{
			Fields:   python.Object{{Name: "text", Value: context + " " + word}, {Name: "seen", Value: seen}},
			Requests: []tasks.Request{{Context: context, Continuation: " " + word}}, Target: " " + word,
		})
		return true
	})
}

// cloze: 96 bytes of context; the other words are as long and stand ten times or more in
// the training text.
func (m *maker) cloze() error {
	byLength := map[int][]string{}
	counts := m.words()
	for _, w := range slices.Sorted(maps.Keys(counts)) {
		if counts[w] >= 10 {
			byLength[len(w)] = append(byLength[len(w)], w)
		}
	}
	return m.draw(func() bool {
		d, at := m.place(m.text.Held)
		from, to, ok := wordAt(d.Text, at, 3)
		if !ok {
			return false
		}
		context, word := before(d, from-1, 96), string(d.Text[from:to])
		others := byLength[len(word)]
		if len(context) < 48 || len(others) < 8 {
			return false
		}
		choices := []string{word}
		for len(choices) < 4 {
			if w := others[m.rand.IntN(len(others))]; !slices.Contains(choices, w) {
				choices = append(choices, w)
			}
		}
		m.chooseAfter(context, " ", choices...)
		return true
	})
}

// lexicalDecision: words of five letters or more that stand in the training text three
// times or more. The letter changed is not the first.
func (m *maker) lexicalDecision() error {
	counts := m.words()
	words := slices.DeleteFunc(slices.Sorted(maps.Keys(counts)), func(w string) bool { return len(w) < 5 || len(w) > 12 || counts[w] < 3 || !m.held[w] })
	m.rand.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
	for _, w := range words {
		if len(m.docs) == m.items {
			return nil
		}
		none := []byte(w)
		none[1+m.rand.IntN(len(w)-1)] = byte('a' + m.rand.IntN(26))
		if n := string(none); n != w && counts[n] == 0 && !m.held[n] {
			m.choose("", " "+w+" ", " "+n+" ")
		}
	}
	return errUp
}

// wordSwap: sentences of 6 to 25 words of letters on text's own lines, after up to 64
// bytes of what stands before them.
func (m *maker) wordSwap() error {
	used := map[string]bool{}
	return m.draw(func() bool {
		d, at := m.place(m.text.Held)
		from, to, ok := sentenceAt(d.Text, at)
		if !ok || used[string(d.Text[from:to])] {
			return false
		}
		sentence := string(d.Text[from:to])
		words := strings.Split(sentence, " ")
		i := 1 + m.rand.IntN(len(words)-2)
		if i+1 >= len(words)-1 || words[i] == words[i+1] || !plainWord(words[i]) || !plainWord(words[i+1]) {
			return false
		}
		used[sentence] = true
		swapped := slices.Clone(words)
		swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
		m.choose(before(d, from, 64), sentence, strings.Join(swapped, " "))
		return true
	})
}

func plainWord(w string) bool {
	for i := range len(w) {
		if !letter(w[i]) {
			return false
		}
	}
	return w != ""
}

// sentenceAt is the sentence in which text[at] lies: from a capital after the end of
// another, or after a new line, to a full stop, within one line.
func sentenceAt(text []byte, at int) (from, to int, ok bool) {
	for from = at; from > 0 && text[from-1] != '\n' && (text[from-1] != ' ' || from < 2 || text[from-2] != '.'); from-- {
	}
	end := bytes.IndexAny(text[at:], ".\n")
	if end < 0 || text[at+end] != '.' {
		return 0, 0, false
	}
	to = at + end + 1
	s := text[from:to]
	if i := bytes.IndexFunc(s, func(r rune) bool { return 'A' <= r && r <= 'Z' }); i > 3 || i < 0 {
		return 0, 0, false
	} else {
		from += i // after the marks of a comment
	}
	n := bytes.Count(text[from:to], []byte(" ")) + 1
	return from, to, n >= 6 && n <= 25
}
