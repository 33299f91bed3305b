package ptxsim

import (
	"errors"
	"fmt"
	"strings"
)

// Barriers in shared memory (mbarrier): a phase ends when those that are expected have arrived
// and the bytes that are expected have been copied. What a warp does after such a barrier comes
// after what others did before they arrived: clocks keep account of that.

// A clock is, for each actor, how many of its doings are over and known to be. Actors are the
// tensor cores of each warp, whose doings are groups of products, and after them the barriers,
// whose doings are the copies that they count.
type clock []int32

func (c *clock) mark(s stamp) {
	for len(*c) <= s.actor {
		*c = append(*c, 0)
	}
	(*c)[s.actor] = max((*c)[s.actor], s.time)
}

func (c *clock) join(other clock) {
	for actor, time := range other {
		c.mark(stamp{actor, time})
	}
}

func (c clock) knows(s stamp) bool { return s.actor < len(c) && c[s.actor] >= s.time }

// A stamp is a doing of an actor.
type stamp struct {
	actor int
	time  int32
}

// phases is a barrier in shared memory.
type phases struct {
	at               uint64
	actor            int
	begun            int32 // copies
	arrivals, absent int   // of a phase, and in this one
	bytes            int   // to come in this phase, less those that came
	number           int   // of the phase, from 0
	gathered, known  clock // of those that arrived in this phase, and before it
}

// async is what a block's barriers, copies and tensor cores do.
type async struct {
	phases []*phases
	shown  bool   // barriers, to copies
	copies []bulk // under way, in the order in which they began
	tiles  []tile // shared memory by 16 bytes
}

// errEarly says that a phase has not ended yet.
var errEarly = errors.New("the phase has not ended")

func (p *phases) arrive(w *warp) error {
	if p.absent == 0 {
		return fmt.Errorf("more arrivals than the %d that the barrier at %d expects of a phase", p.arrivals, p.at)
	}
	p.absent--
	p.gathered.join(w.tensor.clock)
	p.pass()
	return nil
}

// pass ends the phase if nothing is missing.
func (p *phases) pass() {
	if p.absent > 0 || p.bytes != 0 {
		return
	}
	p.known.join(p.gathered)
	p.gathered = nil
	p.number++
	p.absent = p.arrivals
}

// barrierAt finds the barrier that a lane means.
func (b *block) barrierAt(at uint64) (*phases, error) {
	for _, p := range b.phases {
		if p.at == at {
			return p, nil
		}
	}
	return nil, fmt.Errorf("no barrier has begun at %d of shared memory", at)
}

// describePhases says what the barriers of a block that hangs wait for.
func (b *block) describePhases() string {
	var s []string
	for i, p := range b.phases {
		if p.absent < p.arrivals || p.bytes != 0 {
			s = append(s, fmt.Sprintf("barrier %d waits for %d arrivals and %d bytes", i, p.absent, p.bytes))
		}
	}
	if s == nil {
		return "a phase is awaited that nobody has begun"
	}
	return strings.Join(s, ", ")
}

// meet is what a barrier of the block tells its warps: all that the others know.
func (b *block) meet() {
	if b.phases == nil {
		return
	}
	var all clock
	for _, w := range b.warps {
		all.join(w.tensor.clock)
	}
	for _, w := range b.warps {
		w.tensor.clock.join(all)
	}
}

// onBarrier decodes an instruction on the barrier at operand at, and a number after it.
func onBarrier(operands, at int, do func(w *warp, p *phases, operand uint64) error) builder {
	return func(d *decoder) (action, error) {
		if err := d.want(operands); err != nil {
			return nil, err
		}
		if at == 1 && d.at.operands[0] != "_" {
			return nil, fmt.Errorf("the state of a barrier in %s is not supported, want _", d.at.operands[0])
		}
		address, err := d.address(d.at.operands[at], "shared")
		if err != nil {
			return nil, err
		}
		number := d.constant(1)
		if operands > at+1 {
			number, err = d.value(d.at.operands[at+1], 32)
		}
		return func(w *warp, mask uint32) error {
			return each(mask, func(l int) error {
				p, err := w.b.barrierAt(w.regs[address.base][l] + address.offset)
				if err != nil {
					return err
				}
				return do(w, p, w.regs[number][l])
			})
		}, err
	}
}

func barriers(t map[string]builder) {
	t["mbarrier.init.shared::cta.b64"] = beginBarrier
	t["fence.proxy.async.shared::cta"] = func(d *decoder) (action, error) {
		return func(w *warp, _ uint32) error {
			w.b.shown = true
			return nil
		}, d.want(0)
	}
	t["mbarrier.arrive.shared::cta.b64"] = onBarrier(2, 1, func(w *warp, p *phases, _ uint64) error { return p.arrive(w) })
	t["mbarrier.arrive.expect_tx.shared::cta.b64"] = onBarrier(3, 1, func(w *warp, p *phases, bytes uint64) error {
		p.bytes += int(bytes)
		return p.arrive(w)
	})
	t["mbarrier.try_wait.parity.shared::cta.b64"] = tryWait
	t["cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes"] = copyTile
}

func beginBarrier(d *decoder) (action, error) {
	if err := d.want(2); err != nil {
		return nil, err
	}
	at, err := d.address(d.at.operands[0], "shared")
	if err != nil {
		return nil, err
	}
	arrivals, err := d.value(d.at.operands[1], 32)
	return func(w *warp, mask uint32) error {
		return each(mask, func(l int) error {
			p := &phases{at: w.regs[at.base][l] + at.offset, actor: len(w.b.warps) + len(w.b.phases)}
			p.arrivals = int(w.regs[arrivals][l])
			p.absent = p.arrivals
			if p.arrivals < 1 || p.arrivals >= 1<<20 {
				return fmt.Errorf("a barrier of %d arrivals, want 1 to %d", p.arrivals, 1<<20-1)
			}
			if _, err := w.place("shared", p.at, 8, l, true, false); err != nil {
				return err
			}
			if _, err := w.b.barrierAt(p.at); err == nil {
				return fmt.Errorf("a barrier has begun at %d before", p.at)
			}
			w.b.phases, w.b.shown = append(w.b.phases, p), false
			return nil
		})
	}, err
}

// tryWait decodes "mbarrier.try_wait.parity p, [barrier], parity", which may take as long as it
// likes: here until the phase has ended.
func tryWait(d *decoder) (action, error) {
	if err := d.want(3); err != nil {
		return nil, err
	}
	over, err := d.register(d.at.operands[0], 1)
	if err != nil {
		return nil, err
	}
	at, err := d.address(d.at.operands[1], "shared")
	if err != nil {
		return nil, err
	}
	parity, err := d.value(d.at.operands[2], 32)
	return func(w *warp, mask uint32) error {
		return each(mask, func(l int) error {
			p, err := w.b.barrierAt(w.regs[at.base][l] + at.offset)
			if err != nil {
				return err
			}
			switch v := w.regs[parity][l]; {
			case v > 1:
				return fmt.Errorf("parity %d", v)
			case int(v) == p.number&1:
				return errEarly
			}
			w.tensor.clock.join(p.known)
			w.regs[over][l] = 1
			return nil
		})
	}, err
}
