package cuda_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The PTX that is built in is what build.sh made of the sources beside it. This needs no
// compiler: it compares hashes. CI also runs "build.sh check", which compiles.
func TestPTXIsOfTheseSources(t *testing.T) {
	manifest, err := os.ReadFile("kern/manifest.txt")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for line := range strings.Lines(string(manifest)) {
		if hash, name, ok := strings.Cut(strings.TrimSpace(line), " "); ok && len(hash) == 64 {
			listed[name] = hash
		}
	}
	var files []string
	for _, pattern := range []string{"*.h", "*.cu", "*.ptx"} {
		found, err := filepath.Glob("kern/" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(path)
		if got := fmt.Sprintf("%x", sha256.Sum256(data)); got != listed[name] {
			t.Errorf("%s has hash %.12s and the manifest %.12s: run kern/build.sh", name, got, listed[name])
		}
		delete(listed, name)
	}
	for name := range listed {
		t.Errorf("the manifest lists %s, which is not here: run kern/build.sh", name)
	}
}
