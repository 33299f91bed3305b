package evals_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"quadrant/arch"
	"quadrant/evals"
	"quadrant/kernels"
	"quadrant/kernels/cpu"
	"quadrant/kernels/ref"
	"quadrant/tokenizer"
	"quadrant/train"
)

// architectures are small models of bytes of the four kinds.
func architectures() map[string]arch.Config {
	norm := arch.Norm{Kind: arch.RMSNorm, Eps: 1e-5}
	attention := arch.Sequence{Attention: &arch.Attention{Heads: 4, KVHeads: 2, HeadDim: 8, Rotary: &arch.Rotary{Dim: 8, Base: 10000}}}
	mamba := arch.Sequence{Mamba: &arch.Mamba{Inner: 48, State: 4, Conv: 4, Rank: 3, ConvBias: true}}
	expert := arch.MLP{Hidden: 40, Act: kernels.SiLU, Gate: arch.FirstHalf}
	dense := arch.Channel{MLP: &expert}
	sparse := arch.Channel{MoE: &arch.MoE{Experts: 4, Expert: expert, Router: arch.Router{TopK: 2, Score: kernels.SoftmaxTopKScore}}}
	of := func(l arch.Layer) arch.Config {
		return arch.Config{Vocab: 256, Dim: 32, Norm: norm, FinalNorm: norm, TiedHead: true, Layers: []arch.Layer{l, l}}
	}
	return map[string]arch.Config{
		"transformer":     of(arch.Layer{Sequence: attention, Channel: dense}),
		"mamba":           of(arch.Layer{Sequence: mamba}),
		"transformer-moe": of(arch.Layer{Sequence: attention, Channel: sparse}),
		"mamba-moe":       of(arch.Layer{Sequence: mamba, Channel: sparse}),
	}
}

// drawn is a model whose logits are far from even, so that choices differ.
func drawn(t *testing.T, cfg arch.Config, dev kernels.Device, types ...arch.Types) *arch.Model {
	t.Helper()
	m, err := arch.New(cfg, dev, append(types, arch.Types{})[0])
	if err != nil {
		t.Fatal(err)
	}
	m.Init(5)
	m.Params(func(name string, p *arch.Param) {
		if name != "embed" {
			return
		}
		values := make([]float32, p.Len())
		kernels.Get(dev, values, p.Mat)
		for i := range values {
			values[i] *= 20
		}
		kernels.Put(dev, p.Mat, values)
	})
	return m
}

func openCPU(t *testing.T) *cpu.Device {
	t.Helper()
	dev, err := cpu.Open("", 0)
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

// questions are documents with one to five continuations, of contexts that are shared,
// begin alike, or have nothing in common.
func questions() [][]evals.Request {
	r := rand.New(rand.NewPCG(1, 2))
	word := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "abcdefgh \n"[r.IntN(10)]
		}
		return string(b)
	}
	docs := [][]evals.Request{
		{{Context: "", Continuation: "empty"}, {Context: "", Continuation: "\nempty"}},
		{{Context: "x", Continuation: "y"}},
		{{Context: "The cat", Continuation: " sat"}, {Context: "The dog", Continuation: " sat"}},
		{{Context: "space before \n", Continuation: " it"}, {Context: "  ", Continuation: "x"}},
		{{Context: strings.Repeat("long ", 30), Continuation: " end"}, {Context: strings.Repeat("long ", 30), Continuation: " finish"}},
		{{Context: "é", Continuation: "è日本"}},
	}
	for range 12 {
		context := word(3 + r.IntN(40))
		var d []evals.Request
		for range 1 + r.IntN(5) {
			d = append(d, evals.Request{Context: context, Continuation: " " + word(1+r.IntN(12))})
		}
		docs = append(docs, d)
	}
	return docs
}

