package corpus

import (
	"context"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestDefault(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs the go command, which finds the default corpus: none is on the path")
	}
	c, err := Default(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(c.Name, "go-toolchain") || c.Files() < 2000 {
		t.Errorf("%s has %d files", c.Name, c.Files())
	}
	text := take(t, c, 256<<10)
	english := strings.Count(text, "the ") // of which code has few
	if len(text) != 256<<10 || english < 500 || strings.Count(text, "\treturn") < 100 {
		t.Errorf("%d bytes have %d times 'the' and %d times 'return', want English and code", len(text), english, strings.Count(text, "\treturn "))
	}
	names := []string{}
	for _, f := range c.files {
		names = append(names, f.name)
	}
	if names[0] != opticks || !slices.Contains(names, "src/fmt/print.go") {
		t.Errorf("%d files begin with %q", len(names), names[:3])
	}
	for _, name := range names[1:] {
		if strings.Contains(name, "/testdata/") || strings.Contains(name, "/vendor/") || strings.HasPrefix(name, "src/cmd/") {
			t.Errorf("%s is in the corpus", name)
		}
	}
}

func TestToolchain(t *testing.T) {
	files := map[string]string{
		"VERSION":                "go1.99.1\ntime now\n",
		opticks:                  "Light.\n",
		"src/b/b.go":             "package b\n",
		"src/a.go":               "package a\n",
		"src/a.s":                "TEXT\n",
		"src/cmd/go/main.go":     "package main\n",
		"src/b/testdata/x.go":    "package x\n",
		"src/vendor/v/v.go":      "package v\n",
		"src/b/cmd/c.go":         "package c\n",
		"src/b/large.go":         strings.Repeat("/", maxGo+1),
		"src/b/empty.go":         "",
		"src/b/internal/i/i.txt": "i",
	}
	c, err := toolchain(folder(t, files))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{opticks + "=Light.\n", "src/a.go=package a\n", "src/b/b.go=package b\n", "src/b/cmd/c.go=package c\n"}
	if got := all(t, c); c.Name != "go-toolchain-1.99.1" || !slices.Equal(got, want) {
		t.Errorf("%s has %q, want %q", c.Name, got, want)
	}

	_, err = toolchain(folder(t, map[string]string{"src/a.go": "a"}))
	wantError(t, err, "the Go toolchain lacks a file")
	wantError(t, err, "set GOROOT to where it is, or open text files of your own")
	_, err = toolchain(folder(t, map[string]string{opticks: "a"}))
	wantError(t, err, "src has no Go source: install Go")
}

func TestDefaultWithoutGo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("GOROOT", "")
	_, err := Default(t.Context())
	wantError(t, err, "no Go toolchain found: go env GOROOT: ")
	wantError(t, err, "$GOROOT is not set: install Go")

	root := folder(t, map[string]string{opticks: "a", "src/a.go": "a"})
	t.Setenv("GOROOT", root)
	c, err := Default(t.Context())
	if err != nil || c.Name != "go-toolchain" || c.files[0].path != filepath.Join(root, filepath.FromSlash(opticks)) {
		t.Errorf("got %+v, %v", c, err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Default(ctx)
	wantError(t, err, "context canceled")
}
