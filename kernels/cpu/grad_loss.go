package cpu

import (
	"math"

	"quadrant/kernels"
)

// crossEntropyJob takes rows.
type crossEntropyJob struct {
	d            *Device
	loss, logits view[float32]
	targets      view[int32]
	scale        float32
}

func (j *crossEntropyJob) start(o *kernels.CrossEntropy) {
	j.loss, j.logits, j.targets, j.scale = f32(o.Loss), f32(o.Logits), i32(o.Targets), o.Scale
	for i := range j.targets.rows {
		if t := int(j.targets.row(i)[0]); t < -1 || t >= j.logits.cols {
			j.d.failf("target %d in row %d is out of range: there are %d logits, and -1 is for a row without one", t, i, j.logits.cols)
			return
		}
	}
	j.d.pool.do(j, j.logits.rows, 8*j.logits.cols)
}

func (j *crossEntropyJob) run(_, lo, hi int) {
	for i := lo; i < hi; i++ {
		j.loss.row(i)[0] = j.row(j.logits.row(i), int(j.targets.row(i)[0]))
	}
}

// row turns logits into their gradient and returns the loss.
func (j *crossEntropyJob) row(logits []float32, target int) float32 {
	if target < 0 {
		clear(logits)
		return 0
	}
	of := float64(logits[target])
	top := j.d.vec.ScaledMax(logits, 1)
	sum := j.d.vec.ExpSum(logits, top)
	j.d.vec.Scale(logits, j.scale/sum)
	logits[target] -= j.scale
	return float32(math.Log(float64(sum)) + float64(top) - of)
}
