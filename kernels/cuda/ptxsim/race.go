package ptxsim

import "fmt"

// A visit is an access to memory by a thread, and when: in which launch, block, stretch
// between barriers of the block, and stretch between those of the warp.
type visit struct {
	launch, block, epoch, warpEpoch int32
	thread, warp                    int32 // or many
}

const many = -1

// A shade is who last wrote and read two bytes.
type shade struct{ wrote, read visit }

// before reports whether whatever happened at v is over, and seen, when now happens.
func (v visit) before(now visit) bool {
	switch {
	case v.launch != now.launch:
		return true
	case v.block != now.block:
		return false
	case v.epoch != now.epoch || v.thread == now.thread:
		return true
	}
	return v.warp == now.warp && v.warpEpoch != now.warpEpoch
}

// note checks an access against the last ones and remembers it.
func (s *shade) note(now visit, write bool) error {
	if !s.wrote.before(now) {
		return s.wrote.conflict("written", now)
	}
	if write {
		if !s.read.before(now) {
			return s.read.conflict("read", now)
		}
		s.wrote = now
		return nil
	}
	// Of several readers since the last barrier one entry must stand for all.
	if last := s.read; !last.before(now) {
		if last.block != now.block {
			now.block = many
		}
		if last.warp != now.warp {
			now.warp = many
		}
		now.thread = many
	}
	s.read = now
	return nil
}

func (v visit) conflict(done string, now visit) error {
	if v.block == many {
		return fmt.Errorf("race: other blocks of this launch have %s this", done)
	}
	if v.block != now.block {
		return fmt.Errorf("race: block %d of this launch has %s this", v.block, done)
	}
	if v.thread == many {
		return fmt.Errorf("race: other threads have %s this since the last barrier", done)
	}
	return fmt.Errorf("race: thread %d has %s this since the last barrier", v.thread, done)
}

// touch notes an access to size bytes at off.
func (a *allocation) touch(off uint64, size int, now visit, write bool) error {
	if a.shade == nil {
		a.shade = make([]shade, (len(a.data)+1)/2)
	}
	for i := off / 2; i < (off+uint64(size)+1)/2; i++ {
		if a.shared && !write && a.shade[i].wrote.launch == 0 {
			return fmt.Errorf("read of shared memory at %d that nothing in the block has written", off)
		}
		if err := a.shade[i].note(now, write); err != nil {
			return err
		}
	}
	return nil
}

// shadesKept is how many shades, of 48 bytes each, a machine keeps from one launch to the next.
const shadesKept = 1 << 22

// forget drops shades where they have become many: those of launches before say nothing of races
// in the next, and are kept only to be used again.
func (m *Machine) forget() {
	n := 0
	for _, a := range m.allocs {
		n += len(a.shade)
	}
	if n <= shadesKept {
		return
	}
	for _, a := range m.allocs {
		a.shade = nil
	}
}
