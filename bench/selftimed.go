package bench

import (
	"fmt"
	"math"

	"quadrant/kernels"
	"quadrant/results"
)

// A SelfTimed device has a clock of its own, which tells what work took without what the host
// needed to ask for it: a GPU. It shows its ceilings by that clock too.
type SelfTimed interface {
	kernels.Device
	// TimesItself is nil where there is such a clock; without one nothing below works.
	TimesItself() error
	// Time returns the seconds of the ops that do asks for, the same list each time it is called;
	// before runs ahead of the ops that are timed.
	Time(do, before func()) (seconds float64, err error)
	Evict(m kernels.Mat) // reads m, so that caches hold nothing else
	CacheBytes() int64   // of the last cache, 0 where that is unknown
	ReadRate(m kernels.Mat) (bytesPerSecond float64, err error)
	CopyRate(dst, src kernels.Mat) (bytesPerSecond float64, err error) // read and written both count
	// MultiplyAddRate is that of units which multiply elements of a type and add float32.
	MultiplyAddRate(t kernels.Type) (flops float64, err error)
}

// selfTimed is the device of k if it has a clock.
func (k *kernelRun) selfTimed() (SelfTimed, bool) {
	d, ok := k.Device.(SelfTimed)
	return d, ok && d.TimesItself() == nil
}

// mostTimed keeps the lists of ops that a device times short.
const mostTimed = 256

// deviceTests are the ceilings of a device with a clock.
func (k *kernelRun) deviceTests(d SelfTimed) (all []test) {
	add := func(metric, dtype string, footprint int64, sample func() (float64, error)) {
		all = append(all, test{fmt.Sprintf("%s of %s", metric, k.Env.Device), func(run int) results.Result {
			r := ofMachine(Gauge{Env: k.Env}, metric, footprint, run)
			r.Subject.DType = dtype
			return r
		}, sample})
	}
	add("multiply_add_rate", "", 0, func() (float64, error) { return d.MultiplyAddRate(kernels.F32) })
	for _, t := range []kernels.Type{kernels.BF16, kernels.F16} {
		add("multiply_add_rate", t.String(), 0, func() (float64, error) { return d.MultiplyAddRate(t) })
	}
	for _, bytes := range readFootprints(k.plan.Cold) {
		add("read_rate", "", bytes, func() (float64, error) { return d.ReadRate(k.slabOf(bytes)) })
	}
	add("copy_rate", "", k.plan.Cold, func() (float64, error) {
		m := k.slabOf(k.plan.Cold)
		half := m.Cols / 2
		src, dst := m.ColRange(0, half), m.ColRange(half, 2*half)
		src.Stride, dst.Stride = half, half
		return d.CopyRate(dst, src)
	})
	return all
}

// slabOf is the first bytes of the inputs.
func (k *kernelRun) slabOf(bytes int64) kernels.Mat {
	m := k.prepare().inputs[kernels.F32].mat.ColRange(0, int(bytes/kernels.F32.Size()))
	m.Stride = m.Cols
	return m
}

// deviceTime is the time of one of ops by d's clock: of as many in a row as take the time of a
// sample, but no more than mostTimed. Warm ones are repeated; cold ones are taken once each, after
// caches were filled with something else.
func (k *kernelRun) deviceTime(d SelfTimed, ops []kernels.Op, cold bool) func() (float64, error) {
	n, most := 0, mostTimed
	var before func()
	if cold {
		most = min(most, len(ops))
		before = func() { d.Evict(k.slabOf(k.plan.Cold)) }
	}
	of := func(n int) (float64, error) {
		seconds, err := d.Time(func() {
			for i := range n {
				k.stream.Do(ops[i%len(ops)])
			}
		}, before)
		return seconds / float64(n), err
	}
	return func() (float64, error) {
		if n == 0 {
			once, err := of(1)
			if err != nil {
				return 0, err
			}
			n = int(min(float64(most), max(1, math.Ceil(k.plan.Sample.Seconds()/max(once, 1e-9)))))
		}
		return of(n)
	}
}
