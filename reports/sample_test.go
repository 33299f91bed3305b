package reports_test

import (
	"fmt"
	"math"
	"math/rand/v2"

	"quadrant/results"
)

// What follows makes results that look like measurements and are not: test data, by a
// formula and a fixed seed.

const testDevice = "test data, not measured"

type sampleModel struct {
	name, family  string
	total, active int64
	experts       int // 0 if dense
	moeLayers     int
	base, slope   float64 // seconds of a decode step, and what each token of context adds
	kv            float64 // bytes of state for each token of context
	fixed         float64 // bytes of state whatever the context
	outline       []results.Group
}

func block(kind, detail string) *results.Block {
	return &results.Block{Kind: kind, Detail: detail, Norm: "RMSNorm"}
}

func fourModels() []sampleModel {
	attention := block("attention", "18 heads of 64")
	mamba := block("mamba", "d_inner 2304, d_state 16")
	mlp := block("mlp", "hidden 3072, gated SILU")
	moe := block("moe", "8 experts, top-1, hidden 3072, gated SILU")
	return []sampleModel{
		{"matched-transformer-340m", "transformer", 340_123_456, 340_123_456, 0, 0, 9e-3, 6e-6, 2 * 4 * 1152 * 24, 0,
			[]results.Group{{Repeat: 24, Layers: []results.Layer{{Sequence: attention, Channel: mlp}}}}},
		{"matched-mamba-340m", "mamba", 343_000_000, 343_000_000, 0, 0, 8e-3, 0, 0, 48 * 2304 * 19 * 4,
			[]results.Group{{Repeat: 48, Layers: []results.Layer{{Sequence: mamba}}}}},
		{"matched-transformer-moe-340m", "transformer-moe", 1_180_000_000, 345_000_000, 8, 14, 6e-3, 4e-6, 2 * 4 * 1152 * 14, 0,
			[]results.Group{{Repeat: 14, Layers: []results.Layer{{Sequence: attention, Channel: moe}}}}},
		{"blackmamba-1.5b", "mamba-moe", 1_458_462_072, 343_694_712, 8, 15, 4.5e-3, 0, 0, 15 * 2304 * 19 * 4,
			[]results.Group{{Repeat: 15, Layers: []results.Layer{{Sequence: mamba}, {Channel: moe}}}}},
	}
}

func (m sampleModel) result(metric string, p results.Point, values ...float64) results.Result {
	return results.Result{
		Schema: results.Schema,
		Env: results.Env{
			Time: "2026-11-24T09:00:00Z", Host: "test-host", CPU: "Test CPU 9000", Cores: 16, OS: "linux/amd64", Go: "go1.26.8",
			Device: testDevice, Threads: 16, Commit: "0123456789ab", Load: 0.1,
		},
		Subject: results.Subject{
			Model: m.name, Family: m.family, Total: m.total, Active: m.active,
			DType: "f32", Weights: "random, seed 1", Outline: m.outline,
		},
		Point: p, Metric: metric, Values: values,
	}
}

// step is the time of a decode step after context tokens.
func (m sampleModel) step(context int) float64 { return m.base + m.slope*float64(context) }

func (m sampleModel) latency(prompt, batch int, gens []int, runs int, r *rand.Rand) (rs []results.Result) {
	for run := 1; run <= runs; run++ {
		slow := math.Exp(0.06*r.NormFloat64() + 0.15*r.Float64()*r.Float64())
		clock := 3 * m.step(0) * float64(batch)
		var steps []float64
		for gen := 1; gen <= gens[len(gens)-1]; gen++ {
			if gen > 1 {
				steps = append(steps, m.step(prompt+gen-2)*slow*math.Exp(0.04*math.Abs(r.NormFloat64())))
				clock += steps[gen-2]
			}
			for _, g := range gens {
				if g == gen {
					rs = append(rs, m.result("generation", results.Point{Prompt: prompt, Gen: gen, Batch: batch, Run: run}, clock))
				}
			}
		}
		if len(steps) > 0 {
			rs = append(rs, m.result("token", results.Point{Phase: "decode", Prompt: prompt, Gen: gens[len(gens)-1], Batch: batch, Run: run}, steps...))
		}
	}
	return rs
}

func (m sampleModel) counts(contexts []int) (rs []results.Result) {
	for _, n := range contexts {
		flops := 2*float64(m.active) + m.kv*float64(n)
		rs = append(rs,
			m.result("flops", results.Point{Phase: "inference", Context: n, Batch: 1, Convention: "exact"}, flops),
			m.result("state", results.Point{Context: n, Batch: 1}, m.fixed+m.kv*float64(n)))
	}
	return rs
}

