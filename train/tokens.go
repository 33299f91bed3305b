package train

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
)

// Tokens is a long list of token ids in as little memory as their vocabulary allows, or in a
// file.
type Tokens struct {
	width int    // bytes of one: 1, 2 or 4
	bytes []byte // all, or those that are not in the file yet

	file  *os.File // nil where all are in memory
	filed int      // bytes in the file
	read  []byte   // what Read reads from the file
	err   error    // the first of the file
}

// spill is how many bytes wait in memory before they are written to the file.
const spill = 1 << 20

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

// NewTokensIn is NewTokens with a file in folder that holds what would be in memory. The file
// has no name: it is gone when the program ends, however it does.
func NewTokensIn(folder string, vocab int) (*Tokens, error) {
	t := NewTokens(vocab)
	var err error
	if t.file, err = os.CreateTemp(folder, "tokens-*"); err != nil {
		return nil, fmt.Errorf("train: a file for tokens: %w", err)
	}
	if err = os.Remove(t.file.Name()); err != nil {
		return nil, fmt.Errorf("train: a file for tokens: %w", err)
	}
	return t, nil
}

// Len is the number of tokens.
func (t *Tokens) Len() int { return (t.filed + len(t.bytes)) / t.width }

// Err is the first error of the file. What Read has set since then is meaningless.
func (t *Tokens) Err() error {
	if t.err != nil {
		return fmt.Errorf("train: the file of tokens: %w", t.err)
	}
	return nil
}

// Close gives up the file, if there is one, and all tokens.
func (t *Tokens) Close() error {
	if t.file == nil {
		return nil
	}
	return t.file.Close()
}

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
		if t.file != nil && len(t.bytes) >= spill {
			t.flush()
		}
	}
}

// flush writes what waits in memory.
func (t *Tokens) flush() {
	if t.file == nil || len(t.bytes) == 0 {
		return
	}
	_, err := t.file.WriteAt(t.bytes, int64(t.filed))
	t.note(err)
	t.filed += len(t.bytes)
	t.bytes = t.bytes[:0]
}

func (t *Tokens) note(err error) {
	if t.err == nil {
		t.err = err
	}
}

// Read sets dst to the tokens from at on, which must be there.
func (t *Tokens) Read(dst []int32, at int) {
	from := t.at(at*t.width, len(dst)*t.width)
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

// at returns n bytes from the first on, which are valid until the next call.
func (t *Tokens) at(first, n int) []byte {
	if t.file == nil {
		return t.bytes[first : first+n]
	}
	t.flush()
	t.read = slices.Grow(t.read[:0], n)[:n]
	_, err := t.file.ReadAt(t.read, int64(first))
	t.note(err)
	return t.read
}

// cutTo drops all tokens from n on.
func (t *Tokens) cutTo(n int) {
	t.flush()
	if t.file != nil {
		t.filed = n * t.width
		return
	}
	t.bytes = t.bytes[:n*t.width]
}
