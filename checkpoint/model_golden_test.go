package checkpoint

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quadrant/arch"
	"quadrant/kernels"
	"quadrant/kernels/device"
	"quadrant/kernels/ref"
)

// bound is how far a number may be from the reference's, in standard deviations of the
// reference's numbers.
const bound = 1e-4

var goldenFamilies = []string{"mamba", "blackmamba", "gpt_neox", "llama", "mixtral"}

// A watcher is a device that passes ops on and keeps what the references show of their
// insides.
type watcher struct {
	kernels.Device
	trace   kernels.Trace
	last    int                 // layer of the last norm; −1 before the first
	hidden  [][]float32         // the residual stream before layer i, and after the last
	experts map[int][]int64     // by layer, choices of all tokens read
	gates   map[int][]float32   // see experts
	conv    map[int]kernels.Mat // by layer, the memory of mixers
	ssm     map[int]kernels.Mat
	keys    map[int]kernels.Mat
	values  map[int]kernels.Mat
}

func (w *watcher) reset() {
	w.last, w.hidden, w.experts, w.gates = -2, nil, map[int][]int64{}, map[int][]float32{}
	w.conv, w.ssm, w.keys, w.values = map[int]kernels.Mat{}, map[int]kernels.Mat{}, map[int]kernels.Mat{}, map[int]kernels.Mat{}
}

func (w *watcher) Do(op kernels.Op) {
	w.Device.Do(op)
	if w.trace.Note(op) || w.experts == nil {
		return
	}
	layer := w.trace.Index("layer")
	switch o := op.(type) {
	case *kernels.RMSNorm:
		w.norm(layer, o.X)
	case *kernels.LayerNorm:
		w.norm(layer, o.X)
	case *kernels.ConvSiLU:
		w.conv[layer] = o.State
	case *kernels.Scan:
		w.ssm[layer] = o.State
	case *kernels.RotaryStore:
		w.keys[layer], w.values[layer] = o.KCache, o.VCache
	case *kernels.Route:
		chosen := make([]int32, o.Experts.Len())
		kernels.Get(w.Device, chosen, o.Experts)
		for _, e := range chosen {
			w.experts[layer] = append(w.experts[layer], int64(e))
		}
		gates := make([]float32, o.Gates.Len())
		kernels.Get(w.Device, gates, o.Gates)
		w.gates[layer] = append(w.gates[layer], gates...)
	}
}

// norm keeps the residual stream at a layer's first norm; the final norm has layer −1.
func (w *watcher) norm(layer int, x kernels.Mat) {
	if layer == w.last || !x.Contiguous() {
		return
	}
	w.last = layer
	w.hidden = append(w.hidden, get(w.Device, x))
}

func get(dev kernels.Device, m kernels.Mat) []float32 {
	values := make([]float32, m.Len())
	kernels.Get(dev, values, m)
	return values
}

// A goldenModel is a checkpoint on a device that watches.
type goldenModel struct {
	*watcher
	*arch.Model
}

func loadGolden(t testing.TB, dev kernels.Device, path string, o Options) goldenModel {
	t.Helper()
	return loadGoldenAs(t, dev, path, o, arch.Types{})
}

func loadGoldenAs(t testing.TB, dev kernels.Device, path string, o Options, types arch.Types) goldenModel {
	t.Helper()
	c, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	w := &watcher{Device: dev}
	m, err := c.Load(w, types)
	if err != nil {
		t.Fatal(err)
	}
	w.reset()
	return goldenModel{w, m}
}

// run reads ids, the next tokens of each of seqs sequences one after another, and returns
// the logits of all.
func (g goldenModel) run(t testing.TB, s *arch.Session, ids []int64) []float32 {
	t.Helper()
	in, out := g.Alloc(kernels.I32, len(ids), 1), g.Alloc(kernels.F32, len(ids), g.Vocab)
	narrow := make([]int32, len(ids))
	for i, id := range ids {
		narrow[i] = int32(id)
	}
	kernels.Put(g.watcher, in, narrow)
	s.Forward(out, in)
	if err := g.Sync(); err != nil {
		t.Fatal(err)
	}
	return get(g.watcher, out)
}

// An expectation is a golden file.
type expectation struct {
	*Safetensors
	t testing.TB
}

