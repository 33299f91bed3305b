package cuda_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"quadrant/kernels"
	"quadrant/kernels/cuda"
	"quadrant/kernels/cuda/ptxsim"
	"quadrant/kernels/ref"
)

// A product of few rows and the activation after it are one launch, wherever the activation's
// result goes but over what the product reads; what the product alone makes is there too.
func TestActivationWithProduct(t *testing.T) {
	for _, gate := range []string{"none", "first", "second"} {
		for _, to := range []string{"apart", "in place", "over the input"} {
			for _, of := range []operands{{2, 24, 12, kernels.F32}, {1, 96, 70, kernels.BF16}} {
				activationWithProduct(t, gate, to, of)
			}
		}
	}
}

// operands are the rows, the inner dimension and the columns of a product, and its weights' type.
type operands struct {
	rows, in, out int
	weights       kernels.Type
}

func activationWithProduct(t *testing.T, gate, to string, of operands) {
	t.Run(fmt.Sprintf("%s/%s/%d", gate, to, of.rows), func(t *testing.T) {
		launches := &naming{driver: driver{machine(ptxsim.Forward)}}
		dev, err := cuda.New(launches, cuda.Split)
		if err != nil {
			t.Fatal(err)
		}
		got, want := activated(t, dev, gate, to, of), activated(t, ref.New(), gate, to, of)
		for i, w := range want {
			if most := 1e-5 * max(1, float32(math.Abs(float64(w)))); !(got[i]-w <= most && w-got[i] <= most) {
				t.Fatalf("element %d is %v, want %v", i, got[i], w)
			}
		}
		apart := strings.Contains(strings.Join(launches.names, " "), "activation")
		if apart != (to == "over the input") {
			t.Errorf("the launches are %v", launches.names)
		}
	})
}

// A naming driver remembers what was launched.
type naming struct {
	driver
	names []string
}

func (d *naming) Launch(kernel string, grid, block [3]int, shared int, args []byte) error {
	d.names = append(d.names, kernel)
	return d.driver.Launch(kernel, grid, block, shared, args)
}

// activated is a product, then its activation with one half a gate or without, and
// the product alone.
func activated(t *testing.T, dev kernels.Device, gate, to string, of operands) []float32 {
	t.Helper()
	values, err := activatedOn(dev, gate, to, of)
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w", dev.Name(), err))
	}
	return values
}

func activatedOn(dev kernels.Device, gate, to string, of operands) ([]float32, error) {
	rows, in, out := of.rows, of.in, of.out
	r := rand.New(rand.NewPCG(1, 2))
	put := func(rows, cols int) kernels.Mat {
		m, values := dev.Alloc(kernels.F32, rows, cols), make([]float32, rows*cols)
		for i := range values {
			values[i] = float32(r.NormFloat64())
		}
		kernels.Put(dev, m, values)
		return m
	}
	a, y := put(rows, in), put(rows, out)
	b := dev.Alloc(of.weights, out, in)
	weights := make([]float32, out*in)
	for i := range weights {
		weights[i] = float32(r.NormFloat64())
	}
	kernels.Put(dev, b, weights)
	op := kernels.Activation{X: y, Act: kernels.SiLU}
	switch gate {
	case "first":
		op.X, op.Mul = y.ColRange(0, out/2), y.ColRange(out/2, out)
	case "second":
		op.X, op.Mul = y.ColRange(out/2, out), y.ColRange(0, out/2)
	}
	switch to {
	case "apart":
		op.Dst = put(rows, op.X.Cols)
	case "in place":
		op.Dst = op.X
	case "over the input":
		op.Dst = a.ColRange(0, op.X.Cols)
	}
	s := kernels.NewStream(dev)
	s.Do(kernels.MatMul{Dst: y, A: a, B: b})
	s.Do(op)
	if err := dev.Sync(); err != nil {
		return nil, err
	}
	all := make([]float32, y.Len())
	kernels.Get(dev, all, y)
	whole := put(rows, op.Dst.Cols)
	s.Do(kernels.Copy{Dst: whole, X: op.Dst})
	values := make([]float32, whole.Len())
	kernels.Get(dev, values, whole)
	return append(all, values...), dev.Sync()
}
