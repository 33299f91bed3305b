package kerneltest

import (
	"fmt"
	"math"
	"slices"

	"quadrant/kernels"
)

// choices are sizes of batches whose experts choose: places that divide among the experts and
// such that do not, one expert, one token, every expert taking every token.
func choices() []choice {
	all := []choice{{300, 8, 2}, {9, 4, 4}}
	for i, n := range shapes() {
		experts := []int{1, 2, 8, 9}[i%4]
		all = append(all, choice{n[0], experts, min(1+i%3, experts)})
	}
	return all
}

// A choice is a number of tokens and of experts, and how many of them take a token on average.
type choice struct{ tokens, experts, k int }

func (c choice) String() string { return fmt.Sprintf("%dx%d of %d", c.tokens, c.k, c.experts) }

// places are how many an expert has from the first on.
func (c choice) offsets() []int {
	var all []int
	for e := range c.experts + 1 {
		all = append(all, e*c.tokens*c.k/c.experts)
	}
	return all
}

func (s *suite) expertChoice() {
	s.cover("ExpertChoice/NaN", func(b *bench) {
		c := choices()[0]
		logits := b.decided(c)
		for e := range c.experts { // of token 4, which nobody takes
			logits.bits[4*c.experts+e] = math.Float32bits(float32(math.NaN()))
		}
		b.expertChoice(c, logits, 0)
	})
	for _, c := range choices() {
		for _, scale := range []float32{0, 2.5} {
			for _, alike := range []bool{false, true} {
				s.cover(fmt.Sprintf("ExpertChoice/%v%s%s", c, with("scale", scale != 0), with("equal tokens", alike)), func(b *bench) {
					logits := b.decided(c)
					if alike { // the earlier tokens are taken
						for i := range logits.bits {
							logits.bits[i] = logits.bits[i%c.experts]
						}
					}
					b.expertChoice(c, logits, scale)
				})
			}
		}
	}
}

func (b *bench) expertChoice(c choice, logits matrix, scale float32) {
	n := c.tokens * c.k
	b.do(kernels.ExpertChoice{
		Slots: b.out("slots", kernels.I32, n, 1), Offsets: b.out("offsets", kernels.I32, c.experts+1, 1),
		Gates: b.out("gates", kernels.F32, n, 1), Logits: b.in("logits", logits), K: c.k, GateScale: scale,
	})
}

// decided draws logits by which no expert is nearly indifferent between the last token that
// it takes and the first that it does not.
func (b *bench) decided(c choice) matrix {
	for {
		m := floats(c.tokens, c.experts, func() float64 { return b.planted(b.rand.NormFloat64(), 9, -9) })
		if m.gap(c) > 1e-3 {
			return m
		}
	}
}

// gap is the least difference of log p between what an expert takes and what it does not.
func (m matrix) gap(c choice) float64 {
	logP := make([][]float64, c.experts)
	for t := range c.tokens {
		sum := 0.0
		for e := range c.experts {
			sum += math.Exp(m.at(t, e))
		}
		for e := range logP {
			logP[e] = append(logP[e], m.at(t, e)-math.Log(sum))
		}
	}
	least, offsets := math.Inf(1), c.offsets()
	for e, p := range logP {
		slices.Sort(p)
		if n := c.tokens - (offsets[e+1] - offsets[e]); c.experts > 1 && n > 0 && n < c.tokens {
			least = min(least, p[n]-p[n-1])
		}
	}
	return least
}

func (m matrix) at(i, j int) float64 { return float64(math.Float32frombits(m.bits[i*m.cols+j])) }

// taken draws tokens for every expert, in order.
func (b *bench) taken(c choice) (slots, offsets matrix) {
	var all []int
	at := c.offsets()
	for e := range c.experts {
		tokens := b.rand.Perm(c.tokens)[:at[e+1]-at[e]]
		slices.Sort(tokens)
		for _, t := range tokens {
			all = append(all, t*c.k+b.rand.IntN(c.k))
		}
	}
	return ints(len(all), 1, all), ints(c.experts+1, 1, at)
}

func (s *suite) expertChoiceGrad() {
	for _, c := range choices() {
		s.cover(fmt.Sprintf("ExpertChoiceGrad/%v", c), func(b *bench) {
			slots, offsets := b.taken(c)
			b.do(kernels.ExpertChoiceGrad{
				DLogits: b.out("logits' gradient", kernels.F32, c.tokens, c.experts),
				G:       b.in("g", b.wild(slots.rows, 1)), Gates: b.in("gates", b.wild(slots.rows, 1)),
				Slots: b.in("slots", slots), Offsets: b.in("offsets", offsets),
				Logits: b.in("logits", floats(c.tokens, c.experts, func() float64 {
					return b.planted(2*b.rand.NormFloat64(), 1000, -1000, 90, -90)
				})),
				K: c.k,
			})
		})
	}
}

func (s *suite) scatterAdd() {
	for i, c := range choices() {
		for _, gated := range []bool{false, true} {
			s.cover(fmt.Sprintf("ScatterAdd/%v%s", c, with("gates", gated)), func(b *bench) {
				slots, offsets := b.taken(c)
				dim := sizes[i%len(sizes)]
				b.do(kernels.ScatterAdd{
					Dst: b.out("dst", kernels.F32, c.tokens, dim), Src: b.in("src", b.wild(slots.rows, dim)),
					Gates: b.in("gates", b.wild(slots.rows, 1).when(gated)), Slots: b.in("slots", slots), Offsets: b.in("offsets", offsets), K: c.k,
				})
			})
		}
	}
	for _, wrong := range []struct {
		name           string
		slots, offsets []int
	}{
		{"a token beyond the last", []int{0, 1, 3, 6}, []int{0, 2, 4}},
		{"tokens out of order", []int{1, 0, 2, 3}, []int{0, 2, 4}},
		{"places out of order", []int{0, 1, 2, 3}, []int{0, 5, 4}},
	} {
		s.refuse("ScatterAdd/"+wrong.name, func(b *bench) {
			b.do(kernels.ScatterAdd{
				Dst: b.spend("dst", b.normal(4, 3)), Src: b.in("src", b.wild(4, 3)),
				Slots: b.in("slots", ints(4, 1, wrong.slots)), Offsets: b.in("offsets", ints(3, 1, wrong.offsets)), K: 1,
			})
			b.afterFailure()
		})
	}
}

func (s *suite) scatterAddGrad() {
	for i, c := range choices() {
		s.cover(fmt.Sprintf("ScatterAddGrad/%v", c), func(b *bench) {
			slots, _ := b.taken(c)
			dim := sizes[i%len(sizes)]
			b.do(kernels.ScatterAddGrad{
				DSrc: b.out("src's gradient", kernels.F32, slots.rows, dim), DGates: b.out("gates' gradient", kernels.F32, slots.rows, 1),
				G: b.in("g", b.wild(c.tokens, dim)), Src: b.in("src", b.wild(slots.rows, dim)),
				Gates: b.in("gates", b.wild(slots.rows, 1)), Slots: b.in("slots", slots), K: c.k,
			})
		})
	}
}
