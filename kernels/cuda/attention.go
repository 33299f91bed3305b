package cuda

import (
	"fmt"
	"math"

	"quadrant/kernels"
)

const (
	rotaryRows = 8   // of a block, if there are many
	mostAngles = 512 // ANGLES in kern/attention.cu
)

func (d *Device) rotaryStore(o *kernels.RotaryStore) {
	a := d.begin(o.Q, o.K, o.V, o.KCache, o.VCache)
	a.int(o.Q.Rows/o.Seqs, o.KCache.Rows/o.Seqs)
	a.pointer(d.cell(o.Past))
	a.int(o.HeadDim, o.Rotary, o.Q.Cols, o.K.Cols)
	logBase := 0.0
	if o.Rotary > 0 {
		logBase = math.Log(o.Base)
	}
	a.float(logBase)
	if o.Rotary > 2*maxThreads {
		d.fail(fmt.Errorf("rotary embedding of %d elements, and this device has a kernel for up to %d: use the CPU", o.Rotary, 2*maxThreads))
		return
	}
	each := 1
	if o.Q.Rows >= manyRows*rotaryRows && o.Rotary/2*rotaryRows <= mostAngles {
		each = rotaryRows
	}
	a.int(o.Q.Rows, each)
	d.launch(typed("rotary", o.KCache, o.VCache), blocksFor(o.Q.Rows, each), 1, max(threadsFor(o.Q.Cols), threadsFor(o.Rotary/2)), a)
}

// maxHeadDim is what a warp holds of a head: CHUNKS·32 in kern/attention.cu.
const maxHeadDim = 256

func (d *Device) attend(o *kernels.Attend) {
	if o.HeadDim > maxHeadDim {
		d.fail(fmt.Errorf("attention heads of %d elements, and this device has kernels for up to %d: use more heads or the CPU", o.HeadDim, maxHeadDim))
		return
	}
	if o.LSE.None() && d.attendStep(o) || d.flash(o, panels{}) {
		return
	}
	a := d.begin(o.Dst, o.Q, o.K, o.V)
	a.int(o.Q.Rows/o.Seqs, o.K.Rows/o.Seqs)
	a.pointer(d.cell(o.Past))
	a.int(o.HeadDim, o.Q.Cols/o.K.Cols)
	a.float(float64(o.Scale))
	a.mats(o.LSE)
	d.launch(typed("attend", o.K, o.V), o.Q.Rows, o.Q.Cols/o.HeadDim, warpThreads, a)
}

const (
	stepThreads  = 128 // STEP_WARPS in kern/attention.cu
	slice        = 8   // SLICE
	keysPerBlock = 256 // about as many are worth a block of their own
	manyBlocks   = 512 // no more are needed to fill a GPU
)

// attendStep plans the attention of a decode step, if there are kernels for o: its keys are
// shared by as many blocks as the length of the cache, which does not change, is worth.
func (d *Device) attendStep(o *kernels.Attend) bool {
	heads, length := o.Q.Cols/o.HeadDim, o.K.Rows/o.Seqs
	if o.Q.Rows/o.Seqs > 4 || o.HeadDim%slice != 0 || o.K.Type != o.V.Type || !vectors(o.K) || !vectors(o.V) {
		return false
	}
	parts := max(1, min(blocksFor(length, keysPerBlock), manyBlocks/(heads*o.Q.Rows)))
	var joint kernels.Mat
	if parts > 1 {
		joint = scratch(d.temp(4*o.Q.Rows*heads*parts*(o.HeadDim+2)), o.Q.Rows*heads*parts, o.HeadDim+2)
	}
	lanes := 1
	for lanes*slice < o.HeadDim {
		lanes *= 2
	}
	a := d.begin(o.Dst, o.Q, o.K, o.V)
	a.int(o.Q.Rows/o.Seqs, length)
	a.pointer(d.cell(o.Past))
	a.int(o.HeadDim, o.Q.Cols/o.K.Cols)
	a.float(float64(o.Scale))
	a.int(lanes)
	a.mats(joint)
	d.launchZ(typed("attend_step", o.K), [3]int{o.Q.Rows, heads, parts}, stepThreads, a)
	if parts > 1 {
		a := d.begin(o.Dst, joint)
		a.int(o.HeadDim, parts)
		d.launch("attend_join", o.Q.Rows, heads, threadsFor(o.HeadDim), a)
	}
	return true
}
