package corpus

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"iter"
	"slices"
)

// pieceSize is how much of a document is taken at a time, in bytes.
const pieceSize = 8 << 10

// Take returns the first n bytes of the corpus mixed, or all of it where it is shorter;
// fewer than n where the nth would cut a character.
//
// Mixing is fair to kinds of text, that is, to extensions: pieces of up to 8 KiB, which
// end where a line does, come from whichever kind has given the fewest bytes so far. So
// any long enough part of it has as much of every kind, until one is used up and the
// others go on. Documents of a kind follow each other in a shuffled order, always the
// same: sorted, the first would all be about one subject. Of n < m, Take(n) begins Take(m).
func (c Corpus) Take(n int) ([]byte, error) {
	if n < 0 {
		return nil, fmt.Errorf("corpus: take %d bytes, want 0 or more", n)
	}
	var kinds []*kind
	for _, files := range c.kinds() {
		next, stop := iter.Pull2(pieces(files))
		defer stop()
		kinds = append(kinds, &kind{next: next})
	}
	var text []byte
	for len(text) < n && len(kinds) > 0 {
		k := slices.MinFunc(kinds, func(a, b *kind) int { return cmp.Compare(a.given, b.given) })
		piece, err, ok := k.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			kinds = slices.DeleteFunc(kinds, func(other *kind) bool { return other == k })
			continue
		}
		k.given += len(piece)
		text = append(text, piece...)
	}
	if len(text) > n {
		text = text[:n]
		text = text[:n-cut(text)]
	}
	return text, nil
}

// A kind is the text of one extension on its way into a mixture.
type kind struct {
	next  func() ([]byte, error, bool)
	given int // bytes
}

// kinds returns the files of each kind, shuffled by the hash of their names. The kinds
// are in the order of their first files.
func (c Corpus) kinds() [][]file {
	var kinds [][]file
	index := map[string]int{}
	for _, f := range c.files {
		i, ok := index[f.kind]
		if !ok {
			i = len(kinds)
			index[f.kind] = i
			kinds = append(kinds, nil)
		}
		kinds[i] = append(kinds[i], f)
	}
	for _, files := range kinds {
		byHash(files)
	}
	return kinds
}

// byHash shuffles files by the hashes of their names.
func byHash(files []file) {
	slices.SortStableFunc(files, func(a, b file) int {
		x, y := sha256.Sum256([]byte(a.name)), sha256.Sum256([]byte(b.name))
		return bytes.Compare(x[:], y[:])
	})
}

// pieces yields the documents of files in pieces; see pieceLen. The last of a document
// gets an end of line if it has none.
func pieces(files []file) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for d, err := range documents(files) {
			if err != nil {
				yield(nil, err)
				return
			}
			for rest := d.Text; len(rest) > 0; {
				piece := rest[:pieceLen(rest)]
				rest = rest[len(piece):]
				if len(rest) == 0 && piece[len(piece)-1] != '\n' {
					piece = append(slices.Clip(piece), '\n')
				}
				if !yield(piece, nil) {
					return
				}
			}
		}
	}
}

// pieceLen is the length of the first piece of text: to the last end of a line within
// pieceSize, or of a character where there is none.
func pieceLen(text []byte) int {
	if len(text) <= pieceSize {
		return len(text)
	}
	head := text[:pieceSize]
	if i := bytes.LastIndexByte(head, '\n'); i >= 0 {
		return i + 1
	}
	return len(head) - cut(head)
}
