// Package flops counts a model's work by running it on a device that does none: what is
// counted is the stream of ops that every other device computes.
package flops

import (
	"fmt"

	"quadrant/arch"
	"quadrant/kernels"
)

// Work is what to count: Tokens new tokens of each of Seqs sequences, read in one call
// after Context earlier ones.
type Work struct {
	Seqs, Context, Tokens int
	LastLogits            bool // the head computes the last position only, as generation does
	Types                 arch.Types
	Convention            Convention
}

// A Tally is the work of a forward pass.
type Tally struct {
	Params     arch.Count
	FLOPs      int64            // by the convention asked for
	Parts      map[string]int64 // of FLOPs, by the names in Parts
	Cost       kernels.Cost     // exact, with the bytes that must move
	StateBytes int64            // KV cache or SSM state of one sequence of Context + Tokens tokens
}

// TrainingFactor is the FLOPs of a training step over those of its forward pass, as published
// counts take it: each product has two in its gradient. A step of train.Learner on a [Meter]
// counts them instead.
const TrainingFactor = 3

// Count counts w's work for a model of cfg. It allocates no matrix: a model of any size
// takes milliseconds.
func Count(cfg arch.Config, w Work) (Tally, error) {
	if w.Seqs < 1 || w.Tokens < 1 || w.Context < 0 {
		return Tally{}, fmt.Errorf("flops: %d tokens of %d sequences after %d others: want at least 1, 1 and 0", w.Tokens, w.Seqs, w.Context)
	}
	m := Meter{Convention: w.Convention}
	model, err := arch.New(cfg, &m, w.Types)
	if err != nil {
		return Tally{}, err
	}
	before := m.Bytes
	session := model.Open(w.Seqs, w.Context+w.Tokens)
	state := (m.Bytes - before) / int64(w.Seqs)
	forward := func(n int) {
		rows := w.Seqs * n
		if w.LastLogits {
			rows = w.Seqs
		}
		session.Forward(m.Alloc(kernels.F32, rows, cfg.Vocab), m.Alloc(kernels.I32, w.Seqs*n, 1))
	}
	if w.Context > 0 {
		forward(w.Context)
	}
	m.Reset()
	forward(w.Tokens)
	return Tally{Params: model.Count(), FLOPs: m.FLOPs, Parts: m.Parts, Cost: m.Cost, StateBytes: state}, nil
}

// Parts are the parts of a model's work, in the order of its computation.
var Parts = []string{"embedding", "norm", "projections", "conv", "scan", "attention", "mlp", "router", "experts", "head"}

// Meter is a kernels.Device that adds up the costs of the ops it is given and the bytes
// of the matrices it is asked for. It has no memory: what is read from it is zero.
type Meter struct {
	Convention Convention
	Bytes      int64
	FLOPs      int64
	Parts      map[string]int64
	Cost       kernels.Cost

	trace kernels.Trace
}

// Reset forgets the costs, not the bytes.
func (m *Meter) Reset() { m.FLOPs, m.Parts, m.Cost = 0, nil, kernels.Cost{} }

// Name is "meter".
func (m *Meter) Name() string { return "meter" }

// Write does nothing.
func (m *Meter) Write(kernels.Mat, []byte) {}

// Read sets dst to zero.
func (m *Meter) Read(dst []byte, _ kernels.Mat) { clear(dst) }

// Sync has nothing to wait for.
func (m *Meter) Sync() error { return nil }

// Alloc counts the bytes of a matrix that has none. It can be told from other matrices.
func (m *Meter) Alloc(t kernels.Type, rows, cols int) kernels.Mat {
	mat := kernels.Mat{Type: t, Rows: rows, Cols: cols, Stride: cols, Mem: new(byte)}
	m.Bytes += mat.Bytes()
	return mat
}

// Do adds op's cost.
func (m *Meter) Do(op kernels.Op) {
	if m.trace.Note(op) {
		return
	}
	part := partOf(op, &m.trace)
	flops := m.Convention.count(op, part)
	if m.Parts == nil {
		m.Parts = make(map[string]int64)
	}
	m.Cost = m.Cost.Add(op.Cost())
	m.FLOPs += flops
	m.Parts[part] += flops
}

// partOf says which of Parts an op belongs to. Additions to the residual stream are part
// of the norm that they are fused with. A gradient belongs where its op does.
func partOf(op kernels.Op, t *kernels.Trace) string {
	switch op.(type) {
	case *kernels.Embed, *kernels.EmbedGrad:
		return "embedding"
	case *kernels.RMSNorm, *kernels.LayerNorm, *kernels.RMSNormGrad, *kernels.LayerNormGrad:
		return "norm"
	case *kernels.ConvSiLU, *kernels.ConvSiLUGrad:
		return "conv"
	case *kernels.Scan, *kernels.NegExp, *kernels.ScanGrad, *kernels.NegExpGrad:
		return "scan"
	case *kernels.RotaryStore, *kernels.Attend, *kernels.RotaryGrad, *kernels.AttendGrad:
		return "attention"
	}
	for _, scope := range []struct{ name, part string }{
		{"router", "router"}, {"moe", "experts"}, {"mlp", "mlp"}, {"mamba", "projections"}, {"attention", "projections"}, {"head", "head"},
	} {
		if t.In(scope.name) {
			return scope.part
		}
	}
	return "norm"
}
