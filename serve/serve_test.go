package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"quadrant/arch"
	"quadrant/evals"
	"quadrant/kernels"
	"quadrant/kernels/cpu"
	"quadrant/serve"
	"quadrant/tokenizer"
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

// kinds are the architectures to test: where time is short, two that differ in both choices.
func kinds() []string {
	if testing.Short() {
		return []string{"transformer", "mamba-moe"}
	}
	return []string{"transformer", "mamba", "transformer-moe", "mamba-moe"}
}

// build is a model whose logits are far from even, on a device of its own: the same each time.
func build(t testing.TB, kind string) (kernels.Device, *arch.Model) {
	t.Helper()
	dev, err := cpu.Open("", 1)
	if err != nil {
		t.Fatal(err)
	}
	m, err := arch.New(architectures()[kind], dev, arch.Types{})
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
	return dev, m
}

func scorer(t testing.TB, kind string) *evals.Scorer {
	t.Helper()
	dev, m := build(t, kind)
	s, err := evals.NewScorer(dev, m, evals.ScorerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A running server.
type running struct {
	url    string
	stop   func()        // asks for the end
	ended  chan struct{} // is closed after it
	err    error         // of Serve
	client *http.Client
}

// start serves a model of bytes until the test ends. Then no goroutine may be left.
func start(t testing.TB, kind string, o serve.Options) *running {
	t.Helper()
	return startWith(t, kind, tokenizer.Bytes{}, o, func(l net.Listener) net.Listener { return l })
}

func startWith(t testing.TB, kind string, tok tokenizer.Tokenizer, o serve.Options, wrap func(net.Listener) net.Listener) *running {
	t.Helper()
	dev, m := build(t, kind)
	s, err := serve.New(serve.Model{Name: "tiny", Device: dev, Model: m, Tokenizer: tok}, o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	transport := &http.Transport{MaxIdleConnsPerHost: 300}
	r := &running{url: "http://" + l.Addr().String(), stop: cancel, ended: make(chan struct{}), client: &http.Client{Transport: transport, Timeout: time.Minute}}
	go func() {
		r.err = s.Serve(ctx, wrap(l))
		close(r.ended)
	}()
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		r.wait(t)
		if r.err != nil {
			t.Errorf("Serve: %v", r.err)
		}
		noGoroutines(t)
	})
	return r
}

// wait asks for the end and waits for it.
func (r *running) wait(t testing.TB) {
	t.Helper()
	r.stop()
	select {
	case <-r.ended:
	case <-time.After(time.Minute):
		t.Fatal("the server does not end")
	}
}

// noGoroutines wants nothing of the package to run any more.
func noGoroutines(t testing.TB) {
	t.Helper()
	var stacks bytes.Buffer
	for range 500 {
		stacks.Reset()
		if err := pprof.Lookup("goroutine").WriteTo(&stacks, 2); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(stacks.String(), "quadrant/serve.(") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("goroutines are left:\n%s", &stacks)
}

// A completion is an answer as clients read it.
type completion struct {
	ID      string
	Object  string
	Model   string
	Choices []struct {
		Text         string
		Index        int
		FinishReason *string `json:"finish_reason"`
		LogProbs     *struct {
			Tokens        []string
			TokenLogProbs []*float64           `json:"token_logprobs"`
			TopLogProbs   []map[string]float64 `json:"top_logprobs"`
			TextOffset    []int                `json:"text_offset"`
		}
	}
	Usage *struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
		Total      int `json:"total_tokens"`
	}
	Error *struct{ Message, Type, Param, Code string }
}

type object = map[string]any

// post sends a request and reads the answer.
func (r *running) post(t testing.TB, body any) (int, completion) {
	t.Helper()
	status, c, err := r.try(body)
	if err != nil {
		t.Fatal(err)
	}
	return status, c
}

// try is post for goroutines.
func (r *running) try(body any) (status int, c completion, err error) {
	data, ok := body.(string)
	if !ok {
		b, err := json.Marshal(body)
		if err != nil {
			return 0, c, err
		}
		data = string(b)
	}
	resp, err := r.client.Post(r.url+"/v1/completions", "application/json", strings.NewReader(data))
	if err != nil {
		return 0, c, err
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, c, err
	}
	return resp.StatusCode, c, json.Unmarshal(all, &c)
}

// ok is post of a request that is answered.
func (r *running) ok(t testing.TB, body any) completion {
	t.Helper()
	status, c := r.post(t, body)
	if status != http.StatusOK {
		t.Fatalf("status %d: %+v for %v", status, c.Error, body)
	}
	return c
}

// events sends a request for a stream and reads its events until the last, which it
// checks to be [DONE].
func (r *running) events(t testing.TB, body object) (all []completion) {
	t.Helper()
	body["stream"] = true
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := r.client.Post(r.url+"/v1/completions", "application/json", bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%v, content type %q", err, resp.Header.Get("Content-Type"))
	}
	list := strings.Split(strings.TrimSuffix(string(text), "\n\n"), "\n\n")
	if list[len(list)-1] != "data: [DONE]" {
		t.Fatalf("the stream ends with %q", list[len(list)-1])
	}
	for _, e := range list[:len(list)-1] {
		var c completion
		if err := json.Unmarshal([]byte(strings.TrimPrefix(e, "data: ")), &c); err != nil {
			t.Fatalf("event %q: %v", e, err)
		}
		all = append(all, c)
	}
	return all
}
