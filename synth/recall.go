package synth

import (
	"fmt"
	"math/rand/v2"
)

// mqar is multi-query associative recall: pairs of a key and a value, and then keys, each
// asking for its value. Keys are 1, …, Symbols, values Symbols+1, …, 2·Symbols. Zoology's has
// each key once, and noise between them; here every token after the pairs asks, so that a
// sequence teaches several times as much.
var mqar = Kind{
	Name:    "mqar",
	Doc:     "multi-query associative recall: Items pairs of key and value, then keys at random, each asking for its value",
	Default: Difficulty{Items: 8, Symbols: 64, Length: 40},
	Expected: []Expectation{
		{"attention", "two layers solve it at any length", "2312.04927"},
		{"mamba", "needs a state that grows with the pairs, and a narrow range of learning rates", "2402.18668"},
	},
	check: func(d Difficulty) error {
		if d.Items > d.Symbols {
			return fmt.Errorf("%d pairs of %d keys: want at most as many", d.Items, d.Symbols)
		}
		return atLeast("the length", d.Length, 4*d.Items)
	},
	tokens: func(d Difficulty) (int, int) { return 2*d.Symbols + 1, d.Length },
	make: func(t *Task, r *rand.Rand, ids, targets []int32) {
		n, symbols := t.Difficulty.Items, t.Difficulty.Symbols
		keys := draw(r, n, symbols)
		values := make([]int32, n)
		for i, key := range keys {
			values[i] = int32(symbols + 1 + r.IntN(symbols))
			ids[2*i], ids[2*i+1] = key+1, values[i]
		}
		for at := 2 * n; at < len(ids); at++ {
			i := r.IntN(n)
			ids[at], targets[at] = keys[i]+1, values[i]
		}
	},
}

// selectiveCopy is the Mamba paper's: data among noise, to be written in order at the end.
// Data are 1, …, Symbols, noise is 0 and the place of an answer Symbols+1.
var selectiveCopy = Kind{
	Name:    "selcopy",
	Doc:     "selective copying: Items data tokens at random places in noise, to be written in order at the end",
	Default: Difficulty{Items: 8, Symbols: 16, Length: 72},
	Expected: []Expectation{
		{"mamba", "99.8 %, where a state space without selection has 18 %", "2312.00752"},
		{"attention", "solves it, more slowly, and needs positions", "2312.00752"},
	},
	check:  func(d Difficulty) error { return atLeast("the length", d.Length, 2*d.Items) },
	tokens: func(d Difficulty) (int, int) { return d.Symbols + 2, d.Length },
	make: func(t *Task, r *rand.Rand, ids, targets []int32) {
		n := t.Difficulty.Items
		context := len(ids) - n
		mark := make([]bool, context)
		for _, place := range draw(r, n, context) {
			mark[place] = true
		}
		out := context
		for i := range context {
			if mark[i] {
				ids[i] = int32(1 + r.IntN(t.Difficulty.Symbols))
				ids[out], targets[out] = int32(t.Difficulty.Symbols+1), ids[i]
				out++
			}
		}
	},
}

// induction is the Mamba paper's: a mark stands once in random tokens, and again at the end,
// where it asks for what followed it. The mark is 0.
var induction = Kind{
	Name:    "induction",
	Doc:     "induction heads: at the end, a mark asks for what followed it the first time",
	Default: Difficulty{Items: 1, Symbols: 16, Length: 64},
	Expected: []Expectation{
		{"attention", "solves it at the length learned, and fails at longer ones", "2312.00752"},
		{"mamba", "solves it, and at lengths up to a million", "2312.00752"},
	},
	check: func(d Difficulty) error {
		if d.Items != 1 {
			return fmt.Errorf("%d items: want 1, the token after the mark", d.Items)
		}
		return atLeast("the length", d.Length, 4)
	},
	tokens: func(d Difficulty) (int, int) { return d.Symbols + 1, d.Length },
	make: func(t *Task, r *rand.Rand, ids, targets []int32) {
		for i := range ids {
			ids[i] = int32(1 + r.IntN(t.Difficulty.Symbols))
		}
		at, last := r.IntN(len(ids)-2), len(ids)-1
		ids[at], ids[last] = 0, 0
		targets[last] = ids[at+1]
	},
}

// copying writes a random string, a mark, and asks for the string again. The mark is 0.
var copying = Kind{
	Name:    "copy",
	Doc:     "copying: a string of Items tokens, a mark, and the string again",
	Default: Difficulty{Items: 16, Symbols: 32},
	Expected: []Expectation{
		{"attention", "copies strings exponentially longer than its size", "2402.01032"},
		{"mamba", "is limited by its state", "2402.01032"},
	},
	check:  func(d Difficulty) error { return nil },
	tokens: func(d Difficulty) (int, int) { return d.Symbols + 1, 2 * d.Items },
	make: func(t *Task, r *rand.Rand, ids, targets []int32) {
		n := t.Difficulty.Items
		for i := range n {
			ids[i] = int32(1 + r.IntN(t.Difficulty.Symbols))
		}
		ids[n] = 0
		copy(ids[n+1:], ids[:n-1])
		copy(targets[n:], ids[:n])
	},
}

func atLeast(what string, n, least int) error {
	if n < least {
		return fmt.Errorf("%s is %d, want at least %d", what, n, least)
	}
	return nil
}
