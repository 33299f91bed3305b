package kerneltest

import (
	"fmt"
	"slices"

	"quadrant/kernels"
)

func (s *suite) expertGrads() {
	s.sinkhornAbsolute()
	s.routeScale()
	s.ungatedCombine()
	s.routeGrad()
	s.groupedMatMulGradA()
	s.groupedMatMulGradB()
	s.combineGrad()
	s.balanceLoss()
	s.hashRoute()
	s.limitLoad()
	s.expertChoice()
	s.expertChoiceGrad()
	s.scatterAdd()
	s.scatterAddGrad()
}

// sinkhornAbsolute counts iterations by either rule. Where d₁ has to settle, logits are
// tame: its rounding errors are then far below the tolerance, and devices agree on when.
// Huge ones are stopped by the cap, with a d₁ beyond any float.
func (s *suite) sinkhornAbsolute() {
	for _, n := range [][3]int{{1, 1}, {7, 8}, {8, 65}, {33, 2}, {64, 9}, {65, 31}} {
		for _, columnFirst := range []bool{false, true} {
			for _, absolute := range []bool{false, true} {
				rule := "relative"
				if absolute {
					rule = "absolute"
				}
				for _, most := range []int{0, 1, 3, 40} {
					name := fmt.Sprintf("Sinkhorn/%s/%dx%d/at most %d%s", rule, n[0], n[1], most, with("columns first", columnFirst))
					s.cover(name, func(b *bench) {
						b.do(kernels.Sinkhorn{
							Bias: b.out("bias", kernels.F32, 1, n[1]), Iterations: b.out("iterations", kernels.I32, 1, 1),
							Logits: b.in("logits", b.normal(n[0], n[1])), Temperature: 0.9,
							ColumnFirst: columnFirst, Absolute: absolute, MaxIterations: most, Tolerance: 1e-3,
						})
					})
				}
			}
		}
		s.cover(fmt.Sprintf("Sinkhorn/absolute/%dx%d/huge", n[0], n[1]), func(b *bench) {
			b.do(kernels.Sinkhorn{
				Bias: b.out("bias", kernels.F32, 1, n[1]), Iterations: b.out("iterations", kernels.I32, 1, 1),
				Logits: b.in("logits", b.logits(n[0], n[1], "huge")), Temperature: 0.5,
				Absolute: true, MaxIterations: 1, Tolerance: 1e-3,
			})
		})
	}
}

func (s *suite) routeScale() {
	for _, score := range scores {
		for _, n := range shapes() {
			tokens, experts := n[0], n[1]
			for _, k := range slices.Compact([]int{1, min(2, experts)}) {
				s.cover(fmt.Sprintf("Route/scaled/%dx%d/top %d/%v", tokens, experts, k, score), func(b *bench) {
					b.do(kernels.Route{
						Experts: b.out("experts", kernels.I32, tokens, k),
						Gates:   b.out("gates", kernels.F32, tokens, k),
						Logits:  b.in("logits", b.steps(tokens, experts)),
						Score:   score, GateScale: 2.5,
					})
				})
			}
		}
	}
}

var scores = []kernels.Score{kernels.SigmoidScore, kernels.SoftmaxScore, kernels.SoftmaxTopKScore}

func (s *suite) ungatedCombine() {
	for k := 1; k <= 3; k++ {
		for _, n := range planes() {
			tokens, dim := n[0], n[1]
			s.cover(fmt.Sprintf("Combine/ungated/%dx%dx%d", tokens, k, dim), func(b *bench) {
				a := b.assign(tokens, k, 4, "random")
				b.do(kernels.Combine{
					Dst:    b.out("dst", kernels.F32, tokens, dim),
					Src:    b.in("src", b.wild(tokens*k, dim)),
					Places: b.in("places", ints(tokens*k, 1, a.places)),
				})
			})
		}
	}
}

// different chooses k different experts for every token.
func (b *bench) different(tokens, k, experts int) matrix {
	var all []int
	for range tokens {
		all = append(all, b.rand.Perm(experts)[:k]...)
	}
	return ints(tokens, k, all)
}

// routeGrad: gates need not be what the logits say, for a limit of the load may have made
// them 0, and a scale larger.
func (s *suite) routeGrad() {
	for _, score := range scores {
		for _, n := range shapes() {
			tokens, experts := n[0], n[1]
			for _, k := range slices.Compact([]int{1, min(2, experts), min(5, experts), min(9, experts)}) {
				s.cover(fmt.Sprintf("RouteGrad/%dx%d/top %d/%v", tokens, experts, k, score), func(b *bench) {
					b.do(kernels.RouteGrad{
						DLogits: b.out("logits' gradient", kernels.F32, tokens, experts),
						G:       b.in("g", b.wild(tokens, k)),
						Experts: b.in("experts", b.different(tokens, k, experts)),
						Gates:   b.in("gates", b.dropped(b.wild(tokens, k))),
						Logits: b.in("logits", floats(tokens, experts, func() float64 {
							return b.planted(2*b.rand.NormFloat64(), 1000, -1000, 90, -90)
						})),
						Score: score,
					})
				})
			}
		}
	}
}

// dropped makes some elements 0.
func (b *bench) dropped(m matrix) matrix {
	for i := range m.bits {
		if b.rand.IntN(4) == 0 {
			m.bits[i] = 0
		}
	}
	return m
}

// groups gives assignments of tokens to experts every shape.
func groups(options int) []group {
	var all []group
	for i, n := range shapes() {
		all = append(all, group{
			tokens: n[0], in: n[1], out: n[2], k: 1 + i%2, experts: []int{1, 2, 8, 9}[i%4], spread: spreads[(i+options)%len(spreads)],
		})
	}
	return all
}