func expect(t testing.TB, parts ...string) expectation {
	t.Helper()
	s, err := ReadSafetensors(filepath.Join(append([]string{golden}, parts...)...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return expectation{s, t}
}

func (e expectation) floats(name string) []float32 {
	e.t.Helper()
	tensor, ok := e.Tensor(name)
	if !ok {
		e.t.Fatalf("no golden tensor %s", name)
	}
	v, err := tensor.Float32s()
	if err != nil {
		e.t.Fatal(err)
	}
	return v
}

// ids returns the tokens called name, and the number of sequences.
func (e expectation) ids(name string) ([]int64, int) {
	e.t.Helper()
	tensor, ok := e.Tensor(name)
	if !ok {
		e.t.Fatalf("no golden tensor %s", name)
	}
	v, err := tensor.Ints()
	if err != nil {
		e.t.Fatal(err)
	}
	return v, tensor.Shape[0]
}

// difference is the largest between got and want, in standard deviations of want.
func difference(t testing.TB, what string, got, want []float32) float64 {
	t.Helper()
	if len(got) != len(want) || len(want) == 0 {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	var sum, squares, worst float64
	for i := range want {
		sum += float64(want[i])
		squares += float64(want[i]) * float64(want[i])
		worst = max(worst, math.Abs(float64(got[i])-float64(want[i])))
		if got[i] != got[i] {
			worst = math.Inf(1)
		}
	}
	n := float64(len(want))
	return worst / math.Sqrt(max(squares/n-sum/n*sum/n, 1e-30))
}

// check reports a difference beyond the bound and returns it.
func check(t testing.TB, what string, got, want []float32) float64 {
	t.Helper()
	d := difference(t, what, got, want)
	if d > bound {
		t.Errorf("%s is up to %.3g standard deviations off, want at most %g", what, d, bound)
	}
	return d
}

func openCPU(t testing.TB) kernels.Device {
	t.Helper()
	dev, err := device.Open("cpu", 0)
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

// Every golden model, from every file it comes in, has the reference's logits, residual
// stream after each layer, expert choices and gates, computing in float32.
func TestGoldenLogits(t *testing.T) {
	needGolden(t)
	for _, family := range goldenFamilies {
		t.Run(family, func(t *testing.T) {
			files, _ := filepath.Glob(filepath.Join(golden, family, "*model*.*"))
			if len(files) != 4 {
				t.Errorf("%d files of weights, want 4", len(files))
			}
			for _, path := range files {
				expected := "expected.safetensors"
				for _, half := range []string{"fp16", "bf16"} {
					if strings.Contains(filepath.Base(path), half) {
						expected = "expected_" + half + "_weights.safetensors"
					}
				}
				g := loadGolden(t, openCPU(t), path, Options{})
				t.Logf("%s/%s on cpu: %s", family, filepath.Base(path), g.compare(t, expect(t, family, expected), "logits"))
				for half, kept := range map[string]kernels.Type{"fp16": kernels.F16, "bf16": kernels.BF16} {
					if strings.Contains(filepath.Base(path), half) { // kept as they are, the weights are the same numbers
						wantTypes(t, path, kept)
						g := loadGoldenAs(t, openCPU(t), path, Options{}, arch.Types{Weights: kept})
						t.Logf("%s/%s on cpu, kept %v: %s", family, filepath.Base(path), kept, g.compare(t, expect(t, family, expected), "logits"))
					}
				}
			}
			g := loadGolden(t, ref.New(), filepath.Join(golden, family), Options{})
			t.Logf("%s on ref: %s", family, g.compare(t, expect(t, family, "expected.safetensors"), "logits"))
		})
	}
}

// wantTypes wants the matrices of the checkpoint at path to be of the types in want.
func wantTypes(t *testing.T, path string, want ...kernels.Type) {
	t.Helper()
	c, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if types, err := c.MatrixTypes(); err != nil || !slices.Equal(types, want) {
		t.Errorf("%s: matrices of %v, %v; want %v", path, types, err, want)
	}
}

// The released code's "swiglu" is a gated GELU; the other reading of it is there to choose.
func TestGoldenSiLU(t *testing.T) {
	needGolden(t)
	path := filepath.Join(golden, "blackmamba")
	e := expect(t, "blackmamba", "expected.safetensors")
	silu := loadGolden(t, openCPU(t), path, Options{ExpertAct: kernels.SiLU})
	ids, seqs := e.ids("input_ids")
	got := silu.run(t, silu.Open(seqs, len(ids)/seqs), ids)
	t.Logf("blackmamba with SiLU: %.2g standard deviations", check(t, "logits_if_silu", got, e.floats("logits_if_silu")))
	if d := difference(t, "logits", got, e.floats("logits")); d < 100*bound {
		t.Errorf("with SiLU the logits are only %g off those with GELU", d)
	}
	_, err := Open(filepath.Join(golden, "mixtral"), Options{ExpertAct: kernels.SiLU})
	wantError(t, err, "can be chosen for blackmamba only: this is mixtral")
}

// compare runs g on the tokens of e and compares all that e has, and returns in words how
// far off what was.
func (g goldenModel) compare(t *testing.T, e expectation, logits string) string {
	t.Helper()
	ids, seqs := e.ids("input_ids")
	said := fmt.Sprintf("logits %.2g", check(t, "logits", g.run(t, g.Open(seqs, len(ids)/seqs), ids), e.floats(logits)))
	worst, n := 0.0, 0
	for i, got := range g.hidden {
		name := fmt.Sprintf("hidden.%d", i)
		if _, ok := e.Tensor(name); ok {
			worst, n = max(worst, check(t, name, got, e.floats(name))), n+1
		}
	}
	if _, ok := e.Tensor("hidden.1"); ok && n < len(g.Layers) {
		t.Errorf("compared the residual stream at %d of %d layers", n, len(g.Layers))
	} else if ok {
		said += fmt.Sprintf(", hidden states %.2g", worst)
	}
	choices := 0
	for i, got := range g.experts {
		for _, mixer := range []string{"mixer", "moe"} {
			if want, ok := e.Tensor(fmt.Sprintf("layers.%d.%s.expert_index", i, mixer)); ok {
				want, err := want.Ints()
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("layer %d chooses experts %v, want %v (%v)", i, got, want, err)
				}
				if gate := fmt.Sprintf("layers.%d.%s.gate", i, mixer); has(e, gate) {
					check(t, gate, g.gates[i], e.floats(gate))
				}
				choices += len(want)
			}
		}
	}
	if len(g.experts) > 0 {
		if choices == 0 {
			t.Error("no expert choices were compared")
		}
		said += fmt.Sprintf(", %d expert choices equal", choices)
	}
	return said + " (largest error in standard deviations)"
}

// Greedy generation chooses the reference's tokens, one by one, with its logits and with
// its memories after the prompt and after some tokens.
func TestGoldenGeneration(t *testing.T) {
	needGolden(t)
	for _, family := range goldenFamilies {
		t.Run(family, func(t *testing.T) {
			e := expect(t, family, "generate.safetensors")
			prompt, seqs := e.ids("prompt_ids")
			whole, _ := e.ids("sequences")
			n, total := len(prompt)/seqs, len(whole)/seqs
			g := loadGolden(t, openCPU(t), filepath.Join(golden, family), Options{})
			s := g.Open(seqs, total)
			next, worst := prompt, 0.0
			var steps []float32 // [G, seqs, vocab]
			states := 0
			for step := range total - n {
				logits := g.run(t, s, next)
				per := len(logits) / seqs
				next = nil
				for q := range seqs {
					last := logits[(q+1)*per-g.Vocab : (q+1)*per]
					steps = append(steps, last...)
					next = append(next, int64(slices.Index(last, slices.Max(last))))
					if want := whole[q*total+n+step]; next[q] != want {
						t.Fatalf("token %d of sequence %d is %d, want %d", step, q, next[q], want)
					}
				}
				prefix := fmt.Sprintf("step%d.", step)
				if step == 0 {
					prefix = "prefill."
				}
				states += g.compareStates(t, e, prefix, seqs, s.Past(), total, &worst)
			}
			want := e.floats("step_logits") // [seqs, G, vocab]
			for q := range seqs {
				for step := range total - n {
					got := steps[(step*seqs+q)*g.Vocab:][:g.Vocab]
					worst = max(worst, check(t, "logits", got, want[(q*(total-n)+step)*g.Vocab:][:g.Vocab]))
				}
			}
			if states == 0 {
				t.Error("no memories were compared")
			}
			t.Logf("%s: %d tokens of %d sequences equal, %d memories; largest error %.2g standard deviations", family, total-n, seqs, states, worst)
		})
	}
}

// compareStates compares the memories that e has under prefix and returns their number.
func (g goldenModel) compareStates(t *testing.T, e expectation, prefix string, seqs, past, maxLen int, worst *float64) (n int) {
	t.Helper()
	for i := range g.Layers {
		if name := fmt.Sprintf("%slayers.%d.ssm_state", prefix, i); has(e, name) {
			*worst = max(*worst, check(t, name, get(g.watcher, g.ssm[i]), e.floats(name)))
			n++
		}
		if name := fmt.Sprintf("%slayers.%d.conv_state", prefix, i); has(e, name) {
			*worst = max(*worst, check(t, name, get(g.watcher, g.conv[i]), tail(e, name)))
			n++
		}
	}
	tensor, ok := e.Tensor("kv.layers.0.key")
	if !ok || tensor.Shape[2] != past {
		return n
	}
	for name, m := range map[string]kernels.Mat{"kv.layers.0.key": g.keys[0], "kv.layers.0.value": g.values[0]} {
		*worst = max(*worst, check(t, name, byHeads(get(g.watcher, m), seqs, tensor.Shape[1], past, maxLen, tensor.Shape[3]), e.floats(name)))
		n++
	}
	return n
}

func has(e expectation, name string) bool {
	_, ok := e.Tensor(name)
	return ok
}

// tail turns the reference's conv_state [B, d_inner, K] into ours [B·(K−1), d_inner]: it
// holds one column more, the oldest, which the next token does not need.
func tail(e expectation, name string) []float32 {
	tensor, _ := e.Tensor(name)
	b, d, k := tensor.Shape[0], tensor.Shape[1], tensor.Shape[2]
	all := e.floats(name)
	var out []float32
	for q := range b {
		for j := 1; j < k; j++ {
			for c := range d {
				out = append(out, all[(q*d+c)*k+j])
			}
		}
	}
	return out
}

// byHeads turns our cache [B·maxLen, heads·size] into the reference's [B, heads, T, size].
func byHeads(cache []float32, seqs, heads, n, maxLen, size int) (out []float32) {
	for q := range seqs {
		for h := range heads {
			for p := range n {
				out = append(out, cache[((q*maxLen+p)*heads+h)*size:][:size]...)
			}
		}
	}
	return out
}

// Mamba's own one-token prompt, which is shorter than its convolution.
func TestGoldenShortPrompt(t *testing.T) {
	needGolden(t)
	e := expect(t, "mamba", "generate.safetensors")
	prompt, seqs := e.ids("prompt_ids")
	g := loadGolden(t, openCPU(t), filepath.Join(golden, "mamba"), Options{})
	s := g.Open(seqs, 2)
	n := len(prompt) / seqs
	var worst float64
	ids := []int64{prompt[0], prompt[n]}
	first := g.run(t, s, ids)
	if states := g.compareStates(t, e, "short.prefill.", seqs, 1, 2, &worst); states != 2 {
		t.Errorf("compared %d memories, want 2", states)
	}
	ids = []int64{prompt[1], prompt[n+1]} // its second step reads the prompt's second token
	second := g.run(t, s, ids)
	want := e.floats("short.logits") // [B, 2, vocab]
	for q := range seqs {
		worst = max(worst, check(t, "logits of the prompt", first[q*g.Vocab:][:g.Vocab], want[2*q*g.Vocab:][:g.Vocab]))
		worst = max(worst, check(t, "logits of the next token", second[q*g.Vocab:][:g.Vocab], want[(2*q+1)*g.Vocab:][:g.Vocab]))
	}
	t.Logf("mamba, prompt of 1: largest error %.2g standard deviations", worst)
}

// Prompts shorter than the convolution, which break the reference, agree with reading all
// tokens at once, whichever way they continue.
func TestShortPrompts(t *testing.T) {
	needGolden(t)
	for _, family := range goldenFamilies {
		e := expect(t, family, "expected.safetensors")
		ids, seqs := e.ids("input_ids")
		n := len(ids) / seqs
		want := e.floats("logits")
		g := loadGolden(t, openCPU(t), filepath.Join(golden, family), Options{})
		for prompt := 1; prompt <= 3; prompt++ {
			s := g.Open(1, n)
			got := g.run(t, s, ids[:prompt])
			for i := prompt; i < n; i++ {
				got = append(got, g.run(t, s, ids[i:i+1])...)
			}
			t.Logf("%s, prompt of %d: %.2g standard deviations", family, prompt, check(t, "logits", got, want[:n*g.Vocab]))
		}
	}
}
