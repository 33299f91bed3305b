package cuda_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"quadrant/kernels"
	"quadrant/kernels/cuda"
	"quadrant/kernels/cuda/ptxsim"
	"quadrant/kernels/ref"
)

// The kernels on tensor cores compute what their definition says, within what Split and Rounded
// declare of an activation: 2⁻¹⁷ and 2⁻⁸ of it, so of a result as much of Σ|terms|, and what
// float32 sums add.
func TestTensorProducts(t *testing.T) {
	for _, c := range []struct {
		products  cuda.Products
		tolerance float64
	}{{cuda.Split, 1.0/(1<<17) + 2e-6}, {cuda.Rounded, 1.0 / (1 << 8)}} {
		for _, n := range [][3]int{{9, 8, 3}, {70, 72, 65}, {130, 40, 33}, {129, 40, 6400}} {
			wide := n[2] > 1000 // so that tiles are of 128·128
			if wide && c.products == cuda.Rounded && os.Getenv("QUADRANT_PTXSIM") != "all" {
				continue
			}
			t.Run(fmt.Sprintf("%d/%dx%dto%d", c.products, n[0], n[1], n[2]), func(t *testing.T) {
				t.Parallel()
				r := rand.New(rand.NewPCG(uint64(n[0]), uint64(n[1])))
				p := product{rows: n[0], in: n[1], out: n[2], experts: 3, k: 2, random: r}
				if wide {
					p.experts, p.k = 2, 1
				}
				p.compare(t, c.products, c.tolerance)
			})
		}
	}
}

// A product is the data of a product and of a grouped one.
type product struct {
	rows, in, out, experts, k int
	random                    *rand.Rand
}

func (p product) normal(n int) []float32 {
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(p.random.NormFloat64() * math.Exp(2*p.random.NormFloat64()))
	}
	return values
}

func (p product) compare(t *testing.T, products cuda.Products, tolerance float64) {
	a, b := p.normal(p.rows*p.in), p.normal(p.experts*p.out*p.in)
	bias := p.normal(p.experts * p.out)
	chosen := make([]int32, p.rows*p.k)
	for i := range chosen {
		chosen[i] = int32((i%p.k + p.random.IntN(p.experts-1)) % p.experts)
	}
	dev, err := cuda.New(driver{machine(ptxsim.Forward)}, products)
	if err != nil {
		t.Fatal(err)
	}
	abs := func(x []float32) []float32 {
		y := make([]float32, len(x))
		for i, v := range x {
			y[i] = float32(math.Abs(float64(v)))
		}
		return y
	}
	got, want := p.run(t, dev, a, b, bias, chosen), p.run(t, ref.New(), a, b, bias, chosen)
	terms := p.run(t, ref.New(), abs(a), abs(b), abs(bias), chosen)
	for i := range want {
		if off := math.Abs(float64(got[i] - want[i])); !(off <= tolerance*float64(terms[i])) {
			t.Fatalf("element %d is %v, want %v: off by %.2g, where %.2g is allowed", i, got[i], want[i], off, tolerance*float64(terms[i]))
		}
	}
}

