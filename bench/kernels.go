package bench

import (
	"context"
	"fmt"
	"math"
	"time"

	"quadrant/kernels"
	"quadrant/results"
)

// A KernelPlan says which operations to measure, and how.
type KernelPlan struct {
	Cases   []KernelCase
	Repeats int
	Sample  time.Duration // that a sample takes at least: as many executions as that needs
	Cold    int64         // bytes of operands that cold cases go through in turn; more than caches hold
	Gauges  []Gauge       // whose ceilings are measured
}

// A Ceilinged device can show the most that the processor and its memory do; kernels/cpu is
// one. ReadAll reads m, a contiguous F32 matrix, and does little else; MultiplyAdd computes in
// registers only and returns the floating-point operations that it did.
type Ceilinged interface {
	kernels.Device
	ReadAll(m kernels.Mat)
	MultiplyAdd(rounds int) (flops int64)
	// MultiplyAddRounded is MultiplyAdd as products with bf16 weights do where the device rounds
	// their activations, 0 where it does not.
	MultiplyAddRounded(rounds int) (flops int64)
}

// A Gauge is a device whose ceilings are measured. It shares memory with the device that is
// measured.
type Gauge struct {
	Device Ceilinged
	Env    results.Env
}

// Validate returns the first thing wrong with p.
func (p KernelPlan) Validate() error {
	switch {
	case len(p.Cases) == 0:
		return fmt.Errorf("bench: no operations to measure")
	case p.Repeats < 1:
		return fmt.Errorf("bench: repeats is %d, want at least 1", p.Repeats)
	case p.Sample <= 0:
		return fmt.Errorf("bench: samples of %v, want more than 0", p.Sample)
	case p.Cold < 1<<20:
		return fmt.Errorf("bench: cold cases go through %d bytes, want at least %d", p.Cold, 1<<20)
	}
	return nil
}

// Memory is the bytes that p's operands take.
func (p KernelPlan) Memory() (bytes int64) {
	in, out := slabSizes(p.Cases, p.Cold)
	for _, n := range in {
		bytes += n
	}
	for _, n := range out {
		bytes += n
	}
	return bytes
}

// Kernels measures operations one by one. A sample is the mean of as many executions in a row
// as take p.Sample. Where a case is warm they have the same operands, which have just been
// used; where it is cold each has others, out of p.Cold bytes in turn, all of which have been
// used since those were. Every round measures the ceilings of the gauges, then every case, so
// that what disturbs the machine disturbs all alike. Samples that Have knows are not repeated.
//
// For every round r it writes read_rate for footprints up to p.Cold and multiply_add_rate of
// every gauge, and op_time of every case. A [SelfTimed] device is its own gauge, has copy_rate
// too, and times ops by its own clock; see deviceTime.
func (ms *Measurer) Kernels(ctx context.Context, p KernelPlan) error {
	if err := p.Validate(); err != nil {
		return err
	}
	k := &kernelRun{Measurer: ms, plan: p, stream: kernels.NewStream(ms.Device)}
	return k.rounds(ctx, k.tests())
}

// rounds takes a sample of every test in every round.
func (k *kernelRun) rounds(ctx context.Context, tests []test) error {
	ms, total := k.Measurer, k.plan.Repeats*len(tests)
	for run := 1; run <= k.plan.Repeats; run++ {
		for i, t := range tests {
			if err := ctx.Err(); err != nil {
				return err
			}
			r := t.result(run)
			if ms.Have == nil || !ms.Have(r) {
				v, err := t.sample()
				if err != nil {
					return fmt.Errorf("%s: %w", t.name, err)
				}
				r.Values = []float64{v}
				if err := ms.Write(r); err != nil {
					return err
				}
			}
			if ms.Progress != nil {
				ms.Progress((run-1)*len(tests)+i+1, total)
			}
		}
	}
	return nil
}

// A kernelRun is a plan as it is carried out.
type kernelRun struct {
	*Measurer
	plan     KernelPlan
	stream   *kernels.Stream
	operands *operands // nil until something is measured
}

// A test is a number to be measured in every round.
type test struct {
	name   string
	result func(run int) results.Result
	sample func() (float64, error)
}

func (k *kernelRun) tests() (all []test) {
	if d, ok := k.selfTimed(); ok {
		all = k.deviceTests(d)
	}
	for _, g := range k.plan.Gauges {
		all = append(all, k.multiplyAdd(g, "", g.Device.MultiplyAdd))
		if g.Device.MultiplyAddRounded(1) > 0 {
			all = append(all, k.multiplyAdd(g, kernels.BF16.String(), g.Device.MultiplyAddRounded))
		}
		for _, bytes := range readFootprints(k.plan.Cold) {
			all = append(all, k.readRate(g, bytes))
		}
	}
	for _, c := range k.plan.Cases {
		all = append(all, k.opTime(c))
	}
	return all
}

// readFootprints are powers of four from 1 MiB up to cold, and that.
func readFootprints(cold int64) (all []int64) {
	for n := int64(1 << 20); n < cold; n *= 4 {
		all = append(all, n)
	}
	return append(all, cold)
}

// prepare places operands when the first sample needs them.
func (k *kernelRun) prepare() *operands {
	if k.operands == nil {
		k.operands = newOperands(k.Device, k.plan.Cases, k.plan.Cold)
	}
	return k.operands
}

