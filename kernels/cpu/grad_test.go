package cpu_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"quadrant/kernels"
	"quadrant/kernels/cpu"
)

// A step is an op of a training step with operands of its own; forward is the op that it is
// the gradient of, or nil.
type step struct {
	name        string
	op, forward kernels.Op
	results     []kernels.Mat
}

// A shape is that of a model and a batch.
type shape struct {
	seqs, length, dim, hidden, heads, inner, states, rank, vocab, experts int
}

var (
	small = shape{seqs: 3, length: 150, dim: 24, hidden: 40, heads: 3, inner: 40, states: 5, rank: 3, vocab: 50, experts: 4}
	// million is that of a model of about a million parameters that a token meets.
	million = shape{seqs: 16, length: 256, dim: 128, hidden: 344, heads: 4, inner: 256, states: 16, rank: 8, vocab: 256, experts: 8}
)

// A builder fills matrices of a device.
type builder struct {
	dev  kernels.Device
	rand *rand.Rand
}

func (b builder) mat(rows, cols int) kernels.Mat {
	return b.filled(rows, cols, b.rand.NormFloat64)
}

func (b builder) filled(rows, cols int, f func() float64) kernels.Mat {
	m, x := b.dev.Alloc(kernels.F32, rows, cols), make([]float32, rows*cols)
	for i := range x {
		x[i] = float32(f())
	}
	kernels.Put(b.dev, m, x)
	return m
}

func (b builder) ints(rows, cols int, f func(i int) int) kernels.Mat {
	m, x := b.dev.Alloc(kernels.I32, rows, cols), make([]int32, rows*cols)
	for i := range x {
		x[i] = int32(f(i))
	}
	kernels.Put(b.dev, m, x)
	return m
}

// trainingSteps are the ops of a training step of shape s that cost time.
func trainingSteps(dev kernels.Device, s shape) []step {
	b := builder{dev, rand.New(rand.NewPCG(1, 2))}
	all := append(b.products(s), b.elementwise(s)...)
	all = append(all, b.attention(s)...)
	all = append(all, b.mamba(s)...)
	return append(all, b.experts(s)...)
}

func (b builder) products(s shape) (steps []step) {
	tokens := s.seqs * s.length
	for _, n := range [][2]int{{s.dim, s.dim}, {s.dim, s.hidden}, {s.hidden, s.dim}, {s.inner, s.rank + 2*s.states}, {s.dim, s.vocab}} {
		in, out := n[0], n[1]
		g, a, w := b.mat(tokens, out), b.mat(tokens, in), b.mat(out, in)
		da, dw, dBias := b.mat(tokens, in), b.mat(out, in), b.mat(1, out)
		forward := kernels.MatMul{Dst: b.mat(tokens, out), A: a, B: w}
		size := fmt.Sprintf("/%dto%d", in, out)
		steps = append(steps,
			step{"MatMulGradA" + size, kernels.MatMulGradA{DA: da, G: g, B: w}, forward, []kernels.Mat{da}},
			step{"MatMulGradB" + size, kernels.MatMulGradB{DB: dw, DBias: dBias, G: g, A: a}, forward, []kernels.Mat{dw, dBias}})
	}
	return steps
}

