package arch

import (
	"math"
	"math/rand/v2"
	"runtime"
	"sync"

	"quadrant/kernels"
)

// A Param is a weight matrix. Its shape follows from the Config; its memory comes with
// the device.
type Param struct {
	kernels.Mat
	Experts int  // stacked in its rows, each token using Chosen of them; 0 where a token uses all rows
	Chosen  int  // see Experts
	Wide    bool // F32 whatever the type of the other weights: norms, biases, A_log, D, routers
	Buffer  bool // learned without a gradient: a router's balance; kept with the weights, but no parameter
	init    filler
}

// params is implemented by everything with weights. visit sees each exactly once, in a
// fixed order; allocation, initialisation, loading, saving and counting are all visits.
type params interface {
	params(visit visitor)
}

type visitor func(name string, p *Param)

// under prefixes the names that a part gives its weights.
func (v visitor) under(prefix string) visitor {
	return func(name string, p *Param) { v(prefix+"."+name, p) }
}

// A filler draws the initial values of the elements at, at+1, … of a Param.
type filler func(r *rand.Rand, dst []float32, at int)

func constant(v float32) filler {
	return func(_ *rand.Rand, dst []float32, _ int) {
		for i := range dst {
			dst[i] = v
		}
	}
}

// uniform draws from ±a, two values from each 64 random bits.
func uniform(a float64) filler {
	step := float32(a / (1 << 23))
	return func(r *rand.Rand, dst []float32, _ int) {
		for i := 0; i < len(dst); i += 2 {
			bits := r.Uint64()
			dst[i] = (float32(bits>>40) - (1<<23 - 0.5)) * step
			if i+1 < len(dst) {
				dst[i+1] = (float32(bits>>8&(1<<24-1)) - (1<<23 - 0.5)) * step
			}
		}
	}
}

func normal(sd float64) filler {
	return func(r *rand.Rand, dst []float32, _ int) {
		for i := range dst {
			dst[i] = float32(r.NormFloat64() * sd)
		}
	}
}

// byElement computes each value from the element's index.
func byElement(f func(r *rand.Rand, i int) float64) filler {
	return func(r *rand.Rand, dst []float32, at int) {
		for i := range dst {
			dst[i] = float32(f(r, at+i))
		}
	}
}

// matrix is the weights of a linear layer.
func matrix(out, in int, init filler) Param {
	return Param{Mat: kernels.Mat{Rows: out, Cols: in}, init: init}
}

// vector is one row of F32: a gain, a bias.
func vector(n int, init filler) Param {
	return Param{Mat: kernels.Mat{Rows: 1, Cols: n}, Wide: true, init: init}
}

// vectorIf is a vector, or an absent one.
func vectorIf(present bool, n int, init filler) Param {
	if !present {
		return Param{Wide: true}
	}
	return vector(n, init)
}

// A style is how the linear layers of a model are drawn.
type style struct {
	layers      int  // mixers that write to the residual stream
	transformer bool // HF's N(0, 0.02); otherwise PyTorch's default U(±1/√in), as Mamba and BlackMamba
}

func styleOf(c Config) style {
	s := style{}
	for _, l := range c.Layers {
		if l.Sequence.Attention != nil {
			s.transformer = true
		}
		if l.Sequence != (Sequence{}) {
			s.layers++
		}
		if l.Channel != (Channel{}) {
			s.layers++
		}
	}
	return s
}

func (s style) linear(out, in int) Param {
	if s.transformer {
		return matrix(out, in, normal(0.02))
	}
	return matrix(out, in, uniform(1/math.Sqrt(float64(in))))
}

// residual is a linear layer that writes to the residual stream, drawn smaller the more
// of them there are (GPT-2's rule) in transformers.
func (s style) residual(out, in int) Param {
	if s.transformer {
		return matrix(out, in, normal(0.02/math.Sqrt(float64(s.layers))))
	}
	return s.linear(out, in)
}

// chunk is how many values are drawn from one random sequence: fixed, so that values do
// not depend on how many goroutines draw them.
const chunk = 1 << 16

// fill draws the values of p, the index-th Param of a model, and writes them to dev.
func (p *Param) fill(dev kernels.Device, seed uint64, index int) {
	rowsPer := max(1, chunk/p.Cols)
	type part struct {
		mat  kernels.Mat
		vals []float32
	}
	batch := make([]part, 0, 2*runtime.GOMAXPROCS(0))
	write := func() {
		var wg sync.WaitGroup
		for _, b := range batch {
			wg.Go(func() {
				at := (b.mat.Off - p.Off) / p.Cols * p.Cols
				r := rand.New(rand.NewPCG(seed, uint64(index)<<40|uint64(at)))
				p.init(r, b.vals, at)
			})
		}
		wg.Wait()
		for _, b := range batch {
			kernels.Put(dev, b.mat, b.vals)
		}
		batch = batch[:0]
	}
	buffers := make([][]float32, cap(batch))
	for row := 0; row < p.Rows; row += rowsPer {
		m := p.RowRange(row, min(p.Rows, row+rowsPer))
		i := len(batch)
		if cap(buffers[i]) < m.Len() {
			buffers[i] = make([]float32, rowsPer*p.Cols)
		}
		batch = append(batch, part{m, buffers[i][:m.Len()]})
		if len(batch) == cap(batch) {
			write()
		}
	}
	write()
}