func ofMachine(g Gauge, metric string, footprint int64, run int) results.Result {
	return results.Result{
		Schema: results.Schema, Env: g.Env, Metric: metric,
		Point: results.Point{Footprint: footprint, Run: run},
	}
}

// multiplyAdd is the rate of do; dtype is that of the weights of products that it is the ceiling
// of, none: of all others.
func (k *kernelRun) multiplyAdd(g Gauge, dtype string, do func(rounds int) int64) test {
	rounds := 1
	return test{
		fmt.Sprintf("multiply-adds of %s", g.Env.Device),
		func(run int) results.Result {
			r := ofMachine(g, "multiply_add_rate", 0, run)
			r.Subject.DType = dtype
			return r
		},
		func() (float64, error) {
			seconds, flops := 0.0, int64(0)
			for {
				start := k.Clock()
				flops = do(rounds)
				if seconds = k.Clock().Sub(start).Seconds(); seconds >= k.plan.Sample.Seconds() {
					return float64(flops) / seconds, nil
				}
				rounds *= 2
			}
		},
	}
}

func (k *kernelRun) readRate(g Gauge, footprint int64) test {
	once := timed{clock: k.Clock, least: k.plan.Sample}
	return test{
		fmt.Sprintf("reading of %s", g.Env.Device),
		func(run int) results.Result { return ofMachine(g, "read_rate", footprint, run) },
		func() (float64, error) {
			m := k.slabOf(footprint)
			once.do = func() { g.Device.ReadAll(m) }
			once.first = 1
			seconds, err := once.sample(g.Device.Sync)
			return float64(footprint) / seconds, err
		},
	}
}

func (k *kernelRun) opTime(c KernelCase) test {
	cost, footprint := k.weigh(c)
	ops := opSets{}
	var byDevice func() (float64, error)
	once := timed{clock: k.Clock, least: k.plan.Sample}
	return test{
		c.String(),
		func(run int) results.Result {
			r := results.Result{
				Schema: results.Schema, Env: k.Env, Metric: "op_time", Subject: results.Subject{DType: c.DType.String()},
				Point: results.Point{
					Op: c.Op, Shape: c.Shape, Part: c.Of, Caches: "warm", Run: run,
					FLOPs: cost.FLOPs(), Bytes: cost.Read + cost.Write, Footprint: footprint,
				},
			}
			if c.Cold {
				r.Point.Caches = "cold"
			}
			return r
		},
		func() (float64, error) {
			if ops.all == nil {
				ops.all = k.place(c)
				if d, ok := k.selfTimed(); ok {
					byDevice = k.deviceTime(d, ops.all, c.Cold)
				}
			}
			if byDevice != nil {
				return byDevice()
			}
			once.do = func() { k.stream.Do(ops.next()) }
			once.first = len(ops.all)
			return once.sample(k.Device.Sync)
		},
	}
}

// weigh returns what c costs, and about how many bytes its samples go through: what it reads
// and writes where it is warm.
func (k *kernelRun) weigh(c KernelCase) (kernels.Cost, int64) {
	o := &operands{}
	o.rewind()
	cost := c.build(o).Cost()
	if !c.Cold {
		return cost, cost.Read + cost.Write
	}
	return cost, min(k.plan.Cold, mostSets*o.bytes)
}

// mostSets keeps the sets of small operands few.
const mostSets = 1 << 14

// Place returns c's operation with operands on dev that hold numbers.
func (c KernelCase) Place(dev kernels.Device) kernels.Op {
	o := newOperands(dev, []KernelCase{c}, 0)
	o.rewind()
	return c.build(o)
}

// place makes the ops that samples of c carry out in turn.
func (k *kernelRun) place(c KernelCase) (ops []kernels.Op) {
	o := k.prepare()
	o.rewind()
	for len(ops) < mostSets {
		op := c.build(o)
		if o.around && len(ops) > 0 {
			break
		}
		o.set++
		ops = append(ops, op)
		if !c.Cold {
			break
		}
	}
	return ops
}

// opSets hands out ops in turn.
type opSets struct {
	all []kernels.Op
	at  int
}

func (s *opSets) next() kernels.Op {
	op := s.all[s.at]
	s.at = (s.at + 1) % len(s.all)
	return op
}

// timed repeats something until a clock can tell how long it takes.
type timed struct {
	clock Clock
	least time.Duration
	do    func()
	first int // executions before the clock starts
	n     int // executions of a sample; 0 until it is known
}

// sample returns the seconds of one execution. sync waits for the end of all.
func (t *timed) sample(sync func() error) (float64, error) {
	if t.n == 0 {
		if err := t.calibrate(sync); err != nil {
			return 0, err
		}
	}
	if t.n > 1 { // one that fills a sample alone does not feel how it begins
		if _, err := t.run(t.first, sync); err != nil {
			return 0, err
		}
	}
	d, err := t.run(t.n, sync)
	return d.Seconds() / float64(t.n), err
}

// calibrate finds how many executions take as long as a sample should.
func (t *timed) calibrate(sync func() error) error {
	for n := 1; ; n *= 2 {
		d, err := t.run(n, sync)
		if err != nil {
			return err
		}
		if d >= t.least/4 {
			t.n = max(1, int(math.Ceil(float64(n)*float64(t.least)/float64(d))))
			return nil
		}
	}
}

func (t *timed) run(n int, sync func() error) (time.Duration, error) {
	start := t.clock()
	for range n {
		t.do()
	}
	err := sync()
	return t.clock().Sub(start), err
}
