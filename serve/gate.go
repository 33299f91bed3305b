package serve

import (
	"net"
	"sync"
)

// A gate bounds the requests held at once and the bytes that they and their answers take.
type gate struct {
	maxRequests int
	maxBytes    int64
	empty       chan struct{} // closed when the gate is and the last request has left

	mu       sync.Mutex
	requests int
	bytes    int64
	closed   bool
}

func newGate(requests int, bytes int64) *gate {
	return &gate{maxRequests: requests, maxBytes: bytes, empty: make(chan struct{})}
}

// enter lets a request in, or says why not.
func (g *gate) enter(bytes int64) *apiError {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed:
		return errClosing
	case g.requests == g.maxRequests:
		return busy("%d requests are being answered or waiting, as many as there may be", g.requests)
	case g.bytes+bytes > g.maxBytes:
		return busy("requests of %d bytes are being answered or waiting; another %d are too many", g.bytes, bytes)
	}
	g.requests++
	g.bytes += bytes
	return nil
}

// grow counts more bytes for a request that has entered, or says why not.
func (g *gate) grow(bytes int64) *apiError {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case bytes > g.maxBytes:
		return wrong("", "the answer would take about %d bytes of memory, more than the %d of all requests: ask for fewer prompts or tokens at once", bytes, g.maxBytes)
	case g.bytes+bytes > g.maxBytes:
		return busy("requests and answers of %d bytes are in memory; another %d are too many", g.bytes, bytes)
	}
	g.bytes += bytes
	return nil
}

// leave is called once for each request that entered.
func (g *gate) leave(bytes int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.requests--
	g.bytes -= bytes
	if g.closed && g.requests == 0 {
		close(g.empty)
	}
}

// close lets nobody in any more, and returns how many are there.
func (g *gate) close() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed && g.requests == 0 {
		close(g.empty)
	}
	g.closed = true
	return g.requests
}

func (g *gate) isClosed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}

// limitListener accepts no more than n connections at once.
func limitListener(l net.Listener, n int) net.Listener {
	return &limited{Listener: l, places: make(chan struct{}, n), closed: make(chan struct{})}
}

type limited struct {
	net.Listener
	places chan struct{}
	closed chan struct{}
	once   sync.Once
}

func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	return &limitedConn{Conn: c, places: l.places}, nil
}

func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	places chan struct{}
	once   sync.Once
}

func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { <-c.places })
	return err
}
