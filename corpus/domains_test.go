package corpus

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestMix(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs the go command, which finds the default corpus: none is on the path")
	}
	c, err := Mix(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(c.Name, "go-mix") {
		t.Errorf("its name is %s", c.Name)
	}
	domains := c.Domains()
	if len(domains) != 4 {
		t.Fatalf("%d domains, want 4", len(domains))
	}
	for i, want := range []struct {
		name  string
		least int // bytes
	}{{"txt", 500_000}, {"comments", 1_000_000}, {"go", 5_000_000}, {"arithmetic", 1_000_000}} {
		d := domains[i]
		train, valid := 0, 0
		for doc, err := range d.Documents() {
			if err != nil {
				t.Fatal(err)
			}
			a, b := doc.Split()
			train, valid = train+len(a), valid+len(b)
			if !utf8.Valid(a) || !utf8.Valid(b) {
				t.Errorf("%s is cut within a character", doc.Name)
			}
			if train > want.least {
				break
			}
		}
		share := float64(valid) / float64(train+valid)
		if d.Name != want.name || train+valid < want.least || share < 0.01 || share > 0.12 {
			t.Errorf("domain %s has %d bytes and more, %.3f of them held out; want %s, %d and about 0.05", d.Name, train+valid, share, want.name, want.least)
		}
	}
}

// Of documents, about a twentieth is held out: of many short ones whole ones, of a long one
// its end, from the beginning of a line on.
func TestSplit(t *testing.T) {
	out := 0
	for i := range 2000 {
		train, valid := Document{fmt.Sprint(i), []byte("text")}.Split()
		if len(train)+len(valid) != 4 || len(train)*len(valid) != 0 {
			t.Fatalf("a short document is cut into %q and %q", train, valid)
		}
		out += len(valid) / 4
	}
	if out < 60 || out > 140 {
		t.Errorf("%d of 2000 documents are held out, want about 100", out)
	}
	long := strings.Repeat("a line of text\n", 40_000)
	train, valid := Document{"book", []byte(long)}.Split()
	if string(train)+string(valid) != long || train[len(train)-1] != '\n' || len(valid) < 29_900 || len(valid) > 30_000 {
		t.Errorf("a long document is cut into %d and %d bytes", len(train), len(valid))
	}
	train, valid = Document{"line", []byte(strings.Repeat("é", 100_000))}.Split()
	if !utf8.Valid(train) || len(valid) < 9_990 {
		t.Errorf("a document without lines is cut into %d and %d bytes", len(train), len(valid))
	}
}

func TestCommentText(t *testing.T) {
	got := string(commentText([]byte("// Copyright 2009\n\npackage a // a package\n\n//go:noinline\n/* more\n   lines */\nvar s = \"// none\"\n//\t\tcode\n")))
	if want := "a package\nmore\n   lines\n\t\tcode\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := commentText([]byte("\x00 no Go {{ `")); len(got) != 0 {
		t.Errorf("no Go has the comments %q", got)
	}
}

func TestSums(t *testing.T) {
	for d := range (file{name: "arithmetic/000", kind: kindSums}).documents() {
		lines := strings.Split(strings.TrimSpace(string(d.Text)), "\n")
		if len(lines) != sumLines {
			t.Fatalf("%d lines, want %d", len(lines), sumLines)
		}
		for _, line := range lines {
			var x, y, z int
			if n, err := fmt.Sscanf(line, "%d+%d=%d", &x, &y, &z); n != 3 || err != nil {
				y = 0
				if n, err := fmt.Sscanf(line, "%d-%d=%d", &x, &y, &z); n != 3 || err != nil {
					t.Fatal(line, err)
				}
				y = -y
			}
			if x+y != z || z < 0 {
				t.Error(line)
			}
		}
	}
}
