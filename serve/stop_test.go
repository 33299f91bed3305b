package serve

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Whatever the pieces, what passes is the text before the first stop.
func TestStopper(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 1, 4, -1)
		stops := rapid.SliceOfN(word, 0, 3).Draw(t, "stops")
		pieces := rapid.SliceOfN(rapid.StringOfN(rapid.RuneFrom([]rune("abc")), 0, 5, -1), 0, 8).Draw(t, "pieces")
		s := stopper{stops: stops}
		got, stopped := "", false
		for _, p := range pieces {
			var sure string
			if sure, stopped = s.push(p); stopped {
				got += sure
				break
			}
			got += sure
		}
		got += s.close()
		want, whole := strings.Join(pieces, ""), strings.Join(pieces, "")
		found := false
		for _, stop := range stops {
			if at := strings.Index(whole, stop); at >= 0 {
				found = true
				want = want[:min(len(want), at)]
			}
		}
		// Two stops may overlap so that the one that ends first begins later.
		if stopped != found || !strings.HasPrefix(whole, got) || !stopped && got != whole {
			t.Fatalf("%q, %v; want %q, %v", got, stopped, want, found)
		}
		if len(stops) == 1 && got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	})
}

func TestLikeliest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		logits := rapid.SliceOfN(rapid.Float32Range(-3, 3), 1, 12).Draw(t, "logits")
		for i := range logits {
			logits[i] = float32(int(logits[i])) // so that some are equal
		}
		n := rapid.IntRange(0, maxLogProbs).Draw(t, "n")
		all := make([]int32, len(logits))
		for i := range all {
			all[i] = int32(i)
		}
		slices.SortStableFunc(all, func(a, b int32) int { return int(logits[b] - logits[a]) })
		if got, want := likeliest(logits, n), all[:min(n, len(all))]; !slices.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(`{"prompt": "abc", "max_tokens": 3, "stop": ["x"], "logprobs": 2, "echo": true}`)
	f.Add(`{"prompt": [[1, 2], [3]], "n": 1, "stream": true, "stream_options": {"include_usage": true}}`)
	f.Add(`{"prompt": [1, null], "stop": null}`)
	s := tinyServer(f)
	f.Fuzz(func(t *testing.T, text string) {
		p, prompts, e := s.parse([]byte(text))
		if e != nil {
			if e.Message == "" || e.status < 400 || e.status > 499 {
				t.Fatalf("%+v", e)
			}
			return
		}
		if p.max < 0 || p.logProbs < -1 || p.logProbs > maxLogProbs || len(prompts) == 0 || p.sample.Validate() != nil {
			t.Fatalf("%+v, %d prompts", p, len(prompts))
		}
		for _, q := range prompts {
			if len(q.ids) == 0 || len(q.ids)+p.max > s.opts.Window || len(q.offsets) != len(q.ids) || s.Model.Model.CheckIDs(q.ids) != nil {
				t.Fatalf("prompt %+v of %+v", q, p)
			}
		}
	})
}
