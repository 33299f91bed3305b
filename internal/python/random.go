// Package python computes what Python's standard library does where published numbers
// depend on it to the last bit: its random numbers, its JSON and its strings. Scores of
// language models are shuffled, hashed and bootstrapped with these.
package python

import (
	"math"
	"math/bits"

	"gonum.org/v1/gonum/mathext/prng"
)

// Random is random.Random: the Mersenne Twister MT19937 (Matsumoto and Nishimura, 1998),
// seeded and read as CPython does. Its methods are those of the same names.
type Random struct{ mt *prng.MT19937 }

// NewRandom is random.Random(seed).
func NewRandom(seed uint32) *Random {
	mt := prng.NewMT19937()
	mt.SeedFromKeys([]uint32{seed})
	return &Random{mt}
}

// Random is uniform in [0, 1), with 53 bits.
func (r *Random) Random() float64 {
	a, b := r.mt.Uint32()>>5, r.mt.Uint32()>>6
	return (float64(a)*(1<<26) + float64(b)) / (1 << 53)
}

// Below is random.randrange(n), 1 ≤ n < 2³¹: as many bits as n has, until they are less.
func (r *Random) Below(n int) int {
	shift := 32 - bits.Len32(uint32(n))
	for {
		if v := int(r.mt.Uint32() >> shift); v < n {
			return v
		}
	}
}

// Shuffle is random.shuffle of n things.
func (r *Random) Shuffle(n int, swap func(i, j int)) {
	for i := n - 1; i > 0; i-- {
		swap(i, r.Below(i+1))
	}
}

// Choices fills dst with indices as random.choices(range(n), k=len(dst)) draws them.
func (r *Random) Choices(dst []int32, n int) {
	for i := range dst {
		dst[i] = int32(r.Random() * float64(n))
	}
}

// Sample is random.sample(range(n), k): k different indices, 0 ≤ k ≤ n.
func (r *Random) Sample(n, k int) []int {
	picked := make([]int, k)
	setSize := 21
	if k > 5 { // what a set costs against a list, as CPython estimates it
		setSize += int(math.Pow(4, math.Ceil(math.Log(float64(3*k))/math.Log(4))))
	}
	if n > setSize {
		seen := make(map[int]bool, k)
		for i := range picked {
			j := r.Below(n)
			for seen[j] {
				j = r.Below(n)
			}
			seen[j] = true
			picked[i] = j
		}
		return picked
	}
	pool := make([]int, n)
	for i := range pool {
		pool[i] = i
	}
	for i := range picked {
		j := r.Below(n - i)
		picked[i], pool[j] = pool[j], pool[n-i-1]
	}
	return picked
}
