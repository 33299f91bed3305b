// Package corpus finds text to train and evaluate on, and reads it document by document
// in an order that is the same on every machine. [Default] needs no download: it is text
// that comes with Go.
package corpus

import (
	"fmt"
	"iter"
)

// A Document is one text.
type Document struct {
	Name string // path below what was opened; with the line number in a .jsonl file
	Text []byte // UTF-8
}

// A Corpus is a list of files with text. Files are read when their documents are asked
// for; they must not change until then.
type Corpus struct {
	Name    string // short label, for results
	Skipped int    // files found in folders or by patterns that are empty or no UTF-8 text

	files []file
	equal bool // its kinds are domains, of which training reads equal shares
}

// A file is where documents come from.
type file struct {
	path string
	name string // the path below what was opened, with slashes
	kind string // extension without that of its packing, in lower case: what documents are mixed by
}

// Files is the number of files with text.
func (c Corpus) Files() int { return len(c.files) }

// Documents returns the documents in the order in which their files were named, those of
// a folder sorted name by name. It ends after the first error, which names the file.
func (c Corpus) Documents() iter.Seq2[Document, error] { return documents(c.files) }

func documents(files []file) iter.Seq2[Document, error] {
	return func(yield func(Document, error) bool) {
		for _, f := range files {
			for d, err := range f.documents() {
				if err != nil {
					yield(Document{}, fmt.Errorf("corpus: %w", err))
					return
				}
				if !yield(d, nil) {
					return
				}
			}
		}
	}
}
