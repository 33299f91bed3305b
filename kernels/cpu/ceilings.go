package cpu

import "quadrant/kernels"

// What follows measures nothing: it is work of which a clock tells the most that the
// processor and its memory can do, for the speed of ops to be compared with.

// ReadAll reads every byte of m, a contiguous F32 matrix, on all threads, and does as little
// else as it can.
func (d *Device) ReadAll(m kernels.Mat) {
	d.jobs.read.values = of[float32](m).data[:m.Len()]
	d.pool.do(&d.jobs.read, blocks(m.Len(), readBlock), readBlock)
}

// MultiplyAdd does rounds of fused multiply-adds in registers, at least one on each thread,
// and returns how many floating-point operations those were, a multiply-add being two.
func (d *Device) MultiplyAdd(rounds int) (flops int64) {
	units := fusedShare * d.pool.workers
	j := &d.jobs.fused
	j.rounds = max(1, rounds/units)
	d.pool.do(j, units, tooSmall) // shared, however few the rounds
	_, each := d.vec.Fused(1)
	return each * int64(units) * int64(j.rounds)
}

// MultiplyAddRounded is MultiplyAdd with what products with bf16 weights use where this is a
// variant that rounds their activations, and 0 where it is not.
func (d *Device) MultiplyAddRounded(rounds int) (flops int64) {
	if d.vec.FusedRounded == nil {
		return 0
	}
	units := fusedShare * d.pool.workers
	j := &d.jobs.fused
	j.rounds, j.rounded = max(1, rounds/units), true
	d.pool.do(j, units, tooSmall)
	j.rounded = false
	return d.vec.FusedRounded(1) * int64(units) * int64(j.rounds)
}

const (
	readBlock  = 1 << 16 // values of a unit
	fusedShare = 8       // units for each thread
)

type readJob struct {
	d      *Device
	values []float32
}

func (j *readJob) run(_, lo, hi int) {
	j.d.vec.Sum(j.values[lo*readBlock : min(hi*readBlock, len(j.values))])
}

type fusedJob struct {
	d       *Device
	rounds  int
	rounded bool
}

func (j *fusedJob) run(_, lo, hi int) {
	for range hi - lo {
		if j.rounded {
			j.d.vec.FusedRounded(j.rounds)
		} else {
			j.d.vec.Fused(j.rounds)
		}
	}
}
