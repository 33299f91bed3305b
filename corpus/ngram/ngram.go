// Package ngram predicts text by counting: byte n-grams with Witten and Bell's smoothing
// (1991). It is the baseline that a language model has to beat before its score means
// anything.
package ngram

import (
	"fmt"
	"math"
)

// A Model predicts a byte from those before it: counts of n bytes are mixed with those of
// n−1, by how many different bytes followed, down to all bytes alike.
type Model struct {
	n     int
	table *table
}

// Most is the largest n.
const Most = 7 // bytes that fit into a key

// New returns a model of n-grams that has counted nothing yet.
func New(n int) (*Model, error) {
	if n < 1 || n > Most {
		return nil, fmt.Errorf("ngram: %d-grams of bytes: want 1 to %d", n, Most)
	}
	return &Model{n, newTable()}, nil
}

// Order is the model of a smaller n that shares m's counts.
func (m *Model) Order(n int) (*Model, error) {
	if n < 1 || n > m.n {
		return nil, fmt.Errorf("ngram: %d-grams of counts of %d bytes: want 1 to %d", n, m.n, m.n)
	}
	return &Model{n, m.table}, nil
}

// Name is "5-gram".
func (m *Model) Name() string { return fmt.Sprintf("%d-gram", m.n) }

// Count counts text, by itself: nothing precedes its first byte.
func (m *Model) Count(text []byte) {
	for i, b := range text {
		for k := 0; k < m.n && k <= i; k++ {
			key := pack(text[i-k : i])
			whole := m.table.at(extend(key, b))
			whole.count++
			fresh := whole.count == 1
			history := m.table.at(key)
			history.followed++
			if fresh {
				history.kinds++
			}
		}
	}
}

// Prob is the probability that b follows history.
func (m *Model) Prob(history []byte, b byte) float64 {
	p := 1.0 / 256
	for k := 0; k < m.n && k <= len(history); k++ {
		key := pack(history[len(history)-k:])
		h := m.table.find(key)
		if h == nil || h.followed == 0 {
			break // nor was any longer one seen
		}
		count := 0.0
		if whole := m.table.find(extend(key, b)); whole != nil {
			count = float64(whole.count)
		}
		p = (count + float64(h.kinds)*p) / (float64(h.followed) + float64(h.kinds))
	}
	return p
}

// Bits is what predicting every byte of text but the first costs, in bits.
func (m *Model) Bits(text []byte) float64 {
	bits := 0.0
	for i := 1; i < len(text); i++ {
		bits -= math.Log2(m.Prob(text[max(0, i-m.n+1):i], text[i]))
	}
	return bits
}

// empty is the key of no bytes.
const empty = uint64(1)

// pack is a number that no other bytes of at most Most have. It is never 0.
func pack(bytes []byte) uint64 {
	key := empty
	for _, b := range bytes {
		key = extend(key, b)
	}
	return key
}

func extend(key uint64, b byte) uint64 { return key<<8 | uint64(b) }
