package ref_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"quadrant/kernels"
	"quadrant/kernels/ref"
)

// TestDefinitions holds every op against numbers worked out by hand.
func TestDefinitions(t *testing.T) {
	e := math.E
	silu := func(x float64) float64 { return x / (1 + math.Exp(-x)) }
	for name, test := range map[string]func(t *testing.T){
		"Zero": func(t *testing.T) {
			dst := mat(2, 2, 1, 2, 3, 4)
			do(t, kernels.Zero{Dst: dst.ColRange(1, 2)})
			wantFloats(t, dst, 1, 0, 3, 0)
		},
		"Zero of indices": func(t *testing.T) {
			dst := ids(2, 1, 7, 8)
			do(t, kernels.Zero{Dst: dst})
			wantInts(t, dst, 0, 0)
		},
		"Add": func(t *testing.T) {
			dst := mat(1, 2, 1, 2)
			do(t, kernels.Add{Dst: dst, X: mat(1, 2, 10, 20)})
			wantFloats(t, dst, 11, 22)
		},
		"Copy": func(t *testing.T) {
			dst := mat(2, 2)
			do(t, kernels.Copy{Dst: dst, X: mat(2, 2, 1, 2, 3, 4)})
			wantFloats(t, dst, 1, 2, 3, 4)
		},
		"Embed": func(t *testing.T) {
			dst := mat(3, 2)
			do(t, kernels.Embed{Dst: dst, Table: mat(2, 2, 1, 2, 3, 4), IDs: ids(3, 1, 1, 0, 1)})
			wantFloats(t, dst, 3, 4, 1, 2, 3, 4)
		},
		"NegExp": func(t *testing.T) {
			dst := mat(1, 3)
			do(t, kernels.NegExp{Dst: dst, X: mat(1, 3, 0, 1, math.Log(16))})
			wantFloats(t, dst, -1, -e, -16)
		},
		"ArgMax": func(t *testing.T) {
			dst := ids(3, 1)
			do(t, kernels.ArgMax{Dst: dst, X: mat(3, 3, 1, 5, 5, -3, -2, -1, 7, 7, 7)})
			wantInts(t, dst, 1, 2, 0)
		},
		"RMSNorm": func(t *testing.T) {
			x, dst := mat(1, 2, 2, 3), mat(1, 2)
			do(t, kernels.RMSNorm{Dst: dst, X: x, Delta: mat(1, 2, 1, 1), Gain: mat(1, 2, 1, 10)}) // mean square 12.5
			wantFloats(t, x, 3, 4)
			wantFloats(t, dst, 3/math.Sqrt(12.5), 40/math.Sqrt(12.5))
		},
		"RMSNorm with eps": func(t *testing.T) {
			dst := mat(1, 2)
			do(t, kernels.RMSNorm{Dst: dst, X: mat(1, 2, 3, 4), Gain: mat(1, 2, 1, 1), Eps: 3.5}) // root of 16
			wantFloats(t, dst, 0.75, 1)
		},
		"LayerNorm": func(t *testing.T) {
			x, dst := mat(1, 2, 1, 3), mat(1, 2)
			do(t, kernels.LayerNorm{Dst: dst, X: x, Delta: mat(1, 2, 0, 2), Gain: mat(1, 2, 1, 2), Bias: mat(1, 2, 10, 20)})
			wantFloats(t, x, 1, 5) // mean 3, variance 4
			wantFloats(t, dst, 9, 22)
		},
		"LayerNorm with eps": func(t *testing.T) {
			dst := mat(1, 2)
			do(t, kernels.LayerNorm{Dst: dst, X: mat(1, 2, 1, 3), Gain: mat(1, 2, 1, 1), Eps: 3}) // root of 4
			wantFloats(t, dst, -0.5, 0.5)
		},
		"MatMul": func(t *testing.T) {
			dst := mat(2, 2)
			do(t, kernels.MatMul{Dst: dst, A: mat(2, 3, 1, 2, 3, 0, 1, 0), B: mat(2, 3, 1, 0, 1, 2, 2, 2), Bias: mat(1, 2, 100, 0)})
			wantFloats(t, dst, 104, 12, 100, 2)
		},
		"Activation": func(t *testing.T) {
			for act, at1 := range map[kernels.Act]float64{
				kernels.SiLU:     1 / (1 + 1/e),
				kernels.GELU:     0.8413447460685429, // Φ(1)
				kernels.GELUTanh: 0.5 * (1 + math.Tanh(0.7978845608028654*1.044715)),
				kernels.ReLU:     1,
			} {
				dst := mat(1, 3)
				do(t, kernels.Activation{Dst: dst, X: mat(1, 3, 1, 0, -1), Mul: mat(1, 3, 2, 2, 2), Act: act})
				wantFloats(t, dst, 2*at1, 0, -2*(1-at1)) // all four have f(−x) = f(x) − x
			}
		},
		"ConvSiLU": func(t *testing.T) {
			dst, state := mat(2, 1), mat(2, 1, 1, 2)
			do(t, kernels.ConvSiLU{Dst: dst, X: mat(2, 1, 3, 4), W: mat(1, 3, 100, 10, 1), Bias: mat(1, 1, 1000), State: state, Seqs: 1})
			wantFloats(t, dst, silu(1000+123), silu(1000+234))
			wantFloats(t, state, 3, 4)
		},
		"ConvSiLU shorter than its state": func(t *testing.T) {
			dst, state := mat(1, 1), mat(3, 1, 1, 2, 3)
			do(t, kernels.ConvSiLU{Dst: dst, X: mat(1, 1, 4), W: mat(1, 4, .1, 0, 0, 1), State: state, Seqs: 1})
			wantFloats(t, dst, silu(4.1))
			wantFloats(t, state, 2, 3, 4)
		},
		"Scan": func(t *testing.T) {
			// softplus(log(e−1)) = 1, so each step decays by exp(A) = 1/2 and adds X·B.
			one := math.Log(e - 1)
			dst, state := mat(2, 1), mat(1, 1, 8)
			do(t, kernels.Scan{
				Dst: dst, X: mat(2, 1, 3, 5), Dt: mat(2, 1, one-1, one-1), DtBias: mat(1, 1, 1),
				A: mat(1, 1, -math.Ln2), B: mat(2, 1, 2, 1), C: mat(2, 1, 1, 10), D: mat(1, 1, 7), Z: mat(2, 1, 1, 1),
				State: state, Seqs: 1,
			})
			wantFloats(t, state, 10) // 8/2 + 3·2 = 10, 10/2 + 5·1 = 10
			wantFloats(t, dst, silu(1)*(10+21), silu(1)*(100+35))
		},
		"Scan above the threshold": func(t *testing.T) {
			dst := mat(1, 1)
			do(t, kernels.Scan{Dst: dst, X: mat(1, 1, 1), Dt: mat(1, 1, 21), A: mat(1, 1, -1), B: mat(1, 1, 1), C: mat(1, 1, 1), State: mat(1, 1), Seqs: 1})
			wantFloats(t, dst, 21) // not log(1 + e²¹)
		},
		"RotaryStore": func(t *testing.T) {
			// With Base 1 both pairs turn by 1 at position 1.
			q, k, kCache, vCache := mat(1, 5, 1, 0, 0, 1, 9), mat(1, 5, 0, 1, 1, 0, 8), mat(2, 5), bf16(2, 5)
			do(t, kernels.RotaryStore{
				Q: q, K: k, V: mat(1, 5, 1, 2, 3, 4, 1.001), KCache: kCache, VCache: vCache,
				Seqs: 1, Past: 1, HeadDim: 5, Rotary: 4, Base: 1,
			})
			sin, cos := math.Sincos(1)
			wantFloats(t, q, cos, -sin, sin, cos, 9)
			wantFloats(t, kCache, 0, 0, 0, 0, 0, -sin, cos, cos, sin, 8)
			wantFloats(t, vCache, 0, 0, 0, 0, 0, 1, 2, 3, 4, 1) // rounded to bf16
		},
		"RotaryStore of several sequences": func(t *testing.T) {
			cache := mat(6, 1)
			do(t, kernels.RotaryStore{
				Q: mat(4, 1), K: mat(4, 1, 1, 2, 3, 4), V: mat(4, 1), KCache: cache, VCache: mat(6, 1),
				Seqs: 2, Past: 1, HeadDim: 1,
			})
			wantFloats(t, cache, 0, 1, 2, 0, 3, 4)
		},
		"Attend": func(t *testing.T) {
			// Scores 0 and log 3 weigh the values 1/4 and 3/4; the first query sees one key.
			dst := mat(2, 1)
			do(t, kernels.Attend{
				Dst: dst, Q: mat(2, 1, 1, 2), K: mat(2, 1, 0, math.Log(3)), V: mat(2, 1, 4, 8),
				Seqs: 1, HeadDim: 1, Scale: 0.5,
			})
			wantFloats(t, dst, 4, 7)
		},
		"Attend with shared keys": func(t *testing.T) {
			dst := mat(1, 4)
			do(t, kernels.Attend{Dst: dst, Q: mat(1, 4), K: mat(1, 2), V: mat(1, 2, 5, 6), Seqs: 1, HeadDim: 1, Scale: 1})
			wantFloats(t, dst, 5, 5, 6, 6)
		},
		"Sinkhorn": func(t *testing.T) {
			// exp(Logits) is [2 1; 1 2], which is balanced, with its first column times 3:
			// the bias takes log 3 back, in halves because its mean is 0.
			bias := mat(1, 2)
			do(t, kernels.Sinkhorn{
				Bias: bias, Logits: mat(2, 2, math.Log(6), 0, math.Log(3), math.Log(2)),
				Temperature: 1, MaxIterations: 100,
			})
			wantFloats(t, bias, -math.Log(3)/2, math.Log(3)/2)
		},
		"Sinkhorn from columns": func(t *testing.T) {
			bias := mat(1, 2) // column sums of exp(2·logits) are 8 and 2
			do(t, kernels.Sinkhorn{Bias: bias, Logits: mat(2, 2, math.Log(2), 0, math.Log(2), 0), Temperature: 0.5, ColumnFirst: true})
			wantFloats(t, bias, -math.Log(4)/4, math.Log(4)/4)
		},
		"Sinkhorn without iterations": func(t *testing.T) {
			bias := mat(1, 2, 1, 1)
			do(t, kernels.Sinkhorn{Bias: bias, Logits: mat(1, 2, 5, 6), Temperature: 1})
			wantFloats(t, bias, 0, 0)
		},
		"Route": func(t *testing.T) {
			logits := mat(1, 4, 0, math.Log(2), math.Log(4), math.Log(2))
			for score, want := range map[kernels.Score][2]float64{
				kernels.SigmoidScore:     {2. / 3, 2. / 3},
				kernels.SoftmaxScore:     {2. / 9, 2. / 9},
				kernels.SoftmaxTopKScore: {1. / 2, 1. / 2},
			} {
				experts, gates := ids(1, 2), mat(1, 2)
				do(t, kernels.Route{Experts: experts, Gates: gates, Logits: logits, Bias: mat(1, 4, 0, 0, -9, 0), Score: score})
				wantInts(t, experts, 1, 3) // equals in order, expert 2 not chosen
				wantFloats(t, gates, want[0], want[1])
			}
		},
		"Sort": func(t *testing.T) {
			slots, places, offsets := ids(4, 1), ids(4, 1), ids(4, 1)
			do(t, kernels.Sort{Slots: slots, Places: places, Offsets: offsets, Experts: ids(2, 2, 2, 0, 0, 2)})
			wantInts(t, slots, 1, 2, 0, 3)
			wantInts(t, places, 2, 0, 1, 3)
			wantInts(t, offsets, 0, 2, 2, 4)
		},
		"GroupedMatMul": func(t *testing.T) {
			// Token 0 goes to experts 1 and 0, which multiply by 10 and 1, plus their bias.
			dst, b, bias := mat(2, 1), mat(2, 1, 1, 10), mat(2, 1, .5, .25)
			do(t, kernels.GroupedMatMul{Dst: dst, A: mat(1, 1, 3), B: b, Bias: bias, Offsets: ids(3, 1, 0, 1, 2), Slots: ids(2, 1, 1, 0), K: 2})
			wantFloats(t, dst, 3.5, 30.25)
			do(t, kernels.GroupedMatMul{Dst: dst, A: mat(2, 1, 3, 4), B: b, Offsets: ids(3, 1, 0, 2, 2)})
			wantFloats(t, dst, 3, 4)
		},
		"Combine": func(t *testing.T) {
			dst := mat(2, 1)
			do(t, kernels.Combine{Dst: dst, Src: mat(4, 1, 1, 10, 100, 1000), Places: ids(4, 1, 3, 0, 2, 1), Gates: mat(2, 2, 1, 2, 3, 4)})
			wantFloats(t, dst, 1002, 340)
		},
		"Enter and Leave": func(t *testing.T) { do(t, kernels.Enter{Name: "layer"}, kernels.Leave{}) },
	} {
		t.Run(name, test)
	}
}

