// Package bench measures how fast models run: what is inside the clock, how often, and in
// which order.
package bench

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"quadrant/arch"
	"quadrant/internal/stat"
	"quadrant/kernels"
	"quadrant/results"
)

// A Case is a model to measure, with its name in results.
type Case struct {
	Subject results.Subject
	Model   *arch.Model
}

// A Plan says what to measure of every case.
type Plan struct {
	Gens    []int // numbers of tokens generated, ascending
	Prompt  int   // tokens read before, at least 1
	Batch   int   // sequences side by side
	Repeats int
	Seed    uint64 // of the prompts
}

// Validate returns the first thing wrong with p.
func (p Plan) Validate() error {
	for name, n := range map[string]int{"prompt": p.Prompt, "batch": p.Batch, "repeats": p.Repeats, "number of generation lengths": len(p.Gens)} {
		if n < 1 {
			return fmt.Errorf("bench: %s is %d, want at least 1", name, n)
		}
	}
	if p.Gens[0] < 1 || !slices.IsSorted(p.Gens) {
		return fmt.Errorf("bench: generation lengths %v, want ascending and at least 1", p.Gens)
	}
	return nil
}

// longest is the number of tokens that a run generates.
func (p Plan) longest() int { return p.Gens[len(p.Gens)-1] }

// A Clock tells the time; time.Now, except in tests.
type Clock func() time.Time

// A Measurer times generation on one device.
type Measurer struct {
	Device kernels.Device
	Env    results.Env
	Clock  Clock
	// Have reports whether a result is measured already; nil if none is.
	Have func(results.Result) bool
	// Write takes the results of a run as soon as it ends.
	Write func(...results.Result) error
	// Progress, if any, is told the tokens generated and those to generate.
	Progress func(done, total int)
	// Log, if any, is told what the measurer does.
	Log func(format string, args ...any)
}

// Latency measures generation: Batch prompts of Prompt random tokens are read, then the
// greedy next token is chosen and read back in, until Gens tokens are chosen; the clock
// runs from before the prompt to the choice of each. One run to the longest length gives
// the readings at all lengths. Runs of the cases alternate, the first of each round being
// another every time, so that what disturbs the machine disturbs all alike; each case is
// run until its token times are steady before its first. Runs that Have knows are not
// repeated.
//
// For every run r it writes prefill, token (every decode step) and, per length, generation.
func (ms *Measurer) Latency(ctx context.Context, cases []Case, p Plan) error {
	if err := p.Validate(); err != nil {
		return err
	}
	type turn struct{ c, run int }
	var turns []turn
	for run := 1; run <= p.Repeats; run++ {
		for i := range cases {
			c := (i + run - 1) % len(cases)
			if !ms.have(cases[c], p, run) {
				turns = append(turns, turn{c, run})
			}
		}
	}
	generators := make([]*generator, len(cases))
	total := len(turns) * p.longest()
	for i, t := range turns {
		if generators[t.c] == nil {
			g, err := ms.open(ctx, cases[t.c], p)
			if err != nil {
				return err
			}
			generators[t.c] = g
		}
		progress := func(tokens int) {
			if ms.Progress != nil {
				ms.Progress(i*p.longest()+tokens, total)
			}
		}
		seconds, err := generators[t.c].run(ctx, p.longest(), progress)
		if err != nil {
			return fmt.Errorf("%s, run %d: %w", cases[t.c].Subject.Model, t.run, err)
		}
		if err := ms.Write(ms.resultsOf(cases[t.c], p, t.run, seconds)...); err != nil {
			return err
		}
	}
	return nil
}

// Known reports whether every run of c is measured already, so that it needs no model.
func (ms *Measurer) Known(c Case, p Plan) bool {
	for run := 1; run <= p.Repeats; run++ {
		if !ms.have(c, p, run) {
			return false
		}
	}
	return true
}

func (ms *Measurer) have(c Case, p Plan, run int) bool {
	if ms.Have == nil {
		return false
	}
	known := true
	for _, r := range ms.resultsOf(c, p, run, make([]float64, p.longest())) {
		known = ms.Have(r) && known
	}
	return known
}

