package atomicfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	text := func(s string) func(io.Writer) error {
		return func(w io.Writer) error {
			_, err := io.WriteString(w, s)
			return err
		}
	}
	if err := Write(name, text("one")); err != nil {
		t.Fatal(err)
	}
	if err := Write(name, text("two")); err != nil {
		t.Fatal(err)
	}
	failed := errors.New("failed")
	if err := Write(name, func(w io.Writer) error {
		io.WriteString(w, "three")
		return failed
	}); !errors.Is(err, failed) {
		t.Errorf("error %v, want %v", err, failed)
	}
	if got, err := os.ReadFile(name); err != nil || string(got) != "two" {
		t.Errorf("the file holds %q, %v; want two", got, err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("the folder holds %v, %v; want one file", files, err)
	}
	if err := Write(filepath.Join(dir, "none", "f"), text("x")); err == nil {
		t.Error("writing into a folder that does not exist is no error")
	}
}
