package vec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// gradCases are calls of every function of Grads, on the same numbers for every set. What a
// call may write, and room around it, it returns.
var gradCases = []struct {
	name string
	run  func(g Grads, r numbers) [][]float32
}{
	{"Product", func(g Grads, r numbers) (all [][]float32) {
		for _, n := range [][3]int{{1, 1, 1}, {3, 5, 7}, {8, 32, 16}, {17, 49, 33}, {31, 16, 40}, {64, 100, 9}} {
			for _, transposed := range []bool{false, true} {
				for _, add := range []bool{false, true} {
					m, cols, k := n[0], n[1], n[2]
					p := ProductArgs{
						C: r.some(m * (cols + 3)), LDC: cols + 3, A: r.some((m + 2) * (k + 2)), RowA: k + 2, StepA: 1,
						B: r.some(k * (cols + 5)), LDB: cols + 5, M: m, N: cols, K: k, Add: add, Pack: make([]float32, PackCols*k),
					}
					if transposed {
						p.RowA, p.StepA = 1, m+2
					}
					g.Product(p)
					all = append(all, p.C)
				}
			}
		}
		return all
	}},
	{"Copy", func(g Grads, r numbers) (all [][]float32) {
		for _, cols := range []int{1, 7, 8, 15, 16, 17, 33, 64} {
			dst := r.some(9 * (cols + 2))
			g.Copy(dst, cols+2, r.some(9*(cols+1)), cols+1, 9, cols)
			all = append(all, dst)
		}
		return all
	}},
	{"Transpose", func(g Grads, r numbers) (all [][]float32) {
		for _, n := range [][2]int{{1, 1}, {8, 8}, {16, 32}, {17, 33}, {40, 24}, {5, 70}} {
			dst := r.some(n[1] * (n[0] + 3))
			g.Transpose(dst, n[0]+3, r.some(n[0]*(n[1]+1)), n[1]+1, n[0], n[1])
			all = append(all, dst)
		}
		return all
	}},
	{"activations", func(g Grads, r numbers) (all [][]float32) {
		for _, f := range []func(y, dy, x []float32){g.SiLUGrad, g.GELUGrad, g.GELUTanhGrad} {
			x, y, dy := r.some(75), r.some(75), r.some(75)
			for i := range x {
				x[i] *= 4
			}
			x[3], x[4], x[70], x[71] = 1e4, -1e4, 100, -100
			f(y[:73], dy[:73], x[:73])
			all = append(all, y, dy)
		}
		x := r.some(40)
		g.Sigmoid(x[:37], x[:37])
		y := r.some(40)
		g.MulTo(y[:37], x, r.some(40))
		return append(all, x, y, []float32{g.Dot(x, y)})
	}},
	{"norms", func(g Grads, r numbers) (all [][]float32) {
		for _, n := range []int{3, 16, 41} {
			x, dy, gain, dx, dGain := r.some(n), r.some(n), r.some(n), r.some(n), r.some(n)
			s := g.NormSums(x, dy, gain, 0.5)
			g.NormGrad(dx, dGain, x, dy, gain, NormTerms{0.5, 1.5, 0.25, 0.75})
			all = append(all, dx, dGain, []float32{s.C, s.CC, s.Q, s.QC})
		}
		return all
	}},
	{"SoftmaxGrad", func(g Grads, r numbers) [][]float32 {
		p, ds := r.some(45), r.some(45)
		g.SoftmaxGrad(p[:43], ds[:43], 0.5, 1.25, 0.125)
		return [][]float32{p, ds}
	}},
	{"scan", func(g Grads, r numbers) (all [][]float32) {
		for _, channels := range []int{ScanBlock, 5} {
			for _, states := range []int{1, 2} {
				all = append(all, scanParts(g, r, channels, states, false)...)
				all = append(all, scanParts(g, r, channels, states, true)...)
			}
		}
		return all
	}},
	{"LaneSums", func(g Grads, r numbers) [][]float32 {
		y := r.some(40)
		g.LaneSums(y[:37], r.some(37*20), 20)
		return [][]float32{y}
	}},
	{"ConvGrad", func(g Grads, r numbers) (all [][]float32) {
		for _, tokens := range []int{1, 2, 3, 4, 9} {
			for _, taps := range []int{1, 4, 5} {
				for _, channels := range []int{ScanBlock, 3} {
					c := ConvGradArgs{
						DX: r.some(tokens * 20), LDDX: 20, G: r.some(tokens * 18), LDG: 18, X: r.some(tokens * 17), LDX: 17,
						W: r.some(2 * (taps + 1) * ScanBlock), Taps: taps, Tokens: tokens, Channels: channels,
					}
					g.ConvGrad(c)
					dw := make([]float32, 0, len(c.W))
					for row := 0; row < len(c.W); row += ScanBlock { // beyond the channels they are unspecified
						dw = append(dw, c.W[row:row+channels]...)
					}
					all = append(all, c.DX, dw)
				}
			}
		}
		return all
	}},
	{"AdamW", func(g Grads, r numbers) [][]float32 {
		w, m, v := r.some(45), r.some(45), r.some(45)
		for i := range v {
			v[i] *= v[i]
		}
		g.AdamW(w[:43], r.some(43), m[:43], v[:43], AdamWArgs{0.5, 0.1, 0.05, 0.01, 3, 1e-8, 0.001})
		return [][]float32{w, m, v}
	}},
}

