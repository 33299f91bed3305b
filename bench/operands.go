package bench

import (
	"math/rand/v2"

	"quadrant/kernels"
)

// operands places what the ops of cases work on: one set of operands after another in slabs
// of memory that hold numbers, so that no page of them is a shared page of zeros. What ops
// read and what they write lie in different slabs: no result is the input of another case.
// Without a device it only counts the bytes that sets need.
type operands struct {
	dev     kernels.Device
	rand    *rand.Rand
	inputs  map[kernels.Type]*slab
	results map[kernels.Type]*slab
	set     int         // sets placed before
	kept    kernels.Mat // of stacked
	bytes   int64       // placed
	around  bool        // inputs do not fit a slab any more
}

// A slab is memory from which matrices are cut one after another, from the start again when
// it is used up.
type slab struct {
	mat    kernels.Mat // [1, n]
	used   int
	around bool
}

// apart is the elements that matrices begin at multiples of.
const apart = 64

func (s *slab) take(rows, cols int) kernels.Mat {
	n := (rows*cols + apart - 1) / apart * apart
	if s.used+n > s.mat.Cols {
		s.used, s.around = 0, true
	}
	m := s.mat
	m.Rows, m.Cols, m.Stride, m.Off = rows, cols, cols, m.Off+s.used
	s.used += n
	return m
}

// rewind begins anew: the next operands lie at the start of the slabs.
func (o *operands) rewind() {
	for _, slabs := range []map[kernels.Type]*slab{o.inputs, o.results} {
		for _, s := range slabs {
			s.used, s.around = 0, false
		}
	}
	o.rand, o.set, o.bytes, o.around = rand.New(rand.NewPCG(1, 0)), 0, 0, false
}

func (o *operands) cut(slabs map[kernels.Type]*slab, t kernels.Type, rows, cols int) kernels.Mat {
	m := kernels.Mat{Type: t, Rows: rows, Cols: cols, Stride: cols}
	o.bytes += (m.Bytes() + apart*t.Size() - 1) / (apart * t.Size()) * (apart * t.Size())
	if o.dev == nil {
		return m
	}
	return slabs[t].take(rows, cols)
}

// weights are read.
func (o *operands) weights(t kernels.Type, rows, cols int) kernels.Mat {
	m := o.cut(o.inputs, t, rows, cols)
	o.around = o.around || o.dev != nil && o.inputs[t].around
	return m
}

// input is activations, read.
func (o *operands) input(rows, cols int) kernels.Mat { return o.weights(kernels.F32, rows, cols) }

// output is written, state read and written.
func (o *operands) output(rows, cols int) kernels.Mat {
	return o.cut(o.results, kernels.F32, rows, cols)
}
func (o *operands) state(rows, cols int) kernels.Mat { return o.output(rows, cols) }

// cache is a KV cache to be written.
func (o *operands) cache(t kernels.Type, rows, cols int) kernels.Mat {
	return o.cut(o.results, t, rows, cols)
}

// stacked is the weights of experts, the same for as many sets in a row as there are experts.
func (o *operands) stacked(t kernels.Type, experts, rows, cols int) kernels.Mat {
	if o.set%experts == 0 {
		o.kept = o.weights(t, experts*rows, cols)
	}
	return o.kept
}

// alloc is a small matrix of its own.
func (o *operands) alloc(t kernels.Type, rows, cols int) kernels.Mat {
	m := kernels.Mat{Type: t, Rows: rows, Cols: cols, Stride: cols}
	if o.dev != nil {
		m = o.dev.Alloc(t, rows, cols)
	}
	o.bytes += m.Bytes()
	return m
}

func (o *operands) ints(values []int32) kernels.Mat {
	m := o.alloc(kernels.I32, len(values), 1)
	if o.dev != nil {
		kernels.Put(o.dev, m, values)
	}
	return m
}

// ids are n random numbers below end.
func (o *operands) ids(n, end int) kernels.Mat {
	values := make([]int32, n)
	for i := range values {
		values[i] = o.rand.Int32N(int32(end))
	}
	return o.ints(values)
}

func (o *operands) permutation(n int) kernels.Mat {
	values := make([]int32, n)
	for i, p := range o.rand.Perm(n) {
		values[i] = int32(p)
	}
	return o.ints(values)
}

// spread sends n tokens to experts as Sort lists them: all to the expert whose turn it is
// where n is 1, and otherwise as many to each, but for one, in random order.
func (o *operands) spread(n, experts int) (slots, offsets kernels.Mat) {
	at := make([]int32, experts+1)
	for e := range experts {
		share := n * (e + 1) / experts
		if n == 1 {
			share = 0
			if e >= o.set%experts {
				share = 1
			}
		}
		at[e+1] = int32(share)
	}
	return o.permutation(n), o.ints(at)
}

// negative is a state matrix A.
func (o *operands) negative(rows, cols int) kernels.Mat {
	m := o.alloc(kernels.F32, rows, cols)
	if o.dev != nil {
		values := make([]float32, m.Len())
		for i := range values {
			values[i] = -1 - float32(i%cols)
		}
		kernels.Put(o.dev, m, values)
	}
	return m
}

// newOperands returns slabs for all of cases: of cold bytes for the inputs of each type, and
// more where one set needs it.
func newOperands(dev kernels.Device, cases []KernelCase, cold int64) *operands {
	o := &operands{dev: dev, inputs: map[kernels.Type]*slab{}, results: map[kernels.Type]*slab{}}
	in, out := slabSizes(cases, cold)
	for t, bytes := range in {
		o.inputs[t] = newSlab(dev, t, bytes)
	}
	for t, bytes := range out {
		o.results[t] = newSlab(dev, t, bytes)
	}
	return o
}

// slabSizes are the bytes that slabs need, by type.
func slabSizes(cases []KernelCase, cold int64) (in, out map[kernels.Type]int64) {
	in, out = map[kernels.Type]int64{kernels.F32: cold}, map[kernels.Type]int64{kernels.F32: 0}
	for _, c := range cases {
		o := &operands{}
		o.rewind()
		c.build(o)
		in[kernels.F32], out[kernels.F32] = max(in[kernels.F32], o.bytes), max(out[kernels.F32], o.bytes)
		if c.DType != kernels.F32 {
			in[c.DType] = max(in[c.DType], cold, o.bytes)
			if c.Op == "rotary_store" {
				out[c.DType] = max(out[c.DType], o.bytes)
			}
		}
	}
	return in, out
}

// slabBlock is how many values a slab is filled with at a time.
const slabBlock = 1 << 16

func newSlab(dev kernels.Device, t kernels.Type, bytes int64) *slab {
	n := int((bytes/t.Size() + slabBlock - 1) / slabBlock * slabBlock)
	s := &slab{mat: dev.Alloc(t, 1, n)}
	r := rand.New(rand.NewPCG(2, uint64(t)))
	values := make([]float32, slabBlock)
	for i := range values {
		values[i] = float32(r.NormFloat64() / 16)
	}
	for at := 0; at < n; at += slabBlock {
		kernels.Put(dev, s.mat.ColRange(at, at+slabBlock), values)
	}
	return s
}
