package ptxsim

import (
	"errors"
	"fmt"
	"math/bits"
)

const lanes = 32 // of a warp

// A launcher runs one launch, block after block.
type launcher struct {
	m         *Machine
	k         *kernel
	grid, dim [3]int
	args      []byte
	shared    int // bytes of dynamic shared memory
	steps     int
}

func (l *launcher) run() error {
	n := l.grid[0] * l.grid[1] * l.grid[2]
	b := l.block()
	for i := range n {
		if l.m.Order == Backward {
			i = n - 1 - i
		}
		if err := b.run(i); err != nil {
			return err
		}
	}
	return nil
}

// A block is a thread block. Its warps take turns between barriers.
type block struct {
	l      *launcher
	number int
	at     [3]int
	warps  []*warp
	shared allocation
	epoch  int32 // of the check of races: the number of barriers passed
	async        // what barriers in shared memory, copies and products of warpgroups have done
}

func (l *launcher) block() *block {
	b := &block{l: l, shared: allocation{data: make([]byte, l.k.sharedBytes+l.shared), shared: true}}
	threads := l.dim[0] * l.dim[1] * l.dim[2]
	for first := 0; first < threads; first += lanes {
		w := &warp{b: b, number: first / lanes, regs: make([][lanes]uint64, l.k.slots)}
		w.all = uint32(uint64(1)<<min(lanes, threads-first) - 1)
		w.poison()
		b.warps = append(b.warps, w)
	}
	return b
}

func (b *block) run(number int) error {
	b.number, b.epoch = number, 0
	g := b.l.grid
	b.at = [3]int{number % g[0], number / g[0] % g[1], number / g[0] / g[1]}
	fill(b.shared.data, poison)
	clear(b.shared.shade)
	b.async = async{}
	for _, w := range b.warps {
		w.start()
	}
	for {
		before := b.l.steps
		for i := range b.warps {
			if b.l.m.Order == Backward {
				i = len(b.warps) - 1 - i
			}
			if err := b.warps[i].run(); err != nil {
				return err
			}
		}
		if b.l.steps != before {
			continue
		}
		if landed, err := b.landOne(); landed || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		done, err := b.pass()
		if done || err != nil {
			return err
		}
	}
}

// pass lets the warps go on from the barrier at which all wait. A GPU may forgive a warp
// that has ended or waits at another barrier; here it is an error.
func (b *block) pass() (done bool, err error) {
	for _, w := range b.warps {
		if w.live != 0 && !w.atBarrier {
			return false, w.errorf(w.barrier, fmt.Errorf("the kernel hangs: %s", b.describePhases()))
		}
	}
	first := b.warps[0]
	for _, w := range b.warps[1:] {
		if (w.live == 0) != (first.live == 0) {
			waits, ended := first, w
			if first.live == 0 {
				waits, ended = w, first
			}
			return false, waits.errorf(waits.barrier, fmt.Errorf("divergent barrier: warp %d has ended without it", ended.number))
		}
		if w.live != 0 && w.barrier != first.barrier {
			return false, w.errorf(w.barrier, fmt.Errorf("divergent barrier: warp 0 waits in line %d", b.l.k.code[first.barrier].line))
		}
	}
	b.epoch++
	for _, w := range b.warps {
		w.atBarrier = false
	}
	b.meet()
	return first.live == 0, b.finished(first.live == 0)
}

// A warp is 32 threads that share a program counter while they agree. Groups of lanes
// that do not are run by the lowest counter, which brings them together again where
// their paths join.
type warp struct {
	b         *block
	number    int
	regs      [][lanes]uint64
	all       uint32  // the lanes that exist
	live      uint32  // those that have not ended
	groups    []group // the live ones
	barrier   int32   // where the warp waits, once run returns
	atBarrier bool    // and that is the block's barrier, not a phase
	epoch     int32   // the number of waits of the warp, for the check of races
	flights   [lanes]flights
	tensor    tensor
}

// A group is lanes at one instruction. One that is stuck waits there for other lanes.
type group struct {
	pc    int32
	mask  uint32
	stuck bool
	phase bool // waits for a phase
}

func (w *warp) start() {
	w.live, w.epoch, w.flights, w.atBarrier = w.all, 0, [lanes]flights{}, false
	w.tensor = tensor{}
	w.groups = append(w.groups[:0], group{mask: w.all})
	for slot, of := range w.b.l.k.specials {
		for l := range lanes {
			w.regs[slot][l] = uint64(of(w.b.l, w.b, w.number*lanes+l))
		}
	}
}

// poison sets registers to what no kernel should use, and constants to their values.
func (w *warp) poison() {
	for slot := range w.regs {
		v, constant := w.b.l.k.constants[slot]
		if !constant {
			v = 1<<64 - 1
		}
		for l := range lanes {
			w.regs[slot][l] = v
		}
	}
}

// run goes on until the warp waits for its block or a phase, or has ended.
func (w *warp) run() error {
	for i := range w.groups {
		if g := &w.groups[i]; g.phase {
			g.stuck, g.phase = false, false
		}
	}
	for w.live != 0 && !w.atBarrier {
		g, next, ok := w.lowest()
		if !ok && w.waitsForPhase() {
			return nil
		}
		if !ok {
			stuck := w.groups[0]
			return w.errorf(stuck.pc, fmt.Errorf("divergent: only lanes %#x of %#x are here, the others have ended or wait elsewhere", stuck.mask, w.all))
		}
		waiting, err := w.advance(g, next)
		if waiting || err != nil {
			return err
		}
	}
	return nil
}

