package train

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func tokensOf(vocab, n int) *Tokens {
	t := NewTokens(vocab)
	for i := range n {
		t.Append([]int32{int32(i % vocab)})
	}
	return t
}

func TestTokens(t *testing.T) {
	for _, vocab := range []int{2, 256, 257, 1 << 16, 1<<16 + 1} {
		tokens := NewTokens(vocab)
		want := []int32{0, int32(vocab - 1), 1, int32(vocab / 2)}
		tokens.Append(want[:1])
		tokens.Append(want[1:])
		got := make([]int32, 3)
		if tokens.Read(got, 1); tokens.Len() != 4 || !slices.Equal(got, want[1:]) {
			t.Errorf("vocabulary of %d: %d tokens, the last %v, want %v", vocab, tokens.Len(), got, want)
		}
	}
}

func TestPermute(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, key := rapid.Uint64Range(1, 2000).Draw(t, "n"), rapid.Uint64().Draw(t, "key")
		seen := make([]bool, n)
		for i := range n {
			at := permute(i, n, key)
			if at >= n || seen[at] {
				t.Fatalf("%d goes to %d of %d, as another", i, at, n)
			}
			seen[at] = true
		}
	})
}

// Of every epoch, each window comes once; targets are what follows; domains take turns.
func TestMixture(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		context := rapid.IntRange(1, 50).Draw(t, "context")
		lengths := rapid.SliceOfN(rapid.IntRange(context+1, 3000), 1, 3).Draw(t, "lengths")
		m := &Mixture{Name: "test", Seed: rapid.Uint64().Draw(t, "seed")}
		for _, n := range lengths {
			m.Domains = append(m.Domains, TextDomain{"d", tokensOf(1<<20, n)})
		}
		if err := m.Check(context); err != nil {
			t.Fatal(err)
		}
		ids, targets := make([]int32, context), make([]int32, context)
		for which, n := range lengths {
			shifts := min(context, n-context)
			windows := max(1, (n-shifts)/context)
			for epoch := range 2 {
				seen := map[int32]bool{}
				for k := range windows {
					m.Sequence(int64((epoch*windows+k)*len(lengths)+which), ids, targets)
					for i := range ids {
						if ids[i] != ids[0]+int32(i) || targets[i] != ids[i]+1 || int(targets[i]) >= n {
							t.Fatalf("window %v with targets %v of %d tokens", ids, targets, n)
						}
					}
					if seen[ids[0]] {
						t.Fatalf("epoch %d of %d windows has the one at %d twice", epoch, windows, ids[0])
					}
					seen[ids[0]] = true
				}
			}
		}
	})
}

func TestMixtureCheck(t *testing.T) {
	m := &Mixture{Name: "test", Domains: []TextDomain{{"a", tokensOf(256, 9)}, {"b", tokensOf(256, 8)}}}
	if err := m.Check(8); err == nil || !strings.Contains(err.Error(), "b has 8 tokens to learn from") {
		t.Errorf("error %v, want one that names b and its length", err)
	}
	if err := m.Check(7); err != nil {
		t.Error(err)
	}
	if err := (&Mixture{Name: "none"}).Check(1); err == nil {
		t.Error("no text is taken for some")
	}
}

// Seeds and epochs give orders of their own.
func TestMixtureShuffles(t *testing.T) {
	order := func(seed uint64, from int64) (starts []int32) {
		m := &Mixture{Seed: seed, Domains: []TextDomain{{"a", tokensOf(1<<20, 1010)}}}
		ids, targets := make([]int32, 10), make([]int32, 10)
		for i := range int64(100) {
			m.Sequence(from+i, ids, targets)
			starts = append(starts, ids[0]/10)
		}
		return starts
	}
	first := order(1, 0)
	if slices.IsSorted(first) || slices.Equal(first, order(2, 0)) || slices.Equal(first, order(1, 100)) {
		t.Error("windows are not shuffled by seed and epoch")
	}
	if !slices.Equal(first, order(1, 0)) {
		t.Error("the same seed gives another order")
	}
}
