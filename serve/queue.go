package serve

import (
	"slices"
	"sync"
)

// A queue holds choices that wait for the worker. How many there are is bounded by the
// requests that the gate lets in.
type queue struct {
	ready chan struct{} // has a note when there is something new

	mu   sync.Mutex
	once []*choice // whose prompts need only be read
	long []*choice // that more than one token is to be generated of
}

func newQueue() *queue { return &queue{ready: make(chan struct{}, 1)} }

// push adds choices at the end.
func (q *queue) push(cs []*choice) {
	q.mu.Lock()
	for _, c := range cs {
		switch {
		case c.over():
		case c.once():
			q.once = append(q.once, c)
		default:
			q.long = append(q.long, c)
		}
	}
	q.mu.Unlock()
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// prune takes choices out that nobody wants any more.
func (q *queue) prune() {
	gone := func(c *choice) bool { return c.ctx.Err() != nil }
	q.mu.Lock()
	defer q.mu.Unlock()
	q.once = slices.DeleteFunc(q.once, gone)
	q.long = slices.DeleteFunc(q.long, gone)
}

// takeLong returns the first choice of which more than one token is to be generated, or nil.
func (q *queue) takeLong() *choice {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.long) == 0 {
		return nil
	}
	c := q.long[0]
	q.long = slices.Delete(q.long, 0, 1)
	return c
}

// takeOnce returns the first choice that need only be read, and others that go beside it:
// at most seqs, whose lengths, made equal, are tokens at most together.
func (q *queue) takeOnce(seqs, tokens int) []*choice {
	q.mu.Lock()
	defer q.mu.Unlock()
	var taken []*choice
	longest := 0
	q.once = slices.DeleteFunc(q.once, func(c *choice) bool {
		n := max(longest, c.end())
		if len(taken) == seqs || len(taken) > 0 && (len(taken)+1)*n > tokens {
			return false
		}
		taken, longest = append(taken, c), n
		return true
	})
	return taken
}