// waitsForPhase reports whether some lanes wait for a phase, and notes where.
func (w *warp) waitsForPhase() bool {
	for _, g := range w.groups {
		if g.phase {
			w.barrier = g.pc
			return true
		}
	}
	return false
}

// lowest takes out the runnable group with the lowest counter, joined with all that are
// at the same instruction, and tells the next higher counter.
func (w *warp) lowest() (g group, next int32, ok bool) {
	for _, c := range w.groups {
		if !c.stuck && (!ok || c.pc < g.pc) {
			g, ok = c, true
		}
	}
	if !ok {
		return g, 0, false
	}
	next = int32(len(w.b.l.k.code))
	rest := w.groups[:0]
	for _, c := range w.groups {
		if c.pc == g.pc {
			g.mask |= c.mask
			continue
		}
		if c.pc > g.pc {
			next = min(next, c.pc)
		}
		rest = append(rest, c)
	}
	w.groups = rest
	return g, next, true
}

// advance runs g until it meets another group at next, ends or has to wait.
func (w *warp) advance(g group, next int32) (waiting bool, err error) {
	l, code := w.b.l, w.b.l.k.code
	for first := true; first || g.pc < next; first = false {
		in := &code[g.pc]
		l.steps++
		if l.steps > l.m.MaxSteps {
			return false, w.errorf(g.pc, fmt.Errorf("the kernel hangs: it has run %d instructions", l.m.MaxSteps))
		}
		mask := g.mask
		if in.guard >= 0 {
			mask &= w.holds(in.guard, in.negate)
		}
		switch in.kind {
		case computes:
			if mask != 0 {
				if err := in.run(w, mask); err != nil {
					return false, w.errorf(g.pc, err)
				}
			}
		case branches:
			if mask == g.mask {
				// A jump back may pass groups that wait behind.
				if in.target <= g.pc {
					w.groups = append(w.groups, group{pc: in.target, mask: mask})
					return false, nil
				}
				g.pc = in.target
				continue
			}
			if mask != 0 {
				w.groups = append(w.groups, group{pc: g.pc + 1, mask: g.mask &^ mask}, group{pc: in.target, mask: mask})
				return false, nil
			}
		case exits:
			w.live &^= mask
			if g.mask &^= mask; g.mask == 0 {
				return false, nil
			}
		case waitsForBlock:
			if mask != w.all { // others may be on their way
				w.groups = append(w.groups, group{pc: g.pc, mask: g.mask, stuck: true})
				return false, nil
			}
			w.barrier, w.atBarrier = g.pc, true
			w.groups = append(w.groups, group{pc: g.pc + 1, mask: g.mask})
			return true, nil
		case waitsForWarp:
			if mask != w.all {
				w.groups = append(w.groups, group{pc: g.pc, mask: g.mask, stuck: true})
				return false, nil
			}
			if err := in.run(w, mask); err != nil {
				return false, w.errorf(g.pc, err)
			}
		case waitsForPhase:
			switch err := in.run(w, mask); {
			case errors.Is(err, errEarly): // nothing was done
				l.steps--
				w.groups = append(w.groups, group{pc: g.pc, mask: g.mask, stuck: true, phase: true})
				return false, nil
			case err != nil:
				return false, w.errorf(g.pc, err)
			}
		}
		g.pc++
	}
	w.groups = append(w.groups, group{pc: g.pc, mask: g.mask})
	return false, nil
}

// holds is the lanes in which a predicate is true, or false if negated.
func (w *warp) holds(slot int, negated bool) (mask uint32) {
	for l, v := range &w.regs[slot] {
		mask |= uint32(v&1) << l
	}
	if negated {
		mask = ^mask
	}
	return mask
}

func (w *warp) errorf(pc int32, err error) error {
	in := &w.b.l.k.code[pc]
	where := fmt.Sprintf("block %d, warp %d", w.b.number, w.number)
	if lane, ok := err.(laneError); ok {
		where = fmt.Sprintf("block %d, thread %d", w.b.number, w.number*lanes+lane.lane)
	}
	return fmt.Errorf("kernel %s, line %d (%s), %s: %w", w.b.l.k.name, in.line, in.text, where, err)
}

// A laneError is about one thread of a warp.
type laneError struct {
	lane int
	error
}

func (e laneError) Unwrap() error { return e.error }

// now is an access by a lane, for the check of races.
func (w *warp) now(lane int) visit {
	return visit{
		launch: w.b.l.m.launch, block: int32(w.b.number), epoch: w.b.epoch, warpEpoch: w.epoch,
		thread: int32(w.number*lanes + lane), warp: int32(w.number),
	}
}

// each calls f for the lanes in mask.
func each(mask uint32, f func(lane int) error) error {
	for ; mask != 0; mask &= mask - 1 {
		lane := bits.TrailingZeros32(mask)
		if err := f(lane); err != nil {
			return laneError{lane, err}
		}
	}
	return nil
}
