package serve_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"quadrant/evals"
	"quadrant/serve"
	"quadrant/tokenizer"
)

// texts are prompts of many lengths, some with characters of several bytes.
func texts(n int, seed uint64) []string {
	r := rand.New(rand.NewPCG(seed, 2))
	all := []string{"x", "xy", "é日本", strings.Repeat("long ", 80)}
	for len(all) < n {
		b := make([]byte, 1+r.IntN(60))
		for i := range b {
			b[i] = "abcdefgh \n"[r.IntN(10)]
		}
		all = append(all, string(b))
	}
	return all[:n]
}

func ids(text string) []int32 {
	ids := make([]int32, len(text))
	for i := range ids {
		ids[i] = int32(text[i])
	}
	return ids
}

// direct scores every token of texts but the first after those before it.
func direct(t testing.TB, s *evals.Scorer, texts []string) []evals.Score {
	t.Helper()
	scores := make([]evals.Score, len(texts))
	var docs [][]evals.Pair
	var which []int
	for i, text := range texts {
		if len(text) > 1 {
			docs, which = append(docs, []evals.Pair{{Context: ids(text)[:1], Continuation: ids(text)[1:]}}), append(which, i)
		}
	}
	err := s.Score(t.Context(), docs, func(doc int, got []evals.Score) error {
		scores[which[doc]] = got[0]
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return scores
}

// check wants choice i of c to be text, scored as the scorer does, with extra generated
// tokens, and k likely tokens at each place.
func check(c completion, i int, text string, want evals.Score, extra, k int) error {
	ch := c.Choices[i]
	l := ch.LogProbs
	n := len(text) + extra
	if ch.Index != i || l == nil || len(l.Tokens) != n || len(l.TokenLogProbs) != n || len(l.TextOffset) != n || k > 0 && len(l.TopLogProbs) != n {
		return fmt.Errorf("choice %d: %+v with %+v, want %d tokens", i, ch, l, n)
	}
	if !strings.HasPrefix(ch.Text, text) {
		return fmt.Errorf("choice %d begins %.40q, want %.40q", i, ch.Text, text)
	}
	if l.TokenLogProbs[0] != nil || k > 0 && l.TopLogProbs[0] != nil {
		return fmt.Errorf("choice %d: the first token has a probability", i)
	}
	greedy := true
	for p := 1; p < len(text); p++ {
		got := l.TokenLogProbs[p]
		if got == nil || math.Float64bits(*got) != math.Float64bits(want.LogProbs[p-1]) {
			return fmt.Errorf("choice %d, token %d: %v, want %v", i, p, got, want.LogProbs[p-1])
		}
		if k == 0 {
			continue
		}
		best := math.Inf(-1)
		for _, v := range l.TopLogProbs[p] {
			best = max(best, v)
		}
		if n := len(l.TopLogProbs[p]); n < k || n > k+1 || best < *got {
			return fmt.Errorf("choice %d, token %d: likeliest %v", i, p, l.TopLogProbs[p])
		}
		greedy = greedy && best == *got
	}
	if k > 0 && greedy != (want.Greedy || len(text) == 1) {
		return fmt.Errorf("choice %d: greedy is %v, want %v", i, greedy, want.Greedy)
	}
	return nil
}

// The log-probabilities of prompts are those of evals.Scorer, bit for bit, however they
// are asked for.
func TestScoresAreTheScorers(t *testing.T) {
	all := texts(24, 1)
	var lists [][]int32
	for _, text := range all {
		lists = append(lists, ids(text))
	}
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			want := direct(t, scorer(t, kind), all)
			r := start(t, kind, serve.Options{})
			for _, ask := range []struct{ likely, most int }{{0, 0}, {1, 1}, {5, 0}, {2, 3}} {
				for _, prompt := range []any{all, lists} {
					c := r.ok(t, object{"prompt": prompt, "echo": true, "logprobs": ask.likely, "max_tokens": ask.most, "temperature": 0})
					if len(c.Choices) != len(all) {
						t.Fatalf("%d choices", len(c.Choices))
					}
					for i, text := range all {
						if err := check(c, i, text, want[i], ask.most, ask.likely); err != nil {
							t.Errorf("%+v: %v", ask, err)
						}
					}
				}
			}
		})
	}
}

// Two hundred clients at once are each answered right.
func TestConcurrentRequests(t *testing.T) {
	const clients = 200
	all := texts(clients, 3)
	for _, kind := range []string{"transformer", "mamba-moe"} {
		t.Run(kind, func(t *testing.T) {
			want := direct(t, scorer(t, kind), all)
			r := start(t, kind, serve.Options{})
			alone := make([]string, clients) // completions, asked for one by one
			for i := 0; i < clients; i += 10 {
				alone[i] = r.ok(t, object{"prompt": all[i], "max_tokens": 8, "seed": i}).Choices[0].Text
			}
			var group sync.WaitGroup
			for i, text := range all {
				group.Go(func() {
					if i%10 == 0 {
						status, c, err := r.try(object{"prompt": text, "max_tokens": 8, "seed": i})
						if err != nil || status != 200 || c.Choices[0].Text != alone[i] {
							t.Errorf("client %d: status %d, %v, %+v, want %q", i, status, err, c, alone[i])
						}
						return
					}
					status, c, err := r.try(object{"prompt": ids(text), "echo": true, "logprobs": 1, "max_tokens": 1, "temperature": 0})
					if err == nil && status == 200 {
						err = check(c, 0, text, want[i], 1, 1)
					}
					if err != nil || status != 200 {
						t.Errorf("client %d: status %d, %v, %+v", i, status, err, c.Error)
					}
				})
			}
			group.Wait()
		})
	}
}

