package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// serveHub serves the repositories in a folder, models/ORG/NAME and datasets/ORG/NAME, to
// the commands that follow. A file named X.wrong is served as X with the hash of another.
func serveHub(ts *testscript.TestScript, _ bool, args []string) {
	root := ts.MkAbs(args[0])
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if repo, ok := strings.CutPrefix(r.URL.Path, "/api/"); ok {
			repo, _, _ = strings.Cut(repo, "/revision/")
			hubListing(w, r, filepath.Join(root, filepath.FromSlash(repo)))
			return
		}
		repo, file, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/resolve/"+hubCommit+"/")
		if !strings.HasPrefix(repo, "datasets/") {
			repo = "models/" + repo
		}
		path := filepath.Join(root, filepath.FromSlash(repo), filepath.FromSlash(file))
		if _, err := os.Stat(path); err != nil {
			path += ".wrong"
		}
		http.ServeFile(w, r, path)
	}))
	ts.Defer(s.Close)
	ts.Setenv("HF_ENDPOINT", s.URL)
	ts.Setenv("HF_HOME", ts.MkAbs("home"))
}

var hubCommit = strings.Repeat("ab", 20)

func hubListing(w http.ResponseWriter, r *http.Request, dir string) {
	var siblings []map[string]any
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		name, wrong := strings.CutSuffix(path, ".wrong")
		sum := sha256.Sum256(data)
		if wrong {
			sum = sha256.Sum256(nil)
		}
		rel, _ := filepath.Rel(dir, name)
		lfs := map[string]any{"sha256": hex.EncodeToString(sum[:]), "size": len(data)}
		siblings = append(siblings, map[string]any{"rfilename": filepath.ToSlash(rel), "lfs": lfs})
		return err
	})
	if err != nil {
		http.NotFound(w, r)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"sha": hubCommit, "siblings": siblings})
}
