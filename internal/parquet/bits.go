package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// errValues says that a page holds fewer values than its header promises.
var errValues = errors.New("the page holds fewer values than it says")

// bitsAt is the number of width bits, 64 at most, that begins at bit at of b, the lowest
// bit first. It is false if b ends before.
func bitsAt(b []byte, at uint64, width uint) (uint64, bool) {
	if width == 0 {
		return 0, true
	}
	first, last := at/8, (at+uint64(width)-1)/8
	if last >= uint64(len(b)) {
		return 0, false
	}
	shift := uint(at % 8)
	var v uint64
	if first+8 <= uint64(len(b)) {
		v = binary.LittleEndian.Uint64(b[first:])
	} else {
		for i := first; i <= last; i++ {
			v |= uint64(b[i]) << (8 * (i - first))
		}
	}
	v >>= shift
	if shift+width > 64 {
		v |= uint64(b[first+8]) << (64 - shift)
	}
	if width < 64 {
		v &= 1<<width - 1
	}
	return v, true
}

// A hybrid reads numbers in the format's mixture of runs and packed bits, one at a time,
// so that a long run takes no memory.
type hybrid struct {
	b     []byte // what follows the run
	width uint   // of a number, in bits: 32 at most
	left  uint64 // numbers of the run
	run   bool   // all of them are value
	value uint64
	bits  []byte // of a packed run
	at    uint64
}

func (h *hybrid) next() (uint64, error) {
	for h.left == 0 {
		if err := h.start(); err != nil {
			return 0, err
		}
	}
	h.left--
	if h.run {
		return h.value, nil
	}
	v, ok := bitsAt(h.bits, h.at, h.width)
	h.at += uint64(h.width)
	if !ok {
		return 0, errValues
	}
	return v, nil
}

// start reads the header of a run.
func (h *hybrid) start() error {
	head, n := binary.Uvarint(h.b)
	if n <= 0 {
		return errValues
	}
	h.b = h.b[n:]
	if h.run = head&1 == 0; h.run {
		bytes := int(h.width+7) / 8
		if len(h.b) < bytes {
			return errValues
		}
		h.left, h.value = head>>1, 0
		for i, b := range h.b[:bytes] {
			h.value |= uint64(b) << (8 * i)
		}
		if h.value>>h.width != 0 {
			return fmt.Errorf("a run of the number %d in %d bits", h.value, h.width)
		}
		h.b = h.b[bytes:]
		return nil
	}
	groups := head >> 1
	if h.width > 0 { // the last run of a page may be cut short
		groups = min(groups, (uint64(len(h.b))+uint64(h.width)-1)/uint64(h.width))
	}
	bytes := min(groups*uint64(h.width), uint64(len(h.b)))
	h.left, h.bits, h.at, h.b = groups*8, h.b[:bytes], 0, h.b[bytes:]
	return nil
}

// Deltas reads integers stored as differences (DELTA_BINARY_PACKED), one at a time.
type deltas struct {
	b        []byte // what follows the miniblock
	mini     uint64 // values of a miniblock
	minis    int    // miniblocks of a block
	left     uint64 // values to come
	value    int64  // the next
	least    int64  // of the block's differences
	widths   []byte // of the block's further miniblocks
	bits     []byte // of the miniblock
	width    uint
	at, have uint64 // of the miniblock's values: those taken, all
}

// newDeltas reads the header: at most most values may follow.
func newDeltas(b []byte, most int64) (deltas, error) {
	t := &compact{b: b} // whose numbers are written like these
	block, minis, count, first := t.uvarint(), t.uvarint(), t.uvarint(), t.int()
	switch {
	case t.err != nil:
		return deltas{}, errValues
	case block == 0 || block > 1<<20 || minis == 0 || block%minis != 0 || block/minis%8 != 0:
		return deltas{}, fmt.Errorf("blocks of %d differences in %d parts are not in the format", block, minis)
	case count > uint64(most):
		return deltas{}, fmt.Errorf("%d differences for %d values", count, most)
	}
	return deltas{b: b[t.at:], mini: block / minis, minis: int(minis), left: count, value: first}, nil
}

func (d *deltas) next() (int64, error) {
	if d.left == 0 {
		return 0, errValues
	}
	v := d.value
	if d.left--; d.left == 0 {
		return v, nil
	}
	if d.at == d.have {
		if err := d.start(); err != nil {
			return 0, err
		}
	}
	u, ok := bitsAt(d.bits, d.at*uint64(d.width), d.width)
	if !ok {
		return 0, errValues
	}
	d.at++
	d.value += d.least + int64(u)
	return v, nil
}

// start reads the header of a miniblock, and of a block before its first.
func (d *deltas) start() error {
	if len(d.widths) == 0 {
		t := &compact{b: d.b}
		d.least = t.int()
		if t.err != nil || len(d.b)-t.at < d.minis {
			return errValues
		}
		d.widths, d.b = d.b[t.at:t.at+d.minis], d.b[t.at+d.minis:]
	}
	d.width, d.widths = uint(d.widths[0]), d.widths[1:]
	if d.width > 64 {
		return fmt.Errorf("differences of %d bits", d.width)
	}
	bytes := min(d.mini*uint64(d.width)/8, uint64(len(d.b)))
	d.bits, d.b = d.b[:bytes], d.b[bytes:]
	d.at, d.have = 0, d.mini
	return nil
}

// after is what follows the integers, all of which it reads.
func (d deltas) after() ([]byte, error) {
	for d.left > 0 {
		if _, err := d.next(); err != nil {
			return nil, err
		}
	}
	return d.b, nil
}