func (b builder) elementwise(s shape) (steps []step) {
	tokens := s.seqs * s.length
	g, x, mul := b.mat(tokens, s.hidden), b.mat(tokens, s.hidden), b.mat(tokens, s.hidden)
	dx, dMul, y := b.mat(tokens, s.hidden), b.mat(tokens, s.hidden), b.mat(tokens, s.hidden)
	for _, act := range []kernels.Act{kernels.SiLU, kernels.GELU, kernels.GELUTanh} {
		steps = append(steps, step{"ActivationGrad/" + act.String(), kernels.ActivationGrad{DX: dx, DMul: dMul, G: g, X: x, Mul: mul, Act: act},
			kernels.Activation{Dst: y, X: x, Mul: mul, Act: act}, []kernels.Mat{dx, dMul}})
	}
	stream, out, gain, bias := b.mat(tokens, s.dim), b.mat(tokens, s.dim), b.mat(1, s.dim), b.mat(1, s.dim)
	dStream, dGain, dBias := b.mat(tokens, s.dim), b.mat(1, s.dim), b.mat(1, s.dim)
	logits, losses := b.mat(tokens, s.vocab), b.mat(tokens, 1)
	ids := b.ints(tokens, 1, func(int) int { return b.rand.IntN(s.vocab) })
	table := b.mat(s.vocab, s.dim)
	w, grad, m := b.mat(s.dim, s.hidden), b.mat(s.dim, s.hidden), b.mat(s.dim, s.hidden)
	v, sum := b.filled(s.dim, s.hidden, b.rand.Float64), b.mat(1, 1)
	return append(steps,
		step{"RMSNormGrad", kernels.RMSNormGrad{DX: dStream, DGain: dGain, G: out, X: stream, Gain: gain, Eps: 1e-5},
			kernels.RMSNorm{Dst: b.mat(tokens, s.dim), X: stream, Gain: gain, Eps: 1e-5}, []kernels.Mat{dStream, dGain}},
		step{"LayerNormGrad", kernels.LayerNormGrad{DX: dStream, DGain: dGain, DBias: dBias, G: out, X: stream, Gain: gain, Eps: 1e-5},
			kernels.LayerNorm{Dst: b.mat(tokens, s.dim), X: stream, Gain: gain, Bias: bias, Eps: 1e-5}, []kernels.Mat{dStream, dGain, dBias}},
		step{"CrossEntropy", kernels.CrossEntropy{Loss: losses, Logits: logits, Targets: ids, Scale: 1}, nil, []kernels.Mat{losses, logits}},
		step{"EmbedGrad", kernels.EmbedGrad{DTable: table, G: out, IDs: ids}, nil, []kernels.Mat{table}},
		step{"AdamW", kernels.AdamW{W: w, Grad: grad, M: m, V: v, Rate: 1e-3, Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, Decay: 0.1, GradScale: 1, Step: 3},
			nil, []kernels.Mat{w, m, v}},
		step{"SquareSum", kernels.SquareSum{Dst: sum, X: w}, nil, []kernels.Mat{sum}})
}

func (b builder) attention(s shape) []step {
	tokens, hd := s.seqs*s.length, s.dim/s.heads
	mat := func() kernels.Mat { return b.mat(tokens, s.dim) }
	q, k, v, out, lse := mat(), mat(), mat(), mat(), b.mat(tokens, s.heads)
	dq, dk, dv, g := mat(), mat(), mat(), mat()
	forward := kernels.Attend{Dst: out, Q: q, K: k, V: v, LSE: lse, Seqs: s.seqs, HeadDim: hd, Scale: 0.2}
	kernels.NewStream(b.dev).Do(forward)
	dk2, dv2 := mat(), mat()
	return []step{
		{"AttendGrad", kernels.AttendGrad{DQ: dq, DK: dk, DV: dv, G: g, Out: out, Q: q, K: k, V: v, LSE: lse, Seqs: s.seqs, HeadDim: hd, Scale: 0.2},
			forward, []kernels.Mat{dq, dk, dv}},
		{"RotaryGrad", kernels.RotaryGrad{DQ: dq, DK: dk2, DV: dv2, DKCache: dk, DVCache: dv, Seqs: s.seqs, HeadDim: hd, Rotary: hd, Base: 1e4},
			kernels.RotaryStore{Q: mat(), K: mat(), V: mat(), KCache: mat(), VCache: mat(), Seqs: s.seqs, HeadDim: hd, Rotary: hd, Base: 1e4}, []kernels.Mat{dq, dk2, dv2}},
	}
}