func answers(t *testing.T, s *evals.Scorer, docs [][]evals.Request) [][]evals.Answer {
	t.Helper()
	e, err := evals.NewEncoder(tokenizer.Bytes{})
	if err != nil {
		t.Fatal(err)
	}
	all := make([][]evals.Answer, len(docs))
	err = s.LogLikelihood(t.Context(), e, docs, func(i int, as []evals.Answer) error {
		if all[i] != nil {
			t.Errorf("document %d is answered twice", i)
		}
		all[i] = as
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func scorer(t *testing.T, dev kernels.Device, m *arch.Model, o evals.ScorerOptions) *evals.Scorer {
	t.Helper()
	s, err := evals.NewScorer(dev, m, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Neither batches nor the order of documents nor what is scored before changes a bit, in
// either type of weights and KV cache.
func TestScoresDoNotDependOnBatches(t *testing.T) {
	docs := questions()
	for name, cfg := range architectures() {
		for _, typ := range []kernels.Type{kernels.F32, kernels.BF16} {
			t.Run(fmt.Sprintf("%s/%v", name, typ), func(t *testing.T) {
				dev := openCPU(t)
				m := drawn(t, cfg, dev, arch.Types{Weights: typ, Cache: typ})
				want := answers(t, scorer(t, dev, m, evals.ScorerOptions{Batch: 1, Window: 100}), docs)
				for _, batch := range []int{7, 300, 100_000} {
					s := scorer(t, dev, m, evals.ScorerOptions{Batch: batch, Window: 100})
					for range 2 { // with sessions new and used
						if got := answers(t, s, docs); !reflect.DeepEqual(got, want) {
							t.Errorf("batches of %d tokens: %v, want %v", batch, got, want)
						}
					}
					back := slices.Clone(docs)
					slices.Reverse(back)
					got := answers(t, s, back)
					slices.Reverse(got)
					if !reflect.DeepEqual(got, want) {
						t.Errorf("batches of %d tokens, in the other order: %v, want %v", batch, got, want)
					}
				}
			})
		}
	}
}

// A counter counts the tokens that a model reads.
type counter struct {
	kernels.Device
	vocab, tokens int
}

func (c *counter) Do(op kernels.Op) {
	if e, ok := op.(*kernels.Embed); ok && e.Table.Rows == c.vocab {
		c.tokens += e.Dst.Rows
	}
	c.Device.Do(op)
}

// What choices share is read once: the context but for its last token, which is read with
// each choice but for the choice's last.
func TestSharedContextIsReadOnce(t *testing.T) {
	cfg := architectures()["mamba-moe"]
	dev := &counter{Device: openCPU(t), vocab: cfg.Vocab}
	s := scorer(t, dev, drawn(t, cfg, dev), evals.ScorerOptions{})
	context := strings.Repeat("context ", 20) + "end"
	var doc []evals.Request
	for _, c := range []string{" one", " two", " six", " ten"} {
		doc = append(doc, evals.Request{Context: context, Continuation: c})
	}
	answers(t, s, [][]evals.Request{doc})
	if want := len(context) - 1 + 4*4 + 4; dev.tokens > want || dev.tokens < len(context) {
		t.Errorf("%d tokens were read, want about %d", dev.tokens, want)
	}
}

// slow is the definition: every request read whole, in float64, one at a time.
func slow(t *testing.T, m *arch.Model, dev *ref.Device, r evals.Request, window int) evals.Answer {
	t.Helper()
	context := strings.TrimRight(r.Context, " \n")
	all := []byte(r.Context + r.Continuation)
	n := len(all) - len(context) // the continuation, with the white space before it
	if context == "" {
		if r.Context == "" && all[0] == '\n' {
			n--
		} else {
			all = append([]byte("\n"), all...)
		}
	}
	all = all[max(0, len(all)-window-1):]
	ids := make([]int32, len(all)-1)
	for i := range ids {
		ids[i] = int32(all[i])
	}
	in, out := dev.Alloc(kernels.I32, len(ids), 1), dev.Alloc(kernels.F32, len(ids), m.Vocab)
	kernels.Put(dev, in, ids)
	m.Open(1, len(ids)).Forward(out, in)
	logits := ref.Float64s(out)
	a := evals.Answer{Greedy: true, Tokens: n}
	for p := len(ids) - n; p < len(ids); p++ {
		row := logits[p*m.Vocab : (p+1)*m.Vocab]
		sum := 0.0
		for _, v := range row {
			sum += math.Exp(v)
		}
		a.LogLikelihood += row[all[p+1]] - math.Log(sum)
		a.Greedy = a.Greedy && slices.Max(row) == row[all[p+1]]
	}
	return a
}

func TestScoresEqualTheDefinition(t *testing.T) {
	docs := questions()
	for name, cfg := range architectures() {
		t.Run(name, func(t *testing.T) {
			dev := openCPU(t)
			got := answers(t, scorer(t, dev, drawn(t, cfg, dev), evals.ScorerOptions{Window: 100}), docs)
			exact := ref.New()
			equalTheDefinition(t, got, docs, drawn(t, cfg, exact), exact, func(ll float64) float64 { return 1e-4 * max(1, math.Abs(ll)/10) })
		})
	}
}

// equalTheDefinition wants the answers of m as slow finds them, and the same choices.
func equalTheDefinition(t *testing.T, got [][]evals.Answer, docs [][]evals.Request, m *arch.Model, dev *ref.Device, within func(ll float64) float64) {
	t.Helper()
	for i, d := range docs {
		best, wantBest := 0, 0
		var want []evals.Answer
		for k, r := range d {
			want = append(want, slow(t, m, dev, r, 100))
			if math.Abs(got[i][k].LogLikelihood-want[k].LogLikelihood) > within(want[k].LogLikelihood) ||
				got[i][k].Greedy != want[k].Greedy || got[i][k].Tokens != want[k].Tokens {
				t.Errorf("%q: %+v, want %+v", r, got[i][k], want[k])
			}
			if got[i][k].LogLikelihood > got[i][best].LogLikelihood {
				best = k
			}
			if want[k].LogLikelihood > want[wantBest].LogLikelihood {
				wantBest = k
			}
		}
		if best != wantBest {
			t.Errorf("document %d: choice %d, want %d", i, best, wantBest)
		}
	}
}

// What a model has learned is scored to 1e-4 of what float64 finds, on questions of its text.
func TestTrainedScoresEqualTheDefinition(t *testing.T) {
	if testing.Short() {
		t.Skip("trains four models: run without -short")
	}
	text, err := os.ReadFile("../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	docs := append(questions(), quoted(string(text))...)
	for name, cfg := range architectures() {
		t.Run(name, func(t *testing.T) {
			dev, exact := openCPU(t), ref.New()
			learned := trained(t, cfg, dev, text)
			same, err := arch.New(cfg, exact, arch.Types{})
			if err != nil {
				t.Fatal(err)
			}
			copyWeights(same, exact, learned, dev)
			got := answers(t, scorer(t, dev, learned, evals.ScorerOptions{Window: 100}), docs)
			equalTheDefinition(t, got, docs, same, exact, func(float64) float64 { return 1e-4 })
		})
	}
}

// quoted are questions of what follows in text: the truth, and two pieces from elsewhere.
func quoted(text string) (docs [][]evals.Request) {
	for at := 500; at+2000 < len(text) && len(docs) < 12; at += 700 {
		var d []evals.Request
		for _, from := range []int{at, at + 900, at + 1900} {
			d = append(d, evals.Request{Context: text[at-40 : at], Continuation: text[from : from+16]})
		}
		docs = append(docs, d)
	}
	return docs
}

// windows are sequences of a text, one after the other.
type windows []byte

func (windows) Describe() string { return "windows" }
func (windows) Err() error       { return nil }

func (w windows) Sequence(at int64, ids, targets []int32) {
	from := int(at) * len(ids) % (len(w) - len(ids) - 1)
	for t := range ids {
		ids[t], targets[t] = int32(w[from+t]), int32(w[from+t+1])
	}
}

// trained is a model that has read some of text: it says what is in it better than chance.
func trained(t *testing.T, cfg arch.Config, dev kernels.Device, text []byte) *arch.Model {
	t.Helper()
	l, err := train.NewLearner(cfg, dev)
	if err != nil {
		t.Fatal(err)
	}
	l.Model().Init(3)
	const steps = 80
	tr, err := train.NewTrainer(l, windows(text), train.Options{
		Context: 64, Batch: 4, Accumulate: 1, AdamW: train.DefaultAdamW,
		Schedule: train.Schedule{Shape: train.Cosine, Peak: 4e-3, Floor: 0.1, Steps: steps, Warmup: 10},
	})
	if err != nil {
		t.Fatal(err)
	}
	var last train.Record
	for !tr.Done() {
		if last, err = tr.Step(); err != nil {
			t.Fatal(err)
		}
	}
	if last.Loss > 3.5 { // even chances are 5.5 nats
		t.Fatalf("after %d steps the loss is %v: nothing was learned", steps, last.Loss)
	}
	m, err := arch.New(cfg, dev, arch.Types{})
	if err != nil {
		t.Fatal(err)
	}
	copyWeights(m, dev, l.Model(), dev)
	return m
}

// copyWeights sets the weights of m, on dev, to those of a model with the same configuration.
func copyWeights(m *arch.Model, dev kernels.Device, from *arch.Model, its kernels.Device) {
	weights := map[string][]float32{}
	from.Params(func(name string, p *arch.Param) {
		weights[name] = make([]float32, p.Len())
		kernels.Get(its, weights[name], p.Mat)
	})
	m.Params(func(name string, p *arch.Param) { kernels.Put(dev, p.Mat, weights[name]) })
}

// What a model is most likely to say is greedy, and nothing else is.
func TestGreedy(t *testing.T) {
	dev := openCPU(t)
	m := drawn(t, architectures()["mamba"], dev)
	context, said := []int32{72, 101}, []int32{}
	for range 4 {
		in, out := dev.Alloc(kernels.I32, len(context)+len(said), 1), dev.Alloc(kernels.F32, 1, m.Vocab)
		kernels.Put(dev, in, slices.Concat(context, said))
		m.Open(1, in.Rows).Forward(out, in)
		row := make([]float32, m.Vocab)
		kernels.Get(dev, row, out)
		said = append(said, int32(slices.Index(row, slices.Max(row))))
	}
	other := slices.Clone(said)
	other[3] = (other[3] + 1) % 256
	err := scorer(t, dev, m, evals.ScorerOptions{}).Score(t.Context(), [][]evals.Pair{{{context, said}, {context, other}}}, func(_ int, s []evals.Score) error {
		if !s[0].Greedy || s[1].Greedy || len(s[0].LogProbs) != 4 || s[0].LogProbs[2] != s[1].LogProbs[2] || s[0].Sum() <= s[1].Sum() {
			t.Errorf("scores %+v", s)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A text of any length is predicted token by token, each once, whatever the window.
func TestRolling(t *testing.T) {
	dev := openCPU(t)
	m := drawn(t, architectures()["transformer"], dev)
	e, err := evals.NewEncoder(tokenizer.Bytes{})
	if err != nil {
		t.Fatal(err)
	}
	const text = "Call me Ishmael. Some years ago,\nnever mind how long "
	for _, window := range []int{len(text), len(text) + 9, 20, 7, 1} {
		// The windows by hand: the first after a newline, each later one after as much as fits.
		want := 0.0
		exact := ref.New()
		slowly := drawn(t, architectures()["transformer"], exact)
		for at := 0; at < len(text); at += window {
			end := min(at+window, len(text))
			r := evals.Request{Context: text[max(0, end-window-1):at], Continuation: text[at:end]}
			want += rollingSlow(t, slowly, exact, r)
		}
		err := scorer(t, dev, m, evals.ScorerOptions{Window: window}).Rolling(t.Context(), e, []string{text}, func(_ int, r evals.Answer) error {
			if r.Tokens != len(text) || r.Greedy {
				t.Errorf("window %d: %+v", window, r)
			}
			if math.Abs(r.LogLikelihood-want) > 1e-4*math.Abs(want)/10 {
				t.Errorf("window %d: log-likelihood %v, want %v", window, r.LogLikelihood, want)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// rollingSlow leaves white space where it is.
func rollingSlow(t *testing.T, m *arch.Model, dev *ref.Device, r evals.Request) float64 {
	if r.Context == "" {
		r.Context = "\n"
	}
	all := []byte(r.Context + r.Continuation)
	ids := make([]int32, len(all)-1)
	for i := range ids {
		ids[i] = int32(all[i])
	}
	in, out := dev.Alloc(kernels.I32, len(ids), 1), dev.Alloc(kernels.F32, len(ids), m.Vocab)
	kernels.Put(dev, in, ids)
	m.Open(1, len(ids)).Forward(out, in)
	logits, sum := ref.Float64s(out), 0.0
	for p := len(r.Context) - 1; p < len(ids); p++ {
		row, total := logits[p*m.Vocab:(p+1)*m.Vocab], 0.0
		for _, v := range row {
			total += math.Exp(v)
		}
		sum += row[all[p+1]] - math.Log(total)
	}
	return sum
}

func TestScoreErrors(t *testing.T) {
	dev := openCPU(t)
	s := scorer(t, dev, drawn(t, architectures()["mamba"], dev), evals.ScorerOptions{Window: 4})
	for want, docs := range map[string][][]evals.Pair{
		"document 1 has nothing":     {{{[]int32{1}, []int32{2}}}, {}},
		"want at least 1 of each":    {{{nil, []int32{2}}}},
		"continuation of 5 tokens":   {{{[]int32{1}, []int32{2, 2, 2, 2, 2}}}},
		"token id 256 at position 0": {{{[]int32{1}, []int32{2}}, {[]int32{1}, []int32{256}}}},
	} {
		err := s.Score(t.Context(), docs, func(int, []evals.Score) error { return nil })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if _, err := evals.NewScorer(dev, nil, evals.ScorerOptions{Window: -1}); err == nil {
		t.Error("a window of -1 is taken")
	}
	stop := fmt.Errorf("enough")
	if err := s.Score(t.Context(), [][]evals.Pair{{{[]int32{1}, []int32{2}}}}, func(int, []evals.Score) error { return stop }); err != stop {
		t.Errorf("error %v, want that of done", err)
	}
}
