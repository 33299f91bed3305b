package cuda_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"quadrant/kernels"
	"quadrant/kernels/cuda"
	"quadrant/kernels/cuda/ptxsim"
	"quadrant/kernels/ref"
)

// An op that leaves its result as panels for the product after it leaves the result too, and the
// product is as right as after a pass of its own.
func TestPanels(t *testing.T) {
	for name, pair := range pairs {
		for products, tolerance := range map[cuda.Products]float64{cuda.Split: 3e-5, cuda.Rounded: 1e-2} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				dev, err := cuda.New(driver{machine(ptxsim.Backward)}, products)
				if err != nil {
					t.Fatal(err)
				}
				dev.WGMMAFrom(1)
				got, want := runPair(t, dev, pair), runPair(t, ref.New(), pair)
				for part := range want {
					var off, size float64
					for i, w := range want[part] {
						off += float64(got[part][i]-w) * float64(got[part][i]-w)
						size += float64(w) * float64(w)
					}
					if e := math.Sqrt(off / size); !(e < tolerance) {
						t.Errorf("result %d of products %d is off by %.2g of its norm", part, products, e)
					}
				}
				if n := dev.Launches(); n != pair.launches+3 { // weights, product, end
					t.Errorf("%d launches, want %d: the two were not planned together", n, pair.launches+3)
				}
			})
		}
	}
}

// A panelPair is an op that makes a, and how many launches it is.
type panelPair struct {
	rows, cols, launches int
	op                   func(m maker, a kernels.Mat) kernels.Op
	grouped              bool
}

// A maker makes operands.
type maker struct {
	dev    kernels.Device
	random *rand.Rand
}

func (m maker) of(t kernels.Type, rows, cols int, scale float64) kernels.Mat {
	mat := m.dev.Alloc(t, rows, cols)
	values := make([]float32, mat.Len())
	for i := range values {
		values[i] = float32(scale * m.random.NormFloat64())
	}
	kernels.Put(m.dev, mat, values)
	return mat
}

func (m maker) f32(rows, cols int) kernels.Mat { return m.of(kernels.F32, rows, cols, 1) }

var pairs = map[string]panelPair{
	"RMSNorm": {70, 128, 1, func(m maker, a kernels.Mat) kernels.Op {
		return &kernels.RMSNorm{Dst: a, X: m.f32(70, 128), Delta: m.f32(70, 128), Gain: m.f32(1, 128), Eps: 1e-5}
	}, false},
	"LayerNorm": {70, 2304, 1, func(m maker, a kernels.Mat) kernels.Op {
		return &kernels.LayerNorm{Dst: a, X: m.f32(70, 2304), Gain: m.f32(1, 2304), Bias: m.f32(1, 2304), Eps: 1e-5}
	}, false},
	"Activation": {70, 192, 1, func(m maker, a kernels.Mat) kernels.Op {
		h := m.f32(70, 384)
		return &kernels.Activation{Dst: a, X: h.ColRange(0, 192), Mul: h.ColRange(192, 384), Act: kernels.SiLU}
	}, false},
	"ActivationOfExperts": {70, 64, 1, func(m maker, a kernels.Mat) kernels.Op {
		return &kernels.Activation{Dst: a, X: m.f32(70, 64), Act: kernels.GELU}
	}, true},
	"ConvSiLU": {2 * 40, 64, 2, func(m maker, a kernels.Mat) kernels.Op {
		return &kernels.ConvSiLU{Dst: a, X: m.f32(80, 64), W: m.f32(64, 4), Bias: m.f32(1, 64), State: m.f32(2*3, 64), Seqs: 2}
	}, false},
	"Attend": {2 * 40, 128, 2 /* one fetches Past */, func(m maker, a kernels.Mat) kernels.Op {
		cache := func() kernels.Mat { return m.of(kernels.BF16, 80, 128, 0.1) }
		return &kernels.Attend{Dst: a, Q: m.f32(80, 128), K: cache(), V: cache(), Seqs: 2, HeadDim: 64, Scale: 0.125}
	}, false},
	"Scan": {2 * 40, 64, 1, func(m maker, a kernels.Mat) kernels.Op {
		rates := m.dev.Alloc(kernels.F32, 64, 16)
		m.dev.Do(&kernels.NegExp{Dst: rates, X: m.f32(64, 16)})
		return &kernels.Scan{
			Dst: a, X: m.f32(80, 64), Dt: m.f32(80, 64), A: rates, B: m.f32(80, 16), C: m.f32(80, 16), Z: m.f32(80, 64),
			State: m.f32(2*64, 16), Seqs: 2,
		}
	}, false},
}

// runPair returns what the op and the product after it leave.
func runPair(t *testing.T, dev kernels.Device, p panelPair) [2][]float32 {
	const out = 72
	m := maker{dev, rand.New(rand.NewPCG(5, 6))}
	a := dev.Alloc(kernels.F32, p.rows, p.cols)
	op := p.op(m, a)
	dst := dev.Alloc(kernels.F32, p.rows, out)
	var product kernels.Op = &kernels.MatMul{Dst: dst, A: a, B: m.of(kernels.BF16, out, p.cols, 1)}
	if p.grouped {
		offsets := dev.Alloc(kernels.I32, 4, 1)
		kernels.Put(dev, offsets, []int32{0, 13, 13, int32(p.rows)})
		product = &kernels.GroupedMatMul{Dst: dst, A: a, B: m.of(kernels.BF16, 3*out, p.cols, 1), Offsets: offsets}
	}
	if err := dev.Sync(); err != nil {
		t.Fatal(err)
	}
	dev.Do(op)
	dev.Do(product)
	if err := dev.Sync(); err != nil {
		t.Fatal(err)
	}
	var got [2][]float32
	for i, mat := range []kernels.Mat{a, dst} {
		got[i] = make([]float32, mat.Len())
		kernels.Get(dev, got[i], mat)
	}
	return got
}
