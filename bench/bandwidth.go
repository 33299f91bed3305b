package bench

import (
	"context"
	"time"

	"quadrant/kernels"
	"quadrant/results"
)

// bandwidthSample is the time that a sample of a bandwidth takes at least.
const bandwidthSample = 20 * time.Millisecond

// Bandwidth measures how fast the device moves bytes of its memory, which is what the bytes of a
// decode step are a share of: copy_rate of a [SelfTimed] device, read_rate of a [Ceilinged] one,
// both from a footprint of so many bytes, more than caches hold. Of others it measures nothing.
func (ms *Measurer) Bandwidth(ctx context.Context, footprint int64, repeats int) error {
	quiet := *ms
	quiet.Progress = nil
	k := &kernelRun{
		Measurer: &quiet, stream: kernels.NewStream(ms.Device),
		plan: KernelPlan{Repeats: repeats, Sample: bandwidthSample, Cold: footprint},
	}
	if d, ok := k.selfTimed(); ok {
		all := k.deviceTests(d)
		return k.rounds(ctx, all[len(all)-1:])
	}
	if d, ok := ms.Device.(Ceilinged); ok {
		return k.rounds(ctx, []test{k.readRate(Gauge{Device: d, Env: ms.Env}, footprint)})
	}
	return nil
}

// TokenBytes is the result that says how many bytes a decode step of c must move, in the middle of
// generating gen tokens with p.
func (ms *Measurer) TokenBytes(c Case, p Plan, gen int, bytes int64) results.Result {
	return results.Result{
		Schema: results.Schema, Env: ms.Env, Subject: c.Subject, Metric: "token_bytes", Values: []float64{float64(bytes)},
		Point: results.Point{Prompt: p.Prompt, Gen: gen, Batch: p.Batch, Context: p.Middle(gen)},
	}
}

// Middle is how many tokens come before the middle one of the decode steps that generate gen
// tokens; the first token is the prompt's.
func (p Plan) Middle(gen int) int { return p.Prompt + max(0, gen-2)/2 }