// TestFailureIsKept: the first failure stops what follows, until it has been reported.
func TestFailureIsKept(t *testing.T) {
	for name, bad := range map[string]kernels.Op{
		"token id -1 in row 1":       kernels.Embed{Dst: mat(2, 1), Table: mat(2, 1), IDs: ids(2, 1, 0, -1)},
		"token id 2 in row 0":        kernels.Embed{Dst: mat(1, 1), Table: mat(2, 1), IDs: ids(1, 1, 2)},
		"token 1 has expert 2":       kernels.Sort{Slots: ids(2, 1), Places: ids(2, 1), Offsets: ids(3, 1), Experts: ids(2, 1, 0, 2)},
		"token 0 has expert -1":      kernels.Sort{Slots: ids(1, 1), Places: ids(1, 1), Offsets: ids(3, 1), Experts: ids(1, 1, -1)},
		"expert 0 has places 0 to 2": kernels.GroupedMatMul{Dst: mat(1, 1), A: mat(1, 1), B: mat(1, 1), Offsets: ids(2, 1, 0, 2)},
		"expert 1 has places 1 to 0": kernels.GroupedMatMul{Dst: mat(1, 1), A: mat(1, 1), B: mat(2, 1), Offsets: ids(3, 1, 0, 1, 0)},
		"place 0 has slot 1":         kernels.GroupedMatMul{Dst: mat(1, 1), A: mat(1, 1), B: mat(1, 1), Offsets: ids(2, 1, 0, 1), Slots: ids(1, 1, 1), K: 1},
		"slot 0 has place 1":         kernels.Combine{Dst: mat(1, 1), Src: mat(1, 1), Places: ids(1, 1, 1), Gates: mat(1, 1)},
		"token id 3 in row 0":        kernels.EmbedGrad{DTable: mat(2, 1), G: mat(1, 1), IDs: ids(1, 1, 3)},
		"target 1 in row 0":          kernels.CrossEntropy{Loss: mat(1, 1), Logits: mat(1, 1), Targets: ids(1, 1, 1)},
		"target -2 in row 0":         kernels.CrossEntropy{Loss: mat(1, 1), Logits: mat(1, 1), Targets: ids(1, 1, -2)},
		"row 0 has expert 2": kernels.RouteGrad{
			DLogits: mat(1, 2), G: mat(1, 1), Experts: ids(1, 1, 2), Gates: mat(1, 1), Logits: mat(1, 2), Score: kernels.SigmoidScore},
		"row 0 has expert -1":        kernels.BalanceLoss{Loss: mat(1, 2), Grad: mat(1, 2), Logits: mat(1, 2), Experts: ids(1, 1, -1)},
		"row 0 has expert 1":         kernels.LimitLoad{Gates: mat(1, 1), Places: ids(1, 1), Offsets: ids(2, 1, 0, 1), Experts: ids(1, 1, 1)},
		"expert 0 has places 0 to 3": kernels.GroupedMatMulGradA{DA: mat(1, 1), G: mat(1, 1), B: mat(1, 1), Offsets: ids(2, 1, 0, 3)},
		"expert 1 has places 2 to 0": kernels.GroupedMatMulGradB{DB: mat(2, 1), G: mat(2, 1), A: mat(2, 1), Offsets: ids(3, 1, 0, 2, 0)},
		"row 0 has slot 1":           kernels.GroupedMatMulGradB{DB: mat(1, 1), G: mat(1, 1), A: mat(1, 1), Offsets: ids(2, 1, 0, 1), Slots: ids(1, 1, 1), K: 1},
		"row 0 has place 1":          kernels.CombineGrad{DSrc: mat(1, 1), G: mat(1, 1), Places: ids(1, 1, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			dev := ref.New()
			stream, dst := kernels.NewStream(dev), mat(1, 1, 1)
			stream.Do(bad)
			stream.Do(kernels.Embed{Dst: mat(1, 1), Table: mat(1, 1), IDs: ids(1, 1, 99)}) // not the first
			stream.Do(kernels.Add{Dst: dst, X: mat(1, 1, 1)})
			if err := dev.Sync(); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("Sync returns %v, want %q", err, name)
			}
			wantFloats(t, dst, 1)
			stream.Do(kernels.Add{Dst: dst, X: mat(1, 1, 1)})
			wantFloats(t, dst, 2)
			if err := dev.Sync(); err != nil {
				t.Errorf("Sync returns %v again", err)
			}
		})
	}
}

