package cuda

import (
	"encoding/binary"
	"fmt"
	"math"

	"quadrant/kernels"
)

// squareBlocks is how many parts a sum of squares has at most.
const squareBlocks = 1024

func (d *Device) squareSum(o *kernels.SquareSum) {
	n := min(o.X.Rows, squareBlocks)
	p := d.temp(4 * n)
	a := d.begin(o.X)
	a.pointer(p)
	a.int(o.X.Rows, o.X.Cols)
	d.launch("square_sum", n, 1, threadsFor(o.X.Cols), a)
	d.fold(o.Dst, p, n, false)
}

// stepNumbers are what differs from one step of AdamW to the next: the rate, the scale of
// gradients, and 1 − β^step for both averages. Kernels read them from the GPU's memory, so that a
// list of ops serves every step.
type stepNumbers struct {
	addr   uint64
	values [4]float32
	set    bool
}

// setStep leaves the numbers of o where the kernel adamw finds them.
func (d *Device) setStep(o *kernels.AdamW) {
	rest := func(beta float32) float32 { return float32(1 - math.Pow(float64(beta), float64(o.Step))) }
	values := [4]float32{o.Rate, o.GradScale, rest(o.Beta1), rest(o.Beta2)}
	if d.step.set && values == d.step.values {
		return
	}
	d.flush() // ops before may need the numbers that are there
	if d.step.addr == 0 {
		p, err := d.drv.Alloc(4 * len(values))
		if err != nil {
			d.fail(fmt.Errorf("the numbers of a step: %w", err))
			return
		}
		d.step.addr, d.live[p] = p, true
	}
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	d.fail(d.drv.CopyIn(d.step.addr, b))
	d.step.values, d.step.set = values, true
}

func (d *Device) adamW(o *kernels.AdamW) {
	a := d.begin(o.W, o.Grad, o.M, o.V)
	a.pointer(d.step.addr)
	a.int(o.W.Cols)
	a.float(float64(o.Beta1))
	a.float(float64(o.Beta2))
	a.float(float64(o.Eps))
	a.float(float64(o.Decay))
	d.launch("adamw", o.W.Rows, 1, threadsFor(o.W.Cols), a)
}
