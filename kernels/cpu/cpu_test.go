package cpu_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"quadrant/kernels"
	"quadrant/kernels/cpu"
	"quadrant/kernels/kerneltest"
)

// Every variant that this processor runs computes every op as its definition does.
func TestConformance(t *testing.T) {
	conform(t, kerneltest.Run, 2, 1, 5) // 5 is more than most test machines have cores
}

// TestTraining: as TestConformance, for what training adds. Its results on other numbers of
// threads are held against each other in TestThreadsChangeNoGradient.
func TestTraining(t *testing.T) { conform(t, kerneltest.RunTraining, 2) }

// TestNonFinite: as TestConformance, where an operand holds a NaN or an infinity.
func TestNonFinite(t *testing.T) {
	if testing.Short() {
		t.Skip("the same work by the same threads on other numbers: left out of a short run")
	}
	conform(t, func(t *testing.T, open func() kernels.Device, tol kerneltest.Tolerance) {
		kerneltest.RunNonFinite(t, open, func(kerneltest.Case) kerneltest.Tolerance { return tol })
	}, 2)
	for _, variant := range cpu.Rounding() {
		t.Run(variant, func(t *testing.T) {
			kerneltest.RunNonFinite(t, func() kernels.Device {
				dev, err := cpu.Open(variant, 2)
				if err != nil {
					t.Fatal(err)
				}
				return dev
			}, roundingTolerance)
		})
	}
}

// conform runs a suite on every variant with two threads, for variants divide products differently,
// and on the one that is opened without a name with the other numbers of threads, too, but for a
// short run.
func conform(t *testing.T, suite func(*testing.T, func() kernels.Device, kerneltest.Tolerance), threads ...int) {
	for i, variant := range cpu.Variants() {
		for _, threads := range threads {
			if threads != 2 && (i > 0 || testing.Short()) {
				continue
			}
			t.Run(fmt.Sprintf("%s, %d threads", variant, threads), func(t *testing.T) {
				suite(t, func() kernels.Device {
					dev, err := cpu.Open(variant, threads)
					if err != nil {
						t.Fatal(err)
					}
					return dev
				}, kerneltest.Single)
			})
		}
	}
}

// A variant that rounds activations does so in products with bf16 weights and nowhere else, and
// is not the one that is opened without a name.
func TestRounding(t *testing.T) {
	if len(cpu.Rounding()) == 0 {
		t.Skip("this processor has no products of bf16")
	}
	for _, variant := range cpu.Rounding() {
		if slices.Contains(cpu.Variants(), variant) {
			t.Errorf("%s is among the variants that compute in float32", variant)
		}
		for _, threads := range []int{1, 3} {
			if threads == 1 && testing.Short() { // the race detector has nothing to see
				continue
			}
			kerneltest.RunWith(t, func() kernels.Device {
				dev, err := cpu.Open(variant, threads)
				if err != nil {
					t.Fatal(err)
				}
				return dev
			}, roundingTolerance)
		}
	}
}

// roundingTolerance is what a case allows a variant that rounds activations.
func roundingTolerance(c kerneltest.Case) kerneltest.Tolerance {
	if product := c.Op() == "MatMul" || c.Op() == "GroupedMatMul"; product && strings.Contains(c.Name, "/bf16") {
		return kerneltest.BF16Activations
	}
	return kerneltest.Single
}

// A product is of the rounded activations: as if they had been rounded before.
func TestRoundsActivations(t *testing.T) {
	for _, variant := range cpu.Rounding() {
		dev, err := cpu.Open(variant, 2)
		if err != nil {
			t.Fatal(err)
		}
		stream := kernels.NewStream(dev)
		const m, n, k = 73, 70, 100
		x, w := make([]float32, m*k), make([]float32, n*k)
		for i := range x {
			x[i] = float32(i%97)/89 - 0.5
		}
		for i := range w {
			w[i] = float32(i%101)/97 - 0.5
		}
		product := func(round func(float32) float32, rows int) []float32 {
			a, b, dst := dev.Alloc(kernels.F32, rows, k), dev.Alloc(kernels.BF16, n, k), dev.Alloc(kernels.F32, rows, n)
			values := make([]float32, rows*k)
			for i := range values {
				values[i] = round(x[i])
			}
			kernels.Put(dev, a, values)
			kernels.Put(dev, b, w)
			stream.Do(kernels.MatMul{Dst: dst, A: a, B: b})
			got := make([]float32, dst.Len())
			kernels.Get(dev, got, dst)
			return got
		}
		exact := func(x float32) float32 { return x }
		got := product(exact, m)
		if !slices.Equal(got, product(kernels.BF16.Round, m)) {
			t.Errorf("%s: rounding before changes the product", variant)
		}
		if !slices.Equal(got[:n], product(exact, 1)) {
			t.Errorf("%s: a row alone has another product", variant)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	for _, threads := range []int{-1, 1 << 20} {
		if _, err := cpu.Open("", threads); err == nil {
			t.Errorf("opening with %d threads is no error", threads)
		}
	}
	if _, err := cpu.Open("sse9", 1); err == nil {
		t.Error("a variant that does not exist is no error")
	}
}

// TestAttendTogether: a query's bits are the same alone and with others, whose values are
// summed at once, on either side of a block's and of a tile's end, and whether heads that share
// keys are a worker's unit, as with one thread, or not, as with more threads than such units.
func TestAttendTogether(t *testing.T) {
	const n, headDim, heads = 300, 32, 4
	for _, variant := range cpu.Variants() {
		for _, share := range []int{1, 4} {
			for _, typ := range []kernels.Type{kernels.F32, kernels.BF16} {
				dev, other := open(t, variant, 1), open(t, variant, 2)
				b := builder{dev, rand.New(rand.NewPCG(5, 6))}
				q, k, v := b.mat(n, heads*headDim), b.mat(n, heads/share*headDim), b.mat(n, heads/share*headDim)
				if typ == kernels.BF16 {
					k, v = narrowed(dev, k), narrowed(dev, v)
				}
				together, alone, apart := b.mat(n, heads*headDim), b.mat(n, heads*headDim), b.mat(n, heads*headDim)
				kernels.NewStream(dev).Do(kernels.Attend{Dst: together, Q: q, K: k, V: v, Seqs: 1, HeadDim: headDim, Scale: 0.3})
				for i := range n {
					op := kernels.Attend{Dst: alone.RowRange(i, i+1), Q: q.RowRange(i, i+1), K: k, V: v, Seqs: 1, Past: i, HeadDim: headDim, Scale: 0.3}
					kernels.NewStream(dev).Do(op)
					op.Dst = apart.RowRange(i, i+1)
					kernels.NewStream(other).Do(op)
				}
				x, y, z := make([]float32, together.Len()), make([]float32, together.Len()), make([]float32, together.Len())
				kernels.Get(dev, x, together)
				kernels.Get(dev, y, alone)
				kernels.Get(dev, z, apart)
				if !slices.Equal(x, y) || !slices.Equal(x, z) {
					t.Errorf("%s: %d queries of %v, %d heads to a key, at once differ from one at a time", variant, n, typ, share)
				}
			}
		}
	}
}

// narrowed is m in bf16.
func narrowed(dev kernels.Device, m kernels.Mat) kernels.Mat {
	values := make([]float32, m.Len())
	kernels.Get(dev, values, m)
	half := dev.Alloc(kernels.BF16, m.Rows, m.Cols)
	kernels.Put(dev, half, values)
	return half
}
