// Package serve answers completions requests of OpenAI's API with a model: generation, and
// the log-likelihoods of prompts, which are those of evals.Scorer to the last bit.
//
//	HTTP → request → choices → queue → worker (the model's one goroutine) → output → HTTP
//
// Whatever clients do, memory is bounded: by the requests held, their bytes, and the
// sequences that are generated side by side.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"quadrant/arch"
	"quadrant/kernels"
	"quadrant/tokenizer"
)

// A Model is what is served.
type Model struct {
	Name      string // what requests call it
	Device    kernels.Device
	Model     *arch.Model // lives on Device
	Tokenizer tokenizer.Tokenizer
}

// Options are what may be chosen. A zero field is its default.
type Options struct {
	Token     string        // that requests must bear; required unless served on loopback only
	Window    int           // tokens of a prompt and its completion together: 2048
	Sequences int           // generated side by side: 4
	Requests  int           // held at once, more are refused: 256
	Prompts   int           // of one request: 128
	Body      int64         // bytes of one request: 4 MiB
	Pending   int64         // bytes of all requests held and their answers: 256 MiB
	Header    time.Duration // to read a request's header: 10 s
	Read      time.Duration // to read its body: 30 s
	Write     time.Duration // to write an answer, or a piece of a stream: 30 s
	Idle      time.Duration // until a connection without requests is closed: 60 s
	Drain     time.Duration // to finish requests after the end was asked for: 30 s
	Log       *slog.Logger  // discards
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// withDefaults fills what is zero.
func (o Options) withDefaults() Options {
	orDefault(&o.Window, 2048)
	orDefault(&o.Sequences, 4)
	orDefault(&o.Requests, 256)
	orDefault(&o.Prompts, 128)
	orDefault(&o.Body, 4<<20)
	orDefault(&o.Pending, 256<<20)
	orDefault(&o.Header, 10*time.Second)
	orDefault(&o.Read, 30*time.Second)
	orDefault(&o.Write, 30*time.Second)
	orDefault(&o.Idle, time.Minute)
	orDefault(&o.Drain, 30*time.Second)
	orDefault(&o.Log, slog.New(slog.DiscardHandler))
	return o
}

// Validate returns the first thing wrong with o.
func (o Options) Validate() error {
	for name, n := range map[string]int64{
		"window": int64(o.Window), "sequences": int64(o.Sequences), "requests": int64(o.Requests), "prompts": int64(o.Prompts),
		"body": o.Body, "pending": o.Pending, "header": int64(o.Header), "read": int64(o.Read), "write": int64(o.Write),
		"idle": int64(o.Idle), "drain": int64(o.Drain),
	} {
		if n < 0 {
			return fmt.Errorf("serve: %s is %d, want at least 1", name, n)
		}
	}
	return nil
}

// A Server serves a model once.
type Server struct {
	Model
	opts    Options
	gate    *gate
	worker  *worker
	created int64 // Unix time
}

// New returns a server of m.
func New(m Model, o Options) (*Server, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	return &Server{
		Model: m, opts: o, created: time.Now().Unix(),
		gate: newGate(o.Requests, o.Pending), worker: newWorker(m, o),
	}, nil
}

// CheckAddr returns an error if addr, such as "127.0.0.1:8000", is no address or lies
// open to other machines without a token.
func CheckAddr(addr, token string) error {
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err == nil && addr == "" {
		err = errors.New("the address is empty, want one such as 127.0.0.1:8000")
	}
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	if !a.IP.IsLoopback() && token == "" {
		return fmt.Errorf("serve: other machines reach %s: a token that requests must bear is needed, or an address of this machine alone such as 127.0.0.1:8000", addr)
	}
	return nil
}

// Serve answers requests that come by l until ctx ends. Then it refuses new ones, finishes
// those it has within the time that the options give, and returns nil.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if err := CheckAddr(l.Addr().String(), s.opts.Token); err != nil {
		return errors.Join(err, l.Close())
	}
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var running sync.WaitGroup
	running.Go(func() { s.worker.run(work) })
	server := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: s.opts.Header,
		IdleTimeout:       s.opts.Idle,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return work },
		ErrorLog:          log.New(io.Discard, "", 0), // connections that break are no news
	}
	failed := make(chan error, 1)
	running.Go(func() { failed <- server.Serve(limitListener(l, 2*s.opts.Requests)) })
	var err error
	select {
	case err = <-failed:
		err = fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
		s.drain()
	}
	stop()
	end, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if server.Shutdown(end) != nil {
		_ = server.Close() // connections that do not end are cut
	}
	running.Wait()
	return err
}

// drain refuses new requests and waits for those there are.
func (s *Server) drain() {
	s.opts.Log.Info("finishing requests", "held", s.gate.close(), "at most", s.opts.Drain)
	timer := time.NewTimer(s.opts.Drain)
	defer timer.Stop()
	select {
	case <-s.gate.empty:
	case <-timer.C:
		s.opts.Log.Warn("requests are cut off", "after", s.opts.Drain)
	}
}
