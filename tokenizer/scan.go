package tokenizer

import (
	"unicode"
	"unicode/utf8"
)

// A scanner returns the bytes of the first word of a text that is not empty. It stands for
// a regular expression that matches at every place.
type scanner func(text string) int

// scanners are the regular expressions that files have, each written out as code: Go's
// regexp has no look-ahead, and a tenth of the speed.
var scanners = map[string]scanner{
	// GPT-2, GPT-NeoX-20B
	`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`:     scanGPT2,
	`'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`:        scanGPT2,
	`(?:'s|'t|'re|'ve|'m|'ll|'d)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`: scanGPT2,
	// Llama 3, dolma2: cl100k
	`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`: scanCL100K(3),
	`'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`:       scanCL100K(3),
	// Qwen 2
	`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`: scanCL100K(1),
}

// A class is what the regular expressions tell characters apart by.
type class uint8

const (
	none   class = iota // no character: the end of the text
	letter              // \p{L}
	number              // \p{N}
	space               // \s
	other
)

var asciiClass = func() (table [utf8.RuneSelf]class) {
	for r := range table {
		table[r] = classOf(rune(r))
	}
	return table
}()

func classOf(r rune) class {
	switch {
	case unicode.IsLetter(r):
		return letter
	case unicode.IsNumber(r):
		return number
	case unicode.IsSpace(r):
		return space
	}
	return other
}

// classAt is the class of the character at byte i of text, and its bytes.
func classAt(text string, i int) (class, int) {
	if i >= len(text) {
		return none, 0
	}
	if c := text[i]; c < utf8.RuneSelf {
		return asciiClass[c], 1
	}
	r, n := utf8.DecodeRuneInString(text[i:])
	return classOf(r), n
}

// run is the end of the characters of class c from byte i on.
func run(text string, i int, c class) int {
	for {
		d, n := classAt(text, i)
		if d != c {
			return i
		}
		i += n
	}
}

// spaces is the end of what \s+(?!\S)|\s+ matches at the start: all white space, but for
// the last character of it if a word follows and there is another.
func spaces(text string) int {
	end := run(text, 0, space)
	if end < len(text) {
		if _, n := utf8.DecodeLastRuneInString(text[:end]); n < end {
			return end - n
		}
	}
	return end
}

func scanGPT2(text string) int {
	if text[0] == '\'' {
		if n := contraction(text, false); n > 0 {
			return n
		}
	}
	i := 0
	if text[0] == ' ' {
		i = 1
	}
	switch c, n := classAt(text, i); c {
	case letter, number, other:
		return run(text, i+n, c)
	}
	return spaces(text)
}

// contraction is the bytes of 's, 't, 'm, 'd, 're, 've or 'll at the start, or 0.
func contraction(text string, anyCase bool) int {
	lower := func(i int) byte {
		if i >= len(text) {
			return 0
		}
		if b := text[i]; !anyCase || b < 'A' || b > 'Z' {
			return b
		}
		return text[i] | 0x20
	}
	switch a, b := lower(1), lower(2); {
	case a == 's' || a == 't' || a == 'm' || a == 'd':
		return 2
	case a == 'r' && b == 'e' || a == 'v' && b == 'e' || a == 'l' && b == 'l':
		return 3
	case anyCase && a == 0xc5 && b == 0xbf: // ſ, which is an s when case is ignored
		return 3
	}
	return 0
}

// scanCL100K is the expression of OpenAI's cl100k_base with at most digits digits a word.
func scanCL100K(digits int) scanner {
	return func(text string) int {
		if text[0] == '\'' {
			if n := contraction(text, true); n > 0 {
				return n
			}
		}
		c, n := classAt(text, 0)
		newline := text[0] == '\r' || text[0] == '\n'
		switch {
		case c == letter:
			return run(text, n, letter)
		case c == number:
			end := n
			for range digits - 1 {
				d, n := classAt(text, end)
				if d != number {
					break
				}
				end += n
			}
			return end
		case !newline:
			if d, m := classAt(text, n); d == letter {
				return run(text, n+m, letter)
			}
		}
		i := 0
		if text[0] == ' ' {
			i = 1
		}
		if d, _ := classAt(text, i); d == other {
			end := run(text, i, other)
			for end < len(text) && (text[end] == '\r' || text[end] == '\n') {
				end++
			}
			return end
		}
		for end := run(text, 0, space); end > 0; end-- { // \s*[\r\n]+
			if b := text[end-1]; b == '\r' || b == '\n' {
				return end
			}
		}
		return spaces(text)
	}
}