// balance has layers whose load is uneven by spread, more so in the last ones.
func (m sampleModel) balance(tokens int, spread float64, r *rand.Rand) (rs []results.Result) {
	for k := range m.moeLayers {
		s := spread * (0.3 + 0.7*math.Pow(float64(k+1)/float64(m.moeLayers), 3))
		weights, sum := make([]float64, m.experts), 0.0
		for e := range weights {
			weights[e] = math.Exp(s * r.NormFloat64())
			sum += weights[e]
		}
		for e := range weights {
			weights[e] = math.Round(weights[e] / sum * float64(tokens))
		}
		layer := 2*k + 1
		rs = append(rs, m.result("expert_tokens", results.Point{Phase: "inference", Layer: &layer, Corpus: "tiny-shakespeare", Tokens: tokens, Tokenizer: "bytes"}, weights...))
	}
	return rs
}

// training has bits that fall with the tokens read, in two domains, and loads that even out.
func (m sampleModel) training(floor float64, r *rand.Rand) (rs []results.Result) {
	choices := []string{""}
	if m.experts > 0 {
		choices = []string{"argmax", "sinkhorn", "ema_bias"}
	}
	for step := 100; step <= 800; step += 100 {
		at := results.Point{Step: step, Tokens: 2048 * step, Corpus: "tiny-shakespeare", Window: 128, Tokenizer: "bytes"}
		for i, choice := range choices {
			for k, domain := range []string{"go", "txt"} {
				at.Choice, at.Domain = choice, domain
				rs = append(rs, m.result("training_bits_per_byte", at, floor+400/float64(step+100)+0.2*float64(k)-0.02*float64(i)))
			}
		}
		for k := range min(m.moeLayers, 4) {
			layer, loads := 2*k+1, make([]float64, m.experts)
			for e := range loads {
				loads[e] = math.Round(1e4 * math.Exp(r.NormFloat64()*100/float64(step)))
			}
			at := results.Point{Step: step, Layer: &layer, Phase: "training", Corpus: "tiny-shakespeare"}
			rs = append(rs, m.result("training_expert_tokens", at, loads...))
			rs = append(rs, m.result("training_sinkhorn_iterations", at, 2, float64(2+k), 3))
		}
	}
	return rs
}

func powers(first, last int) (all []int) {
	for n := first; n <= last; n *= 2 {
		all = append(all, n)
	}
	return all
}

// kernels are operations that reach between a third and all of what two ceilings allow.
func kernels(runs int, r *rand.Rand) (rs []results.Result) {
	const memory, compute = 1e11, 2e12
	of := func(metric, dtype string, p results.Point, v float64) {
		m := sampleModel{}.result(metric, p, v)
		m.Subject = results.Subject{DType: dtype}
		rs = append(rs, m)
	}
	type op struct {
		name, shape, caches string
		flops, bytes        int64
	}
	ops := []op{
		{"matmul", "m=1 n=3072 k=768", "cold", 4.7e6, 9.4e6}, {"matmul", "m=1 n=3072 k=768", "warm", 4.7e6, 9.4e6},
		{"matmul", "m=512 n=3072 k=768", "warm", 2.4e9, 17e6}, {"matmul", "m=4096 n=4096 k=4096", "warm", 1.37e11, 201e6},
		{"attend", "T=1 after 8192", "cold", 25e6, 50e6}, {"attend", "T=512 after 0", "warm", 4.1e8, 6.3e6},
		{"grouped_matmul", "m=512 n=4096 k=768 of 8", "warm", 3.2e9, 1.1e8}, {"sort", "T=512 of 8", "warm", 0, 6e3},
	}
	for run := 1; run <= runs; run++ {
		of("multiply_add_rate", "", results.Point{Run: run}, compute*math.Exp(0.01*r.NormFloat64()))
		for _, n := range []int64{1 << 20, 1 << 29} {
			of("read_rate", "", results.Point{Footprint: n, Run: run}, memory*math.Pow(float64(n)/(1<<29), -0.2))
		}
		for i, o := range ops {
			for j, dtype := range []string{"f32", "bf16"} {
				if j > 0 && i > 3 {
					continue
				}
				p := results.Point{Op: o.name, Shape: o.shape, Caches: o.caches, FLOPs: o.flops, Bytes: o.bytes, Footprint: 1 << 29, Run: run}
				of("op_time", dtype, p, max(float64(o.flops)/compute, float64(o.bytes)/memory)*math.Exp(0.1+0.1*float64(i)+0.02*r.NormFloat64()))
			}
		}
	}
	return rs
}

// sample is everything that one would measure of models, and kernels.
func sample(models []sampleModel, runs int) (rs []results.Result) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, m := range models {
		rs = append(rs, m.latency(128, 1, powers(1, 4096), runs, r)...)
		rs = append(rs, m.counts(append([]int{0}, powers(128, 1<<17)...))...)
		if m.experts > 0 {
			rs = append(rs, m.balance(30000, 0.9, r)...)
		}
		rs = append(rs, m.scores(r)...)
	}
	rs = append(rs, kernels(runs, r)...)
	for i, m := range models {
		rs = append(rs, m.training(2.5-0.1*float64(min(i, 4)), r)...)
		rs = append(rs, m.answers(0.9-0.2*float64(min(i, 4)), r)...)
	}
	return append(rs, sampleModel{name: "5-gram", family: "n-gram"}.training(2.6, r)[14:]...) // at the end only
}

