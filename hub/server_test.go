package hub

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A server is a hub on this machine, which can be told to behave badly.
type server struct {
	*httptest.Server
	kind   kind
	commit string
	files  map[string][]byte

	mu       sync.Mutex
	requests []string // method, path and range
	auth     []string // of the same requests
	// bad, if any, answers a request instead; false leaves it to the server.
	bad func(w http.ResponseWriter, r *http.Request) bool
	// listed, if any, changes an entry of the listing.
	listed func(name string, entry map[string]any)
}

const name = "Org/model"

func content(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*i>>3 + i>>11)
	}
	return b
}

// newServer serves a model whose weights have size bytes.
func newServer(t *testing.T, size int) *server {
	s := &server{kind: models, commit: strings.Repeat("0a", 20), files: map[string][]byte{
		"config.json": []byte(`{"model_type": "mamba"}`), "tokenizer.json": []byte(`{}`), "README.md": []byte("not wanted"),
		"model.safetensors": content(size), "pytorch_model.bin": []byte("not wanted"),
	}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// client talks to the server, with a cache of its own, and does not wait long.
func (s *server) client(t *testing.T) *Client {
	t.Setenv("HF_ENDPOINT", s.URL+"/")
	t.Setenv("HF_TOKEN", "secret")
	t.Setenv("HF_HUB_CACHE", "")
	t.Setenv("HF_HOME", t.TempDir())
	c, err := FromEnv()
	if err != nil {
		t.Fatal(err)
	}
	c.Wait, c.Idle = time.Millisecond, 5*time.Second
	c.Log = t.Logf
	return c
}

func gitDigest(data []byte) string {
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", len(data))
	h.Write(data)
	return hex.EncodeToString(h.Sum(nil))
}

func sha(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

// large reports whether a file is kept by LFS.
func large(name string) bool {
	return strings.HasSuffix(name, ".safetensors") || strings.HasSuffix(name, ".bin") || strings.HasSuffix(name, ".parquet")
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+r.Header.Get("Range")))
	s.auth = append(s.auth, r.Header.Get("Authorization"))
	bad := s.bad
	s.mu.Unlock()
	if bad != nil && bad(w, r) {
		return
	}
	if strings.HasPrefix(r.URL.Path, s.kind.api+name+"/revision/") {
		s.list(w)
		return
	}
	name, ok := strings.CutPrefix(r.URL.Path, s.kind.page+name+"/resolve/"+s.commit+"/")
	data, there := s.files[name]
	if !ok || !there {
		http.NotFound(w, r)
		return
	}
	if large(name) {
		w.Header().Set("X-Linked-Etag", `"`+sha(data)+`"`)
		w.Header().Set("X-Linked-Size", strconv.Itoa(len(data)))
	}
	w.Header().Set("ETag", `"`+gitDigest(data)+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

func (s *server) list(w http.ResponseWriter) {
	var siblings []map[string]any
	for name, data := range s.files {
		entry := map[string]any{"rfilename": name, "size": len(data), "blobId": gitDigest(data)}
		if large(name) {
			entry["lfs"] = map[string]any{"sha256": sha(data), "size": len(data), "pointerSize": 130}
		}
		if s.listed != nil {
			s.listed(name, entry)
		}
		siblings = append(siblings, entry)
	}
	json.NewEncoder(w).Encode(map[string]any{"id": "Org/model", "sha": s.commit, "siblings": siblings})
}

// of is the requests for a file.
func (s *server) of(name string) (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		if strings.Contains(r, "/"+name) {
			all = append(all, r)
		}
	}
	return all
}

// hijack ends a response after n bytes of a body that is said to be longer.
func cutOff(w http.ResponseWriter, status int, header map[string]string, body []byte) {
	conn, buf, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	fmt.Fprintf(buf, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	for k, v := range header {
		fmt.Fprintf(buf, "%s: %s\r\n", k, v)
	}
	buf.WriteString("\r\n")
	buf.Write(body)
	buf.Flush()
}