// A harness asks as the API models of the lm-evaluation-harness do (local-completions),
// from what its source says they send and read; it is a replay and not the harness.
type harness struct {
	*running
	batch, concurrent int
	asTexts           bool // tokenized_requests=False
	maxLength         int
}

// logLikelihoods are what the harness takes for the answers to pairs.
func (h harness) logLikelihoods(t *testing.T, pairs []evals.Pair) []evals.Answer {
	order := make([]int, len(pairs))
	for i := range order {
		order[i] = i
	}
	length := func(i int) int { return len(pairs[i].Context) + len(pairs[i].Continuation) }
	slices.SortStableFunc(order, func(i, j int) int { return length(j) - length(i) }) // the longest first
	answers := make([]evals.Answer, len(pairs))
	places := make(chan struct{}, h.concurrent)
	var group sync.WaitGroup
	for batch := range slices.Chunk(order, h.batch) {
		places <- struct{}{}
		group.Go(func() {
			defer func() { <-places }()
			var prompts [][]int32
			var contexts []int
			for _, i := range batch {
				all := slices.Concat(pairs[i].Context, pairs[i].Continuation)
				cut := max(0, len(all)-(h.maxLength-1)) // one token is generated
				prompts = append(prompts, all[cut:])
				contexts = append(contexts, len(pairs[i].Context)-cut)
			}
			body := object{"model": "tiny", "prompt": prompts, "temperature": 0, "max_tokens": 1, "logprobs": 1, "seed": 1234, "echo": true}
			if h.asTexts {
				var texts []string
				for _, p := range prompts {
					text, _ := tokenizer.Bytes{}.Decode(p)
					texts = append(texts, text)
				}
				body["prompt"] = texts
				if len(texts) == 1 {
					body["prompt"] = texts[0]
				}
			}
			status, c, err := h.try(body)
			if err != nil || status != 200 || len(c.Choices) != len(batch) {
				t.Errorf("status %d, %v, %+v", status, err, c)
				return
			}
			for k, ch := range c.Choices {
				last := len(ch.LogProbs.TokenLogProbs) - 1
				a := evals.Answer{Greedy: true, Tokens: last - contexts[k]}
				for p := contexts[k]; p < last; p++ {
					token := *ch.LogProbs.TokenLogProbs[p]
					a.LogLikelihood += token
					best := math.Inf(-1)
					for _, v := range ch.LogProbs.TopLogProbs[p] {
						best = max(best, v)
					}
					a.Greedy = a.Greedy && token == best
				}
				answers[batch[k]] = a
			}
		})
	}
	group.Wait()
	return answers
}

// What the harness would read from here is what quadrant scores itself, to the last bit.
func TestHarnessReplay(t *testing.T) {
	var requests []evals.Request
	r := rand.New(rand.NewPCG(9, 9))
	word := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "abcdefgh \n"[r.IntN(10)]
		}
		return string(b)
	}
	for range 15 {
		context := word(3 + r.IntN(40))
		for range 1 + r.IntN(4) {
			requests = append(requests, evals.Request{Context: context, Continuation: " " + word(1+r.IntN(12))})
		}
	}
	requests = append(requests, evals.Request{Continuation: "nothing before"}, evals.Request{Context: strings.Repeat("too long ", 20), Continuation: " end"})
	e, err := evals.NewEncoder(tokenizer.Bytes{})
	if err != nil {
		t.Fatal(err)
	}
	var pairs []evals.Pair
	for _, q := range requests {
		p, err := e.Pair(q)
		if err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, p)
	}
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			const window = 120
			dev, m := build(t, kind)
			// The harness's API models read one token less: max_length is with the generated one.
			s, err := evals.NewScorer(dev, m, evals.ScorerOptions{Window: window - 2})
			if err != nil {
				t.Fatal(err)
			}
			want := make([]evals.Answer, len(pairs))
			for i, p := range pairs {
				err := s.Score(t.Context(), [][]evals.Pair{{p}}, func(_ int, scores []evals.Score) error {
					want[i] = evals.Answer{LogLikelihood: scores[0].Sum(), Greedy: scores[0].Greedy, Tokens: len(scores[0].LogProbs)}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			server := start(t, kind, serve.Options{Window: window})
			for _, h := range []harness{
				{server, 1, 1, false, window},
				{server, 7, 1, false, window},
				{server, 1, 8, false, window},
				{server, 1, 1, true, window},
				{server, 4, 3, true, window},
			} {
				if got := h.logLikelihoods(t, pairs); !slices.Equal(got, want) {
					t.Errorf("batch %d, %d at once, texts %v: %v, want %v", h.batch, h.concurrent, h.asTexts, got, want)
				}
			}
		})
	}
}