type stranger struct{ kernels.Op }

func TestUnknownOpPanics(t *testing.T) {
	defer func() {
		if p, _ := recover().(string); !strings.Contains(p, "stranger") {
			t.Errorf("panic %q, want one that names the type", p)
		}
	}()
	ref.New().Do(stranger{})
}

func TestMemory(t *testing.T) {
	dev := ref.New()
	t.Run("a new matrix is zero", func(t *testing.T) {
		got := []float32{1, 1}
		kernels.Get(dev, got, dev.Alloc(kernels.BF16, 2, 1))
		if !slices.Equal(got, []float32{0, 0}) {
			t.Errorf("got %v", got)
		}
	})
	t.Run("ops round F32 only when read", func(t *testing.T) {
		m := mat(1, 1, 1)
		do(t, kernels.Add{Dst: m, X: mat(1, 1, 1e-12)})
		got := make([]float32, 1)
		kernels.Get(dev, got, m)
		if got[0] != 1 || ref.Float64s(m)[0] != 1+1e-12 {
			t.Errorf("read %v of %v", got, ref.Float64s(m))
		}
	})
	t.Run("I32 keeps every bit", func(t *testing.T) {
		want, got := []int32{math.MinInt32, -1, math.MaxInt32}, make([]int32, 3)
		m := dev.Alloc(kernels.I32, 5, 1).RowRange(1, 4)
		kernels.Put(dev, m, want)
		kernels.Get(dev, got, m)
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
	t.Run("Float64s goes by rows of a view", func(t *testing.T) {
		if got := ref.Float64s(mat(2, 3, 1, 2, 3, 4, 5, 6).ColRange(1, 3)); !slices.Equal(got, []float64{2, 3, 5, 6}) {
			t.Errorf("got %v", got)
		}
	})
	t.Run("a copy of another size panics", func(t *testing.T) {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		dev.Write(mat(2, 2), make([]byte, 4))
	})
}

// mat returns an F32 matrix of the elements given, or of zeros.
func mat(rows, cols int, elements ...float64) kernels.Mat {
	m := ref.New().Alloc(kernels.F32, rows, cols)
	copy(m.Mem.([]float64), elements)
	return m
}

func bf16(rows, cols int) kernels.Mat { return ref.New().Alloc(kernels.BF16, rows, cols) }

// ids returns an I32 matrix of the elements given, or of zeros.
func ids(rows, cols int, elements ...int32) kernels.Mat {
	m := ref.New().Alloc(kernels.I32, rows, cols)
	copy(m.Mem.([]int32), elements)
	return m
}

// do carries out ops, which must not fail.
func do(t interface {
	Helper()
	Fatal(...any)
}, ops ...kernels.Op) {
	t.Helper()
	dev := ref.New()
	stream := kernels.NewStream(dev)
	for _, op := range ops {
		stream.Do(op)
	}
	if err := dev.Sync(); err != nil {
		t.Fatal(err)
	}
}

func wantFloats(t *testing.T, m kernels.Mat, want ...float64) {
	t.Helper()
	got := ref.Float64s(m)
	if len(got) != len(want) || !(distance(got, want) <= 1e-13) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// distance is the largest difference of two lists of numbers, in parts of the larger of 1
// and the largest number; it is NaN if any number is.
func distance(got, want []float64) float64 {
	far, size := 0.0, 1.0
	for i, w := range want {
		far = max(far, math.Abs(got[i]-w)) // max passes a NaN on
		size = max(size, math.Abs(w))
	}
	return far / size
}

func wantInts(t *testing.T, m kernels.Mat, want ...int32) {
	t.Helper()
	if got := m.Mem.([]int32); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
