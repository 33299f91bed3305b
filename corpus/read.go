package corpus

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"unicode/utf8"
)

// documents returns the documents of f by its kind.
func (f file) documents() iter.Seq2[Document, error] {
	switch f.kind {
	case ".jsonl":
		return f.lines
	case ".parquet":
		return f.rows
	case kindComments:
		return f.comments
	case kindSums:
		return f.sums
	}
	return f.whole
}

// maxText is the bytes of the longest document that is read where it cannot be divided: it is
// held in memory.
const maxText = 1 << 30

// longestPiece is the bytes that a file of text is read by: a longer one is several documents.
const longestPiece = 16 << 20

// whole yields the file as one document, or of a long one pieces that end where a line does,
// the second called name#2.
func (f file) whole(yield func(Document, error) bool) {
	r, err := openPacked(f.path)
	if err != nil {
		yield(Document{}, err)
		return
	}
	defer r.Close()
	var rest []byte // read, but beyond the end of a piece
	at := 0
	for n, last := 1, false; !last; n++ {
		text := append(make([]byte, 0, len(rest)+4096), rest...)
		more := bytes.NewBuffer(text)
		_, err := io.CopyN(more, r, int64(longestPiece-len(rest)))
		text = more.Bytes()
		if last = errors.Is(err, io.EOF); err != nil && !last {
			yield(Document{}, fmt.Errorf("%s: %w", f.path, err))
			return
		}
		text, rest = pieceOf(text, last)
		if i := invalid(text); i >= 0 {
			yield(Document{}, fmt.Errorf("%s: byte %d is not UTF-8 text: convert the file (iconv -t UTF-8) or leave it out", f.path, at+i))
			return
		}
		at += len(text)
		name := f.name
		if n > 1 {
			name += fmt.Sprintf("#%d", n)
		}
		if len(text) > 0 || n == 1 {
			if !yield(Document{name, text}, nil) {
				return
			}
		}
	}
}

// pieceOf divides text after its last line, or its last whole character where there is none;
// the last piece of a file is all of it.
func pieceOf(text []byte, last bool) (piece, rest []byte) {
	if last {
		return text, nil
	}
	end := bytes.LastIndexByte(text, '\n') + 1
	if end == 0 {
		end = len(text) - cut(text)
	}
	return text[:end], bytes.Clone(text[end:])
}

// text is all of the file, unpacked.
func (f file) text() ([]byte, error) {
	r, err := openPacked(f.path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxText+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", f.path, err)
	case len(text) > maxText:
		return nil, fmt.Errorf("%s has more than %d bytes, too many for one document: split it, or make it a .jsonl file", f.path, maxText)
	}
	if i := invalid(text); i >= 0 {
		return nil, fmt.Errorf("%s: byte %d is not UTF-8 text: convert the file (iconv -t UTF-8) or leave it out", f.path, i)
	}
	return text, nil
}

// lines yields a document for each line that is not empty.
func (f file) lines(yield func(Document, error) bool) {
	r, err := openPacked(f.path)
	if err != nil {
		yield(Document{}, err)
		return
	}
	defer r.Close()
	b := bufio.NewReaderSize(r, 1<<16)
	for n := 1; ; n++ {
		line, err := readLine(b)
		if err != nil && !errors.Is(err, io.EOF) {
			yield(Document{}, fmt.Errorf("%s:%d: %w", f.path, n, err))
			return
		}
		if len(bytes.TrimSpace(line)) > 0 {
			text, err := lineText(line)
			if err != nil {
				yield(Document{}, fmt.Errorf("%s:%d: %w", f.path, n, err))
				return
			}
			if !yield(Document{fmt.Sprintf("%s:%d", f.name, n), text}, nil) {
				return
			}
		}
		if err != nil { // the end
			return
		}
	}
}

// readLine reads up to the next end of a line, which is not asked to be short, nor allowed
// to be endless. The error is io.EOF with the last line.
func readLine(b *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := b.ReadSlice('\n')
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
		if len(line) > maxText {
			return nil, fmt.Errorf("the line has more than %d bytes", maxText)
		}
	}
}

func lineText(line []byte) ([]byte, error) {
	var object struct{ Text *string }
	if err := json.Unmarshal(line, &object); err != nil {
		return nil, fmt.Errorf(`want a JSON object with a string "text": %w`, err)
	}
	if object.Text == nil {
		return nil, errors.New(`the object has no "text": rename the field that holds the text`)
	}
	return []byte(*object.Text), nil
}

// headSize is how much of a file is read to tell whether it is text, in bytes.
const headSize = 1 << 16

// readable returns an error if the beginning of the file at path is not text.
func readable(path string) error {
	if kindOf(path) == ".parquet" {
		return readableParquet(path)
	}
	f, err := openPacked(path)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, headSize)
	n, err := io.ReadFull(f, head)
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s is empty", path)
	case err == nil: // there may be more: a character cut in two at the end is no fault
		n -= cut(head[:n])
	case !errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s: %w", path, err)
	}
	if i := invalid(head[:n]); i >= 0 {
		return fmt.Errorf("%s: byte %d is not UTF-8 text: name a text file, or convert it (iconv -t UTF-8)", path, i)
	}
	return nil
}

// invalid returns the place of the first byte that no UTF-8 text has, or -1.
func invalid(text []byte) int {
	if nul := bytes.IndexByte(text, 0); nul >= 0 {
		return nul
	}
	if utf8.Valid(text) {
		return -1
	}
	for i := 0; ; {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
}

// cut returns how many bytes at the end of text begin a character without ending it.
func cut(text []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if tail := text[len(text)-n:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				return n
			}
			break
		}
	}
	return 0
}
