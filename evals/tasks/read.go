package tasks

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Set is the questions of a task, and what they were read from.
type Set struct {
	Task  Task
	Files []string
	Docs  []Doc
}

// Read reads a task's questions from path: a file, or a folder. In a folder they are
// looked for under the names that they are published with, in the folder itself, in one
// with the task's name and below. With an error the set has the files, if they were found,
// and no questions.
func Read(t Task, path string) (Set, error) { return readSplit(t, t.Eval, path) }

// ReadExamples reads what few-shot examples are drawn from.
func ReadExamples(t Task, path string) (Set, error) { return readSplit(t, t.Examples, path) }

func readSplit(t Task, s split, path string) (Set, error) {
	files, err := find(t, s, path)
	if err != nil {
		return Set{}, err
	}
	set := Set{Task: t, Files: files}
	for _, file := range files {
		if err := readFile(file, set.take); err != nil {
			return Set{Task: t, Files: files}, fmt.Errorf("%s: %w", t.Name, err)
		}
	}
	if len(set.Docs) == 0 {
		return set, fmt.Errorf("%s: %s %w", t.Name, files[0], errEmpty)
	}
	return set, nil
}

// take adds the document that a record is.
func (s *Set) take(r record) error {
	d, err := s.Task.read(r)
	if err == nil {
		s.Docs = append(s.Docs, d)
	}
	return err
}

// ErrNoData says that a task's data were not found.
var ErrNoData = errors.New("no data")

// find returns the files of a split.
func find(t Task, s split, path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", t.Name, ErrNoData, err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	for _, dir := range t.folders(path) {
		for _, pattern := range t.patterns(s) {
			files, err := filepath.Glob(filepath.Join(escapeGlob(dir), pattern))
			if err == nil && len(files) > 0 {
				return files, nil
			}
		}
	}
	return nil, fmt.Errorf("%s: %w: the %s split is not in %s: want one of %s there, or below in %s",
		t.Name, ErrNoData, s.name, path, strings.Join(s.files, ", "), t.Name)
}

// patterns are the names of a split's files: those of s, and of parquet files also with the
// data set's name before, as some copies have.
func (t Task) patterns(s split) []string {
	all := slices.Clone(s.files)
	for _, name := range s.files {
		if filepath.Ext(name) == ".parquet" && filepath.Base(name) == name {
			set := filepath.Base(t.DatasetPath)
			all = append(all, set+"_"+name, set+"-"+name)
		}
	}
	return all
}

// folders are where a task's files may lie in dir: first where nothing else can be.
func (t Task) folders(dir string) []string {
	names := []string{t.Name, filepath.Base(t.DatasetPath), filepath.Base(t.DatasetPath) + "_data"}
	if t.DatasetName != "" {
		names = append([]string{filepath.Join(filepath.Base(t.DatasetPath), t.DatasetName), t.DatasetName}, names...)
	}
	var folders []string
	for _, n := range append(names, "") {
		for _, below := range []string{"", "data", "plain_text", "default", t.DatasetName} {
			folder := filepath.Join(dir, n, below)
			if info, err := os.Stat(folder); err == nil && info.IsDir() {
				folders = append(folders, folder)
			}
		}
	}
	return folders
}

// escapeGlob makes a folder's name match itself alone.
func escapeGlob(dir string) string {
	return strings.NewReplacer("*", "[*]", "?", "[?]", "[", "[[]").Replace(dir)
}

// readFile hands each record of a file to take.
func readFile(name string, take func(record) error) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file", name)
	}
	switch filepath.Ext(name) {
	case ".parquet":
		return readParquet(name, f, info.Size(), take)
	case ".jsonl", ".json":
		return readWithLabels(name, f, take)
	}
	return fmt.Errorf("%s: a file of records is .jsonl or .parquet", name)
}

// labelsOf is the file of labels that goes with a file of records, in PIQA's layout:
// valid-labels.lst with valid.jsonl.
func labelsOf(name string) (labels []string, file string, err error) {
	file = strings.TrimSuffix(name, filepath.Ext(name)) + "-labels.lst"
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	return strings.Fields(string(text)), file, err
}
