package cuda

import (
	"fmt"
	"math"

	"quadrant/kernels"
)

func (d *Device) rotaryStore(o *kernels.RotaryStore) {
	a := d.begin(o.Q, o.K, o.V, o.KCache, o.VCache)
	a.int(o.Q.Rows/o.Seqs, o.KCache.Rows/o.Seqs, o.Past, o.HeadDim, o.Rotary, o.Q.Cols, o.K.Cols)
	logBase := 0.0
	if o.Rotary > 0 {
		logBase = math.Log(o.Base)
	}
	a.float(logBase)
	d.launch(typed("rotary", o.KCache, o.VCache), o.Q.Rows, 1, threadsFor(o.Q.Cols), a)
}

// maxHeadDim is what a warp holds of a head: CHUNKS·32 in kern/attention.cu.
const maxHeadDim = 256

func (d *Device) attend(o *kernels.Attend) {
	if o.HeadDim > maxHeadDim {
		d.fail(fmt.Errorf("attention heads of %d elements, and this device has kernels for up to %d: use more heads or the CPU", o.HeadDim, maxHeadDim))
		return
	}
	a := d.begin(o.Dst, o.Q, o.K, o.V)
	a.int(o.Q.Rows/o.Seqs, o.K.Rows/o.Seqs, o.Past, o.HeadDim, o.Q.Cols/o.K.Cols)
	a.float(float64(o.Scale))
	d.launch(typed("attend", o.K, o.V), o.Q.Rows, o.Q.Cols/o.HeadDim, warpThreads, a)
}
