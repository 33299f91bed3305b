package corpus

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Open returns the corpus of the files, folders and patterns (such as data/*.txt) at
// paths. A folder stands for all files below it, those with hidden names left out. A
// .jsonl file has a document per line, an object whose "text" is a string, and a .parquet
// file one per row, in its column "text"; any other file is one document of UTF-8 text.
// Files that end in .gz or .zst are what they hold. Of folders and patterns, other files are skipped
// and counted; one that is named itself is an error.
func Open(paths ...string) (Corpus, error) {
	o := opener{seen: map[string]bool{}}
	for _, path := range paths {
		if err := o.open(path); err != nil {
			return Corpus{}, fmt.Errorf("corpus: %w", err)
		}
	}
	switch {
	case len(paths) == 0:
		return Corpus{}, fmt.Errorf("corpus: no path was given: name a file, a folder or a pattern")
	case len(o.files) == 0:
		return Corpus{}, fmt.Errorf("corpus: %s: no UTF-8 text found, %d other files skipped: name text files or a folder of them", strings.Join(paths, ", "), o.skipped)
	}
	return Corpus{Name: label(paths), Skipped: o.skipped, files: o.files}, nil
}

// label names a corpus after its first path, and says how many more there are.
func label(paths []string) string {
	name := filepath.Base(paths[0])
	if absolute, err := filepath.Abs(paths[0]); err == nil {
		name = filepath.Base(absolute) // not "." or ".."
	}
	if n := len(paths) - 1; n > 0 {
		name += fmt.Sprintf("+%d", n)
	}
	return name
}

// An opener collects files, each once.
type opener struct {
	files   []file
	skipped int
	seen    map[string]bool
}

func (o *opener) open(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil && strings.ContainsAny(path, "*?["):
		return o.pattern(path)
	case err != nil:
		return fmt.Errorf("%w: check the path", err)
	case info.IsDir():
		return o.folder(path)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file (%s)", path, info.Mode())
	}
	if err := readable(path); err != nil {
		return err
	}
	o.add(path, filepath.Base(path))
	return nil
}

func (o *opener) pattern(pattern string) error {
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return fmt.Errorf("%s: %w", pattern, err)
	}
	if len(paths) == 0 {
		return fmt.Errorf("%s matches no file: check the pattern", pattern)
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			return err
		case info.IsDir():
			err = o.folder(path)
		default:
			o.consider(path, filepath.Base(path))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (o *opener) folder(root string) error {
	root, err := filepath.EvalSymlinks(root) // WalkDir follows none
	if err != nil {
		return err
	}
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path != root && strings.HasPrefix(entry.Name(), ".") {
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if entry.Type().IsRegular() {
			below, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			o.consider(path, below)
		}
		return nil
	})
}

// consider adds a file if it has text.
func (o *opener) consider(path, name string) {
	if readable(path) != nil {
		o.skipped++
		return
	}
	o.add(path, name)
}

func (o *opener) add(path, name string) {
	key := filepath.Clean(path)
	if absolute, err := filepath.Abs(path); err == nil {
		key = absolute
	}
	if !o.seen[key] {
		o.seen[key] = true
		o.files = append(o.files, file{path, filepath.ToSlash(name), kindOf(path)})
	}
}
