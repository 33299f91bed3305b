package ptxsim

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"quadrant/kernels"
)

// Products of warpgroups (wgmma): four warps multiply 64 rows of a by the columns of b, both in
// shared memory, and each warp has 16 rows of the sums. They are carried out as late as they may,
// when their warp waits for them.

// tensor is what the tensor cores of a warp have to do.
type tensor struct {
	clock  clock
	open   []product   // of the group that is not committed yet
	groups [][]product // that are committed
	time   int32       // groups committed, ever
	fenced [][lanes]uint64
	trace  uint64 // of descriptors, which must be the same for the warps of a group
}

// A product is one instruction.
type product struct {
	sums []int
	desc [2]uint64
}

func warpgroups(t map[string]builder) {
	for n := 8; n <= 256; n += 8 {
		t[fmt.Sprintf("wgmma.mma_async.sync.aligned.m64n%dk16.f32.bf16.bf16", n)] = warpgroupProduct(n)
	}
	t["wgmma.fence.sync.aligned"] = func(d *decoder) (action, error) {
		return func(w *warp, _ uint32) error {
			w.tensor.fenced = w.tensor.fenced[:0]
			for _, slot := range w.b.l.k.sums {
				w.tensor.fenced = append(w.tensor.fenced, w.regs[slot])
			}
			return nil
		}, d.want(0)
	}
	t["wgmma.commit_group.sync.aligned"] = func(d *decoder) (action, error) {
		return func(w *warp, _ uint32) error {
			t := &w.tensor
			t.groups, t.open = append(t.groups, t.open), nil
			t.time++
			return nil
		}, d.want(0)
	}
	t["wgmma.wait_group.sync.aligned"] = func(d *decoder) (action, error) {
		if err := d.want(1); err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(d.at.operands[0])
		return func(w *warp, _ uint32) error {
			for len(w.tensor.groups) > n {
				if err := w.multiplyGroup(); err != nil {
					return err
				}
			}
			return nil
		}, err
	}
}

// warpgroupProduct decodes "wgmma {sums}, a, b, add, 1, 1, 0, 0": both signs as they are, both
// operands with their inner dimension side by side.
func warpgroupProduct(n int) builder {
	return func(d *decoder) (action, error) {
		if err := d.want(8); err != nil {
			return nil, err
		}
		if rest := d.at.operands[4:]; !slices.Equal(rest, []string{"1", "1", "0", "0"}) {
			return nil, fmt.Errorf("operands %v are not supported, want 1, 1, 0, 0", rest)
		}
		sums, err := d.vector(d.at.operands[0], 32, n/2, d.register)
		if err != nil {
			return nil, err
		}
		var desc [2]int
		for i := range desc {
			if desc[i], err = d.register(d.at.operands[1+i], 64); err != nil {
				return nil, err
			}
		}
		add, err := d.register(d.at.operands[3], 1)
		for _, slot := range sums {
			if !slices.Contains(d.k.sums, slot) {
				d.k.sums = append(d.k.sums, slot)
			}
		}
		k := d.k
		return func(w *warp, _ uint32) error {
			p := product{sums: sums}
			for i, slot := range desc {
				p.desc[i] = w.regs[slot][0]
				for _, v := range w.regs[slot] {
					if v != p.desc[i] {
						return fmt.Errorf("the lanes have different descriptors %#x and %#x", p.desc[i], v)
					}
				}
			}
			for _, v := range w.regs[add] {
				if v&1 == 0 {
					return errors.New("sums that begin anew are not supported")
				}
			}
			if err := w.checkFence(k, sums); err != nil {
				return err
			}
			return w.beginProduct(p)
		}, err
	}
}

// checkFence: registers of sums must not have changed since the last fence.
func (w *warp) checkFence(k *kernel, sums []int) error {
	if len(w.tensor.fenced) == 0 {
		return errors.New("wgmma.fence is missing before the first product")
	}
	for i, slot := range k.sums {
		if w.tensor.fenced[i] != w.regs[slot] && slices.Contains(sums, slot) {
			return errors.New("a register of the sums was written after wgmma.fence")
		}
	}
	return nil
}

