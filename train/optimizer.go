package train

import (
	"fmt"
	"math"

	"quadrant/kernels"
)

// AdamW is the settings of the optimiser of that name (arXiv:1711.05101). Weight decay is
// for matrices only: see Param.Decay.
type AdamW struct {
	Beta1 float32 `json:"beta1"`
	Beta2 float32 `json:"beta2"`
	Eps   float32 `json:"eps"`
	Decay float32 `json:"decay"`
	Clip  float64 `json:"clip"` // the norm of all gradients together is at most this; 0 is no bound
}

// DefaultAdamW is what small language models are usually trained with.
var DefaultAdamW = AdamW{Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, Decay: 0.1, Clip: 1}

// Check returns the first thing wrong with a.
func (a AdamW) Check() error {
	switch {
	case !(a.Beta1 >= 0 && a.Beta1 < 1), !(a.Beta2 >= 0 && a.Beta2 < 1):
		return fmt.Errorf("betas %v and %v: want 0 or more and below 1", a.Beta1, a.Beta2)
	case !(a.Eps > 0 && a.Eps < 1):
		return fmt.Errorf("epsilon %v: want above 0 and below 1", a.Eps)
	case !(a.Decay >= 0 && a.Decay < 10):
		return fmt.Errorf("weight decay %v: want 0 or more and below 10", a.Decay)
	case !(a.Clip >= 0):
		return fmt.Errorf("norm %v to clip gradients to: want 0 (none) or more", a.Clip)
	}
	return nil
}

// An Optimizer moves weights by their gradients. It is a first and a second moment for each,
// on the device where they are.
type Optimizer struct {
	AdamW
	params  []Param
	m, v    []kernels.Mat
	steps   int // made so far
	dev     kernels.Device
	stream  *kernels.Stream
	squares kernels.Mat // [params, 1]
	host    []float32
}

// NewOptimizer prepares to learn params, which are on dev.
func NewOptimizer(a AdamW, dev kernels.Device, params []Param) *Optimizer {
	o := &Optimizer{
		AdamW: a, params: params, dev: dev, stream: kernels.NewStream(dev),
		squares: dev.Alloc(kernels.F32, len(params), 1), host: make([]float32, len(params)),
	}
	for _, p := range params {
		o.m = append(o.m, dev.Alloc(kernels.F32, p.Weight.Rows, p.Weight.Cols))
		o.v = append(o.v, dev.Alloc(kernels.F32, p.Weight.Rows, p.Weight.Cols))
	}
	return o
}

// Steps is the number of steps made.
func (o *Optimizer) Steps() int { return o.steps }

// A NotFinite is a gradient or weight with an element that is no finite number: training has
// diverged, and cannot go on.
type NotFinite struct {
	What string // "gradient" or "weight"
	Name string // of the weight
}

func (e *NotFinite) Error() string {
	return fmt.Sprintf("the %s of %s is not finite", e.What, e.Name)
}

// Norm is the norm of all gradients together. The error is a [NotFinite] that names the
// first gradient which is not.
func (o *Optimizer) Norm() (float64, error) {
	for i, p := range o.params {
		o.stream.Do(kernels.SquareSum{Dst: o.squares.RowRange(i, i+1), X: p.Grad})
	}
	kernels.Get(o.dev, o.host, o.squares)
	if err := o.dev.Sync(); err != nil {
		return 0, err
	}
	sum := 0.0
	for i, square := range o.host {
		if f := float64(square); math.IsNaN(f) || math.IsInf(f, 0) {
			return 0, &NotFinite{"gradient", o.params[i].Name}
		}
		sum += float64(square)
	}
	return math.Sqrt(sum), nil
}

// Step moves all weights at the given learning rate, with gradients whose Norm is norm.
func (o *Optimizer) Step(rate, norm float64) {
	o.steps++
	scale := 1.0
	if o.Clip > 0 && norm > o.Clip {
		scale = o.Clip / norm
	}
	for i, p := range o.params {
		op := kernels.AdamW{
			W: p.Weight, Grad: p.Grad, M: o.m[i], V: o.v[i],
			Rate: float32(rate), Beta1: o.Beta1, Beta2: o.Beta2, Eps: o.Eps, GradScale: float32(scale), Step: o.steps,
		}
		if p.Decay {
			op.Decay = o.Decay
		}
		o.stream.Do(op)
	}
}

// checkWeights returns a [NotFinite] for the first weight that is not.
func (o *Optimizer) checkWeights() error {
	for i, p := range o.params {
		o.stream.Do(kernels.SquareSum{Dst: o.squares.RowRange(i, i+1), X: p.Weight})
	}
	kernels.Get(o.dev, o.host, o.squares)
	if err := o.dev.Sync(); err != nil {
		return err
	}
	for i, square := range o.host {
		if f := float64(square); math.IsNaN(f) || math.IsInf(f, 0) {
			return &NotFinite{"weight", o.params[i].Name}
		}
	}
	return nil
}
