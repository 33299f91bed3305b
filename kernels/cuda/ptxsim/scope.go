package ptxsim

import (
	"fmt"
	"maps"
)

// A branch is an instruction, and the number of the scope that it is in.
type branch struct{ at, scope int }

// inScope is the name of a label within a scope of the given number.
func inScope(label string, scope int) string {
	if scope == 0 {
		return label
	}
	return fmt.Sprintf("%s in scope %d", label, scope)
}

// enter begins a scope, whose registers and labels are its own. Its branches go to its own labels
// or to the kernel's.
func (d *decoder) enter() {
	d.scopes = append(d.scopes, maps.Clone(d.registers))
	d.numbered++
	d.scope = d.numbered
}

func (d *decoder) leave() {
	last := len(d.scopes) - 1
	d.registers, d.scopes, d.scope = d.scopes[last], d.scopes[:last], 0
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