// beginProduct checks that the operands are there, and notes that they are being read.
func (w *warp) beginProduct(p product) error {
	t := &w.tensor
	if len(w.b.warps) < w.number/4*4+4 || w.all != math.MaxUint32 {
		return fmt.Errorf("warp %d is not of a group of four whole warps", w.number)
	}
	t.trace = (t.trace*31+p.desc[0])*31 + p.desc[1]
	now := stamp{w.number, t.time + 1}
	for i := range p.desc {
		for _, at := range w.rowsOf(p, i) {
			off, err := descriptorOffset(p.desc[i], at)
			if err != nil {
				return err
			}
			for chunk := range uint64(2) {
				err := w.b.eachTile(swizzle(off+chunk*tileBytes), tileBytes, func(one *tile) error {
					if !one.written {
						return errors.New("a product of shared memory that no copy has written")
					}
					if !t.clock.knows(one.wrote) {
						return errors.New("race: a copy may still be under way to what a product reads")
					}
					if n := len(one.reads); n == 0 || one.reads[n-1] != now {
						one.reads = append(slices.DeleteFunc(one.reads, func(s stamp) bool { return s.actor == now.actor }), now)
					}
					return nil
				})
				if err != nil {
					return err
				}
			}
		}
	}
	t.open = append(t.open, p)
	return nil
}

// rowsOf is the rows of operand i that a warp needs: 16 of a, all of b.
func (w *warp) rowsOf(p product, i int) (rows []int) {
	first, n := 0, len(p.sums)*2
	if i == 0 {
		first, n = w.number%4*16, 16
	}
	for r := range n {
		rows = append(rows, first+r)
	}
	return rows
}

// descriptorOffset is where row of a tile lies before it is swizzled: 8 rows of 128 bytes, then
// the next 8 as far on as the descriptor says.
func descriptorOffset(desc uint64, row int) (uint64, error) {
	start, leading, next := desc&0x3fff<<4, desc>>16&0x3fff, desc>>32&0x3fff<<4
	if mode := desc >> 62; mode != 1 || desc>>46&0xffff != 0 || leading != 1 {
		return 0, fmt.Errorf("descriptor %#x is not supported, want a swizzle of 128 bytes, no base offset and 1 for the leading dimension", desc)
	}
	if start>>7&7 != 0 {
		return 0, fmt.Errorf("misaligned: a tile at %d of shared memory, want a multiple of 1024 and the bytes within a row", start)
	}
	return start + uint64(row/8)*next + uint64(row%8)*128, nil
}

// swizzle exchanges the chunks of 16 bytes of a row of 128 by the row's number.
func swizzle(at uint64) uint64 { return at ^ at>>7&7<<4 }

// multiplyGroup carries out the oldest group.
func (w *warp) multiplyGroup() error {
	t := &w.tensor
	group := t.groups[0]
	t.groups = t.groups[1:]
	for _, p := range group {
		w.multiplyProduct(p)
	}
	t.clock.mark(stamp{w.number, t.time - int32(len(t.groups))})
	for i, slot := range w.b.l.k.sums {
		if len(t.fenced) > i {
			t.fenced[i] = w.regs[slot]
		}
	}
	return nil
}

// multiplyProduct: element 4j + 2h + e of a lane's sums is that of row g + 8h and column
// 8j + 2t + e, with g = lane/4 and t = lane mod 4. Sums are exact and rounded once.
func (w *warp) multiplyProduct(p product) {
	var operands [2][][16]float64
	for i := range operands {
		for _, at := range w.rowsOf(p, i) {
			off, _ := descriptorOffset(p.desc[i], at)
			var row [16]float64
			for k := range row {
				v := get(w.b.shared.data[swizzle(off+uint64(2*k)):], 16)
				row[k] = float64(kernels.FromBF16(uint16(v)))
			}
			operands[i] = append(operands[i], row)
		}
	}
	for l := range lanes {
		for i, slot := range p.sums {
			a, b := &operands[0][l/4+i/2%2*8], &operands[1][i/4*8+l%4*2+i%2]
			sum := float64(single(w.regs[slot][l]))
			for k, x := range a {
				sum += x * b[k]
			}
			w.regs[slot][l] = bitsOf(float32(sum))
		}
	}
}

// finished checks what is left when a block has ended.
func (b *block) finished(done bool) error {
	if !done {
		return nil
	}
	for i, w := range b.warps {
		if len(w.tensor.open)+len(w.tensor.groups) > 0 {
			return fmt.Errorf("kernel %s, block %d, warp %d ends with products that it has not awaited", b.l.k.name, b.number, i)
		}
		if first := b.warps[i/4*4]; w.tensor.trace != first.tensor.trace {
			return fmt.Errorf("kernel %s, block %d: warps %d and %d of a warpgroup have not the same products", b.l.k.name, b.number, first.number, i)
		}
	}
	if len(b.copies) > 0 {
		return fmt.Errorf("kernel %s, block %d ends while %d copies are under way", b.l.k.name, b.number, len(b.copies))
	}
	return nil
}
