package ptxsim

import (
	"errors"
	"fmt"
)

// Copies of whole tiles (cp.async.bulk), which a barrier in shared memory counts.

// A tile is 16 bytes that copies write and products read.
type tile struct {
	written bool
	wrote   stamp
	reads   []stamp // by products, since then
	loaded  bool    // by threads
}

const tileBytes = 16

// A bulk is a copy that is under way.
type bulk struct {
	to   uint64
	data []byte
	of   *phases
	at   stamp
}

// copyTile decodes "cp.async.bulk [to], [from], bytes, [barrier]". The bytes land as late as they
// may, when no warp can go on without them, the last copy first if the order is backward. Until
// then they are poison.
func copyTile(d *decoder) (action, error) {
	if err := d.want(4); err != nil {
		return nil, err
	}
	var at [3]address
	for i, operand := range []int{0, 1, 3} {
		var err error
		if at[i], err = d.address(d.at.operands[operand], [...]string{"shared", "global", "shared"}[i]); err != nil {
			return nil, err
		}
	}
	bytes, err := d.value(d.at.operands[2], 32)
	return func(w *warp, mask uint32) error {
		return each(mask, func(l int) error {
			of := func(a address) uint64 { return w.regs[a.base][l] + a.offset }
			p, err := w.b.barrierAt(of(at[2]))
			if err != nil {
				return err
			}
			return w.copyTile(of(at[0]), of(at[1]), int(w.regs[bytes][l]), l, p)
		})
	}, err
}

func (w *warp) copyTile(to, from uint64, bytes, lane int, p *phases) error {
	b := w.b
	if !b.shown {
		return errors.New("the barrier is not shown to copies: fence.proxy.async is missing after it began")
	}
	if bytes <= 0 || (to|from|uint64(bytes))%tileBytes != 0 {
		return fmt.Errorf("misaligned: a copy of %d bytes from %#x to %d", bytes, from, to)
	}
	src, err := b.l.m.bytes(from, bytes)
	if err != nil {
		return fmt.Errorf("out of bounds: %w", err)
	}
	for off := 0; off < bytes; off += tileBytes { // other threads that write the source
		if _, err := w.place("global", from+uint64(off), tileBytes, lane, false, false); err != nil {
			return err
		}
	}
	p.begun++
	c := bulk{to, append([]byte(nil), src...), p, stamp{p.actor, p.begun}}
	err = b.eachTile(to, bytes, func(t *tile) error {
		if t.written && !w.tensor.clock.knows(t.wrote) {
			return errors.New("race: an earlier copy to this place may still be under way")
		}
		if t.loaded {
			return errors.New("a copy onto what threads have loaded is not supported")
		}
		for _, r := range t.reads {
			if !w.tensor.clock.knows(r) {
				return fmt.Errorf("race: products of warp %d may still read this", r.actor)
			}
		}
		*t = tile{written: true, wrote: c.at, reads: t.reads[:0]}
		return nil
	})
	if err != nil {
		return err
	}
	fill(b.shared.data[to:][:bytes], poison)
	b.copies = append(b.copies, c)
	return nil
}

// eachTile calls f for the 16 bytes that make up those at to, which nothing else may touch.
func (b *block) eachTile(to uint64, bytes int, f func(*tile) error) error {
	if to+uint64(bytes) > uint64(len(b.shared.data)) {
		return fmt.Errorf("out of bounds: %d bytes at %d of %d of shared memory", bytes, to, len(b.shared.data))
	}
	if b.tiles == nil {
		b.tiles = make([]tile, (len(b.shared.data)+tileBytes-1)/tileBytes)
	}
	for i := to / tileBytes; i < (to+uint64(bytes))/tileBytes; i++ {
		if s := b.shared.shade; s != nil {
			for _, one := range s[i*tileBytes/2:][:tileBytes/2] {
				if one.wrote.launch == b.l.m.launch && one.wrote.block == int32(b.number) {
					return errors.New("a copy or product of a place that threads write is not supported")
				}
			}
		}
		if err := f(&b.tiles[i]); err != nil {
			return err
		}
	}
	return nil
}

// tilesAt checks an access by a thread to what a copy writes, and reports whether it is one: the
// copy must be known to be over.
func (w *warp) tilesAt(off uint64, size int, write bool) (bool, error) {
	of := 0
	last := (off + uint64(size) - 1) / tileBytes
	for i := off / tileBytes; i <= last; i++ {
		t := &w.b.tiles[i]
		if !t.written {
			continue
		}
		of++
		switch {
		case write:
			return true, errors.New("a write to what a copy has written is not supported")
		case !w.tensor.clock.knows(t.wrote):
			return true, errors.New("race: the copy that writes this is not awaited")
		}
		t.loaded = true
	}
	if of > 0 && of <= int(last-off/tileBytes) {
		return true, errors.New("a load of what a copy has written and of what is beside it is not supported")
	}
	return of > 0, nil
}

// landOne ends one of the copies under way.
func (b *block) landOne() (landed bool, err error) {
	n := len(b.copies)
	if n == 0 {
		return false, nil
	}
	i := 0
	if b.l.m.Order == Backward {
		i = n - 1
	}
	c := b.copies[i]
	b.copies = append(b.copies[:i], b.copies[i+1:]...)
	copy(b.shared.data[c.to:], c.data)
	c.of.bytes -= len(c.data)
	c.of.gathered.mark(c.at)
	c.of.pass()
	return true, nil
}
