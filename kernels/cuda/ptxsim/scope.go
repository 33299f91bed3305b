package ptxsim

import "maps"

// enter begins a scope, whose registers are its own.
func (d *decoder) enter() { d.scopes = append(d.scopes, maps.Clone(d.registers)) }

func (d *decoder) leave() {
	last := len(d.scopes) - 1
	d.registers, d.scopes = d.scopes[last], d.scopes[:last]
}

// dynamicShared is the address of shared memory whose size the launch says: it follows the
// kernel's own, all of which is declared before the first instruction.
func (d *decoder) dynamicShared(name string) (addr uint64, known bool) {
	for _, v := range d.dynamic {
		if v.name == name {
			d.k.sharedBytes = (d.k.sharedBytes + v.align - 1) / v.align * v.align
			return uint64(d.k.sharedBytes), true
		}
	}
	return 0, false
}
