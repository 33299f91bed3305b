package ptxsim

import "fmt"

// A specialOf is the value of a special register for a thread.
type specialOf func(l *launcher, b *block, thread int) int

var specials = map[string]specialOf{
	"%tid.x":    func(l *launcher, _ *block, t int) int { return t % l.dim[0] },
	"%tid.y":    func(l *launcher, _ *block, t int) int { return t / l.dim[0] % l.dim[1] },
	"%tid.z":    func(l *launcher, _ *block, t int) int { return t / l.dim[0] / l.dim[1] },
	"%laneid":   func(_ *launcher, _ *block, t int) int { return t % lanes },
	"%ntid.x":   func(l *launcher, _ *block, _ int) int { return l.dim[0] },
	"%ntid.y":   func(l *launcher, _ *block, _ int) int { return l.dim[1] },
	"%ntid.z":   func(l *launcher, _ *block, _ int) int { return l.dim[2] },
	"%ctaid.x":  func(_ *launcher, b *block, _ int) int { return b.at[0] },
	"%ctaid.y":  func(_ *launcher, b *block, _ int) int { return b.at[1] },
	"%ctaid.z":  func(_ *launcher, b *block, _ int) int { return b.at[2] },
	"%nctaid.x": func(l *launcher, _ *block, _ int) int { return l.grid[0] },
	"%nctaid.y": func(l *launcher, _ *block, _ int) int { return l.grid[1] },
	"%nctaid.z": func(l *launcher, _ *block, _ int) int { return l.grid[2] },
}

func (d *decoder) special(text string, bits int) (int, error) {
	of, known := specials[text]
	if !known {
		return 0, fmt.Errorf("operand %s is not known", text)
	}
	if bits != 32 {
		return 0, fmt.Errorf("operand %s has 32 bits, want %d", text, bits)
	}
	slot, used := d.specials[text]
	if !used {
		slot = d.slot()
		d.specials[text], d.k.specials[slot] = slot, of
	}
	return slot, nil
}
