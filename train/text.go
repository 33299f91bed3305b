package train

import (
	"context"
	"fmt"
	"unicode/utf8"

	"quadrant/corpus"
	"quadrant/tokenizer"
)

// Held is text of one kind that is kept from training, to validate by.
type Held struct {
	Name  string
	IDs   []int32
	Bytes int // of the text that IDs[1:] stand for: the first is not predicted
}

// TextLimits bound what [ReadText] reads, in bytes of text over all domains, of which each
// has an equal part.
type TextLimits struct {
	Train, Valid int
	// File, if any, is a folder that tokens to learn from are kept in a file of, rather than in
	// memory: then there may be as many as the disk holds.
	File string `json:"-"`
}

// ReadText reads c document by document, holds out a part (see corpus.Document.Split), and
// turns it all into tokens. Where documents are so few that nothing is held out, it is the
// end of what there is. progress, if any, is told the bytes read so far.
func ReadText(ctx context.Context, c corpus.Corpus, tok tokenizer.Tokenizer, limits TextLimits, progress func(bytes int)) (*Mixture, []Held, error) {
	m := &Mixture{Name: c.Name}
	var held []Held
	domains := c.Domains()
	for _, d := range domains {
		r := textReader{
			tok: tok, train: NewTokens(tok.Vocab()), valid: NewTokens(tok.Vocab()),
			trainRoom: limits.Train / len(domains), validRoom: limits.Valid / len(domains),
		}
		if limits.File != "" {
			var err error
			if r.train, err = NewTokensIn(limits.File, tok.Vocab()); err != nil {
				return nil, nil, err
			}
		}
		m.Domains = append(m.Domains, TextDomain{d.Name, r.train})
		for doc, err := range d.Documents() {
			if err == nil {
				err = ctx.Err()
			}
			if err == nil {
				err = r.add(doc)
			}
			if err != nil {
				return nil, nil, err
			}
			if progress != nil {
				progress(len(doc.Text))
			}
			if r.full() {
				break
			}
		}
		h, err := r.held(d.Name)
		if err != nil {
			return nil, nil, err
		}
		held = append(held, h)
	}
	return m, held, m.Err()
}

// A textReader collects the text of a domain.
type textReader struct {
	tok                  tokenizer.Tokenizer
	train, valid         *Tokens
	trainRoom, validRoom int // bytes that may still be added
	validBytes           int
}

func (r *textReader) full() bool { return r.trainRoom <= 0 && r.validRoom <= 0 }

func (r *textReader) add(d corpus.Document) error {
	train, valid := d.Split()
	if _, err := r.encode(r.train, train, &r.trainRoom); err != nil {
		return fmt.Errorf("train: %s: %w", d.Name, err)
	}
	n, err := r.encode(r.valid, valid, &r.validRoom)
	r.validBytes += n
	if err != nil {
		return fmt.Errorf("train: %s: %w", d.Name, err)
	}
	return nil
}

// encode appends the tokens of as much of text as there is room for, with an end of line,
// and returns its bytes.
func (r *textReader) encode(to *Tokens, text []byte, room *int) (int, error) {
	if len(text) == 0 || *room <= 0 {
		return 0, nil
	}
	if n := *room; n < len(text) {
		for n > 0 && !utf8.RuneStart(text[n]) {
			n--
		}
		text = text[:n]
		*room = 0
	}
	if n := len(text); n > 0 && text[n-1] != '\n' {
		text = append(text[:n:n], '\n')
	}
	*room -= len(text)
	ids, err := r.tok.Encode(string(text))
	to.Append(ids)
	return len(text), err
}

// held is what was kept from training.
func (r *textReader) held(name string) (Held, error) {
	from := r.valid
	if n := r.train.Len(); from.Len() < 2 && n > 20 {
		cut := n - min(int(corpus.HeldOut*float64(n)), max(2, r.validRoom))
		tail := make([]int32, n-cut)
		r.train.Read(tail, cut)
		r.train.cutTo(cut)
		from.Append(tail)
		text, err := r.tok.Decode(tail)
		if err != nil {
			return Held{}, fmt.Errorf("train: %s: %w", name, err)
		}
		r.validBytes += len(text)
	}
	h := Held{Name: name, IDs: make([]int32, from.Len())}
	from.Read(h.IDs, 0)
	if len(h.IDs) > 0 {
		first, err := r.tok.Decode(h.IDs[:1])
		if err != nil {
			return Held{}, fmt.Errorf("train: %s: %w", name, err)
		}
		h.Bytes = r.validBytes - len(first)
	}
	return h, nil
}
