package kernels

import "fmt"

// A Stream feeds ops to a device, checking each once so that no device has to, and lends
// out scratch matrices. Once its scratch has grown to what the work needs, feeding ops
// allocates nothing.
type Stream struct {
	dev       Device
	ops       kept
	slabs     [len(types)]slab
	retaining bool
}

// NewStream returns a stream to dev.
func NewStream(dev Device) *Stream { return &Stream{dev: dev} }

// Device is where the stream's ops go.
func (s *Stream) Device() Device { return s.dev }

// Do runs op after those before it. It panics if the operands disagree: that is a
// mistake in a mixer, not in its input.
func (s *Stream) Do(op Op) {
	k := s.ops.keep(op)
	if err := k.check(); err != nil {
		panic(fmt.Sprintf("kernels: %T: %v", k, err))
	}
	s.dev.Do(k)
}

// Retain makes Temps outlive their Scopes, until Release: whoever plays a step's ops
// backward needs what they computed.
func (s *Stream) Retain() { s.retaining = true }

// Release takes back every Temp, and ends what Retain began. No Scope may be open.
func (s *Stream) Release() {
	s.retaining = false
	for t := range s.slabs {
		s.slabs[t].mark = mark{}
	}
}

// Temp lends a matrix of unspecified content until the innermost open Scope ends.
func (s *Stream) Temp(t Type, rows, cols int) Mat {
	return s.slabs[t].take(s.dev, t, rows, cols)
}

// A Scope is an open part of the work; see [Stream.Scope].
type Scope struct {
	s     *Stream
	marks [len(types)]mark
}

// Scope names the ops that follow, up to the End of the Scope returned, which also takes
// back every Temp lent meanwhile. Parts of one name that repeat are numbered from 0;
// index is -1 for one that does not.
func (s *Stream) Scope(name string, index int) Scope {
	sc := Scope{s: s}
	for t := range s.slabs {
		sc.marks[t] = s.slabs[t].mark
	}
	s.Do(Enter{name, index})
	return sc
}

// End closes the scope.
func (sc Scope) End() {
	sc.s.Do(Leave{})
	if sc.s.retaining {
		return
	}
	for t := range sc.s.slabs {
		sc.s.slabs[t].mark = sc.marks[t]
	}
}

// Recycle closes the scope and takes back its Temps of type t, even where Retain keeps those of
// other types: whoever plays the ops backward computes them again.
func (sc Scope) Recycle(t Type) {
	sc.End()
	sc.s.slabs[t].mark = sc.marks[t]
}

// A slab is a stack of scratch memory of one type that grows on first use and then stays.
type slab struct {
	chunks []Mat
	mark
}

type mark struct{ chunk, used int }

const (
	chunkLen = 1 << 18 // elements of a chunk, unless one matrix needs more
	align    = 64      // elements, so that no two matrices share a cache line
)

func (b *slab) take(dev Device, t Type, rows, cols int) Mat {
	n := (rows*cols + align - 1) / align * align
	for b.chunk < len(b.chunks) && b.used+n > b.chunks[b.chunk].Cols {
		b.chunk, b.used = b.chunk+1, 0
	}
	if b.chunk == len(b.chunks) {
		b.chunks = append(b.chunks, dev.Alloc(t, 1, max(n, chunkLen)))
	}
	m := b.chunks[b.chunk]
	m.Rows, m.Cols, m.Stride, m.Off = rows, cols, cols, m.Off+b.used
	b.used += n
	return m
}
