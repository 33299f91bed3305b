package tokenizer

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// A cache remembers the ids of words. It has a fixed number of places and forgets what
// was in a place when another word takes it, so it is bounded and needs no lock.
type cache struct {
	seed   maphash.Seed
	places [1 << 14]atomic.Pointer[cached]
}

type cached struct {
	word string
	ids  []int32
}

// maxCached is the bytes of the longest word that is worth remembering.
const maxCached = 64

func newCache() *cache { return &cache{seed: maphash.MakeSeed()} }

// place is where a word is remembered, if it is.
func (c *cache) place(word string) *atomic.Pointer[cached] {
	return &c.places[maphash.String(c.seed, word)%uint64(len(c.places))]
}

func remember(place *atomic.Pointer[cached], word string, ids []int32) {
	place.Store(&cached{strings.Clone(word), append([]int32(nil), ids...)})
}