type group struct {
	tokens, in, out, k, experts int
	spread                      string
}

func (g group) String() string {
	return fmt.Sprintf("%dx%dx%dto%d of %d/%s", g.tokens, g.k, g.in, g.out, g.experts, g.spread)
}

func (s *suite) groupedMatMulGradA() {
	for _, t := range weightTypes {
		for _, g := range groups(int(t)) {
			s.cover(fmt.Sprintf("GroupedMatMulGradA/%v/%v", g, t), func(b *bench) {
				a := b.assign(g.tokens, g.k, g.experts, g.spread)
				b.do(kernels.GroupedMatMulGradA{
					DA:      b.out("da", kernels.F32, g.tokens*g.k, g.in),
					G:       b.in("g", b.wild(g.tokens*g.k, g.out)),
					B:       b.in("b", b.wild(g.experts*g.out, g.in).as(t)),
					Offsets: b.in("offsets", ints(g.experts+1, 1, a.offsets)),
				})
			})
		}
	}
}

func (s *suite) groupedMatMulGradB() {
	for options := range 8 {
		indexed, bias := options&1 != 0, options&2 != 0
		for _, g := range groups(options) {
			name := fmt.Sprintf("GroupedMatMulGradB/%v%s%s/%d", g, with("slots", indexed), with("bias", bias), options>>2)
			s.cover(name, func(b *bench) {
				a := b.assign(g.tokens, g.k, g.experts, g.spread)
				op := kernels.GroupedMatMulGradB{
					DB:      b.update("db", b.wild(g.experts*g.out, g.in)),
					DBias:   b.update("bias's gradient", b.wild(g.experts, g.out).when(bias)),
					G:       b.in("g", b.wild(g.tokens*g.k, g.out)),
					Offsets: b.in("offsets", ints(g.experts+1, 1, a.offsets)),
				}
				if indexed {
					op.A, op.Slots, op.K = b.in("a", b.wild(g.tokens, g.in)), b.in("slots", ints(g.tokens*g.k, 1, a.slots)), g.k
				} else {
					op.A = b.in("a", b.wild(g.tokens*g.k, g.in))
				}
				b.do(op)
			})
		}
	}
}

func (s *suite) combineGrad() {
	for k := 1; k <= 3; k++ {
		for _, gated := range []bool{false, true} {
			for _, n := range planes() {
				tokens, dim := n[0], n[1]
				s.cover(fmt.Sprintf("CombineGrad/%dx%dx%d%s", tokens, k, dim, with("gates", gated)), func(b *bench) {
					a := b.assign(tokens, k, 4, "random")
					op := kernels.CombineGrad{
						DSrc:   b.out("src's gradient", kernels.F32, tokens*k, dim),
						G:      b.in("g", b.wild(tokens, dim)),
						Src:    b.in("src", b.wild(tokens*k, dim).when(gated)),
						Places: b.in("places", ints(tokens*k, 1, a.places)),
						Gates:  b.in("gates", b.dropped(b.wild(tokens, k)).when(gated)),
					}
					if gated {
						op.DGates = b.out("gates' gradient", kernels.F32, tokens, k)
					}
					b.do(op)
				})
			}
		}
	}
}

func (s *suite) balanceLoss() {
	for i, n := range append(shapes(), [3]int{300, 8}) {
		tokens, experts := n[0], n[1]
		k := min(1+i%2, experts)
		for _, logits := range []string{"normal", "skewed", "huge"} {
			for _, weights := range [][2]float32{{0.01, 0}, {0, 0.001}, {0.5, 0.25}} {
				s.cover(fmt.Sprintf("BalanceLoss/%dx%d/top %d/%s/%v", tokens, experts, k, logits, weights), func(b *bench) {
					b.do(kernels.BalanceLoss{
						Loss: b.out("loss", kernels.F32, 1, 2), Grad: b.out("gradient", kernels.F32, tokens, experts),
						Logits:  b.in("logits", b.logits(tokens, experts, logits)),
						Experts: b.in("experts", b.different(tokens, k, experts)),
						Balance: weights[0], Z: weights[1],
					})
				})
			}
		}
	}
}

func (s *suite) hashRoute() {
	for i, n := range shapes() {
		tokens, experts := n[0], n[1]
		k := min(1+i%3, experts)
		s.cover(fmt.Sprintf("HashRoute/%dx%d of %d", tokens, k, experts), func(b *bench) {
			ids := b.indices(tokens, 1<<17)
			ids[tokens-1] = 1<<31 - 1
			b.do(kernels.HashRoute{
				Experts: b.out("experts", kernels.I32, tokens, k), Gates: b.out("gates", kernels.F32, tokens, k),
				IDs: b.in("ids", ints(tokens, 1, ids)), Of: experts,
			})
		})
	}
}

func (s *suite) limitLoad() {
	for _, spread := range spreads {
		for i, n := range shapes() {
			tokens, k, experts := n[0], 1+i%2, []int{1, 2, 8, 9}[i%4]
			for _, capacity := range []int{0, 1, 5, 1000} {
				s.cover(fmt.Sprintf("LimitLoad/%dx%d of %d/%s/%d each", tokens, k, experts, spread, capacity), func(b *bench) {
					a := b.assign(tokens, k, experts, spread)
					b.do(kernels.LimitLoad{
						Gates:   b.store("gates", b.wild(tokens, k)),
						Places:  b.in("places", ints(tokens*k, 1, a.places)),
						Offsets: b.in("offsets", ints(experts+1, 1, a.offsets)),
						Experts: b.in("experts", ints(tokens, k, a.chosen)), Capacity: capacity,
					})
				})
			}
		}
	}
}