// scanParts runs ScanBefore, ScanGrad and ScanAfter on five tokens.
func scanParts(g Grads, r numbers, channels, states int, gated bool) [][]float32 {
	const tokens, ld = 5, 19
	x := make([]float32, ScanParts*ScanStride)
	rows := ScanRows{
		X: x, Dt: r.some(tokens * ld), In: r.some(tokens * ld), G: r.some(tokens * ld), LDT: ld, LDIn: ld, LDG: ld,
		Bias: r.some(ScanBlock), Sums: r.some(3 * ScanBlock), Tokens: tokens, Channels: channels,
	}
	if gated {
		rows.Z, rows.LDZ = r.some(tokens*ld), ld
	}
	g.ScanBefore(rows)
	before := append([]float32(nil), x...)
	acc, state := r.some(states*ScanTokens*2*ScanBlock), r.some(states*4*ScanBlock)
	for i := range state {
		if i/ScanBlock%4 == 0 { // a
			state[i] = -state[i] * state[i]
		}
	}
	g.ScanGrad(ScanGradArgs{
		X: x, Acc: acc, State: state, B: r.some(tokens * 3), LDB: 3, C: r.some(tokens * 2), LDC: 2,
		Work: make([]float32, states*2*tokens*ScanBlock), Tokens: tokens, States: states,
	})
	g.ScanAfter(rows)
	sums := append([]float32(nil), rows.Sums[ScanBlock:ScanBlock+channels]...)
	return [][]float32{before, x, acc, state, rows.Dt, rows.In, rows.Z, append(sums, rows.Sums[2*ScanBlock:2*ScanBlock+channels]...)}
}

// numbers are random ones.
type numbers struct{ *rand.Rand }

func (r numbers) some(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// TestGrads compares every function of every set with plain Go, which the conformance of the
// device to its reference covers, and wants nothing around a result to change.
func TestGrads(t *testing.T) {
	for _, set := range Sets() {
		for _, c := range gradCases {
			t.Run(fmt.Sprintf("%s/%s", set.Name, c.name), func(t *testing.T) {
				fresh := func() numbers { return numbers{rand.New(rand.NewPCG(7, 9))} }
				sameAsGo(t, c.run(set.Grads, fresh()), c.run(goGrads(), fresh()))
			})
		}
	}
}

func sameAsGo(t *testing.T, all, want [][]float32) {
	t.Helper()
	for i, got := range all {
		for k, v := range got {
			if w := want[i][k]; !(math.Abs(float64(v-w)) <= 2e-5*(1+math.Abs(float64(w)))) {
				t.Fatalf("result %d, value %d of %d: %v, in Go %v", i, k, len(got), v, w)
			}
		}
	}
}

// BenchmarkProduct is a tile of a gradient's product, in the nearest caches.
func BenchmarkProduct(b *testing.B) {
	const m, n, k = 64, 128, 128
	for _, set := range Sets() {
		b.Run(set.Name, func(b *testing.B) {
			p := ProductArgs{
				C: make([]float32, m*n), LDC: n, A: make([]float32, m*k), RowA: k, StepA: 1, B: make([]float32, k*n), LDB: n,
				M: m, N: n, K: k, Pack: make([]float32, PackCols*k),
			}
			for b.Loop() {
				set.Product(p)
			}
			b.ReportMetric(2*m*n*k*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}

func BenchmarkScanGrad(b *testing.B) {
	for _, set := range Sets() {
		for _, states := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/states=%d", set.Name, states), func(b *testing.B) {
				v, bc := make([]float32, states*ScanTokens*2*ScanBlock), make([]float32, ScanTokens*2*ScanBlock)
				s := ScanGradArgs{
					X: make([]float32, ScanParts*ScanStride), Acc: v, State: make([]float32, states*4*ScanBlock), B: bc, C: bc[ScanBlock:], LDB: 2 * ScanBlock, LDC: 2 * ScanBlock,
					Work: make([]float32, len(v)), Tokens: ScanTokens, States: states,
				}
				for b.Loop() {
					set.ScanGrad(s)
				}
				b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N)/float64(ScanTokens*ScanBlock*states), "ns/state")
			})
		}
	}
}
