package cuda

import "quadrant/kernels"

// Where experts choose their tokens: kern/choice.cu.

const scatterThreads = 256 // SCATTER_THREADS in kern/choice.cu

func (d *Device) expertChoice(o *kernels.ExpertChoice) {
	tokens, experts := o.Logits.Rows, o.Logits.Cols
	keys := d.temp(4 * tokens * (experts + 2))
	softmax := scratch(keys+uint64(4*tokens*experts), tokens, 2)
	a := d.begin(o.Logits)
	a.pointer(keys)
	a.mats(softmax)
	a.int(tokens, experts)
	d.launch("choice_keys", blocksFor(tokens, maxThreads/warpThreads), 1, maxThreads, a)

	a = d.begin(o.Slots, o.Offsets, o.Gates, o.Logits)
	a.pointer(keys)
	a.mats(softmax)
	a.int(tokens, experts, o.K)
	a.float(float64(o.Scale()))
	d.launch("choice_take", experts, 1, threadsFor(tokens), a)
}

// checkTaken guards against places that ExpertChoice did not make.
func (d *Device) checkTaken(slots, offsets kernels.Mat, tokens, k int) {
	a := d.begin(slots, offsets)
	a.int(k, slots.Rows, tokens)
	d.launch("taken_check", offsets.Rows-1, 1, threadsFor(slots.Rows/(offsets.Rows-1)), a)
}

func (d *Device) expertChoiceGrad(o *kernels.ExpertChoiceGrad) {
	d.checkTaken(o.Slots, o.Offsets, o.Logits.Rows, o.K)
	a := d.begin(o.DLogits, o.G, o.Gates, o.Slots, o.Offsets)
	a.int(o.K)
	a.mats(o.Logits)
	a.int(o.Logits.Rows, o.Logits.Cols)
	d.launch("choice_grad", blocksFor(o.Logits.Rows, maxThreads/warpThreads), 1, maxThreads, a)
}

func (d *Device) scatterAdd(o *kernels.ScatterAdd) {
	d.checkTaken(o.Slots, o.Offsets, o.Dst.Rows, o.K)
	a := d.begin(o.Dst, o.Src, o.Gates, o.Slots, o.Offsets)
	a.int(o.K, o.Dst.Cols, o.Offsets.Rows-1)
	d.launch("scatter_add", o.Dst.Rows, 1, min(scatterThreads, threadsFor(o.Dst.Cols)), a)
}

func (d *Device) scatterAddGrad(o *kernels.ScatterAddGrad) {
	a := d.begin(o.DSrc, o.DGates, o.G, o.Src, o.Gates, o.Slots)
	a.int(o.Src.Cols, o.G.Rows, o.K)
	d.launch("scatter_add_grad", o.Src.Rows, 1, threadsFor(o.Src.Cols), a)
}
