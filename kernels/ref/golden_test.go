package ref_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quadrant/checkpoint"
	"quadrant/kernels"
	"quadrant/kernels/ref"
)

// The tests below hold ops against what the reference implementations of the models
// print, in float32 on a CPU: shared/golden/ops, next to the repository. Each logs the
// largest difference, in parts of the largest number of the output.

// single is what the references' own float32 may be off by.
const single = 2e-6

// A golden is one file of reference outputs.
type golden struct {
	*testing.T
	file *checkpoint.Safetensors
	far  float64 // the largest difference from float32 numbers so far
}

// openGolden skips the test where there are no golden data.
func openGolden(t *testing.T, name string) *golden {
	path := filepath.Join(goldenOps(t), name+".safetensors")
	file, err := checkpoint.ReadSafetensors(path)
	if err != nil {
		t.Fatal(err)
	}
	g := &golden{T: t, file: file}
	t.Cleanup(func() {
		t.Logf("%s: off by %.2g at most", name, g.far)
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// goldenOps looks for shared/golden/ops next to each folder from here upwards.
func goldenOps(t *testing.T) string {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for up := dir; ; up = filepath.Dir(up) {
		ops := filepath.Join(up, "shared", "golden", "ops")
		if info, err := os.Stat(ops); err == nil && info.IsDir() {
			return ops
		}
		if up == filepath.Dir(up) {
			t.Skipf("no golden data: no folder above %s has shared/golden/ops", dir)
		}
	}
}

// cases unpacks the flags of the file's cases.
func cases[C any](g *golden) map[string]C {
	var all map[string]C
	if err := json.Unmarshal([]byte(g.file.Metadata["cases"]), &all); err != nil {
		g.Fatalf("the flags of the cases: %v", err)
	}
	return all
}

func (g *golden) has(name string) bool {
	_, ok := g.file.Tensor(name)
	return ok
}

func (g *golden) tensor(name string) checkpoint.Tensor {
	g.Helper()
	tensor, ok := g.file.Tensor(name)
	if !ok {
		g.Fatalf("no tensor %q", name)
	}
	return tensor
}

// values is a tensor's numbers, exactly.
func (g *golden) values(name string) []float64 {
	g.Helper()
	tensor := g.tensor(name)
	if tensor.DType == "F64" {
		all := make([]float64, len(tensor.Data)/8)
		for i := range all {
			all[i] = math.Float64frombits(binary.LittleEndian.Uint64(tensor.Data[8*i:]))
		}
		return all
	}
	singles, err := tensor.Float32s()
	if err != nil {
		g.Fatal(err)
	}
	all := make([]float64, len(singles))
	for i, v := range singles {
		all[i] = float64(v)
	}
	return all
}

func (g *golden) indices(name string) []int32 {
	g.Helper()
	wide, err := g.tensor(name).Ints()
	if err != nil {
		g.Fatal(err)
	}
	all := make([]int32, len(wide))
	for i, v := range wide {
		all[i] = int32(v)
	}
	return all
}

// rows is a tensor as a matrix with its last dimension as columns; absent if it is not in
// the file.
func (g *golden) rows(name string) kernels.Mat {
	if !g.has(name) {
		return kernels.Mat{}
	}
	shape, values := g.tensor(name).Shape, g.values(name)
	cols := shape[len(shape)-1]
	return mat(len(values)/cols, cols, values...)
}

// tokens is a tensor [batch, …, tokens, …] as a matrix with a row for each token of the
// batch: the dimension at place is moved behind the batch's.
func (g *golden) tokens(name string, place int) kernels.Mat {
	if !g.has(name) {
		return kernels.Mat{}
	}
	shape, values := g.tensor(name).Shape, g.values(name)
	before, n, after := product(shape[1:place]), shape[place], product(shape[place+1:])
	m := mat(shape[0]*n, before*after)
	for i, v := range values {
		b, h, t, d := i/(before*n*after), i/(n*after)%before, i/after%n, i%after
		m.Mem.([]float64)[(b*n+t)*m.Cols+h*after+d] = v
	}
	return m
}

// channels is a tensor [batch, channels, tokens], or with groups of channels, as a matrix
// of tokens.
func (g *golden) channels(name string) kernels.Mat {
	if !g.has(name) {
		return kernels.Mat{}
	}
	return g.tokens(name, len(g.tensor(name).Shape)-1)
}

// heads is a tensor [batch, heads, tokens, width] as a matrix of tokens.
func (g *golden) heads(name string) kernels.Mat { return g.tokens(name, 2) }

func product(shape []int) int {
	p := 1
	for _, d := range shape {
		p *= d
	}
	return p
}

// want compares a result with a reference, in parts of the largest number of it.
func (g *golden) want(what string, got, want kernels.Mat, tolerance float64) {
	g.Helper()
	if got.Rows != want.Rows || got.Cols != want.Cols {
		g.Fatalf("%s is %v, want %v", what, got, want)
	}
	d := distance(ref.Float64s(got), ref.Float64s(want))
	if tolerance <= single {
		g.far = max(g.far, d)
	}
	if !(d <= tolerance) {
		g.Errorf("%s: off by %.3g, want at most %.3g", what, d, tolerance)
	}
}

func (g *golden) wantIndices(what string, got kernels.Mat, want []int32) {
	g.Helper()
	if have := got.Mem.([]int32); !slices.Equal(have, want) {
		g.Errorf("%s: got %v, want %v", what, have, want)
	}
}

// TestGoldenScan is mamba's selective_scan_ref. Our op always takes the softplus of Dt: a
// case without gets the Dt whose softplus is the reference's. Nor has it groups of
// channels with B and C of their own: a case with runs a scan for each.
func TestGoldenScan(t *testing.T) {
	g := openGolden(t, "selective_scan")
	for name, c := range cases[struct {
		Batch, Dim, DState, SeqLen, Groups int
		Softplus                           bool `json:"delta_softplus"`
	}](g) {
		tolerance := single
		if name == "bf16" {
			tolerance = 1. / 256 // the result is rounded to it
		}
		dt, bias := g.channels(name+".delta"), g.rows(name+".delta_bias")
		if !c.Softplus {
			dt, bias = softplusInverse(dt, bias), kernels.Mat{}
		}
		initial := g.rows(name + ".initial_state")
		if initial.None() {
			initial = mat(c.Batch*c.Dim, c.DState)
		}
		dst, groups := mat(c.Batch*c.SeqLen, c.Dim), max(1, c.Groups)
		for i := range groups {
			from, to := i*c.Dim/groups, (i+1)*c.Dim/groups
			part := func(m kernels.Mat) kernels.Mat { return columns(m, from, to) }
			state := tokens(initial, c.Batch, from, to)
			do(t, kernels.Scan{
				Dst: part(dst), X: part(g.channels(name + ".u")), Dt: part(dt), Z: part(g.channels(name + ".z")),
				A: g.rows(name+".A").RowRange(from, to), D: part(g.rows(name + ".D")), DtBias: part(bias),
				B:     columns(g.channels(name+".B"), i*c.DState, (i+1)*c.DState),
				C:     columns(g.channels(name+".C"), i*c.DState, (i+1)*c.DState),
				State: state, Seqs: c.Batch,
			})
			g.want(name+".last_state", state, tokens(g.rows(name+".last_state"), c.Batch, from, to), single)
		}
		g.want(name+".out", dst, g.channels(name+".out"), tolerance)
	}
}

// columns is columns from … to−1 of m; an absent matrix stays absent.
func columns(m kernels.Mat, from, to int) kernels.Mat {
	if m.None() {
		return m
	}
	return m.ColRange(from, to)
}

// softplusInverse is the matrix whose softplus is delta + bias.
func softplusInverse(delta, bias kernels.Mat) kernels.Mat {
	m := clone(delta)
	for i, v := range ref.Float64s(delta) {
		if !bias.None() {
			v += ref.Float64s(bias)[i%m.Cols]
		}
		m.Mem.([]float64)[i] = v + math.Log(-math.Expm1(-v)) // log(exp(v)−1)
	}
	return m
}

// TestGoldenStep is mamba's selective_state_update_ref: a scan of one token.
func TestGoldenStep(t *testing.T) {
	g := openGolden(t, "selective_state_update")
	for _, name := range []string{"full", "plain", "Dz"} {
		x, state := g.rows(name+".x"), g.rows(name+".state")
		dst := mat(x.Rows, x.Cols)
		do(t, kernels.Scan{
			Dst: dst, X: x, Dt: g.rows(name + ".dt"), DtBias: g.rows(name + ".dt_bias"), A: g.rows(name + ".A"),
			B: g.rows(name + ".B"), C: g.rows(name + ".C"), D: g.rows(name + ".D"), Z: g.rows(name + ".z"),
			State: state, Seqs: x.Rows,
		})
		g.want(name+".out", dst, g.rows(name+".out"), single)
		g.want(name+".state_out", state, g.rows(name+".state_out"), single)
	}
}

// TestGoldenConv is causal-conv1d's causal_conv1d_ref and, in the update cases,
// causal_conv1d_update_ref, whose state has a column more than ours: the oldest, which a
// step shifts out before it looks. The reference has no activation in some cases; it is
// applied to its output.
func TestGoldenConv(t *testing.T) {
	g := openGolden(t, "causal_conv1d")
	for name, c := range cases[struct{ Activation *string }](g) {
		x, out := g.channels(name+".x"), g.channels(name+".out")
		state, after, w := g.channels(name+".initial_states"), g.channels(name+".final_states"), g.rows(name+".weight")
		seqs, past := g.tensor(name + ".x").Shape[0], w.Cols-1
		if strings.HasPrefix(name, "update") {
			x, out = g.rows(name+".x"), g.rows(name+".out")
			state = tokens(g.channels(name+".conv_state"), seqs, 1, w.Cols)
			after = tokens(g.channels(name+".conv_state_out"), seqs, 1, w.Cols)
		}
		if state.None() {
			state = mat(seqs*past, x.Cols)
		}
		if c.Activation == nil {
			do(t, kernels.Activation{Dst: out, X: out, Act: kernels.SiLU})
		}
		dst := mat(x.Rows, x.Cols)
		do(t, kernels.ConvSiLU{Dst: dst, X: x, W: w, Bias: g.rows(name + ".bias"), State: state, Seqs: seqs})
		g.want(name+".out", dst, out, single)
		g.want(name+".final_states", state, after, 0)
	}
}

// TestGoldenNorms is the norms of mamba (rms_norm_ref, layer_norm_ref).
func TestGoldenNorms(t *testing.T) {
	g := openGolden(t, "norms")
	for _, name := range []string{"rms", "rms_residual", "rms_tiny", "ln", "ln_residual"} {
		x, delta := g.rows(name+".x"), g.rows(name+".residual")
		dst, gain, eps := mat(x.Rows, x.Cols), g.rows(name+".weight"), float32(g.values(name + ".eps")[0])
		if bias := g.rows(name + ".bias"); bias.None() {
			do(t, kernels.RMSNorm{Dst: dst, X: x, Delta: delta, Gain: gain, Eps: eps})
		} else {
			do(t, kernels.LayerNorm{Dst: dst, X: x, Delta: delta, Gain: gain, Bias: bias, Eps: eps})
		}
		g.want(name+".out", dst, g.rows(name+".out"), single)
		if !delta.None() {
			g.want(name+".residual_out", x, g.rows(name+".residual_out"), single)
		}
	}

	// Mamba's kernel rounds once, at the end, as our definition says.
	x := g.rows("bf16.x")
	dst, rounded := mat(x.Rows, x.Cols), bf16(x.Rows, x.Cols)
	do(t, kernels.RMSNorm{Dst: dst, X: x, Gain: g.rows("bf16.weight"), Eps: 1e-5})
	kernels.Put(ref.New(), rounded, float32s(dst))
	g.want("bf16.out_mamba_style", rounded, g.rows("bf16.out_mamba_style"), 0)
}

// float32s is what reading m, which is contiguous, returns.
func float32s(m kernels.Mat) []float32 {
	all := make([]float32, m.Len())
	kernels.Get(ref.New(), all, m)
	return all
}

// TestGoldenAttention is the attention of HF's GPT-NeoX and Llama. The references attend
// only to the keys of the step, also where its positions start later.
func TestGoldenAttention(t *testing.T) {
	g := openGolden(t, "attention_rope")
	for name, c := range cases[struct {
		Batch, Heads, T, Offset int
		HeadDim                 int `json:"head_dim"`
		Rotary                  int `json:"rotary_dims"`
		Theta                   float64
	}](g) {
		q, k, v := g.heads(name+".q"), g.heads(name+".k"), g.heads(name+".v")
		length := c.Offset + c.T + 1
		kCache, vCache := mat(c.Batch*length, k.Cols), mat(c.Batch*length, k.Cols)
		do(t, kernels.RotaryStore{
			Q: q, K: k, V: v, KCache: kCache, VCache: vCache,
			Seqs: c.Batch, Past: c.Offset, HeadDim: c.HeadDim, Rotary: c.Rotary, Base: c.Theta,
		})
		stored := func(cache kernels.Mat) kernels.Mat { return tokens(cache, c.Batch, c.Offset, c.Offset+c.T) }
		g.want(name+".q_rot", q, g.heads(name+".q_rot"), single)
		g.want(name+".k_rot", stored(kCache), g.heads(name+".k_rot"), single)
		g.want(name+".v", stored(vCache), v, 0)

		dst := mat(q.Rows, q.Cols)
		do(t, kernels.Attend{
			Dst: dst, Q: q, K: stored(kCache), V: stored(vCache),
			Seqs: c.Batch, HeadDim: c.HeadDim, Scale: float32(1 / math.Sqrt(float64(c.HeadDim))),
		})
		g.want(name+".out", dst, g.heads(name+".out"), single)
	}
}

// TestGoldenActivations is PyTorch's functions, in float32 and, where there are, float64.
// The softplus is taken from a scan, the sigmoid from a router.
func TestGoldenActivations(t *testing.T) {
	g := openGolden(t, "activations")
	n := len(g.values("x"))
	row := func(name string) kernels.Mat { return mat(1, n, g.values(name)...) }
	const double = 1e-14

	silu, gelu, geluTanh := mat(1, n), mat(1, n), mat(1, n)
	do(t,
		kernels.Activation{Dst: silu, X: row("x"), Act: kernels.SiLU},
		kernels.Activation{Dst: gelu, X: row("x"), Act: kernels.GELU},
		kernels.Activation{Dst: geluTanh, X: row("x"), Act: kernels.GELUTanh})
	g.want("silu", silu, row("silu"), single)
	g.want("f64.silu", silu, row("f64.silu"), double)
	g.want("gelu_erf", gelu, row("gelu_erf"), single)
	g.want("f64.gelu_erf", gelu, row("f64.gelu_erf"), double)
	g.want("hf_gelu", gelu, row("hf_gelu"), single)
	g.want("gelu_tanh", geluTanh, row("gelu_tanh"), single)
	g.want("hf_gelu_new", geluTanh, row("hf_gelu_new"), single)
	g.want("hf_gelu_fast", geluTanh, row("hf_gelu_fast"), single)

	ones := func(rows, cols int) kernels.Mat { return mat(rows, cols, slices.Repeat([]float64{1}, rows*cols)...) }
	softplus, sigmoid := mat(1, n), mat(n, 1)
	do(t,
		kernels.Scan{Dst: softplus, X: ones(1, n), Dt: row("x"), A: ones(n, 1), B: ones(1, 1), C: ones(1, 1), State: mat(n, 1), Seqs: 1},
		kernels.Route{Experts: ids(n, 1), Gates: sigmoid, Logits: mat(n, 1, g.values("x")...), Score: kernels.SigmoidScore})
	g.want("softplus", softplus, row("softplus"), single)
	g.want("f64.softplus", softplus, row("f64.softplus"), 1e-10) // which has no threshold: e⁻²⁰ in parts of 100
	g.want("sigmoid", sigmoid, mat(n, 1, g.values("sigmoid")...), single)
	g.want("f64.sigmoid", sigmoid, mat(n, 1, g.values("f64.sigmoid")...), double)
}

// TestGoldenSinkhorn is the sinkhorn of Megatron-LM and of BlackMamba, on exp(logits) and
// exp(2·logits). Their tolerance is absolute and stops almost anywhere, so ours runs as
// many iterations as theirs did. They add 1e-8 to every sum, which one case feels: there
// d₁ is 1e-12, and shares differ by 0.06 (by 5e-8 from a loop that adds it too).
func TestGoldenSinkhorn(t *testing.T) {
	g := openGolden(t, "sinkhorn")
	for _, run := range []struct {
		by string
		op kernels.Sinkhorn
	}{
		{"megatron", kernels.Sinkhorn{Temperature: 1}},
		{"megatron.tol1e-6", kernels.Sinkhorn{Temperature: 1}},
		{"blackmamba", kernels.Sinkhorn{Temperature: 0.5, ColumnFirst: true}},
		{"blackmamba.tol1e-6", kernels.Sinkhorn{Temperature: 0.5, ColumnFirst: true}},
	} {
		for _, shape := range sinkhornShapes {
			name := shape + "." + run.by
			if !g.has(name + ".iterations") {
				continue
			}
			logits := g.rows(shape + ".logits")
			op := run.op
			op.Logits, op.Bias, op.MaxIterations = logits, mat(1, logits.Cols), int(g.indices(name + ".iterations")[0])
			do(t, op)
			if name != "t64e8_peaky.blackmamba" {
				g.want(name+".out", shares(logits, op.Bias, op.Temperature), shares(logOf(g.rows(name+".out")), mat(1, logits.Cols), 1), 2e-4)
			}
			if shape != "t1e8" { // all experts tie for one token
				g.wantRoute(name, logits, op.Bias)
			}
		}
	}
}

var sinkhornShapes = []string{"t1e8", "t7e8", "t16e4", "t33e2", "t64e8", "t64e8_peaky", "t128e16_skew", "t256e8"}

// TestGoldenSinkhornConverged: runs of Megatron's that went on until nothing moved send
// every token where ours do, from either start.
func TestGoldenSinkhornConverged(t *testing.T) {
	g := openGolden(t, "sinkhorn")
	for _, shape := range []string{"t64e8", "t256e8"} {
		for _, columnFirst := range []bool{false, true} {
			logits := g.rows(shape + ".logits")
			bias := mat(1, logits.Cols)
			do(t, kernels.Sinkhorn{
				Bias: bias, Logits: logits, Temperature: 1, ColumnFirst: columnFirst, MaxIterations: 100, Tolerance: 1e-6,
			})
			g.wantRoute(shape+".megatron.tol1e-6", logits, bias)
		}
	}
}

// TestGoldenSinkhornStops: by the rule that Absolute stands for, ours stops after as many
// iterations as theirs. They may have no other bound, so neither has this one's.
func TestGoldenSinkhornStops(t *testing.T) {
	g := openGolden(t, "sinkhorn")
	for _, by := range []struct {
		name string
		op   kernels.Sinkhorn
	}{
		{"megatron", kernels.Sinkhorn{Temperature: 1, Tolerance: 1e-4}},
		{"megatron.tol1e-6", kernels.Sinkhorn{Temperature: 1, Tolerance: 1e-6}},
		{"blackmamba", kernels.Sinkhorn{Temperature: 0.5, ColumnFirst: true, Tolerance: 1e-4}},
		{"blackmamba.tol1e-6", kernels.Sinkhorn{Temperature: 0.5, ColumnFirst: true, Tolerance: 1e-6}},
	} {
		for _, shape := range sinkhornShapes {
			name := shape + "." + by.name
			if !g.has(name + ".iterations") {
				continue
			}
			op, logits, iterations := by.op, g.rows(shape+".logits"), ids(1, 1)
			op.Logits, op.Bias, op.Iterations, op.Absolute, op.MaxIterations = logits, mat(1, logits.Cols), iterations, true, 10000
			do(t, op)
			g.wantIndices(name+".iterations", iterations, g.indices(name+".iterations"))
		}
	}
}

// TestGoldenInference is the choice of both projects outside training, by sigmoid.
func TestGoldenInference(t *testing.T) {
	g := openGolden(t, "sinkhorn")
	for _, shape := range sinkhornShapes {
		g.wantRoute(shape+".inference", g.rows(shape+".logits"), kernels.Mat{})
	}
}

// TestSinkhornDoesNotOverflow where BlackMamba's loop returns NaN.
func TestSinkhornDoesNotOverflow(t *testing.T) {
	g := openGolden(t, "sinkhorn")
	logits, experts := g.rows("overflow.logits"), ids(4, 1)
	bias := mat(1, 4)
	do(t,
		kernels.Sinkhorn{Bias: bias, Logits: logits, Temperature: 0.5, ColumnFirst: true, MaxIterations: 8, Tolerance: 1e-2},
		kernels.Route{Experts: experts, Gates: mat(4, 1), Logits: logits, Bias: bias, Score: kernels.SigmoidScore})
	g.want("overflow", bias, mat(1, 4), single) // every expert is one token's favourite
	g.wantIndices("overflow", experts, []int32{0, 1, 2, 3})
}

// wantRoute holds the top-1 choice by sigmoid against that of a case.
func (g *golden) wantRoute(name string, logits, bias kernels.Mat) {
	g.Helper()
	experts, gates := ids(logits.Rows, 1), mat(logits.Rows, 1)
	do(g.T, kernels.Route{Experts: experts, Gates: gates, Logits: logits, Bias: bias, Score: kernels.SigmoidScore})
	g.wantIndices(name+".expert_index", experts, g.indices(name+".expert_index"))
	g.want(name+".gate", gates, mat(logits.Rows, 1, g.values(name+".gate")...), single)
}

// shares is how each token is divided among the experts: the softmax of its logits and
// the bias.
func shares(logits, bias kernels.Mat, temperature float32) kernels.Mat {
	m := clone(logits)
	for i := range m.Rows {
		row, sum := m.Mem.([]float64)[i*m.Cols:][:m.Cols], 0.0
		for e := range row {
			row[e] = math.Exp((row[e] + bias.Mem.([]float64)[e]) / float64(temperature))
			sum += row[e]
		}
		for e := range row {
			row[e] /= sum
		}
	}
	return m
}

func logOf(m kernels.Mat) kernels.Mat {
	for i, x := range m.Mem.([]float64) {
		m.Mem.([]float64)[i] = math.Log(x)
	}
	return m
}

// TestGoldenMoE is whole sparse layers: the router, the experts, and the way there and
// back. hf_switch is left out: it lets tokens that it drops through.
func TestGoldenMoE(t *testing.T) {
	g := openGolden(t, "moe_blocks")
	for _, block := range sparseBlocks() {
		g.sparse(block)
	}
}

func sparseBlocks() []sparseBlock {
	megatron := [2]string{"linear_fc1", "linear_fc2"}
	return []sparseBlock{
		{name: "bm_glu", fc: megatron, act: kernels.GELU, gated: true, score: kernels.SigmoidScore, k: 1},
		{name: "bm_noglu_bias", fc: megatron, act: kernels.GELU, score: kernels.SigmoidScore, k: 1},
		{name: "bm_softmax", fc: megatron, act: kernels.GELU, gated: true, score: kernels.SoftmaxScore, k: 1},
		{name: "megatron_eval", fc: megatron, act: kernels.SiLU, gated: true, score: kernels.SigmoidScore, k: 1},
		{name: "megatron_train", fc: megatron, act: kernels.SiLU, gated: true, score: kernels.SigmoidScore, k: 1, balanced: true},
		{name: "mixtral", act: kernels.SiLU, gated: true, score: kernels.SoftmaxTopKScore, k: 2},
	}
}

type sparseBlock struct {
	name     string
	fc       [2]string // the expert's layers; Mixtral's are called w1, w3 (side by side) and w2
	act      kernels.Act
	gated    bool
	score    kernels.Score
	k        int
	balanced bool // by Sinkhorn
}

const blockExperts = 4

func (g *golden) sparse(b sparseBlock) {
	x := g.rows(b.name + ".x")
	_, experts, gates := g.choose(b, x)
	g.wantIndices(b.name+".expert_index", experts, g.indices(b.name+".expert_index"))
	g.want(b.name+".gate", gates, mat(x.Rows, b.k, g.values(b.name+".gate")...), single)

	up, upBias := g.stack(b, "param", b.fc[0], "w1", "w3"), g.stackBias(b, "param", b.fc[0])
	down, downBias := g.stack(b, "param", b.fc[1], "w2"), g.stackBias(b, "param", b.fc[1])
	slots, places, offsets := ids(x.Rows*b.k, 1), ids(x.Rows*b.k, 1), ids(blockExperts+1, 1)
	hidden, out, dst := mat(slots.Rows, up.Rows/blockExperts), mat(slots.Rows, x.Cols), mat(x.Rows, x.Cols)
	act := kernels.Activation{Dst: hidden, X: hidden, Act: b.act}
	if b.gated {
		half := hidden.Cols / 2
		act.X, act.Mul = hidden.ColRange(0, half), hidden.ColRange(half, 2*half)
		act.Dst = act.X
	}
	do(g.T,
		kernels.Sort{Slots: slots, Places: places, Offsets: offsets, Experts: experts},
		kernels.GroupedMatMul{Dst: hidden, A: x, B: up, Bias: upBias, Offsets: offsets, Slots: slots, K: b.k},
		act,
		kernels.GroupedMatMul{Dst: out, A: act.Dst, B: down, Bias: downBias, Offsets: offsets},
		kernels.Combine{Dst: dst, Src: out, Places: places, Gates: gates})
	g.want(b.name+".out", dst, g.rows(b.name+".out"), single)
}

// choose is the router of a block.
func (g *golden) choose(b sparseBlock, x kernels.Mat) (logits, experts, gates kernels.Mat) {
	logits, bias := mat(x.Rows, blockExperts), kernels.Mat{}
	do(g.T, kernels.MatMul{Dst: logits, A: x, B: g.router(b, "param", "weight"), Bias: g.router(b, "param", "bias")})
	g.want(b.name+".router_logits", logits, g.rows(b.name+".router_logits"), single)
	if b.balanced {
		bias = mat(1, blockExperts)
		do(g.T, kernels.Sinkhorn{Bias: bias, Logits: logits, Temperature: 1, MaxIterations: 100, Tolerance: 1e-4})
	}
	experts, gates = ids(x.Rows, b.k), mat(x.Rows, b.k)
	do(g.T, kernels.Route{Experts: experts, Gates: gates, Logits: logits, Bias: bias, Score: b.score})
	return logits, experts, gates
}

// router is a parameter of a block's router, of kind "param", or the gradient of one, "grad".
func (g *golden) router(b sparseBlock, kind, parameter string) kernels.Mat {
	if name := fmt.Sprintf("%s.%s.router.%s", b.name, kind, parameter); g.has(name) {
		return g.rows(name)
	}
	return g.rows(fmt.Sprintf("%s.%s.gate.%s", b.name, kind, parameter))
}

// stack lays one layer of all experts under each other, as GroupedMatMul wants it. Where
// the layer is in parts, those of an expert follow one another.
func (g *golden) stack(b sparseBlock, kind, layer string, parts ...string) kernels.Mat {
	var all []float64
	cols := 0
	for e := range blockExperts {
		names := []string{fmt.Sprintf("%s.%s.local_experts.%d.%s.weight", b.name, kind, e, layer)}
		if layer == "" {
			names = nil
			for _, part := range parts {
				names = append(names, fmt.Sprintf("%s.%s.experts.%d.%s.weight", b.name, kind, e, part))
			}
		}
		for _, name := range names {
			cols = g.tensor(name).Shape[1]
			all = append(all, g.values(name)...)
		}
	}
	return mat(len(all)/cols, cols, all...)
}

func (g *golden) stackBias(b sparseBlock, kind, layer string) kernels.Mat {
	var all []float64
	for e := range blockExperts {
		if name := fmt.Sprintf("%s.%s.local_experts.%d.%s.bias", b.name, kind, e, layer); g.has(name) {
			all = append(all, g.values(name)...)
		}
	}
	if len(all) == 0 {
		return kernels.Mat{}
	}
	return mat(blockExperts, len(all)/blockExperts, all...)
}

// TestGoldenCapacity is which tokens HF's Switch drops, sequence by sequence, where an
// expert has room for three. (It lets a dropped token through as it was; ours is nothing.)
func TestGoldenCapacity(t *testing.T) {
	g := openGolden(t, "moe_blocks")
	mask, all, gate := g.indices("hf_switch.expert_mask"), g.rows("hf_switch.router_logits"), g.values("hf_switch.gate")
	const seqs, capacity = 2, 3
	n := all.Rows / seqs
	for s := range seqs {
		logits, want := all.RowRange(s*n, (s+1)*n), mat(n, 1)
		for i := range n {
			if token := (s*n + i) * blockExperts; slices.Contains(mask[token:token+blockExperts], 1) {
				want.Mem.([]float64)[i] = gate[s*n+i]
			}
		}
		experts, gates := ids(n, 1), mat(n, 1)
		slots, places, offsets := ids(n, 1), ids(n, 1), ids(blockExperts+1, 1)
		do(t,
			kernels.Route{Experts: experts, Gates: gates, Logits: logits, Score: kernels.SoftmaxScore},
			kernels.Sort{Slots: slots, Places: places, Offsets: offsets, Experts: experts},
			kernels.LimitLoad{Gates: gates, Places: places, Offsets: offsets, Experts: experts, Capacity: capacity})
		g.want(fmt.Sprintf("gates of sequence %d", s), gates, want, single)
	}
}
