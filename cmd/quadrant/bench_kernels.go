package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/cpuid/v2"
	"github.com/spf13/cobra"

	"quadrant/bench"
	"quadrant/kernels"
	"quadrant/kernels/device"
	"quadrant/reports"
)

// benchKernelsOptions are what 'bench-kernels' measures.
type benchKernelsOptions struct {
	ops, dtypes []string
	sizes       string
	repeats     int
	sample      time.Duration
	coldMiB     int
}

func newBenchKernels(a *app) *cobra.Command {
	var o benchKernelsOptions
	var format, out string
	cmd := &cobra.Command{
		Use:   "bench-kernels",
		Short: "Measure operations one by one against what the machine can do",
		Long: `Measures the device's ceilings, how fast it reads and how many multiply-adds it does,
on one thread and on all, then every operation at named sizes, and says which share
of the ceiling that binds it an operation reaches. Rounds repeat all of that in turn.

Warm operations have the same operands again and again; cold ones have others each
time, out of --cold MiB that caches must not hold, as the weights of a model that
decodes. FLOPs and bytes are those of an operation's definition. A GPU times its
work by its own clock, and shows how fast copies move bytes within its memory too.

Measure on a machine that does nothing else. With --out every sample is appended to
a file as it is measured; a command that was stopped goes on from there when it is
given again, and 'quadrant figure roofline' draws the file.

Sizes:
` + sizesDocs() + `
Operations: ` + strings.Join(bench.Ops, ", "),
		Example: `  quadrant bench-kernels --out kernels.jsonl
  quadrant bench-kernels --ops matmul --dtype bf16,f16 --threads 1 --format md
  quadrant bench-kernels --device cpu/go --sizes tiny --repeats 3`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			p, err := o.plan()
			if err != nil {
				return misuse(err)
			}
			s, err := a.openSink(out)
			if err != nil {
				return err
			}
			if err := errors.Join(a.benchKernels(cmd.Context(), p, o.coldMiB == 0, s), s.close()); err != nil {
				return resumable(err, out)
			}
			return a.table(reports.KernelTable(s.results()), format)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.ops, "ops", nil, "operations to measure, by comma; none is all")
	f.StringSliceVar(&o.dtypes, "dtype", []string{"f32", "bf16", "f16"}, "types of weights and caches, by comma")
	f.StringVar(&o.sizes, "sizes", bench.AllSizes[0].Name, "what to measure operations at: "+strings.Join(sizesNames(), ", "))
	f.IntVar(&o.repeats, "repeats", 7, "samples of each operation")
	f.DurationVar(&o.sample, "sample", 50*time.Millisecond, "time that a sample takes at least")
	f.IntVar(&o.coldMiB, "cold", 0, "MiB of operands that cold operations go through; 0 is half as much again as the last cache, and at least 256; for a GPU 16 times its cache, and at least 1024")
	f.StringVar(&format, "format", "table", "of the summary: "+reports.Formats())
	f.StringVar(&out, "out", "", "file to append every sample to, as JSON lines")
	return cmd
}

func sizesNames() (names []string) {
	for _, s := range bench.AllSizes {
		names = append(names, s.Name)
	}
	return names
}

func sizesDocs() (s string) {
	for _, sizes := range bench.AllSizes {
		s += fmt.Sprintf("  %-6s %s\n", sizes.Name, sizes.Doc)
	}
	return s
}

// plan turns the flags into a plan without gauges.
func (o benchKernelsOptions) plan() (bench.KernelPlan, error) {
	p := bench.KernelPlan{Repeats: o.repeats, Sample: o.sample, Cold: int64(o.coldMiB) << 20}
	sizes, ok := bench.SizesNamed(o.sizes)
	if !ok {
		return p, fmt.Errorf("sizes %q are unknown: want one of %s", o.sizes, strings.Join(sizesNames(), ", "))
	}
	if o.coldMiB < 0 || o.coldMiB > 1<<20 {
		return p, fmt.Errorf("--cold is %d MiB, want 1 to %d, or 0 for what the caches ask for", o.coldMiB, 1<<20)
	}
	if o.coldMiB == 0 {
		p.Cold = beyondCaches()
	}
	types, err := floatTypes(o.dtypes)
	if err != nil {
		return p, err
	}
	for _, op := range o.ops {
		if !slices.Contains(bench.Ops, op) {
			return p, fmt.Errorf("operation %q is unknown: want some of %s", op, strings.Join(bench.Ops, ", "))
		}
	}
	for _, c := range sizes.Cases(types) {
		if len(o.ops) == 0 || slices.Contains(o.ops, c.Op) {
			p.Cases = append(p.Cases, c)
		}
	}
	return p, p.Validate()
}

func floatTypes(names []string) (types []kernels.Type, err error) {
	for i, name := range names {
		t, err := kernels.ParseFloat(name)
		if err != nil {
			return nil, err
		}
		if slices.Contains(names[:i], name) {
			return nil, fmt.Errorf("type %s is named twice", name)
		}
		types = append(types, t)
	}
	if len(types) == 0 {
		return nil, errors.New("no types named: --dtype takes some of f32, bf16 and f16, by comma")
	}
	return types, nil
}

// leastColdOfGPU is large enough for a copy of half of it to run at full speed.
const leastColdOfGPU = 1 << 30

// beyondCaches is more than this machine's caches hold, in bytes.
func beyondCaches() int64 {
	const least, mib = 256, 1 << 20
	l3 := max(0, int64(cpuid.CPU.Cache.L3))
	return max(least, (l3+l3/2)/mib) * mib
}

// benchKernels measures what p asks for and s does not have. Where ownCold, a device with caches
// of its own has cold operands of its own size.
func (a *app) benchKernels(ctx context.Context, p bench.KernelPlan, ownCold bool, s *sink) error {
	dev, err := a.openDevice()
	if err != nil {
		return err
	}
	if d, ok := dev.(bench.SelfTimed); ok {
		if err := d.TimesItself(); err != nil {
			return err
		}
		if ownCold {
			p.Cold = largeFootprint(dev)
		}
	} else if p.Gauges, err = a.gauges(dev); err != nil {
		return err
	} else if len(p.Gauges) == 0 {
		a.log.Warn("this device cannot show its ceilings: operations are timed, and shares are left out", "device", dev.Name())
	}
	if err := checkMemory(dev, "the operands (--cold, --sizes)", p.Memory()); err != nil {
		return err
	}
	bar := newProgress(a.stderr, "bench-kernels", 1)
	defer bar.end()
	ms := bench.Measurer{
		Device: dev, Env: environment(dev), Clock: time.Now, Have: s.known, Write: s.write, Progress: bar.set,
		Log: func(format string, args ...any) { a.log.Debug(fmt.Sprintf(format, args...)) },
	}
	return ms.Kernels(ctx, p)
}

// gauges are dev and, where it has several threads, the same device with one: those that can
// show their ceilings.
func (a *app) gauges(dev kernels.Device) (all []bench.Gauge, err error) {
	one, err := device.Open(a.deviceName, 1)
	if err != nil {
		return nil, misuse(err)
	}
	for _, d := range []kernels.Device{dev, one} {
		env := environment(d)
		g, ok := d.(bench.Ceilinged)
		if !ok || len(all) > 0 && env.Threads == all[0].Env.Threads {
			continue
		}
		all = append(all, bench.Gauge{Device: g, Env: env})
	}
	return all, nil
}
