package cuda

import (
	"encoding/binary"
	"fmt"
	"slices"

	"quadrant/kernels"
)

// Ops are not launched one by one: they are noted, and planned and launched as a list when the
// host wants to see what they do. A list that comes a second time, such as a decode step,
// becomes a graph, which starts all of its launches at once; from then on noting an op is
// comparing it with the one that came in its place before.
//
// What may differ between two runs of a list is Past, the number of tokens before it. Kernels
// read it from a cell of the GPU's memory, and the graph's first kernel fetches all cells from
// the host.

// A program is a list of ops that has run.
type program struct {
	ops   []kernels.Op // copies, on the heap
	cells []int        // by op: the index of its Past, or −1
	graph Graph        // nil until the list has come a second time
	used  int          // when it ran last
}

// programs are the lists that the device remembers, and the one that is being noted.
type programs struct {
	known []*program
	clock int

	replay *program // the known list that has agreed with what was noted so far
	at     int      // how much of it that is

	noted program      // what was noted, where no known list agrees
	pasts []int        // by cell
	cells uint64       // their address
	rest  []kernels.Op // of the list that is being planned
}

const (
	maxPrograms = 24
	maxCells    = 32
	maxOps      = 1 << 14 // of a list
)

// note adds op to the list.
func (d *Device) note(op kernels.Op) {
	past, hasPast := pastOf(op)
	cell := -1
	if hasPast {
		if cell = slices.Index(d.pasts, past); cell < 0 {
			if len(d.pasts) == maxCells {
				d.flush()
			}
			cell = len(d.pasts)
			d.pasts = append(d.pasts, past)
		}
	}
	if d.replay == nil && len(d.noted.ops) == 0 {
		d.replay, d.at = d.begins(op), 0
	}
	if p := d.replay; p != nil {
		if d.at < len(p.ops) && p.cells[d.at] == cell && same(op, p.ops[d.at]) {
			d.at++
			return
		}
		d.diverge()
	}
	c := clone(op)
	if c == nil {
		d.fail(fmt.Errorf("there is no kernel of %T for GPUs: use --device cpu", op))
		return
	}
	d.noted.ops, d.noted.cells = append(d.noted.ops, c), append(d.noted.cells, cell)
	if len(d.noted.ops) == maxOps {
		d.flush()
	}
}

// begins is the known list that op begins, of several the one that ran last.
func (d *Device) begins(op kernels.Op) (best *program) {
	for _, p := range d.known {
		if (best == nil || p.used > best.used) && same(op, p.ops[0]) {
			best = p
		}
	}
	return best
}

// diverge notes what the known list has, as far as it agreed, as a list of its own.
func (d *Device) diverge() {
	p := d.replay
	d.noted.ops = append(d.noted.ops[:0], p.ops[:d.at]...)
	d.noted.cells = append(d.noted.cells[:0], p.cells[:d.at]...)
	d.replay = nil
}

// flush runs the list.
func (d *Device) flush() {
	if d.replay != nil && d.at < len(d.replay.ops) {
		d.diverge()
	}
	if p := d.replay; p != nil {
		d.again(p)
	} else if len(d.noted.ops) > 0 {
		p := &program{ops: slices.Clone(d.noted.ops), cells: slices.Clone(d.noted.cells)}
		if d.setCells(); d.err == nil {
			d.planAll(p)
		}
		if d.err == nil {
			d.fail(d.start())
			d.busy = true
			d.remember(p)
		}
	}
	d.replay, d.noted.ops, d.noted.cells = nil, d.noted.ops[:0], d.noted.cells[:0]
	d.pasts = d.pasts[:0]
}

// again runs a known list.
func (d *Device) again(p *program) {
	if d.setCells(); d.err != nil {
		return
	}
	if p.graph == nil {
		d.planAll(p)
		if d.err != nil {
			return
		}
		g, err := d.drv.Record(d.start)
		if err != nil {
			d.fail(err)
			return
		}
		p.graph = g
	}
	d.clock++
	p.used, d.busy = d.clock, true
	d.fail(p.graph.Launch())
}

// setCells leaves the pasts where the kernel begin finds them.
func (d *Device) setCells() {
	if len(d.pasts) == 0 {
		return
	}
	if d.busy { // an earlier list may still have to fetch its own
		d.fail(d.drv.Sync())
	}
	for i, past := range d.pasts {
		binary.LittleEndian.PutUint64(d.host.bytes[hostCells+8*i:], uint64(past))
	}
}

// cell is the address of the cell that holds past.
func (d *Device) cell(past int) uint64 { return d.cells + uint64(8*slices.Index(d.pasts, past)) }

// planAll sets the launches to those of p, whose pasts are those of the list being run.
func (d *Device) planAll(p *program) {
	d.launches = d.launches[:0]
	for i, op := range p.ops {
		if c := p.cells[i]; c >= 0 {
			p.ops[i] = withPast(op, d.pasts[c])
		}
		d.markWritten(op)
	}
	if n := len(d.pasts); n > 0 {
		a := d.begin()
		a.pointer(d.host.addr + hostCells)
		a.pointer(d.cells)
		a.int(n)
		d.launch("begin", 1, 1, warpThreads, a)
	}
	d.rest = append(d.rest[:0], p.ops...) // fuse changes it
	for ops := d.rest; len(ops) > 0 && d.err == nil; {
		n := d.fuse(ops)
		if n == 0 {
			d.plan(ops[0])
			n = 1
		}
		ops = ops[n:]
	}
	a := d.begin()
	a.pointer(d.host.addr)
	d.launch("end", 1, 1, warpThreads, a)
}

// markWritten notes that an op writes its results: a kernel must not read them before the one
// before it has ended. Graphs made before that was known are dropped.
func (d *Device) markWritten(op kernels.Op) {
	for _, m := range written(op) {
		if m.None() {
			continue
		}
		if b := m.Mem.(*buffer); !b.written {
			b.written = true
			d.dropGraphs()
		}
	}
}

// early is 1 if no kernel writes any of ms, so that they may be read at any time, else 0.
func early(ms ...kernels.Mat) int {
	for _, m := range ms {
		if !m.None() && m.Mem.(*buffer).written {
			return 0
		}
	}
	return 1
}

// remember keeps p, in place of the one that has not run for the longest time.
func (d *Device) remember(p *program) {
	d.clock++
	p.used = d.clock
	if len(d.known) < maxPrograms {
		d.known = append(d.known, p)
		return
	}
	oldest := 0
	for i, q := range d.known {
		if q.used < d.known[oldest].used {
			oldest = i
		}
	}
	d.drop(d.known[oldest])
	d.known[oldest] = p
}

func (d *Device) drop(p *program) {
	if p.graph != nil {
		d.fail(p.graph.Free())
		p.graph = nil
	}
}

// dropGraphs makes known lists be planned anew.
func (d *Device) dropGraphs() {
	for _, p := range d.known {
		d.drop(p)
	}
}

// forget forgets all lists.
func (d *Device) forget() {
	d.dropGraphs()
	d.known = d.known[:0]
}
