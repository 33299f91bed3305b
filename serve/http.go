package serve

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// handler is the server's table of addresses.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/health", s.only(http.MethodGet, s.health))
	mux.HandleFunc("/v1/models", s.only(http.MethodGet, s.guard(s.models)))
	mux.HandleFunc("/v1/models/{name...}", s.only(http.MethodGet, s.guard(s.oneModel)))
	mux.HandleFunc("/v1/completions", s.only(http.MethodPost, s.guard(s.completions)))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		newError(http.StatusNotFound, typeRequest, "not_found", "%.100s is not here: want /v1/completions, /v1/models or /health", r.URL.Path).write(w)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		if s.within(w, s.opts.Read) {
			mux.ServeHTTP(w, r)
		}
		s.opts.Log.Debug("request", "method", r.Method, "path", r.URL.Path, "from", r.RemoteAddr, "took", time.Since(begin))
	})
}

// within gives the client so long to send the rest of its request and, from then on, to
// take what is written.
func (s *Server) within(w http.ResponseWriter, read time.Duration) bool {
	c := http.NewResponseController(w)
	now := time.Now()
	return errors.Join(c.SetReadDeadline(now.Add(read)), c.SetWriteDeadline(now.Add(read+s.opts.Write))) == nil
}

// writing gives the client its time to take what is written next.
func (s *Server) writing(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.opts.Write)) // fails on closed connections, as writing then does
}

// only lets requests of one method through.
func (s *Server) only(method string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method && !(method == http.MethodGet && r.Method == http.MethodHead) {
			w.Header().Set("Allow", method)
			newError(http.StatusMethodNotAllowed, typeRequest, "method_not_allowed", "%.20s is not for %s: want %s", r.Method, r.URL.Path, method).write(w)
			return
		}
		next(w, r)
	}
}

// guard lets requests through that bear the token. Without one it lets those through that
// name this machine: a page of the web whose name leads here (DNS rebinding) does not.
func (s *Server) guard(next http.HandlerFunc) http.HandlerFunc {
	want := sha256.Sum256([]byte(s.opts.Token))
	return func(w http.ResponseWriter, r *http.Request) {
		if s.opts.Token == "" {
			if !localName(r.Host) {
				newError(http.StatusForbidden, typeRequest, "forbidden_host", "host %.100q is not this machine: want localhost or a loopback address", r.Host).write(w)
				return
			}
		} else {
			scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
			got := sha256.Sum256([]byte(token))
			if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(got[:], want[:]) == 0 {
				newError(http.StatusUnauthorized, typeAuth, "invalid_api_key", "a token is wanted: send the header Authorization: Bearer TOKEN").write(w)
				return
			}
		}
		next(w, r)
	}
}

// localName reports whether a Host header names this machine by its loopback.
func localName(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	ip := net.ParseIP(strings.Trim(name, "[]"))
	return strings.EqualFold(name, "localhost") || ip != nil && ip.IsLoopback()
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	if s.gate.isClosed() {
		errClosing.write(w)
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// A modelObject describes the model as OpenAI's API does.
type modelObject struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
	Window  int    `json:"max_model_len"`
}

func (s *Server) describe() modelObject {
	return modelObject{s.Name, "model", s.created, "quadrant", s.opts.Window}
}

func (s *Server) models(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, struct {
		Object string        `json:"object"`
		Data   []modelObject `json:"data"`
	}{"list", []modelObject{s.describe()}})
}

func (s *Server) oneModel(w http.ResponseWriter, r *http.Request) {
	if name := r.PathValue("name"); name != s.Name {
		newError(http.StatusNotFound, typeRequest, "model_not_found", "model %.100q is not served here: want %q", name, s.Name).write(w)
		return
	}
	writeJSON(w, http.StatusOK, s.describe())
}

// completions answers a completions request.
func (s *Server) completions(w http.ResponseWriter, r *http.Request) {
	size := r.ContentLength
	if size < 0 { // it does not say
		size = s.opts.Body
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		newError(http.StatusUnsupportedMediaType, typeRequest, "", "the content type is %.50q, want application/json", r.Header.Get("Content-Type")).write(w)
		return
	}
	if size > s.opts.Body {
		s.tooLarge().write(w)
		return
	}
	if e := s.gate.enter(size); e != nil {
		e.write(w)
		return
	}
	defer func() { s.gate.leave(size) }()
	data, e := s.readBody(w, r)
	if e != nil {
		e.write(w)
		return
	}
	p, prompts, e := s.parse(data)
	if e != nil {
		e.write(w)
		return
	}
	more := cost(p, prompts)
	if e := s.gate.grow(more); e != nil {
		e.write(w)
		return
	}
	size += more
	a, err := s.newAnswer(r.Context(), p, prompts)
	if err != nil {
		failed(err).write(w)
		return
	}
	s.worker.queue.push(a.choices)
	defer s.worker.queue.prune()
	defer a.cancel()
	if p.stream {
		err = s.stream(w, a)
	} else {
		err = s.whole(w, a)
	}
	if err != nil {
		s.opts.Log.Debug("a request was not answered", "from", r.RemoteAddr, "why", err)
	}
}

func (s *Server) tooLarge() *apiError {
	return newError(http.StatusRequestEntityTooLarge, typeRequest, "", "the body has more than %d bytes", s.opts.Body)
}

// readBody reads a body within the time that there is.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) ([]byte, *apiError) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.opts.Body))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, s.tooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, newError(http.StatusRequestTimeout, typeRequest, "", "the body did not come within %v", s.opts.Read)
	case err != nil:
		return nil, wrong("", "the body broke off: %v", err)
	}
	// What is computed may take longer; the connection is watched meanwhile.
	c := http.NewResponseController(w)
	if err := errors.Join(c.SetReadDeadline(time.Time{}), c.SetWriteDeadline(time.Time{})); err != nil {
		return nil, failed(err)
	}
	return data, nil
}

// newAnswer makes the choices of a request.
func (s *Server) newAnswer(ctx context.Context, p *params, prompts []prompt) (*answer, error) {
	id := make([]byte, 12)
	rand.Read(id) // never fails
	a := &answer{id: "cmpl-" + hex.EncodeToString(id), created: time.Now().Unix(), params: p, changed: make(chan struct{}, 1)}
	a.ctx, a.cancel = context.WithCancel(ctx)
	for _, q := range prompts {
		c, err := newChoice(a.ctx, p, q, s.Tokenizer, a.changed)
		if err != nil {
			a.cancel()
			return nil, err
		}
		a.choices = append(a.choices, c)
	}
	a.seen = make([]seen, len(a.choices))
	return a, nil
}
