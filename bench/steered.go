package bench

import "quadrant/kernels"

// A Steered device passes ops on, but can send tokens to other experts than routers choose.
// Routers still compute; only the list that experts work by is made of other choices, by
// the same op, so that routings differ in time by what experts do and nothing else. Gates
// stay those of the routers' own choices.
type Steered struct {
	kernels.Device

	trace  kernels.Trace
	record func(layer int, experts kernels.Mat) // sees what routers choose; nil is nobody
	plan   map[int]kernels.Mat                  // choices by layer, each [T, k]; nil leaves them to the routers
	sort   kernels.Sort
}

// Do passes op on, steered.
func (d *Steered) Do(op kernels.Op) {
	o, ok := op.(*kernels.Sort)
	if !ok || d.plan == nil && d.record == nil {
		d.trace.Note(op)
		d.Device.Do(op)
		return
	}
	layer := d.trace.Index("layer")
	if d.record != nil {
		d.record(layer, o.Experts)
	}
	if experts, ok := d.plan[layer]; ok {
		d.sort = *o
		d.sort.Experts = experts
		op = &d.sort
	}
	d.Device.Do(op)
}
