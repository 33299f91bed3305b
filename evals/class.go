package evals

import (
	"fmt"

	"quadrant/tokenizer"
)

// A Class is a kind of token: that of the first byte of the text that it stands for.
type Class uint8

const (
	Letter      Class = iota // of ASCII
	Digit                    // of ASCII
	Space                    // blank, tab, and what ends a line or page
	Punctuation              // what else of ASCII is printed
	High                     // a byte of 0x80 or more: part of any character beyond ASCII
	Other                    // a control character, or a token without text such as the end of a text
)

// Classes are the names of all classes, in order.
var Classes = [...]string{"letter", "digit", "space", "punctuation", "high", "other"}

func (c Class) String() string { return Classes[c] }

// ClassOf is the class of a byte.
func ClassOf(b byte) Class {
	switch {
	case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z':
		return Letter
	case '0' <= b && b <= '9':
		return Digit
	case b == ' ', '\t' <= b && b <= '\r':
		return Space
	case b >= 0x80:
		return High
	case b > ' ' && b != 0x7f:
		return Punctuation
	}
	return Other
}

// ClassesOf are the classes of tokens of t. A piece such as " the" begins with a space.
func ClassesOf(t tokenizer.Tokenizer, ids []int32) ([]Class, error) {
	known := make(map[int32]Class)
	classes := make([]Class, len(ids))
	for i, id := range ids {
		c, ok := known[id]
		if !ok {
			piece, err := tokenizer.Piece(t, id)
			if err != nil {
				return nil, fmt.Errorf("evals: class of token %d: %w", id, err)
			}
			if c = Other; piece != "" && !tokenizer.Special(t, id) {
				c = ClassOf(piece[0])
			}
			known[id] = c
		}
		classes[i] = c
	}
	return classes, nil
}