// run is the product with the first expert's weights, then the grouped ones with and without
// slots.
func (p product) run(t *testing.T, dev kernels.Device, a, b, bias []float32, chosen []int32) []float32 {
	s := kernels.NewStream(dev)
	put := func(typ kernels.Type, rows, cols int, values []float32) kernels.Mat {
		m := dev.Alloc(typ, rows, cols)
		kernels.Put(dev, m, values)
		return m
	}
	am, bm := put(kernels.F32, p.rows, p.in, a), put(kernels.BF16, p.experts*p.out, p.in, b)
	biasM := put(kernels.F32, p.experts, p.out, bias)
	experts := dev.Alloc(kernels.I32, p.rows, p.k)
	kernels.Put(dev, experts, chosen)
	n := p.rows * p.k
	slots, places := dev.Alloc(kernels.I32, n, 1), dev.Alloc(kernels.I32, n, 1)
	offsets := dev.Alloc(kernels.I32, p.experts+1, 1)
	first, second := dev.Alloc(kernels.F32, p.rows, p.out), dev.Alloc(kernels.F32, n, p.out)
	third := dev.Alloc(kernels.F32, p.rows, p.out)
	s.Do(kernels.MatMul{Dst: first, A: am, B: bm.RowRange(0, p.out), Bias: biasM.RowRange(0, 1)})
	s.Do(kernels.Sort{Slots: slots, Places: places, Offsets: offsets, Experts: experts})
	s.Do(kernels.GroupedMatMul{Dst: second, A: am, B: bm, Bias: biasM, Offsets: offsets, Slots: slots, K: p.k})
	s.Do(kernels.Sort{Slots: slots.RowRange(0, p.rows), Places: places.RowRange(0, p.rows), Offsets: offsets, Experts: experts.ColRange(0, 1)})
	s.Do(kernels.GroupedMatMul{Dst: third, A: am, B: bm, Offsets: offsets})
	if err := dev.Sync(); err != nil {
		t.Fatal(err)
	}
	var all []float32
	for _, m := range []kernels.Mat{first, second, third} {
		values := make([]float32, m.Len())
		kernels.Get(dev, values, m)
		all = append(all, values...)
	}
	return all
}

// Attention on tensor cores, with a cache of either 16-bit type, computes what its definition
// says, within the rounding of queries and weights that Split and Rounded declare.
func TestFlash(t *testing.T) {
	for _, c := range []struct {
		products  cuda.Products
		tolerance float64
	}{{cuda.Split, 5e-5}, {cuda.Rounded, 2e-2}} {
		for _, typ := range []kernels.Type{kernels.BF16, kernels.F16} {
			for _, head := range []int{64, 128} {
				t.Run(fmt.Sprintf("%d/%v/%d", c.products, typ, head), func(t *testing.T) {
					t.Parallel()
					dev, err := cuda.New(driver{machine(ptxsim.Backward)}, c.products)
					if err != nil {
						t.Fatal(err)
					}
					got, want := attention(t, dev, typ, head), attention(t, ref.New(), typ, head)
					var off, size float64
					for i, w := range want {
						off += float64(got[i]-w) * float64(got[i]-w)
						size += float64(w) * float64(w)
					}
					if e := math.Sqrt(off / size); !(e < c.tolerance) {
						t.Errorf("off by %.2g of the norm, want less than %g", e, c.tolerance)
					}
				})
			}
		}
	}
}

// attention is that of 70 queries of 2 sequences after 30 tokens, 2 heads on one of keys.
func attention(t *testing.T, dev kernels.Device, typ kernels.Type, head int) []float32 {
	const seqs, n, past, length = 2, 70, 30, 104
	p := product{random: rand.New(rand.NewPCG(1, uint64(head)))}
	q, dst := dev.Alloc(kernels.F32, seqs*n, 2*head), dev.Alloc(kernels.F32, seqs*n, 2*head)
	k, v := dev.Alloc(typ, seqs*length, head), dev.Alloc(typ, seqs*length, head)
	for _, m := range []kernels.Mat{q, k, v} {
		values := p.normal(m.Len())
		for i := range values {
			values[i] /= 8
			if row := i / m.Cols % length; m.Rows == k.Rows && row >= past+n { // beyond the last token
				values[i] = float32(math.NaN())
			}
		}
		kernels.Put(dev, m, values)
	}
	kernels.NewStream(dev).Do(kernels.Attend{Dst: dst, Q: q, K: k, V: v, Seqs: seqs, Past: past, HeadDim: head, Scale: 0.125})
	if err := dev.Sync(); err != nil {
		t.Fatal(err)
	}
	got := make([]float32, dst.Len())
	kernels.Get(dev, got, dst)
	return got
}
