package cuda

import (
	"fmt"
	"math"

	"quadrant/kernels"
)

func (d *Device) rotaryGrad(o *kernels.RotaryGrad) {
	a := d.begin(o.DQ, o.DK, o.DV, o.DKCache, o.DVCache)
	a.int(o.DQ.Rows/o.Seqs, o.DKCache.Rows/o.Seqs, o.HeadDim, o.Rotary, o.DQ.Cols, o.DK.Cols)
	logBase := 0.0
	if o.Rotary > 0 {
		logBase = math.Log(o.Base)
	}
	a.float(logBase)
	d.launch("rotary_grad", o.DQ.Rows, 1, threadsFor(o.DQ.Cols), a)
}

func (d *Device) attendGrad(o *kernels.AttendGrad) {
	if o.HeadDim > maxHeadDim {
		d.fail(fmt.Errorf("attention heads of %d elements, and this device has kernels for up to %d: use more heads or the CPU", o.HeadDim, maxHeadDim))
		return
	}
	if d.flashGrad(o) {
		return
	}
	heads := o.Q.Cols / o.HeadDim
	inner := d.temp(4 * o.Q.Rows * heads)
	a := d.begin(o.DQ, o.DK, o.DV, o.G, o.Out, o.Q, o.K, o.V, o.LSE)
	a.pointer(inner)
	a.int(o.Q.Rows/o.Seqs, o.K.Rows/o.Seqs, o.HeadDim, heads, o.Q.Cols/o.K.Cols)
	a.float(float64(o.Scale))
	d.launch(typed("attend_grad_q", o.K, o.V), o.Q.Rows, heads, warpThreads, a)
	d.launch(typed("attend_grad_kv", o.K, o.V), o.Q.Rows, o.K.Cols/o.HeadDim, warpThreads, a)
}
