package corpus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	opticks = "src/testdata/Isaac.Newton-Opticks.txt"
	maxGo   = 256 << 10 // bytes; longer Go files are tables of numbers
	remedy  = "install Go (https://go.dev/dl), set GOROOT to where it is, or open text files of your own"
)

// Default returns the corpus that comes with every Go toolchain: Newton's Opticks
// (English, 567 kB) and the Go source of the standard library (about 40 MB in Go 1.26;
// without vendored and test data folders and files of more than 256 KiB). Its name
// includes the version, as the text differs between versions.
//
// The toolchain is found by running go env GOROOT, or else by $GOROOT.
func Default(ctx context.Context) (Corpus, error) {
	root, err := goroot(ctx)
	if err != nil {
		return Corpus{}, fmt.Errorf("corpus: no Go toolchain found: %w: %s", err, remedy)
	}
	return toolchain(root)
}

// goroot returns the folder of the Go toolchain.
func goroot(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "env", "GOROOT")
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN=local") // never download another
	out, err := cmd.Output()
	if root := strings.TrimSpace(string(out)); err == nil && root != "" {
		return root, nil
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if root := os.Getenv("GOROOT"); root != "" {
		return root, nil
	}
	if err == nil {
		err = errors.New("go env GOROOT is empty")
	}
	return "", fmt.Errorf("go env GOROOT: %w; $GOROOT is not set", err)
}

// toolchain returns the corpus of the Go toolchain in root.
func toolchain(root string) (Corpus, error) {
	c := Corpus{Name: "go-toolchain" + version(root)}
	c.files = []file{{filepath.Join(root, filepath.FromSlash(opticks)), opticks, ".txt"}}
	if _, err := os.Stat(c.files[0].path); err != nil {
		return Corpus{}, fmt.Errorf("corpus: the Go toolchain lacks a file: %w: %s", err, remedy)
	}
	src, err := filepath.EvalSymlinks(filepath.Join(root, "src")) // Debian's is a link
	if err != nil {
		return Corpus{}, fmt.Errorf("corpus: %w: %s", err, remedy)
	}
	err = filepath.WalkDir(src, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if name == "testdata" || name == "vendor" || path == filepath.Join(src, "cmd") {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" || !entry.Type().IsRegular() {
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		below, err := filepath.Rel(src, path)
		if err == nil && 0 < info.Size() && info.Size() <= maxGo {
			c.files = append(c.files, file{path, "src/" + filepath.ToSlash(below), ".go"})
		}
		return err
	})
	if err == nil && len(c.files) == 1 {
		err = fmt.Errorf("%s has no Go source", src)
	}
	if err != nil {
		return Corpus{}, fmt.Errorf("corpus: %w: %s", err, remedy)
	}
	return c, nil
}

// version returns "-1.26.8", or nothing for a toolchain built from a working tree.
func version(root string) string {
	text, err := os.ReadFile(filepath.Join(root, "VERSION"))
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if number, ok := strings.CutPrefix(strings.TrimSpace(line), "go"); ok {
		return "-" + number
	}
	return ""
}
