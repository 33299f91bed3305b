package bench

import (
	"context"
	"fmt"
	"math/rand/v2"

	"quadrant/arch"
	"quadrant/kernels"
	"quadrant/results"
)

// A ReplayPlan says what to read under every routing, and how often.
type ReplayPlan struct {
	IDs               []int32 // of the text, at least Batch·Prompt: sequences one after another
	Corpus, Tokenizer string  // that they are of
	Prompt            int     // tokens of each sequence
	Batch             int     // sequences side by side
	Repeats           int
	Seed              uint64 // of routings that are drawn
}

func (p ReplayPlan) validate(c arch.Config) error {
	for name, n := range map[string]int{"prompt": p.Prompt, "batch": p.Batch, "repeats": p.Repeats} {
		if n < 1 {
			return fmt.Errorf("bench: %s is %d, want at least 1", name, n)
		}
	}
	if len(p.IDs) < p.Batch*p.Prompt {
		return fmt.Errorf("bench: the text has %d tokens, want at least %d for %d sequences of %d", len(p.IDs), p.Batch*p.Prompt, p.Batch, p.Prompt)
	}
	for _, l := range c.Layers {
		if l.Channel.MoE != nil {
			return nil
		}
	}
	return fmt.Errorf("bench: the model has no mixture of experts to replay")
}

// ReplayKnown reports whether everything that [Measurer.Replay] writes is measured already.
// config is the model's.
func (ms *Measurer) ReplayKnown(s results.Subject, config arch.Config, p ReplayPlan) bool {
	if ms.Have == nil {
		return false
	}
	known := true
	for _, routing := range Routings {
		for i, l := range config.Layers {
			if l.Channel.MoE != nil {
				known = ms.Have(ms.replayLoad(s, p, routing, i, l.Channel.MoE.Router.TopK, nil)) && known
			}
		}
	}
	for run := range p.Repeats {
		known = ms.roundKnown(s, p, run+1) && known
	}
	return known
}

func (ms *Measurer) roundKnown(s results.Subject, p ReplayPlan, run int) bool {
	known := ms.Have != nil
	for _, routing := range Routings {
		known = known && ms.Have(ms.replayTime(s, p, routing, run, 0))
	}
	return known
}

// Replay measures what imbalance costs. It records where c's routers send the tokens of a
// text, and then times the same forward pass, of prompts from an empty memory to the logits
// of their last tokens, with tokens sent so and by the other [Routings]. c must live on
// dev. Rounds run every routing once, in an order that turns; each is run twice before.
//
// It writes replay_expert_tokens per routing and layer, and per round and routing replay.
func (ms *Measurer) Replay(ctx context.Context, dev *Steered, c Case, p ReplayPlan) error {
	if err := p.validate(c.Model.Config); err != nil {
		return err
	}
	if err := c.Model.CheckIDs(p.IDs); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	r := newReplayer(dev, ms.Clock, c.Model, p)
	defer func() { dev.plan = nil }()
	if err := r.prepare(p); err != nil {
		return err
	}
	if err := ms.Write(ms.replayLoads(c, p, r)...); err != nil {
		return err
	}
	for range 2 {
		for _, routing := range Routings {
			if _, err := r.pass(ctx, routing); err != nil {
				return err
			}
		}
	}
	for run := 1; run <= p.Repeats; run++ {
		if ms.roundKnown(c.Subject, p, run) {
			continue
		}
		var rs []results.Result
		for i := range Routings {
			routing := Routings[(i+run-1)%len(Routings)]
			seconds, err := r.pass(ctx, routing)
			if err != nil {
				return err
			}
			rs = append(rs, ms.replayTime(c.Subject, p, routing, run, seconds))
		}
		if err := ms.Write(rs...); err != nil {
			return err
		}
		if ms.Progress != nil {
			ms.Progress(run, p.Repeats)
		}
	}
	return nil
}

func (ms *Measurer) replayTime(s results.Subject, p ReplayPlan, routing string, run int, seconds float64) results.Result {
	return results.Result{
		Schema: results.Schema, Env: ms.Env, Subject: s, Metric: "replay", Values: []float64{seconds},
		Point: results.Point{Routing: routing, Prompt: p.Prompt, Batch: p.Batch, Run: run, Corpus: p.Corpus, Tokenizer: p.Tokenizer},
	}
}

