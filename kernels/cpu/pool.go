package cpu

import (
	"runtime"
	"sync/atomic"
)

// A job is work in independent units. run does the units from lo to hi; several
// goroutines call it at once for different units, each with a worker number of its own.
type job interface {
	run(worker, lo, hi int)
}

// A pool carries out jobs on a fixed number of workers, the caller among them, without
// allocating. Waking a sleeping goroutine takes tens of microseconds, about what a whole
// op of a small model takes; so workers that have run out of work look out for more for
// a while before they sleep. The caller waits for those workers only that have begun: on
// a busy machine one that the system has put aside holds nothing up.
type pool struct {
	workers int
	sleep   []chan struct{} // of each worker but the caller; a token wakes it
	asleep  []atomic.Bool

	// One job at a time, written before it is opened and not before all have left the last.
	job   job
	units int
	grain int // units taken at once
	next  atomic.Int64

	round  atomic.Uint32 // number of the last job
	open   atomic.Uint32 // number of the job that workers may join, or 0
	inside atomic.Int32  // workers that have joined, or are about to find it closed
	closed atomic.Bool
}

const (
	// watch is how often a worker looks for a new round before it sleeps: about the
	// time that waking it would take.
	watch = 1 << 16
	// tooSmall is the work, in scalar operations, below which sharing a job costs more
	// than it saves.
	tooSmall = 1 << 15
)

func newPool(workers int) *pool {
	p := &pool{workers: workers, sleep: make([]chan struct{}, workers), asleep: make([]atomic.Bool, workers)}
	for w := 1; w < workers; w++ {
		p.sleep[w] = make(chan struct{}, 1)
		go p.work(w)
	}
	return p
}

// close lets the workers end. No job may be running.
func (p *pool) close() {
	p.closed.Store(true)
	p.raise()
}

// do runs all units of j, of about cost scalar operations each.
func (p *pool) do(j job, units, cost int) {
	if units <= 0 {
		return
	}
	if p.workers == 1 || units == 1 || units*cost < tooSmall {
		j.run(0, 0, units)
		return
	}
	p.job, p.units = j, units
	p.grain = max(1, units/(4*p.workers), min(units/p.workers, tooSmall/4/max(1, cost)))
	p.next.Store(0)
	p.open.Store(p.round.Load() + 1)
	p.raise()
	p.share(0)
	p.open.Store(0)
	for spins := 0; p.inside.Load() > 0; spins++ {
		if spins > 1<<10 {
			runtime.Gosched() // more workers than cores: one of them may need this one
		}
	}
	p.job = nil
}

// raise starts a round.
func (p *pool) raise() {
	p.round.Add(1)
	for w := 1; w < p.workers; w++ {
		if p.asleep[w].CompareAndSwap(true, false) {
			p.sleep[w] <- struct{}{}
		}
	}
}

// share takes units of the job until none is left.
func (p *pool) share(worker int) {
	for {
		lo := int(p.next.Add(int64(p.grain))) - p.grain
		if lo >= p.units {
			return
		}
		p.job.run(worker, lo, min(lo+p.grain, p.units))
	}
}

func (p *pool) work(w int) {
	seen := uint32(0)
	for {
		seen = p.await(w, seen)
		if p.closed.Load() {
			return
		}
		// Either the worker finds the job open, and then the caller, which closes it before
		// it looks, finds the worker inside; or it finds it closed and touches nothing.
		p.inside.Add(1)
		if p.open.Load() == seen {
			p.share(w)
		}
		p.inside.Add(-1)
	}
}

// await returns the number of the round after seen, once it has begun.
func (p *pool) await(w int, seen uint32) uint32 {
	for {
		for range watch {
			if r := p.round.Load(); r != seen {
				return r
			}
		}
		p.asleep[w].Store(true)
		if r := p.round.Load(); r != seen { // began after the last look
			if !p.asleep[w].CompareAndSwap(true, false) {
				<-p.sleep[w] // raise has sent a token
			}
			return r
		}
		<-p.sleep[w]
	}
}