// resultsOf turns the clock's readings, one per token chosen, into results.
func (ms *Measurer) resultsOf(c Case, p Plan, run int, seconds []float64) []results.Result {
	of := func(phase string, gen int, metric string, values ...float64) results.Result {
		return results.Result{
			Schema: results.Schema, Env: ms.Env, Subject: c.Subject, Metric: metric, Values: values,
			Point: results.Point{Phase: phase, Prompt: p.Prompt, Gen: gen, Batch: p.Batch, Run: run},
		}
	}
	rs := []results.Result{of("prefill", 0, "prefill", seconds[0])}
	if len(seconds) > 1 {
		steps := make([]float64, len(seconds)-1)
		for i := range steps {
			steps[i] = seconds[i+1] - seconds[i]
		}
		rs = append(rs, of("decode", p.longest(), "token", steps...))
	}
	for _, gen := range p.Gens {
		rs = append(rs, of("", gen, "generation", seconds[gen-1]))
	}
	return rs
}

// A generator is a case ready to run.
type generator struct {
	dev     kernels.Device
	clock   Clock
	stream  *kernels.Stream
	session *arch.Session
	prompt  kernels.Mat // [batch·prompt, 1]
	next    kernels.Mat // [batch, 1]
	logits  kernels.Mat // [batch, vocab]
	seconds []float64
}

// open draws prompts, as the benchmark of state-spaces/mamba does, from ids 1 … 999, and
// warms up.
func (ms *Measurer) open(ctx context.Context, c Case, p Plan) (*generator, error) {
	m := c.Model
	g := &generator{
		dev: ms.Device, clock: ms.Clock, stream: kernels.NewStream(ms.Device),
		session: m.Open(p.Batch, p.Prompt+p.longest()),
		prompt:  ms.Device.Alloc(kernels.I32, p.Batch*p.Prompt, 1),
		next:    ms.Device.Alloc(kernels.I32, p.Batch, 1),
		logits:  ms.Device.Alloc(kernels.F32, p.Batch, m.Vocab),
		seconds: make([]float64, 0, p.longest()),
	}
	r := rand.New(rand.NewPCG(p.Seed, 0))
	ids := make([]int32, p.Batch*p.Prompt)
	first, end := min(1, int32(m.Vocab)-1), min(1000, int32(m.Vocab))
	for i := range ids {
		ids[i] = first + r.Int32N(end-first)
	}
	kernels.Put(ms.Device, g.prompt, ids)
	steps, err := g.warmUp(ctx, min(p.longest(), maxWarmUp))
	if err == nil && ms.Log != nil {
		ms.Log("%s: warm after %d tokens", c.Subject.Model, steps)
	}
	return g, err
}

const (
	maxWarmUp  = 128 // tokens
	warmWindow = 8   // tokens whose median is compared with that of as many before
	steady     = 0.05
)

// warmUp generates until the median time of a token no longer changes, and returns how
// many it took.
func (g *generator) warmUp(ctx context.Context, most int) (int, error) {
	for n := min(2*warmWindow+1, most); ; n = min(2*n, most) {
		seconds, err := g.run(ctx, n, nil)
		if err != nil {
			return n, err
		}
		var steps []float64
		for i := 1; i < n; i++ {
			steps = append(steps, seconds[i]-seconds[i-1])
		}
		if n == most {
			return n, nil
		}
		late := stat.Median(steps[len(steps)-warmWindow:])
		early := stat.Median(steps[len(steps)-2*warmWindow : len(steps)-warmWindow])
		if math.Abs(late-early) <= steady*early {
			return n, nil
		}
	}
}

// run generates n tokens and returns the clock's reading at each, in seconds. The slice is
// reused by the next run.
func (g *generator) run(ctx context.Context, n int, progress func(tokens int)) ([]float64, error) {
	g.session.Reset()
	g.seconds = g.seconds[:0]
	if err := g.dev.Sync(); err != nil {
		return nil, err
	}
	start := g.clock()
	read := g.prompt
	for i := range n {
		g.session.Forward(g.logits, read)
		g.stream.Do(kernels.ArgMax{Dst: g.next, X: g.logits})
		if err := g.dev.Sync(); err != nil {
			return nil, err
		}
		g.seconds = append(g.seconds, g.clock().Sub(start).Seconds())
		read = g.next
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if progress != nil && i%16 == 15 {
			progress(i + 1)
		}
	}
	return g.seconds, nil
}
