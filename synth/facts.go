package synth

import (
	"fmt"
	"math/rand/v2"
)

// A fact is a key of three symbols and a value of two.
type fact [5]int32

const (
	factKey   = 3
	factValue = len(fact{}) - factKey
)

// facts is memorisation: a table of random facts that are the same in every sequence, in
// random order. What is asked of a key is its value, which nothing but having learned it
// tells: bits that weights hold.
var facts = Kind{
	Name:    "facts",
	Doc:     "memorisation: Items random facts, a key of three symbols and a value of two, which every sequence has some of",
	Default: Difficulty{Items: 4096, Symbols: 64, PerPass: 12},
	Expected: []Expectation{
		{"moe", "stores bits in proportion to all its parameters: more than a dense model of equal FLOPs", "2410.19034"},
		{"mlp", "stores bits in proportion to its parameters", "2410.19034"},
	},
	check: func(d Difficulty) error {
		if keys := d.Symbols * d.Symbols * d.Symbols; d.Symbols < 1<<20 && 2*d.Items > keys {
			return fmt.Errorf("%d facts of %d keys: want at most half as many", d.Items, keys)
		}
		return nil
	},
	tokens: func(d Difficulty) (int, int) { return d.Symbols, d.PerPass * len(fact{}) },
	prepare: func(t *Task) {
		r := rand.New(rand.NewPCG(t.Seed, 1<<63))
		seen := map[[factKey]int32]bool{}
		for len(t.table) < t.Difficulty.Items {
			var f fact
			for i := range f {
				f[i] = int32(r.IntN(t.Difficulty.Symbols))
			}
			if key := [factKey]int32(f[:factKey]); !seen[key] {
				seen[key] = true
				t.table = append(t.table, f)
			}
		}
	},
	make: func(t *Task, r *rand.Rand, ids, targets []int32) {
		for at := 0; at < len(ids); at += len(fact{}) {
			f := t.table[r.IntN(len(t.table))]
			copy(ids[at:], f[:])
			copy(targets[at+factKey-1:], f[factKey:])
		}
	},
}
