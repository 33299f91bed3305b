package corpus

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"go/scanner"
	"go/token"
	"iter"
	"math/rand/v2"
	"strings"
)

// Kinds of file that are made rather than read.
const (
	kindComments = "comments"
	kindSums     = "arithmetic"
)

// Mix returns a corpus of several domains, so that models have something to tell apart and
// routers something to specialise on: Newton's Opticks, Go source, the comments of other Go
// source as English about programs, and sums. All but the sums, which are generated, is the
// text of [Default].
func Mix(ctx context.Context) (Corpus, error) {
	c, err := Default(ctx)
	if err != nil {
		return Corpus{}, err
	}
	c.Name = "go-mix" + strings.TrimPrefix(c.Name, "go-toolchain")
	for i, f := range c.files {
		if f.kind == ".go" && sha256.Sum256([]byte(f.name))[31]%2 == 0 {
			c.files[i].kind = kindComments
		}
	}
	for i := range sumDocuments {
		c.files = append(c.files, file{name: fmt.Sprintf("arithmetic/%03d", i), kind: kindSums})
	}
	c.equal = true
	return c, nil
}

// A Domain is the documents of one kind of a corpus.
type Domain struct {
	Name  string // "go" for files in .go
	files []file
}

// Domains returns the corpus by kinds of text, if it was made to be read as such, and
// otherwise all of it as one. The documents of a domain come in a shuffled order, always
// the same.
func (c Corpus) Domains() []Domain {
	if !c.equal {
		var all []file
		for _, files := range c.kinds() {
			all = append(all, files...)
		}
		byHash(all)
		return []Domain{{c.Name, all}}
	}
	var domains []Domain
	for _, files := range c.kinds() {
		domains = append(domains, Domain{strings.TrimPrefix(files[0].kind, "."), files})
	}
	return domains
}

// Documents returns the documents of the domain. It ends after the first error, which names
// the file.
func (d Domain) Documents() iter.Seq2[Document, error] { return documents(d.files) }

// HeldOut is the share of a corpus that is kept from training.
const HeldOut = 0.05

// longDocument is the bytes from which on a document is divided between training and
// validation, rather than being wholly of one: a corpus may be a single book.
const longDocument = 20 * pieceSize

// Split divides a document between training and validation: the last [HeldOut] of a long
// one, from the beginning of a line on, and of short ones a share of HeldOut, chosen by
// their names. Either part may be empty.
func (d Document) Split() (train, valid []byte) {
	if len(d.Text) >= longDocument {
		at := len(d.Text) - int(HeldOut*float64(len(d.Text)))
		at += bytes.IndexByte(d.Text[at:], '\n') + 1
		at -= cut(d.Text[:at]) // where there is no end of line: not within a character
		return d.Text[:at], d.Text[at:]
	}
	sum := sha256.Sum256([]byte("validation " + d.Name))
	if float64(binary.LittleEndian.Uint32(sum[:])) < HeldOut*(1<<32) {
		return nil, d.Text
	}
	return d.Text, nil
}

// comments yields the comments of a Go file as one document, as text: without the marks
// that make them comments.
func (f file) comments(yield func(Document, error) bool) {
	text, err := f.text()
	if err != nil {
		yield(Document{}, err)
		return
	}
	yield(Document{f.name, commentText(text)}, nil)
}

func commentText(source []byte) []byte {
	var out []byte
	files := token.NewFileSet()
	var s scanner.Scanner
	s.Init(files.AddFile("", -1, len(source)), source, func(token.Position, string) {}, scanner.ScanComments)
	for {
		_, kind, text := s.Scan()
		switch {
		case kind == token.EOF:
			return out
		case kind != token.COMMENT || strings.HasPrefix(text, "//go:"):
		case strings.HasPrefix(text, "// Copyright"), strings.HasPrefix(text, "// Use of this source"), strings.HasPrefix(text, "// license that can"):
		case strings.HasPrefix(text, "//"):
			out = append(append(out, strings.TrimPrefix(text[2:], " ")...), '\n')
		default:
			out = append(append(out, strings.TrimSpace(text[2:len(text)-2])...), '\n')
		}
	}
}

// The documents of sums: a mebibyte in all, so that a short run sees few twice.
const (
	sumDocuments = 128
	sumLines     = 700
)

// sums yields a document of lines such as "407+25=432", drawn from its name.
func (f file) sums(yield func(Document, error) bool) {
	r := rand.New(rand.NewChaCha8(sha256.Sum256([]byte(f.name))))
	var b bytes.Buffer
	for range sumLines {
		x, y := r.IntN(1000), r.IntN(1000)
		if r.IntN(2) == 0 {
			fmt.Fprintf(&b, "%d+%d=%d\n", x, y, x+y)
		} else {
			fmt.Fprintf(&b, "%d-%d=%d\n", max(x, y), min(x, y), max(x, y)-min(x, y))
		}
	}
	yield(Document{f.name, b.Bytes()}, nil)
}
