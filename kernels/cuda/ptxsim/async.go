package ptxsim

import (
	"fmt"
	"strconv"
)

// Asynchronous copies land as late as they may: when the thread waits for their group. Until
// then the shared memory holds what it held, poison at first. That they may land earlier is
// seen by the check of races, which takes a copy for a write both when it begins and when it
// lands.

// A flight is a copy that is under way.
type flight struct {
	to   uint64
	data [16]byte
}

// flights are the copies of one thread: groups, the last of them open.
type flights [][]flight

func asyncCopies(t map[string]builder) {
	t["cp.async.cg.shared.global"] = copyAsync
	t["cp.async.commit_group"] = func(d *decoder) (action, error) {
		return func(w *warp, mask uint32) error {
			return each(mask, func(l int) error {
				w.flights[l] = append(w.inFlight(l), nil)
				return nil
			})
		}, d.want(0)
	}
	t["cp.async.wait_group"] = func(d *decoder) (action, error) {
		if err := d.want(1); err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(d.at.operands[0])
		return func(w *warp, mask uint32) error {
			return each(mask, func(l int) error {
				for len(w.inFlight(l))-1 > n {
					if err := w.land(l); err != nil {
						return err
					}
				}
				return nil
			})
		}, err
	}
}

// inFlight is the copies of a lane, the open group among them.
func (w *warp) inFlight(l int) flights {
	if len(w.flights[l]) == 0 {
		w.flights[l] = flights{nil}
	}
	return w.flights[l]
}

// land ends the copies of a lane's oldest group.
func (w *warp) land(l int) error {
	for _, f := range w.flights[l][0] {
		b, err := w.place("shared", f.to, len(f.data), l, true, false)
		if err != nil {
			return err
		}
		copy(b, f.data[:])
	}
	w.flights[l] = w.flights[l][1:]
	return nil
}

// copyAsync decodes "cp.async.cg.shared.global [to], [from], 16, bytes": of the 16 bytes, those
// beyond bytes become zero.
func copyAsync(d *decoder) (action, error) {
	if err := d.want(4); err != nil {
		return nil, err
	}
	to, err := d.address(d.at.operands[0], "shared")
	if err != nil {
		return nil, err
	}
	from, err := d.address(d.at.operands[1], "global")
	if err != nil {
		return nil, err
	}
	if d.at.operands[2] != "16" {
		return nil, fmt.Errorf("copies of %s bytes are not supported, want 16", d.at.operands[2])
	}
	bytes, err := d.value(d.at.operands[3], 32)
	return func(w *warp, mask uint32) error {
		return each(mask, func(l int) error {
			f := flight{to: w.regs[to.base][l] + to.offset}
			if _, err := w.place("shared", f.to, len(f.data), l, true, false); err != nil {
				return err
			}
			if n := w.regs[bytes][l]; n == uint64(len(f.data)) {
				b, err := w.place("global", w.regs[from.base][l]+from.offset, len(f.data), l, false, false)
				if err != nil {
					return err
				}
				copy(f.data[:], b)
			} else if n != 0 {
				return fmt.Errorf("a copy of %d bytes is not supported, want 0 or 16", n)
			}
			groups := w.inFlight(l)
			groups[len(groups)-1] = append(groups[len(groups)-1], f)
			return nil
		})
	}, err
}