func (ms *Measurer) replayLoad(s results.Subject, p ReplayPlan, routing string, layer, topK int, tokens []float64) results.Result {
	return results.Result{
		Schema: results.Schema, Env: ms.Env, Subject: s, Metric: "replay_expert_tokens", Values: tokens,
		Point: results.Point{Routing: routing, Prompt: p.Prompt, Batch: p.Batch, Layer: &layer, TopK: topK, Corpus: p.Corpus, Tokenizer: p.Tokenizer},
	}
}

// replayLoads are the loads of every layer under every routing, but those known.
func (ms *Measurer) replayLoads(c Case, p ReplayPlan, r *replayer) (rs []results.Result) {
	for _, routing := range Routings {
		for i, l := range c.Model.Layers {
			if l.Channel.MoE == nil {
				continue
			}
			tokens := make([]float64, l.Channel.MoE.Experts)
			for _, e := range r.choices[routing][i] {
				tokens[e]++
			}
			res := ms.replayLoad(c.Subject, p, routing, i, l.Channel.MoE.Router.TopK, tokens)
			if ms.Have == nil || !ms.Have(res) {
				rs = append(rs, res)
			}
		}
	}
	return rs
}

// A replayer is a model ready to read the same text under any routing.
type replayer struct {
	dev     *Steered
	clock   Clock
	session *arch.Session
	ids     kernels.Mat                    // [batch·prompt, 1]
	logits  kernels.Mat                    // [batch, vocab]
	choices map[string]map[int][]int32     // by routing and layer
	plans   map[string]map[int]kernels.Mat // choices on the device
}

func newReplayer(dev *Steered, clock Clock, m *arch.Model, p ReplayPlan) *replayer {
	r := &replayer{
		dev: dev, clock: clock, session: m.Open(p.Batch, p.Prompt),
		ids: dev.Alloc(kernels.I32, p.Batch*p.Prompt, 1), logits: dev.Alloc(kernels.F32, p.Batch, m.Vocab),
		choices: make(map[string]map[int][]int32), plans: make(map[string]map[int]kernels.Mat),
	}
	kernels.Put[int32](dev, r.ids, p.IDs[:p.Batch*p.Prompt])
	return r
}

// prepare records what routers choose, makes the other routings and puts all on the device.
func (r *replayer) prepare(p ReplayPlan) error {
	recorded := make(map[int][]int32)
	r.dev.plan, r.dev.record = nil, func(layer int, experts kernels.Mat) {
		recorded[layer] = make([]int32, experts.Len())
		kernels.Get(r.dev.Device, recorded[layer], experts)
	}
	r.session.Reset()
	r.session.Forward(r.logits, r.ids)
	r.dev.record = nil
	if err := r.dev.Sync(); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	for n, routing := range Routings {
		r.choices[routing], r.plans[routing] = make(map[int][]int32), make(map[int]kernels.Mat)
		for i, l := range r.session.Layers {
			if l.Channel.MoE == nil {
				continue
			}
			k := l.Channel.MoE.Router.TopK
			chosen := recorded[i]
			if routing != Recorded {
				draw := rand.New(rand.NewPCG(p.Seed, uint64(n)<<32|uint64(i)))
				chosen = route(routing, draw, r.ids.Rows, l.Channel.MoE.Experts, k)
			}
			plan := r.dev.Alloc(kernels.I32, r.ids.Rows, k)
			kernels.Put(r.dev, plan, chosen)
			r.choices[routing][i], r.plans[routing][i] = chosen, plan
		}
	}
	return nil
}

// pass reads the text under a routing and returns the seconds that it took.
func (r *replayer) pass(ctx context.Context, routing string) (float64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	r.dev.plan = r.plans[routing]
	r.session.Reset()
	if err := r.dev.Sync(); err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	start := r.clock()
	r.session.Forward(r.logits, r.ids)
	if err := r.dev.Sync(); err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	return r.clock().Sub(start).Seconds(), nil
}
