package tokenizer

import "unicode/utf8"

// byteRunes is the character that a byte-level vocabulary writes each byte as: itself if
// it prints in Latin-1, else one from U+0100 on, in order (GPT-2, encoder.py).
var byteRunes = func() (table [256]rune) {
	next := rune(0x100)
	for b := range table {
		r := rune(b)
		if !('!' <= r && r <= '~' || 0xa1 <= r && r <= 0xac || 0xae <= r && r <= 0xff) {
			r = next
			next++
		}
		table[b] = r
	}
	return table
}()

// runeBytes is byteRunes the other way, −1 where no byte is written so.
var runeBytes = func() (table [0x144]int16) {
	for i := range table {
		table[i] = -1
	}
	for b, r := range byteRunes {
		table[r] = int16(b)
	}
	return table
}()

// fromByteLevel returns the bytes that a token of a byte-level vocabulary stands for;
// false if it has a character that stands for none.
func fromByteLevel(token string) (string, bool) {
	text := make([]byte, 0, len(token))
	for _, r := range token {
		if r == utf8.RuneError || int(r) >= len(runeBytes) || runeBytes[r] < 0 {
			return "", false
		}
		text = append(text, byte(runeBytes[r]))
	}
	return string(text), true
}
