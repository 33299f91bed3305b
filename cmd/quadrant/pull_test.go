package main

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// hubServer is a hub with one small model.
func hubServer(t *testing.T) {
	files := map[string]string{"config.json": "{}", "model.safetensors": "weights"}
	commit := strings.Repeat("ab", 20)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/models/org/model/revision/main") {
			var siblings []map[string]any
			for name, text := range files {
				h := sha1.New()
				fmt.Fprintf(h, "blob %d\x00%s", len(text), text)
				siblings = append(siblings, map[string]any{"rfilename": name, "size": len(text), "blobId": hex.EncodeToString(h.Sum(nil))})
			}
			json.NewEncoder(w).Encode(map[string]any{"sha": commit, "siblings": siblings})
			return
		}
		text, ok := files[filepath.Base(r.URL.Path)]
		if !ok {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, text)
	}))
	t.Cleanup(s.Close)
	t.Setenv("HF_ENDPOINT", s.URL)
	t.Setenv("HF_TOKEN", "")
	t.Setenv("HF_HUB_CACHE", t.TempDir())
}

func TestPull(t *testing.T) {
	hubServer(t)
	to := t.TempDir()
	var stdout, stderr strings.Builder
	for _, args := range [][]string{{"pull", "org/model"}, {"pull", "org/model@main", "--to", to}} {
		stdout.Reset()
		if code := run(context.Background(), args, &stdout, &stderr); code != exitOK {
			t.Fatalf("%v: exit code %d: %s", args, code, &stderr)
		}
		dir := strings.TrimSpace(stdout.String())
		if text, err := os.ReadFile(filepath.Join(dir, "model.safetensors")); err != nil || string(text) != "weights" {
			t.Errorf("%v: the weights in %s are %q (%v)", args, dir, text, err)
		}
	}
	for _, c := range []struct {
		args string
		code int
		err  string
	}{
		{"pull", exitMisuse, "accepts 1 arg"},
		{"pull model", exitMisuse, `"model" is no model: want ORG/NAME`},
		{"pull org/other", exitFailed, "404"},
	} {
		stderr.Reset()
		if code := run(context.Background(), strings.Fields(c.args), &stdout, &stderr); code != c.code || !strings.Contains(stderr.String(), c.err) {
			t.Errorf("%s: exit code %d, %q; want %d with %q", c.args, code, &stderr, c.code, c.err)
		}
	}
	t.Setenv("HF_ENDPOINT", "nonsense")
	if code := run(context.Background(), []string{"pull", "org/model"}, &stdout, &stderr); code != exitMisuse {
		t.Errorf("a bad HF_ENDPOINT: exit code %d", code)
	}
}

// An interrupt ends generation with what has been written until then.
func TestGenerateInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	out := &cancelAfter{n: 3, cancel: cancel}
	var stderr strings.Builder
	code := run(ctx, strings.Fields("generate --model tiny-mamba --prompt abc --max-tokens 5000 --stream"), out, &stderr)
	if code != exitFailed || !strings.Contains(stderr.String(), "interrupted after ") || !strings.Contains(stderr.String(), "tokens/s") {
		t.Errorf("exit code %d: %s", code, &stderr)
	}
	if !strings.HasSuffix(out.text.String(), "\n") {
		t.Errorf("the text %q does not end its line", out.text.String())
	}
}

// A cancelAfter cancels at the nth write.
type cancelAfter struct {
	text   strings.Builder
	n      int
	cancel func()
}

func (w *cancelAfter) Write(p []byte) (int, error) {
	if w.n--; w.n == 0 {
		w.cancel()
	}
	return w.text.Write(p)
}
