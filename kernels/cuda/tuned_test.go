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
				p.compare(t, c.products, false, ptxsim.Forward, c.tolerance)
			})
		}
	}
}

// Products by wgmma do too: tiles of each width, more of them than multiprocessors, experts with
// few rows and none, an inner dimension that ends within a panel, rows that are not aligned.
func TestWGMMA(t *testing.T) {
	for _, c := range []struct {
		products  cuda.Products
		order     ptxsim.Order
		tolerance float64
	}{{cuda.Split, ptxsim.Backward, 1.0/(1<<17) + 2e-6}, {cuda.Rounded, ptxsim.Forward, 1.0 / (1 << 8)}} {
		for _, n := range [][3]int{{130, 72, 120}, {139, 200, 184}, {40, 328, 248}, {9, 8, 3}, {300, 8, 129}} {
			t.Run(fmt.Sprintf("%d/%dx%dto%d", c.products, n[0], n[1], n[2]), func(t *testing.T) {
				t.Parallel()
				r := rand.New(rand.NewPCG(uint64(n[0]), uint64(n[1])))
				p := product{rows: n[0], in: n[1], out: n[2], experts: 3, k: 2, random: r}
				p.compare(t, c.products, true, c.order, c.tolerance)
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

func (p product) compare(t *testing.T, products cuda.Products, wgmma bool, order ptxsim.Order, tolerance float64) {
	a, b := p.normal(p.rows*p.in), p.normal(p.experts*p.out*p.in)
	bias := p.normal(p.experts * p.out)
	chosen := make([]int32, p.rows*p.k)
	for i := range chosen {
		chosen[i] = int32((i%p.k + p.random.IntN(p.experts-1)) % p.experts)
	}
	dev, err := cuda.New(driver{machine(order)}, products)
	if err != nil {
		t.Fatal(err)
	}
	if wgmma {
		dev.WGMMAFrom(1)
	} else {
		dev.AvoidWGMMA()
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

// Attention on tensor cores, with a cache of any type, computes what its definition says, within the
// rounding of queries, keys and weights that Split and Rounded declare; and so does its gradient.
func TestFlash(t *testing.T) {
	for _, c := range []struct {
		products  cuda.Products
		tolerance float64
	}{{cuda.Split, 5e-5}, {cuda.Rounded, 2e-2}} {
		for _, typ := range []kernels.Type{kernels.BF16, kernels.F16, kernels.F32} {
			for _, head := range []int{64, 128} {
				t.Run(fmt.Sprintf("%d/%v/%d", c.products, typ, head), func(t *testing.T) {
					t.Parallel()
					dev, err := cuda.New(driver{machine(ptxsim.Backward)}, c.products)
					if err != nil {
						t.Fatal(err)
					}
					near(t, attention(t, dev, typ, head), attention(t, ref.New(), typ, head), c.tolerance)
					if typ == kernels.F32 {
						got, want := attentionGrad(t, dev, head), attentionGrad(t, ref.New(), head)
						for i := range want {
							near(t, got[i], want[i], c.tolerance)
						}
					}
				})
			}
		}
	}
}

// near wants the norm of what got is off by to be within tolerance of want's.
func near(t *testing.T, got, want []float32, tolerance float64) {
	t.Helper()
	var off, size float64
	for i, w := range want {
		off += float64(got[i]-w) * float64(got[i]-w)
		size += float64(w) * float64(w)
	}
	if e := math.Sqrt(off / size); !(e < tolerance) {
		t.Errorf("off by %.2g of the norm, want less than %g", e, tolerance)
	}
}

// attentionGrad is the LSE and the gradients of queries, keys and values of 100 tokens of 2 sequences,
// 2 heads on one of keys.
func attentionGrad(t *testing.T, dev kernels.Device, head int) [][]float32 {
	const seqs, n, length = 2, 100, 104
	m := maker{dev, rand.New(rand.NewPCG(2, uint64(head)))}
	q, k, v, g := m.f32(seqs*n, 2*head), m.f32(seqs*length, head), m.f32(seqs*length, head), m.f32(seqs*n, 2*head)
	out, lse := dev.Alloc(kernels.F32, seqs*n, 2*head), dev.Alloc(kernels.F32, seqs*n, 2)
	dq, dk, dv := dev.Alloc(kernels.F32, seqs*n, 2*head), dev.Alloc(kernels.F32, seqs*length, head), dev.Alloc(kernels.F32, seqs*length, head)
	s := kernels.NewStream(dev)
	scale := float32(1 / math.Sqrt(float64(head)))
	s.Do(kernels.Attend{Dst: out, Q: q, K: k, V: v, LSE: lse, Seqs: seqs, HeadDim: head, Scale: scale})
	s.Do(kernels.AttendGrad{DQ: dq, DK: dk, DV: dv, G: g, Out: out, Q: q, K: k, V: v, LSE: lse, Seqs: seqs, HeadDim: head, Scale: scale})
	if err := dev.Sync(); err != nil {
		t.Fatal(err)
	}
	var all [][]float32
	for _, m := range []kernels.Mat{lse, dq, dk, dv} {
		values := make([]float32, m.Len())
		kernels.Get(dev, values, m)
		all = append(all, values)
	}
	return all
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

// A scan has three ways to compute decays, which it chooses by their size, and all agree with the
// definition: states that hardly decay, that lose most of themselves in a token, all of it.
func TestScanSteepness(t *testing.T) {
	for _, scale := range []float64{1e-3, 0.1, 1, 30, 1e4} {
		t.Run(fmt.Sprint(scale), func(t *testing.T) {
			t.Parallel()
			got, want := scanOf(t, open(t, ptxsim.Forward), scale), scanOf(t, ref.New(), scale)
			var off, size float64
			for i, w := range want {
				off += float64(got[i]-w) * float64(got[i]-w)
				size += float64(w) * float64(w)
			}
			if e := math.Sqrt(off / size); !(e < 1e-6) {
				t.Errorf("off by %.2g of the norm", e)
			}
		})
	}
}

// scanOf is the results and states of a scan of 300 tokens whose rates are of the size of scale.
func scanOf(t *testing.T, dev kernels.Device, scale float64) []float32 {
	const seqs, n, dim, states = 2, 300, 20, 16
	p := product{random: rand.New(rand.NewPCG(3, 4))}
	of := func(rows, cols int, f func() float64) kernels.Mat {
		m := dev.Alloc(kernels.F32, rows, cols)
		values := make([]float32, m.Len())
		for i := range values {
			values[i] = float32(f())
		}
		kernels.Put(dev, m, values)
		return m
	}
	normal := p.random.NormFloat64
	op := kernels.Scan{
		Dst: dev.Alloc(kernels.F32, seqs*n, dim), X: of(seqs*n, dim, normal),
		Dt: of(seqs*n, dim, func() float64 { return normal()/2 - 3 }),
		A:  of(dim, states, func() float64 { return -scale * (1 + p.random.Float64()) }),
		B:  of(seqs*n, states, normal), C: of(seqs*n, states, normal), D: of(1, dim, normal), Z: of(seqs*n, dim, normal),
		State: of(seqs*dim, states, normal), Seqs: seqs,
	}
	kernels.NewStream(dev).Do(op)
	if err := dev.Sync(); err != nil {
		t.Fatal(err)
	}
	got, state := make([]float32, op.Dst.Len()), make([]float32, op.State.Len())
	kernels.Get(dev, got, op.Dst)
	kernels.Get(dev, state, op.State)
	return append(got, state...)
}

// Blocks that turn several rows, the last of them fewer, turn each by its own position.
func TestRotaryOfManyRows(t *testing.T) {
	run := func(dev kernels.Device) []float32 {
		const seqs, n, past, head = 3, 171, 5, 12
		m := maker{dev, rand.New(rand.NewPCG(7, 8))}
		q, k := m.f32(seqs*n, 2*head), m.f32(seqs*n, head)
		op := kernels.RotaryStore{
			Q: q, K: k, V: m.f32(seqs*n, head), KCache: dev.Alloc(kernels.F32, seqs*(past+n), head), VCache: dev.Alloc(kernels.F32, seqs*(past+n), head),
			Seqs: seqs, Past: past, HeadDim: head, Rotary: 8, Base: 10000,
		}
		kernels.NewStream(dev).Do(op)
		if err := dev.Sync(); err != nil {
			t.Fatal(err)
		}
		var all []float32
		for _, mat := range []kernels.Mat{q, op.KCache, op.VCache} {
			values := make([]float32, mat.Len())
			kernels.Get(dev, values, mat)
			all = append(all, values...)
		}
		return all
	}
	got, want := run(open(t, ptxsim.Backward)), run(ref.New())
	for i, w := range want {
		if off := math.Abs(float64(got[i] - w)); !(off < 1e-5) {
			t.Fatalf("element %d is %v, want %v", i, got[i], w)
		}
	}
}
