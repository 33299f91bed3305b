package kerneltest

import (
	"fmt"
	"math"
	"slices"

	"quadrant/kernels"
)

func (s *suite) experts() {
	s.sinkhorn()
	s.route()
	s.sort()
	s.groupedMatMul()
	s.refuseLists()
	s.combine()
	s.refusePlaces()
}

func (s *suite) sinkhorn() {
	all := append(shapes(), [3]int{8, 65}, [3]int{64, 2})
	for _, n := range all {
		for _, columnFirst := range []bool{false, true} {
			for _, iterations := range []int{0, 1, 8} {
				for _, logits := range []string{"normal", "skewed", "huge"} {
					name := fmt.Sprintf("Sinkhorn/%dx%d/%s/%d iterations%s", n[0], n[1], logits, iterations, with("columns first", columnFirst))
					s.cover(name, func(b *bench) {
						b.do(kernels.Sinkhorn{
							Bias:        b.out("bias", kernels.F32, 1, n[1]),
							Logits:      b.in("logits", b.logits(n[0], n[1], logits)),
							Temperature: 0.5, ColumnFirst: columnFirst, MaxIterations: iterations, Tolerance: 1e-2,
						})
					})
				}
			}
		}
	}
}

// logits are a router's: alike for all experts, in favour of some, or beyond any exp.
func (b *bench) logits(tokens, experts int, kind string) matrix {
	favour := make([]float64, experts)
	for e := range favour {
		favour[e] = 3 * b.rand.NormFloat64()
	}
	e := 0
	return floats(tokens, experts, func() float64 {
		e = (e + 1) % experts
		switch kind {
		case "skewed":
			return favour[e] + b.rand.NormFloat64()
		case "huge":
			return []float64{-1000, 0, 1000}[b.rand.IntN(3)] + b.rand.NormFloat64()
		}
		return b.planted(b.rand.NormFloat64(), 50, -50)
	})
}

// route uses logits of which many are equal, and with a bias still are.
func (s *suite) route() {
	for _, score := range []kernels.Score{kernels.SigmoidScore, kernels.SoftmaxScore, kernels.SoftmaxTopKScore} {
		for _, bias := range []bool{false, true} {
			for _, n := range shapes() {
				tokens, experts := n[0], n[1]
				for _, k := range slices.Compact([]int{1, min(2, experts), min(5, experts), min(9, experts)}) {
					s.cover(fmt.Sprintf("Route/%dx%d/top %d/%v%s", tokens, experts, k, score, with("bias", bias)), func(b *bench) {
						logits := floats(tokens, experts, func() float64 {
							return b.planted(float64(b.rand.IntN(33)-16)/8, 1000, -1000, 90, -90)
						})
						b.do(kernels.Route{
							Experts: b.out("experts", kernels.I32, tokens, k),
							Gates:   b.out("gates", kernels.F32, tokens, k),
							Logits:  b.in("logits", logits),
							Bias:    b.in("bias", b.steps(1, experts).when(bias)),
							Score:   score,
						})
					})
				}
			}
		}
	}
	s.refuse("Route/invalid: fewer numbers than choices", func(b *bench) {
		logits := b.normal(3, 4)
		for _, e := range []int{4, 5, 7} { // of token 1
			logits.bits[e] = math.Float32bits(float32(math.NaN()))
		}
		b.do(kernels.Route{
			Experts: b.spend("experts", ints(3, 2, make([]int, 6))), Gates: b.spend("gates", b.normal(3, 2)),
			Logits: b.in("logits", logits), Score: kernels.SigmoidScore,
		})
		b.afterFailure()
	})
}

// An assignment is which experts each token is sent to, and Sort's lists of it.
type assignment struct {
	tokens, k, experts     int
	chosen                 []int // [tokens·k]
	slots, places, offsets []int
}

// spreads are the ways in which tokens fall to experts.
var spreads = []string{"random", "even", "all to the first", "all to the last"}

func (b *bench) assign(tokens, k, experts int, spread string) assignment {
	a := assignment{tokens: tokens, k: k, experts: experts}
	for i := range tokens * k {
		e := 0
		switch spread {
		case "random":
			e = b.rand.IntN(experts)
		case "even":
			e = i % experts
		case "all to the last":
			e = experts - 1
		}
		a.chosen = append(a.chosen, e)
	}
	for e := range experts {
		a.offsets = append(a.offsets, len(a.slots))
		for slot, chosen := range a.chosen {
			if chosen == e {
				a.slots = append(a.slots, slot)
			}
		}
	}
	a.offsets = append(a.offsets, len(a.slots))
	a.places = make([]int, len(a.slots))
	for place, slot := range a.slots {
		a.places[slot] = place
	}
	return a
}