// scores are right answers to questions of two tasks, more of larger models; guessing is
// beside them.
func (m sampleModel) scores(r *rand.Rand) (rs []results.Result) {
	for k, task := range []string{"piqa", "winogrande"} {
		marks := make([]float64, 400)
		for i := range marks {
			if r.Float64() < 0.3+0.1*float64(k)+0.03*math.Log2(float64(m.active)/1e7) {
				marks[i] = 1
			}
		}
		at := results.Point{Task: task, Data: "0123456789abcdef", Tokenizer: "bytes", Window: 2048}
		guess := m.result("chance", at, 0.5)
		guess.Subject = results.Subject{Model: "chance", Family: "baseline", Weights: "none"}
		rs = append(rs, m.result("acc", at, marks...), guess)
	}
	at := results.Point{Step: 1000, Tokens: 2e9, Window: 2048, Convention: "exact"}
	return append(rs, m.result("training_flops", at, 6*float64(m.active)*2e9))
}

// answers are right ones in two synthetic tasks, of three runs, more as training goes on; guessing
// is beside them.
func (m sampleModel) answers(most float64, r *rand.Rand) (rs []results.Result) {
	for k, task := range []string{"mqar", "facts"} {
		at := results.Point{Phase: task, Corpus: task + ": 8 items of 64 symbols", Window: 64, Batch: 32 << k}
		for seed := 1; seed <= 3; seed++ {
			for at.Step = 100; at.Step <= 600; at.Step += 100 {
				right := m.result("answers", at, math.Round(1000*most*(1-math.Exp(-float64(at.Step)/200))*(0.8+0.2*r.Float64())), 1000)
				right.Subject.Weights = fmt.Sprintf("random, seed %d", seed)
				rs = append(rs, right)
			}
		}
		at.Step, at.Batch = 0, 0
		guess := m.result("chance", at, 1./64)
		guess.Subject = results.Subject{Model: "chance", Family: "baseline", Weights: "none"}
		rs = append(rs, guess)
	}
	return rs
}

// manyModels are two sizes of each family.
func manyModels() (all []sampleModel) {
	for _, m := range fourModels() {
		for k, f := range []float64{1, 2.3} {
			m := m
			m.name = fmt.Sprintf("%s-%d", m.name, k+1)
			m.total, m.active = int64(float64(m.total)*f), int64(float64(m.active)*f)
			m.base, m.slope, m.kv, m.fixed = m.base*f, m.slope*f, m.kv*f, m.fixed*f
			all = append(all, m)
		}
	}
	return all
}

// oddModels are what a layout may not expect: a hybrid with parallel layers, a long name,
// two layers of four experts, and 32 of 64.
func oddModels() []sampleModel {
	attention := block("attention", "32 heads of 128, 8 KV heads")
	mamba := block("mamba", "d_inner 8192, d_state 16")
	mlp := block("mlp", "hidden 14336, gated SILU")
	moe := block("moe", "64 experts, top-2, hidden 14336, gated SILU")
	few := fourModels()[2]
	few.name, few.moeLayers, few.experts = "tiny-transformer-moe", 2, 4
	many := fourModels()[3]
	many.name, many.moeLayers, many.experts = "a-mamba-moe-with-a-name-that-is-much-longer-than-a-column-of-a-journal-is-wide", 32, 64
	hybrid := sampleModel{"jamba-like", "hybrid", 52_000_000_000, 12_000_000_000, 16, 16, 20e-3, 1e-6, 4096, 4e6,
		[]results.Group{{Repeat: 4, Layers: []results.Layer{
			{Sequence: attention, Channel: mlp, Parallel: true},
			{Sequence: mamba, Channel: moe},
		}}, {Repeat: 1, Layers: []results.Layer{{Sequence: mamba}}}}}
	parallel := fourModels()[0]
	parallel.name = "pythia-70m"
	parallel.outline = []results.Group{{Repeat: 6, Layers: []results.Layer{{Sequence: block("attention", "8 heads of 64"), Channel: block("mlp", "hidden 2048, GELU"), Parallel: true}}}}
	return []sampleModel{parallel, fourModels()[1], few, many, hybrid}
}

// settings are results in four settings of batch and prompt.
func settings(models []sampleModel) (rs []results.Result) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, m := range models {
		for _, batch := range []int{1, 16} {
			for _, prompt := range []int{128, 2048} {
				rs = append(rs, m.latency(prompt, batch, powers(16, 512), 3, r)...)
			}
		}
	}
	return rs
}
