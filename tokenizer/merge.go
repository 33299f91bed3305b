package tokenizer

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
)

// A pair is a merge as a file writes it: "a b" or ["a", "b"].
type pair [2]string

func (p *pair) UnmarshalJSON(data []byte) error {
	if data[0] == '[' {
		var list []string
		if err := json.Unmarshal(data, &list); err != nil {
			return err
		}
		if len(list) != 2 {
			return fmt.Errorf("merge %s has %d tokens, want 2", data, len(list))
		}
		*p = pair(list)
		return nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("merge %s: want \"a b\" or [\"a\", \"b\"]", data)
	}
	a, b, ok := strings.Cut(text, " ")
	if !ok || a == "" || b == "" || strings.Contains(b, " ") {
		return fmt.Errorf("merge %q: want two tokens with a space between", text)
	}
	*p = pair{a, b}
	return nil
}

// A merge says that two ids side by side become one; the least rank goes first.
type merge struct {
	rank, id int32
}

// merges finds the merge of two ids: a hash table with open addressing, at most half
// full, which takes a third of the time of a map.
type merges struct {
	keys   []uint64 // left id and right id, plus 1 so that 0 is an empty place
	values []merge
	shift  uint
}

func newMerges(list []pair, vocab map[string]int32) (*merges, error) {
	bits := uint(4)
	for 1<<bits < 2*len(list) {
		bits++
	}
	m := &merges{make([]uint64, 1<<bits), make([]merge, 1<<bits), 64 - bits}
	for rank, p := range list {
		var ids [3]int32
		for i, token := range []string{p[0], p[1], p[0] + p[1]} {
			id, ok := vocab[token]
			if !ok {
				return nil, fmt.Errorf("merge %d of %q and %q: %q is not in the vocabulary", rank, p[0], p[1], token)
			}
			ids[i] = id
		}
		key := mergeKey(ids[0], ids[1])
		at := m.at(key)
		m.keys[at], m.values[at] = key, merge{int32(rank), ids[2]}
	}
	return m, nil
}

func mergeKey(a, b int32) uint64 { return uint64(uint32(a))<<32 | uint64(uint32(b)) + 1 }

// at is the place of a key, or the empty one where it would go.
func (m *merges) at(key uint64) uint64 {
	at := key * 0x9e3779b97f4a7c15 >> m.shift
	for m.keys[at] != 0 && m.keys[at] != key {
		at = (at + 1) & uint64(len(m.keys)-1)
	}
	return at
}

// noRank is the rank of two ids that do not merge.
const noRank = 1<<31 - 1

func (m *merges) find(a, b int32) merge {
	key := mergeKey(a, b)
	if at := m.at(key); m.keys[at] == key {
		return m.values[at]
	}
	return merge{rank: noRank}
}

// apply merges ids until none can be, always the pair of least rank, of equal ones the
// leftmost, and returns them, shortened in place.
func (m *merges) apply(ids []int32) []int32 {
	switch {
	case len(ids) < 2:
		return ids
	case len(ids) <= shortWord:
		return m.applyShort(ids)
	}
	return m.applyLong(ids)
}

// shortWord is the ids of the longest word that is merged by looking through all pairs,
// which takes time in the square of the length but little of it.
const shortWord = 32

func (m *merges) applyShort(ids []int32) []int32 {
	var next [shortWord]merge // of ids[i] and ids[i+1]
	n := len(ids)
	for i := range n - 1 {
		next[i] = m.find(ids[i], ids[i+1])
	}
	for n > 1 {
		best := 0
		for i := 1; i < n-1; i++ {
			if next[i].rank < next[best].rank {
				best = i
			}
		}
		if next[best].rank == noRank {
			break
		}
		ids[best] = next[best].id
		copy(ids[best+1:n-1], ids[best+2:n])
		copy(next[best:n-2], next[best+1:n-1])
		n--
		if best > 0 {
			next[best-1] = m.find(ids[best-1], ids[best])
		}
		if best < n-1 {
			next[best] = m.find(ids[best], ids[best+1])
		}
	}
	return ids[:n]
}

// A symbol is an id in a linked list; prev and next are −1 at the ends.
type symbol struct {
	id         int32
	prev, next int32
	gone       bool // merged into the one before
}

// A candidate is a merge that was possible when it was put on the heap.
type candidate struct {
	merge
	at int32
}

func (c candidate) before(d candidate) bool {
	return c.rank < d.rank || c.rank == d.rank && c.at < d.at
}

// A merger is what applyLong works on.
type merger struct {
	symbols []symbol
	heap    []candidate
}

var mergers = sync.Pool{New: func() any { return new(merger) }}

// applyLong is apply in time n·log n.
func (m *merges) applyLong(ids []int32) []int32 {
	w := mergers.Get().(*merger)
	defer mergers.Put(w)
	w.symbols, w.heap = w.symbols[:0], w.heap[:0]
	for i, id := range ids {
		w.symbols = append(w.symbols, symbol{id: id, prev: int32(i) - 1, next: int32(i) + 1})
	}
	s := w.symbols
	s[len(s)-1].next = -1
	propose := func(at int32) {
		if next := s[at].next; next >= 0 {
			if found := m.find(s[at].id, s[next].id); found.rank != noRank {
				w.push(candidate{found, at})
			}
		}
	}
	for i := range s {
		propose(int32(i))
	}
	for len(w.heap) > 0 {
		c := w.pop()
		left := &s[c.at]
		if left.gone || left.next < 0 {
			continue
		}
		right := &s[left.next]
		if m.find(left.id, right.id) != c.merge {
			continue // one of the two has changed since
		}
		left.id, left.next, right.gone = c.id, right.next, true
		if left.next >= 0 {
			s[left.next].prev = c.at
		}
		if left.prev >= 0 {
			propose(left.prev)
		}
		propose(c.at)
	}
	ids = ids[:0]
	for i := int32(0); i >= 0; i = s[i].next {
		ids = append(ids, s[i].id)
	}
	return ids
}

func (w *merger) push(c candidate) {
	w.heap = append(w.heap, c)
	h := w.heap
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !c.before(h[up]) {
			break
		}
		h[i] = h[up]
		i = up
	}
	h[i] = c
}

func (w *merger) pop() candidate {
	h := w.heap
	top, last := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	w.heap = h
	for i := 0; len(h) > 0; {
		down := 2*i + 1
		if down+1 < len(h) && h[down+1].before(h[down]) {
			down++
		}
		if down >= len(h) || !h[down].before(last) {
			h[i] = last
			break
		}
		h[i] = h[down]
		i = down
	}
	return top
}
