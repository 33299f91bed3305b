package sample

import (
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"quadrant/checkpoint"
)

// golden reads what the filters of mamba's generation.py leave of logits.
func golden(t *testing.T) func(name string) []float32 {
	t.Helper()
	const path = "../../shared/golden/ops/sampling.safetensors"
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the golden file is not here: %v", err)
	}
	f, err := checkpoint.ReadSafetensors(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return func(name string) []float32 {
		tensor, ok := f.Tensor(name)
		if !ok {
			t.Fatalf("no tensor %s", name)
		}
		if tensor.DType == "I64" {
			ints, err := tensor.Ints()
			if err != nil {
				t.Fatal(err)
			}
			values := make([]float32, len(ints))
			for i, v := range ints {
				values[i] = float32(v)
			}
			return values
		}
		values, err := tensor.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		return values
	}
}

// The tokens that stay are those that the reference does not set to −inf. Its min-p is
// wrong and not here (it takes the logit of token 0 for the largest probability).
func TestGoldenFilters(t *testing.T) {
	tensor := golden(t)
	const rows, vocab = 3, 20
	logits := tensor("logits")
	for name, o := range map[string]Options{
		"topk1": {TopK: 1}, "topk5": {TopK: 5}, "topk20": {TopK: 20},
		"topp0.3": {TopP: 0.3}, "topp0.9": {TopP: 0.9}, "topp0.999": {TopP: 0.999},
	} {
		o.Temperature = 1
		want := tensor(name)
		for r := range rows {
			s := &Sampler{o: o}
			var got, left []int32
			for _, c := range s.candidates(logits[r*vocab : (r+1)*vocab]) {
				got = append(got, c.id)
			}
			for i, v := range want[r*vocab : (r+1)*vocab] {
				if !math.IsInf(float64(v), -1) {
					left = append(left, int32(i))
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, left) {
				t.Errorf("%s, row %d: %v stay, want %v", name, r, got, left)
			}
		}
	}
	ids, probs := tensor("topk7_temp0.7_topp0.8.indices"), tensor("topk7_temp0.7_topp0.8.probs")
	worst := 0.0
	for r := range rows {
		s := &Sampler{o: Options{Temperature: 0.7, TopK: 7, TopP: 0.8}}
		list := s.candidates(logits[r*vocab : (r+1)*vocab])
		var sum float64
		for _, c := range list {
			sum += c.p
		}
		want := make(map[int32]float64)
		for i, p := range probs[r*7 : (r+1)*7] {
			if p > 0 {
				want[int32(ids[r*7+i])] = float64(p)
			}
		}
		if len(want) != len(list) {
			t.Errorf("row %d: %d tokens stay, want %d", r, len(list), len(want))
		}
		for _, c := range list {
			worst = max(worst, math.Abs(c.p/sum-want[c.id]))
		}
	}
	if worst > 1e-6 {
		t.Errorf("a probability differs by %g", worst)
	}
	t.Logf("probabilities differ by at most %g", worst)
}

func TestDrawsFollowTheDistribution(t *testing.T) {
	logits := []float32{0, 1, 2, float32(math.Inf(-1)), 0.5}
	s, err := New(Options{Temperature: 1.5, Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	const n = 200_000
	var counts [5]float64
	for range n {
		id, err := s.Next(logits)
		if err != nil {
			t.Fatal(err)
		}
		counts[id]++
	}
	var sum float64
	for _, v := range logits {
		sum += math.Exp(float64(v) / 1.5)
	}
	for i, v := range logits {
		p := math.Exp(float64(v)/1.5) / sum
		if dev := math.Abs(counts[i]/n - p); dev > 5*math.Sqrt(p*(1-p)/n) {
			t.Errorf("token %d was drawn with frequency %.4f, want %.4f", i, counts[i]/n, p)
		}
	}
}

func TestSeeds(t *testing.T) {
	draw := func(seed uint64) (ids []int32) {
		s, _ := New(Options{Temperature: 1, Seed: seed})
		for range 50 {
			id, _ := s.Next(make([]float32, 100))
			ids = append(ids, id)
		}
		return ids
	}
	if !slices.Equal(draw(1), draw(1)) || slices.Equal(draw(1), draw(2)) {
		t.Error("draws do not depend on the seed alone")
	}
}

// Whatever the options, the token drawn is among the top k, and greedy is the likeliest.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		logits := rapid.SliceOfN(rapid.Float32Range(-30, 30), 1, 40).Draw(t, "logits")
		o := Options{
			Temperature: rapid.Float64Range(0, 3).Draw(t, "temperature"), TopK: rapid.IntRange(0, 50).Draw(t, "k"),
			TopP: rapid.Float64Range(0, 1).Draw(t, "p"), Seed: rapid.Uint64().Draw(t, "seed"),
		}
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		id, err := s.Next(logits)
		if err != nil {
			t.Fatal(err)
		}
		above := 0
		for _, v := range logits {
			if v > logits[id] {
				above++
			}
		}
		if o.TopK > 0 && above >= o.TopK || o.Greedy() && above > 0 {
			t.Errorf("%d tokens are likelier than the one drawn, with %+v", above, o)
		}
	})
}

func TestErrors(t *testing.T) {
	for want, o := range map[string]Options{
		"temperature is -1": {Temperature: -1}, "temperature is NaN": {Temperature: math.NaN()},
		"temperature is +Inf": {Temperature: math.Inf(1)}, "top-k is -2": {TopK: -2}, "top-p is 1.5": {TopP: 1.5}, "top-p is NaN": {TopP: math.NaN()},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %q", o, err, want)
		}
	}
	s, _ := New(Options{Temperature: 1})
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for want, logits := range map[string][]float32{
		"no logits": nil, "token 1 is not a number": {0, nan}, "of token 0, is +Inf": {inf, 0}, "is -Inf": {-inf, -inf},
	} {
		if _, err := s.Next(logits); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error %v, want %q", logits, err, want)
		}
	}
}