func (b builder) mamba(s shape) []step {
	tokens := s.seqs * s.length
	mat := func() kernels.Mat { return b.mat(tokens, s.inner) }
	narrow := func() kernels.Mat { return b.mat(tokens, s.states) }
	x, y, w, bias := mat(), mat(), b.mat(s.inner, 4), b.mat(1, s.inner)
	conv := kernels.ConvSiLU{Dst: y, X: x, W: w, Bias: bias, State: b.mat(3*s.seqs, s.inner), Seqs: s.seqs}
	convGrad := kernels.ConvSiLUGrad{DX: mat(), DW: b.mat(s.inner, 4), DBias: b.mat(1, s.inner), G: mat(), X: x, W: w, Bias: bias, Seqs: s.seqs}
	scan := kernels.Scan{
		Dst: y, X: x, Dt: mat(), A: b.filled(s.inner, s.states, func() float64 { return -1 - b.rand.Float64() }), B: narrow(), C: narrow(), D: b.mat(1, s.inner),
		Z: mat(), DtBias: b.mat(1, s.inner), State: b.filled(s.seqs*s.inner, s.states, func() float64 { return 0 }),
		Starts: b.mat(kernels.ScanStarts(s.seqs, s.length, s.inner), s.states), Seqs: s.seqs,
	}
	kernels.NewStream(b.dev).Do(scan)
	grad := kernels.ScanGrad{
		DX: mat(), DDt: mat(), DA: b.mat(s.inner, s.states), DB: narrow(), DC: narrow(), DD: b.mat(1, s.inner), DZ: mat(), DDtBias: b.mat(1, s.inner),
		G: mat(), X: x, Dt: scan.Dt, A: scan.A, B: scan.B, C: scan.C, D: scan.D, Z: scan.Z, DtBias: scan.DtBias, Starts: scan.Starts, Seqs: s.seqs,
	}
	return []step{
		{"ConvSiLUGrad", convGrad, conv, []kernels.Mat{convGrad.DX, convGrad.DW, convGrad.DBias}},
		{"ScanGrad", grad, scan, []kernels.Mat{grad.DX, grad.DDt, grad.DA, grad.DB, grad.DC, grad.DD, grad.DZ, grad.DDtBias}},
	}
}

func (b builder) experts(s shape) []step {
	tokens := s.seqs * s.length
	sort := kernels.Sort{
		Slots: b.ints(tokens, 1, func(int) int { return 0 }), Places: b.ints(tokens, 1, func(int) int { return 0 }),
		Offsets: b.ints(s.experts+1, 1, func(int) int { return 0 }), Experts: b.ints(tokens, 1, func(int) int { return b.rand.IntN(s.experts) }),
	}
	kernels.NewStream(b.dev).Do(sort)
	g, a, w := b.mat(tokens, s.hidden), b.mat(tokens, s.dim), b.mat(s.experts*s.hidden, s.dim)
	da, dw := b.mat(tokens, s.dim), b.mat(s.experts*s.hidden, s.dim)
	forward := kernels.GroupedMatMul{Dst: b.mat(tokens, s.hidden), A: a, B: w, Offsets: sort.Offsets, Slots: sort.Slots, K: 1}
	logits, gates := b.mat(tokens, s.experts), b.mat(tokens, 1)
	dLogits, dGates, dSrc, bias := b.mat(tokens, s.experts), b.mat(tokens, 1), b.mat(tokens, s.dim), b.mat(1, s.experts)
	loss, dBalance := b.mat(1, 2), b.mat(tokens, s.experts)
	return []step{
		{"GroupedMatMulGradA", kernels.GroupedMatMulGradA{DA: da, G: g, B: w, Offsets: sort.Offsets}, forward, []kernels.Mat{da}},
		{"GroupedMatMulGradB", kernels.GroupedMatMulGradB{DB: dw, G: g, A: a, Offsets: sort.Offsets, Slots: sort.Slots, K: 1}, forward, []kernels.Mat{dw}},
		{"RouteGrad", kernels.RouteGrad{DLogits: dLogits, G: gates, Experts: sort.Experts, Gates: gates, Logits: logits, Score: kernels.SigmoidScore},
			nil, []kernels.Mat{dLogits}},
		{"CombineGrad", kernels.CombineGrad{DSrc: dSrc, DGates: dGates, G: a, Src: da, Places: sort.Places, Gates: gates},
			kernels.Combine{Dst: b.mat(tokens, s.dim), Src: a, Places: sort.Places, Gates: gates}, []kernels.Mat{dSrc, dGates}},
		{"BalanceLoss", kernels.BalanceLoss{Loss: loss, Grad: dBalance, Logits: logits, Experts: sort.Experts, Balance: 0.01, Z: 0.001},
			nil, []kernels.Mat{loss, dBalance}},
		{"Sinkhorn", kernels.Sinkhorn{Bias: bias, Logits: logits, Temperature: 1, ColumnFirst: true, MaxIterations: 5, Tolerance: 0}, nil, []kernels.Mat{bias}},
	}
}

