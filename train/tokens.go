package train

import "encoding/binary"

// Tokens is a long list of token ids in as little memory as their vocabulary allows.
type Tokens struct {
	width int // bytes of one: 1, 2 or 4
	bytes []byte
}

// NewTokens returns an empty list of ids below vocab.
func NewTokens(vocab int) *Tokens {
	switch {
	case vocab <= 1<<8:
		return &Tokens{width: 1}
	case vocab <= 1<<16:
		return &Tokens{width: 2}
	}
	return &Tokens{width: 4}
}

// Len is the number of tokens.
func (t *Tokens) Len() int { return len(t.bytes) / t.width }

// Append adds ids at the end.
func (t *Tokens) Append(ids []int32) {
	for _, id := range ids {
		switch t.width {
		case 1:
			t.bytes = append(t.bytes, byte(id))
		case 2:
			t.bytes = binary.LittleEndian.AppendUint16(t.bytes, uint16(id))
		default:
			t.bytes = binary.LittleEndian.AppendUint32(t.bytes, uint32(id))
		}
	}
}

// Read sets dst to the tokens from at on, which must be there.
func (t *Tokens) Read(dst []int32, at int) {
	from := t.bytes[at*t.width : (at+len(dst))*t.width]
	for i := range dst {
		switch t.width {
		case 1:
			dst[i] = int32(from[i])
		case 2:
			dst[i] = int32(binary.LittleEndian.Uint16(from[2*i:]))
		default:
			dst[i] = int32(binary.LittleEndian.Uint32(from[4*i:]))
		}
	}
}

// cutTo drops all tokens from n on.
func (t *Tokens) cutTo(n int) { t.bytes = t.bytes[:n*t.width] }
