package ptxsim

import (
	"fmt"
)

// Addresses: an allocation has a region of its own, so that an address outside one is in
// none, and the two windows through which generic addresses reach other spaces lie far
// from all.
const (
	regionBits   = 36
	sharedWindow = 1 << 62
)

// poison is what memory holds before it is written: a NaN of any float type, and −1.
const poison = 0xff

// An allocation is a piece of global memory, or a block's shared memory.
type allocation struct {
	base   uint64
	data   []byte
	shade  []shade // by pairs of bytes; made when first needed
	freed  bool
	shared bool
}

// Alloc returns the address of n poisoned bytes.
func (m *Machine) Alloc(n int) (uint64, error) {
	if n < 1 {
		return 0, errNoMemory
	}
	a := &allocation{base: uint64(len(m.allocs)+1) << regionBits, data: make([]byte, n)}
	fill(a.data, poison)
	m.allocs = append(m.allocs, a)
	return a.base, nil
}

func fill(b []byte, v byte) {
	for i := range b {
		b[i] = v
	}
}

// Free makes every later use of the allocation at p an error.
func (m *Machine) Free(p uint64) error {
	a := m.find(p)
	if a == nil || a.freed || a.base != p {
		return fmt.Errorf("ptxsim: free of %#x, where no allocation begins", p)
	}
	a.freed, a.data, a.shade = true, nil, nil
	return nil
}

// Clear sets n bytes from p on to zero.
func (m *Machine) Clear(p uint64, n int) error {
	b, err := m.bytes(p, n)
	clear(b)
	return err
}

// CopyIn copies src to p.
func (m *Machine) CopyIn(p uint64, src []byte) error {
	b, err := m.bytes(p, len(src))
	copy(b, src)
	return err
}

// CopyOut copies from p to dst.
func (m *Machine) CopyOut(dst []byte, p uint64) error {
	b, err := m.bytes(p, len(dst))
	copy(dst, b)
	return err
}

func (m *Machine) bytes(p uint64, n int) ([]byte, error) {
	a := m.find(p)
	if a == nil || a.freed || p-a.base+uint64(n) > uint64(len(a.data)) {
		return nil, fmt.Errorf("ptxsim: copy of %d bytes at %s", n, m.describe(p))
	}
	return a.data[p-a.base:][:n], nil
}

func (m *Machine) find(p uint64) *allocation {
	i := p >> regionBits
	if i == 0 || i > uint64(len(m.allocs)) {
		return nil
	}
	return m.allocs[i-1]
}

// describe says where p is, for messages.
func (m *Machine) describe(p uint64) string {
	switch a := m.find(p); {
	case p == 0:
		return "the null address"
	case a == nil:
		return fmt.Sprintf("address %#x, which is in no allocation", p)
	case a.freed:
		return fmt.Sprintf("address %#x, in allocation %d, which was freed", p, p>>regionBits)
	default:
		return fmt.Sprintf("byte %d of allocation %d, which has %d", p-a.base, p>>regionBits, len(a.data))
	}
}