func open(t testing.TB, variant string, threads int) *cpu.Device {
	dev, err := cpu.Open(variant, threads)
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

// TestThreadsChangeNoGradient: sums over tokens are the same bits on any number of threads.
func TestThreadsChangeNoGradient(t *testing.T) {
	results := func(threads int) (all [][]float32) {
		dev := open(t, "", threads)
		stream := kernels.NewStream(dev)
		for _, s := range trainingSteps(dev, small) {
			stream.Do(s.op)
			for _, m := range s.results {
				x := make([]float32, m.Len())
				kernels.Get(dev, x, m)
				all = append(all, x)
			}
		}
		return all
	}
	one := results(1)
	for _, threads := range []int{2, 3, 7} {
		for i, x := range results(threads) {
			if !slices.Equal(x, one[i]) {
				t.Errorf("result %d differs between 1 and %d threads", i, threads)
			}
		}
	}
}

// TestGradientsAllocateNothing once a device's scratch has grown.
func TestGradientsAllocateNothing(t *testing.T) {
	dev := open(t, "", 2)
	stream := kernels.NewStream(dev)
	for _, s := range trainingSteps(dev, small) {
		do := func() { stream.Do(s.op) }
		do()
		if n := testing.AllocsPerRun(5, do); n > 0 {
			t.Errorf("%s allocates %v times", s.name, n)
		}
	}
}

// BenchmarkGrad times each gradient beside the op that it is the gradient of, in turns.
// What it reports are medians: the rate of the gradient, and how much of the forward op's
// rate that is. FLOPs are those of Cost.
func BenchmarkGrad(b *testing.B) {
	dev := open(b, "", 0)
	stream := kernels.NewStream(dev)
	clock := func(op kernels.Op) float64 {
		begun := time.Now()
		stream.Do(op)
		return time.Since(begun).Seconds()
	}
	for _, s := range trainingSteps(dev, million) {
		b.Run(s.name, func(b *testing.B) {
			var there, back []float64
			for b.Loop() {
				if s.forward != nil {
					there = append(there, clock(s.forward))
				}
				back = append(back, clock(s.op))
			}
			rate := float64(s.op.Cost().FLOPs()) / median(back)
			b.ReportMetric(rate/1e9, "GFLOP/s")
			b.ReportMetric(median(back)*1e6, "us")
			if s.forward != nil {
				b.ReportMetric(rate/(float64(s.forward.Cost().FLOPs())/median(there)), "of-forward")
				b.ReportMetric(median(there)*1e6, "forward-us")
			}
		})
	}
}

func median[T cmp.Ordered](all []T) T {
	all = slices.Clone(all)
	slices.Sort(all)
	return all[len(all)/2]
}
