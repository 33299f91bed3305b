package cuda

// An arena keeps memory that nobody refers to any more for the next matrix of its size: a session
// that is opened again takes what the last one had. The driver's allocations take as long as many
// kernels, and what it frees has to wait for all of them. Sizes are exact, so that a simulator
// still sees what goes beyond.
type arena struct {
	drv   Driver
	sizes map[uint64]int   // of what was lent, by address
	idle  map[int][]uint64 // by size
	bytes int64            // idle
}

// mostKept is the size of the largest memory that is kept: what is larger is weights.
const mostKept = 256 << 20

// take returns n bytes of unspecified content. Where the driver has none left, it is given what is
// idle first.
func (a *arena) take(n int) (uint64, error) {
	if idle := a.idle[n]; len(idle) > 0 {
		p := idle[len(idle)-1]
		a.idle[n] = idle[:len(idle)-1]
		a.bytes -= int64(n)
		return p, nil
	}
	p, err := a.drv.Alloc(n)
	if err != nil && a.bytes > 0 {
		if err := a.drain(); err != nil {
			return 0, err
		}
		p, err = a.drv.Alloc(n)
	}
	if err == nil {
		a.sizes[p] = n
	}
	return p, err
}

// give takes back what take lent, or frees what it did not.
func (a *arena) give(p uint64) error {
	n, lent := a.sizes[p]
	if !lent || n > mostKept {
		delete(a.sizes, p)
		return a.drv.Free(p)
	}
	a.idle[n] = append(a.idle[n], p)
	a.bytes += int64(n)
	return nil
}

// drain frees what is idle.
func (a *arena) drain() (err error) {
	for n, idle := range a.idle {
		for _, p := range idle {
			delete(a.sizes, p)
			if e := a.drv.Free(p); err == nil {
				err = e
			}
		}
		delete(a.idle, n)
	}
	a.bytes = 0
	return err
}
