package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var ref = Ref{"Org", "model", "main"}

const size = 300_000

// wantFolder compares a folder with what the server has, and finds nothing else in it.
func wantFolder(t *testing.T, s *server, dir string, names ...string) {
	t.Helper()
	var got []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		name := filepath.ToSlash(rel)
		got = append(got, name)
		data, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(data, s.files[name]) {
			t.Errorf("%s has %d bytes (%v), want the server's %d", name, len(data), err, len(s.files[name]))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	if !slices.Equal(got, names) {
		t.Errorf("the folder holds %v, want %v", got, names)
	}
}

var plain = []string{"config.json", "model.safetensors", "tokenizer.json"}

func TestPull(t *testing.T) {
	s := newServer(t, size)
	c := s.client(t)
	var last, total int64
	c.Progress = func(done, all int64) {
		if done < last {
			t.Errorf("progress goes from %d back to %d", last, done)
		}
		last, total = done, all
	}
	dir, err := c.Pull(context.Background(), ref, "")
	if err != nil {
		t.Fatal(err)
	}
	wantFolder(t, s, dir, plain...)
	if want := filepath.Join(os.Getenv("HF_HOME"), "hub", "models--Org--model", "snapshots", s.commit); dir != want {
		t.Errorf("pulled to %s, want %s", dir, want)
	}
	if last != total || total < size {
		t.Errorf("progress ended at %d of %d", last, total)
	}
	if target, err := os.Readlink(filepath.Join(dir, "model.safetensors")); err != nil || target != filepath.Join("..", "..", "blobs", sha(content(size))) {
		t.Errorf("the weights are a link to %q (%v)", target, err)
	}
	for _, name := range []string{"Org/model", "Org/model@main", "Org/model@" + s.commit} {
		if found, err := Find(name); err != nil || found != dir {
			t.Errorf("%s is found at %q (%v), want %s", name, found, err, dir)
		}
	}
	if !slices.Equal(slices.Compact(slices.Clone(s.auth)), []string{"Bearer secret"}) {
		t.Errorf("authorization was %q", s.auth)
	}
	// Again: everything is there.
	last = 0
	if _, err := c.Pull(context.Background(), ref, ""); err != nil {
		t.Fatal(err)
	}
	if n := len(s.of("model.safetensors")); n != 1 {
		t.Errorf("the weights were downloaded %d times", n)
	}
}

func TestPullToFolder(t *testing.T) {
	s := newServer(t, size)
	dir := filepath.Join(t.TempDir(), "a", "b")
	got, err := s.client(t).Pull(context.Background(), ref, dir)
	if err != nil || got != dir {
		t.Fatalf("pulled to %s, %v", got, err)
	}
	wantFolder(t, s, dir, plain...)
	// A file that was changed is downloaded again.
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"model_type": "mambo"}`), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client(t).Pull(context.Background(), ref, dir); err != nil {
		t.Fatal(err)
	}
	wantFolder(t, s, dir, plain...)
	if _, err := Find("Org/model"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "quadrant pull Org/model@main") {
		t.Errorf("Find of what is not in the cache: %v", err)
	}
}

func TestForms(t *testing.T) {
	index := func(names ...string) []byte {
		m := make(map[string]string)
		for i, name := range names {
			m[fmt.Sprint("tensor", i)] = name
		}
		data, _ := json.Marshal(map[string]any{"weight_map": m})
		return data
	}
	for name, c := range map[string]struct {
		files map[string][]byte
		want  []string
		err   string
	}{
		"bin": {files: map[string][]byte{"pytorch_model.bin": content(9)}, want: []string{"pytorch_model.bin"}},
		"shards": {files: map[string][]byte{
			"model.safetensors.index.json": index("a.safetensors", "b/c.safetensors", "a.safetensors"), "a.safetensors": content(10), "b/c.safetensors": content(20),
			"pytorch_model.bin": nil, "d.safetensors": nil,
		}, want: []string{"model.safetensors.index.json", "a.safetensors", "b/c.safetensors"}},
		"own name":      {files: map[string][]byte{"weights.safetensors": content(9), "x/y.safetensors": nil}, want: []string{"weights.safetensors"}},
		"none":          {files: map[string][]byte{"weights.gguf": nil}, err: "no weights in a format that is known: want one of model.safetensors, pytorch_model.bin or their index.json among config.json, weights.gguf"},
		"shard missing": {files: map[string][]byte{"model.safetensors.index.json": index("a.safetensors")}, err: `names the file "a.safetensors", which the hub does not list`},
		"shard outside": {files: map[string][]byte{"model.safetensors.index.json": index("../../a")}, err: `names the file "../../a"`},
		"empty index":   {files: map[string][]byte{"model.safetensors.index.json": index()}, err: "names no files"},
		"broken index":  {files: map[string][]byte{"pytorch_model.bin.index.json": []byte("{")}, err: "pytorch_model.bin.index.json"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, size)
			c.files["config.json"] = []byte("{}")
			s.files = c.files
			dir, err := s.client(t).Pull(context.Background(), ref, "")
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			wantFolder(t, s, dir, append(c.want, "config.json")...)
		})
	}
}

// A connection that breaks again and again is resumed from where it broke.
func TestResume(t *testing.T) {
	s := newServer(t, size)
	broken := 0
	s.bad = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, ".safetensors") || broken == 4 {
			return false
		}
		var from int
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
		broken++
		body := content(size)[from:]
		header := map[string]string{"Content-Length": strconv.Itoa(len(body))}
		status := 200
		if from > 0 {
			status = 206
			header["Content-Range"] = fmt.Sprintf("bytes %d-%d/%d", from, size-1, size)
		}
		cutOff(w, status, header, body[:10_000])
		return true
	}
	dir, err := s.client(t).Pull(context.Background(), ref, "")
	if err != nil {
		t.Fatal(err)
	}
	wantFolder(t, s, dir, plain...)
	path := "GET /Org/model/resolve/" + s.commit + "/model.safetensors"
	want := []string{path, path + " bytes=10000-", path + " bytes=20000-", path + " bytes=30000-", path + " bytes=40000-"}
	if got := s.of("model.safetensors"); !slices.Equal(got, want) {
		t.Errorf("requests %q, want %q", got, want)
	}
}

// What one Pull left is gone on from by the next; a server that cannot resume, and a part
// that is not the beginning of the file, only take longer.
func TestResumeLater(t *testing.T) {
	for name, c := range map[string]struct {
		part    []byte
		noRange bool
		want    []string // ranges asked for
	}{
		"part":                  {part: content(size)[:1000], want: []string{"bytes=1000-"}},
		"whole part":            {part: content(size)},
		"server starts over":    {part: content(size)[:1000], noRange: true, want: []string{"bytes=1000-"}},
		"part is of another":    {part: []byte("something else"), want: []string{"bytes=14-", ""}},
		"part is too long":      {part: make([]byte, size+1), want: []string{""}},
		"whole part, but wrong": {part: make([]byte, size), want: []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, size)
			client := s.client(t)
			place := folder{client.Cache, repo{models, ref}}.blob(sha(content(size)))
			if err := os.MkdirAll(filepath.Dir(place), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(partName(place, sha(content(size))), c.part, 0o666); err != nil {
				t.Fatal(err)
			}
			s.bad = func(w http.ResponseWriter, r *http.Request) bool {
				if c.noRange {
					r.Header.Del("Range")
				}
				return false
			}
			dir, err := client.Pull(context.Background(), ref, "")
			if err != nil {
				t.Fatal(err)
			}
			wantFolder(t, s, dir, plain...)
			var ranges []string
			for _, r := range s.of("model.safetensors") {
				ranges = append(ranges, strings.TrimSpace(strings.TrimPrefix(r, "GET /Org/model/resolve/"+s.commit+"/model.safetensors")))
			}
			if !slices.Equal(ranges, c.want) {
				t.Errorf("ranges asked for: %q, want %q", ranges, c.want)
			}
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(place), "*incomplete*")); len(left) > 0 {
				t.Errorf("%v was left", left)
			}
		})
	}
}

// A server that fails for a while is asked again, one that fails for good is not.
func TestStatus(t *testing.T) {
	for _, c := range []struct {
		status, times int // times that it fails
		requests      int
		err           string
	}{
		{500, 3, 4, ""}, {503, 1, 2, ""}, {429, 2, 3, ""},
		{500, 1000, 6, "gave up after 6 attempts"},
		{429, 1000, 6, "status 429 Too Many Requests"},
		{401, 1000, 1, "set HF_TOKEN"}, {403, 1000, 1, "licence"}, {404, 1000, 1, "no such model, revision or file"}, {418, 1000, 1, "status 418"},
	} {
		for _, path := range []string{"/api/models/", "model.safetensors"} {
			s := newServer(t, size)
			failed := 0
			s.bad = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, path) || failed == c.times {
					return false
				}
				failed++
				w.WriteHeader(c.status)
				return true
			}
			_, err := s.client(t).Pull(context.Background(), ref, "")
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("status %d for %s, %d times: error %v, want %q", c.status, path, c.times, err, c.err)
			}
			n := 0
			for _, r := range s.requests {
				if strings.Contains(r, path) {
					n++
				}
			}
			if n != c.requests {
				t.Errorf("status %d for %s, %d times: %d requests, want %d", c.status, path, c.times, n, c.requests)
			}
			if _, err := Find("Org/model"); c.err != "" && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("status %d for %s: the model is found in the cache: %v", c.status, path, err)
			}
		}
	}
}

func TestRetryAfter(t *testing.T) {
	s := newServer(t, size)
	failed := false
	s.bad = func(w http.ResponseWriter, _ *http.Request) bool {
		if failed {
			return false
		}
		failed = true
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	}
	start := time.Now()
	if _, err := s.client(t).Pull(context.Background(), ref, ""); err != nil {
		t.Fatal(err)
	}
	if waited := time.Since(start); waited < time.Second {
		t.Errorf("waited %v, but the server asked for a second", waited)
	}
}

// Weights that are not what the hub says are never placed.
func TestLies(t *testing.T) {
	weights := func(answer func(w http.ResponseWriter)) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, ".safetensors") {
				return false
			}
			answer(w)
			return true
		}
	}
	lfs := func(key string, v any) func(string, map[string]any) {
		return func(name string, entry map[string]any) {
			if l, ok := entry["lfs"].(map[string]any); ok && name == "model.safetensors" {
				l[key] = v
			}
		}
	}
	for name, c := range map[string]struct {
		bad    func(http.ResponseWriter, *http.Request) bool
		listed func(string, map[string]any)
		err    string
	}{
		"longer, and says so": {bad: weights(func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", strconv.Itoa(size+1))
			w.Write(content(size + 1))
		}), err: "listing says 300000"},
		"longer, without length": {bad: weights(func(w http.ResponseWriter) {
			cutOff(w, 200, map[string]string{"Connection": "close"}, content(size+1))
		}), err: "sends more than the 300000 bytes"},
		"shorter, without length": {bad: weights(func(w http.ResponseWriter) {
			cutOff(w, 200, map[string]string{"Connection": "close"}, content(size-1))
		}), err: "gave up after 6 attempts"},
		"other content": {bad: weights(func(w http.ResponseWriter) { w.Write(make([]byte, size)) }), err: "but the hub says"},
		"wrong range": {bad: weights(func(w http.ResponseWriter) {
			w.Header().Set("Content-Range", "bytes 5-299999/300000")
			w.WriteHeader(http.StatusPartialContent)
		}), err: `with the range "bytes 5-299999/300000"`},
		"listed as smaller":        {listed: lfs("size", size-1), err: "listing says 299999"},
		"listed as larger":         {listed: lfs("size", int64(1)<<60), err: "listing says 1152921504606846976"},
		"listed with no digest":    {listed: lfs("sha256", "../../../etc/passwd"), err: "neither SHA-256 nor SHA-1"},
		"listed with other digest": {listed: lfs("sha256", strings.Repeat("ab", 32)), err: "but the hub says abab"},
		"name goes up":             {listed: func(_ string, e map[string]any) { e["rfilename"] = "../evil" }, err: `"../evil": the name is refused`},
		"name is absolute":         {listed: func(_ string, e map[string]any) { e["rfilename"] = "/etc/passwd" }, err: "the name is refused"},
		"name goes up inside":      {listed: func(_ string, e map[string]any) { e["rfilename"] = "a/../../b" }, err: "the name is refused"},
		"name of Windows":          {listed: func(_ string, e map[string]any) { e["rfilename"] = `..\evil` }, err: "the name is refused"},
		"listing is no JSON": {bad: func(w http.ResponseWriter, r *http.Request) bool {
			w.Write([]byte("<html>"))
			return true
		}, err: "not what a hub says"},
		"commit goes up": {bad: func(w http.ResponseWriter, r *http.Request) bool {
			w.Write([]byte(`{"sha": "../../x", "siblings": []}`))
			return true
		}, err: `commit "../../x"`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, size)
			s.bad, s.listed = c.bad, c.listed
			client := s.client(t)
			dir, err := client.Pull(context.Background(), ref, "")
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Fatalf("pulled to %q, error %v, want %q", dir, err, c.err)
			}
			filepath.WalkDir(client.Cache, func(path string, d fs.DirEntry, err error) error {
				if err == nil && !d.IsDir() && strings.Contains(path, "snapshots") {
					t.Errorf("%s was placed", path)
				}
				return nil
			})
		})
	}
}

// Large files are elsewhere: the request goes there, the token does not.
func TestRedirect(t *testing.T) {
	s := newServer(t, size)
	var token []string
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token = append(token, r.Header.Get("Authorization"))
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content(size)))
	}))
	defer store.Close()
	s.bad = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, ".safetensors") {
			return false
		}
		w.Header().Set("X-Linked-Etag", `"`+sha(content(size))+`"`)
		w.Header().Set("X-Linked-Size", strconv.Itoa(size))
		http.Redirect(w, r, store.URL+"/blob", http.StatusFound)
		return true
	}
	s.listed = func(_ string, entry map[string]any) { // as hubs that list names only
		delete(entry, "size")
		delete(entry, "lfs")
	}
	dir, err := s.client(t).Pull(context.Background(), ref, "")
	if err != nil {
		t.Fatal(err)
	}
	wantFolder(t, s, dir, plain...)
	if !slices.Equal(token, []string{""}) {
		t.Errorf("the store was sent %q, want no token once", token)
	}
	s.bad = func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, r.URL.Path, http.StatusFound)
		return true
	}
	if _, err := s.client(t).Pull(context.Background(), ref, ""); err == nil || !strings.Contains(err.Error(), "redirected 10 times") {
		t.Errorf("a server that redirects to itself: %v", err)
	}
}

// A server that stops sending is given up on and asked again; an interrupt ends at once.
func TestStallAndInterrupt(t *testing.T) {
	s := newServer(t, size)
	stalled := false
	release := make(chan struct{})
	s.bad = func(w http.ResponseWriter, r *http.Request) bool {
		if stalled || !strings.HasSuffix(r.URL.Path, ".safetensors") {
			return false
		}
		stalled = true
		w.Header().Set("Content-Length", strconv.Itoa(size))
		w.Write(content(size)[:5000])
		w.(http.Flusher).Flush()
		<-release
		return true
	}
	c := s.client(t)
	c.Idle = 50 * time.Millisecond
	dir, err := c.Pull(context.Background(), ref, "")
	if err != nil {
		t.Fatal(err)
	}
	wantFolder(t, s, dir, plain...)
	close(release)

	s = newServer(t, size)
	never := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	s.bad = func(w http.ResponseWriter, r *http.Request) bool {
		cancel()
		<-never
		return true
	}
	if _, err := s.client(t).Pull(ctx, ref, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("after an interrupt: %v", err)
	}
	close(never)
}