func (s *suite) sort() {
	for _, spread := range spreads {
		for i, n := range shapes() {
			tokens, experts, k := n[0], n[1], 1+i%3
			s.cover(fmt.Sprintf("Sort/%dx%d of %d/%s", tokens, k, experts, spread), func(b *bench) {
				a := b.assign(tokens, k, experts, spread)
				b.do(kernels.Sort{
					Slots:   b.out("slots", kernels.I32, tokens*k, 1),
					Places:  b.out("places", kernels.I32, tokens*k, 1),
					Offsets: b.out("offsets", kernels.I32, experts+1, 1),
					Experts: b.in("experts", ints(tokens, k, a.chosen)),
				})
			})
		}
	}
	for _, expert := range []int{-1, 3} {
		s.refuse(fmt.Sprintf("Sort/invalid expert %d of 3", expert), func(b *bench) {
			b.do(kernels.Sort{
				Slots:   b.spend("slots", ints(3, 1, make([]int, 3))),
				Places:  b.spend("places", ints(3, 1, make([]int, 3))),
				Offsets: b.spend("offsets", ints(4, 1, make([]int, 4))),
				Experts: b.in("experts", ints(3, 1, []int{0, expert, 1})),
			})
			b.afterFailure()
		})
	}
}

func (s *suite) groupedMatMul() {
	for options := range 4 * len(weightTypes) {
		indexed, bias, t := options&1 != 0, options&2 != 0, weightTypes[options>>2]
		for i, n := range shapes() {
			tokens, in, out := n[0], n[1], n[2]
			k, experts, spread := 1+i%2, []int{1, 2, 8, 9}[i%4], spreads[(i+options)%len(spreads)]
			name := fmt.Sprintf("GroupedMatMul/%dx%dx%dto%d of %d/%s/%v%s%s",
				tokens, k, in, out, experts, spread, t, with("slots", indexed), with("bias", bias))
			s.cover(name, func(b *bench) {
				a := b.assign(tokens, k, experts, spread)
				op := kernels.GroupedMatMul{
					Dst:     b.out("dst", kernels.F32, tokens*k, out),
					B:       b.in("b", b.wild(experts*out, in).as(t)),
					Bias:    b.in("bias", b.wild(experts, out).when(bias)),
					Offsets: b.in("offsets", ints(experts+1, 1, a.offsets)),
				}
				if indexed {
					op.A, op.Slots, op.K = b.in("a", b.wild(tokens, in)), b.in("slots", ints(tokens*k, 1, a.slots)), k
				} else {
					op.A = b.in("a", b.wild(tokens*k, in))
				}
				b.do(op)
			})
		}
	}
}

func (s *suite) combine() {
	for k := 1; k <= 3; k++ {
		for _, n := range planes() {
			tokens, dim := n[0], n[1]
			s.cover(fmt.Sprintf("Combine/%dx%dx%d", tokens, k, dim), func(b *bench) {
				a := b.assign(tokens, k, 4, "random")
				b.do(kernels.Combine{
					Dst:    b.out("dst", kernels.F32, tokens, dim),
					Src:    b.in("src", b.wild(tokens*k, dim)),
					Places: b.in("places", ints(tokens*k, 1, a.places)),
					Gates:  b.in("gates", b.wild(tokens, k)),
				})
			})
		}
	}
}

// refuseLists adds cases of GroupedMatMul with lists that Sort did not make.
func (s *suite) refuseLists() {
	for _, offsets := range [][]int{{0, 3, 2, 4}, {0, 1, 2, 5}, {-1, 1, 2, 4}} {
		s.refuse(fmt.Sprintf("GroupedMatMul/invalid offsets %v of 4", offsets), func(b *bench) {
			b.do(kernels.GroupedMatMul{
				Dst: b.spend("dst", b.normal(4, 5)), A: b.in("a", b.normal(4, 3)), B: b.in("b", b.normal(3*5, 3)),
				Offsets: b.in("offsets", ints(4, 1, offsets)),
			})
			b.afterFailure()
		})
	}
	for _, slot := range []int{-1, 4} {
		s.refuse(fmt.Sprintf("GroupedMatMul/invalid slot %d of 4", slot), func(b *bench) {
			b.do(kernels.GroupedMatMul{
				Dst: b.spend("dst", b.normal(4, 5)), A: b.in("a", b.normal(4, 3)), B: b.in("b", b.normal(2*5, 3)),
				Slots: b.in("slots", ints(4, 1, []int{0, 1, slot, 3})), K: 1, Offsets: b.in("offsets", ints(3, 1, []int{0, 2, 4})),
			})
			b.afterFailure()
		})
	}
}

// refusePlaces adds cases of Combine with places that Sort did not make.
func (s *suite) refusePlaces() {
	for _, place := range []int{-1, 4} {
		s.refuse(fmt.Sprintf("Combine/invalid place %d of 4", place), func(b *bench) {
			b.do(kernels.Combine{
				Dst: b.spend("dst", b.normal(4, 5)), Src: b.in("src", b.normal(4, 5)),
				Places: b.in("places", ints(4, 1, []int{0, place, 2, 3})), Gates: b.in("gates", b.normal(4, 1)),
			})
			b.afterFailure()
		})
	}
}
