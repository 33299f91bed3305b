package kerneltest_test

import (
	"math"
	"slices"

	"quadrant/kernels"
	"quadrant/kernels/ref"
)

// A bug is a mistake that kernels make. Its name is the op's, and what is wrong.
type bug struct {
	name   string
	mutate mutation
}

// A mutation carries out op on dev, wrongly.
type mutation func(dev kernels.Device, op kernels.Op)

// A mutant is a device with a bug.
type mutant struct {
	kernels.Device
	mutate mutation
}

func (m mutant) Do(op kernels.Op) { m.mutate(m.Device, op) }

var mutants = []bug{
	{"Zero leaves the last row", before(func(o *kernels.Zero) { o.Dst.Rows-- })},
	{"Zero clears a column more", before(func(o *kernels.Zero) { o.Dst.Cols++ })},
	{"Zero takes rows for contiguous", before(func(o *kernels.Zero) { o.Dst.Stride = o.Dst.Cols })},

	{"Add leaves the last column", before(func(o *kernels.Add) { o.Dst.Cols--; o.X.Cols-- })},
	{"Add sets", before(func(o *kernels.Add) { change(o.Dst, func(float64) float64 { return 0 }) })},
	{"Add yields a NaN", after(func(o *kernels.Add) { *at(o.Dst, 0, 0) = math.NaN() })},
	{"Add yields an infinity", after(func(o *kernels.Add) { *at(o.Dst, 0, 0) = math.Inf(1) })},
	{"Add changes its input", after(func(o *kernels.Add) { *at(o.X, o.X.Rows-1, o.X.Cols-1)++ })},

	{"Copy leaves the last row", before(func(o *kernels.Copy) { o.Dst.Rows--; o.X.Rows-- })},
	{"Copy takes rows for contiguous", before(func(o *kernels.Copy) { o.X.Stride = o.X.Cols })},
	{"Embed rounds to bf16", after(func(o *kernels.Embed) { change(o.Dst, toBF16) })},
	{"Embed takes any id", before(func(o *kernels.Embed) { o.IDs = clamped(o.IDs, o.Table.Rows) })},
	{"NegExp forgets the sign", after(func(o *kernels.NegExp) { change(o.Dst, math.Abs) })},
	{"ArgMax takes the last of equals", before(func(o *kernels.ArgMax) { o.X = favourLast(o.X) })},

	{"RMSNorm leaves the residual", keeping(func(o *kernels.RMSNorm) kernels.Mat { return o.X })},
	{"RMSNorm drops eps", before(func(o *kernels.RMSNorm) { o.Eps = 0 })},
	{"RMSNorm drops delta", before(func(o *kernels.RMSNorm) { o.Delta = kernels.Mat{} })},
	{"LayerNorm drops its bias", before(func(o *kernels.LayerNorm) { o.Bias = kernels.Mat{} })},
	{"LayerNorm keeps the mean", instead(func(dev kernels.Device, o *kernels.LayerNorm) {
		dev.Do(&kernels.RMSNorm{Dst: o.Dst, X: o.X, Delta: o.Delta, Gain: o.Gain, Eps: o.Eps})
	})},
	{"LayerNorm has the variance of a sample", before(func(o *kernels.LayerNorm) {
		n := float64(o.X.Cols)
		o.Gain = copyOf(o.Gain, func(_, _ int, x float64) float64 { return x * math.Sqrt((n-1)/n) })
	})},

	{"MatMul drops its bias", before(func(o *kernels.MatMul) { o.Bias = kernels.Mat{} })},
	{"MatMul leaves out the last term", before(func(o *kernels.MatMul) { o.A.Cols--; o.B.Cols-- })},
	{"MatMul rounds its input to bf16", before(func(o *kernels.MatMul) {
		o.A = copyOf(o.A, func(_, _ int, x float64) float64 { return toBF16(x) })
	})},
	{"MatMul writes right of its output", after(func(o *kernels.MatMul) { *at(o.Dst, o.Dst.Rows-1, o.Dst.Cols) = 0 })},
	{"MatMul writes left of its output", after(func(o *kernels.MatMul) { *at(o.Dst, 0, -1) = 0 })},
	{"MatMul reads right of its input", before(func(o *kernels.MatMul) { o.A.Cols++; o.B.Cols++ })},

	{"Activation takes GELU for its approximation", before(func(o *kernels.Activation) {
		if o.Act == kernels.GELUTanh {
			o.Act = kernels.GELU
		}
	})},
	{"Activation drops the gate", before(func(o *kernels.Activation) { o.Mul = kernels.Mat{} })},
	{"Activation clears its output first", before(func(o *kernels.Activation) {
		change(o.Dst, func(float64) float64 { return 0 })
	})},

	{"ConvSiLU drops its bias", before(func(o *kernels.ConvSiLU) { o.Bias = kernels.Mat{} })},
	{"ConvSiLU leaves its state", keeping(func(o *kernels.ConvSiLU) kernels.Mat { return o.State })},
	{"ConvSiLU reverses the taps", before(func(o *kernels.ConvSiLU) {
		w := o.W
		o.W = copyOf(w, func(i, j int, _ float64) float64 { return *at(w, i, w.Cols-1-j) })
	})},
	{"ConvSiLU starts from nothing", before(func(o *kernels.ConvSiLU) { change(o.State, func(float64) float64 { return 0 }) })},

	{"ConvSiLU runs from a sequence into the next", before(func(o *kernels.ConvSiLU) {
		o.Seqs, o.State = 1, o.State.RowRange(0, o.W.Cols-1)
	})},

	{"Scan drops the gate", before(func(o *kernels.Scan) { o.Z = kernels.Mat{} })},
	{"Scan drops D", before(func(o *kernels.Scan) { o.D = kernels.Mat{} })},
	{"Scan drops the bias of dt", before(func(o *kernels.Scan) { o.DtBias = kernels.Mat{} })},
	{"Scan leaves its state", keeping(func(o *kernels.Scan) kernels.Mat { return o.State })},
	{"Scan starts from nothing", before(func(o *kernels.Scan) { change(o.State, func(float64) float64 { return 0 }) })},
	{"Scan runs from a sequence into the next", before(func(o *kernels.Scan) {
		o.Seqs, o.State = 1, o.State.RowRange(0, o.X.Cols)
	})},
	{"Scan has a softplus that cancels", before(func(o *kernels.Scan) {
		o.Dt, o.DtBias = cancelling(o.Dt, o.DtBias), kernels.Mat{}
	})},

	{"RotaryStore is one position late", before(func(o *kernels.RotaryStore) { o.Past++ })},
	{"RotaryStore has another base", before(func(o *kernels.RotaryStore) { o.Base = 10100 })},
	{"RotaryStore turns nothing", before(func(o *kernels.RotaryStore) { o.Rotary = 0 })},
	{"RotaryStore turns all of a head", before(func(o *kernels.RotaryStore) { o.Rotary = o.HeadDim / 2 * 2 })},
	{"RotaryStore leaves the queries", keeping(func(o *kernels.RotaryStore) kernels.Mat { return o.Q })},
	{"RotaryStore leaves the values", keeping(func(o *kernels.RotaryStore) kernels.Mat { return o.VCache })},
	{"RotaryStore cuts values to bf16", before(func(o *kernels.RotaryStore) {
		if o.VCache.Type == kernels.BF16 {
			o.V = copyOf(o.V, func(_, _ int, x float64) float64 {
				return float64(math.Float32frombits(math.Float32bits(float32(x)) &^ 0xffff))
			})
		}
	})},

	{"RotaryStore cuts values to f16", before(func(o *kernels.RotaryStore) {
		if o.VCache.Type == kernels.F16 {
			o.V = copyOf(o.V, func(_, _ int, x float64) float64 {
				return float64(math.Float32frombits(math.Float32bits(float32(x)) &^ 0x1fff))
			})
		}
	})},

	{"Attend sees a key more", before(func(o *kernels.Attend) { o.Past++ })},
	{"Attend sees a key less", before(func(o *kernels.Attend) { o.Past = max(0, o.Past-1) })},
	{"Attend has another scale", before(func(o *kernels.Attend) { o.Scale *= 1.001 })},
	{"Attend interleaves the heads that share keys", instead(interleaved)},
	{"Attend reads the keys of the first sequence", before(func(o *kernels.Attend) {
		keys := o.K.Rows / o.Seqs
		k := o.K
		o.K = copyOf(k, func(i, j int, _ float64) float64 { return *at(k, i%keys, j) })
	})},

	{"Sinkhorn starts from rows", before(func(o *kernels.Sinkhorn) { o.ColumnFirst = false })},
	{"Sinkhorn stops early", before(func(o *kernels.Sinkhorn) { o.MaxIterations /= 2 })},
	{"Sinkhorn keeps the mean", after(func(o *kernels.Sinkhorn) { change(o.Bias, func(x float64) float64 { return x + 0.1 }) })},
	{"Sinkhorn drops the temperature", before(func(o *kernels.Sinkhorn) { o.Temperature = 1 })},

	{"Route takes the last of equals", before(func(o *kernels.Route) { o.Logits = favourLast(o.Logits) })},
	{"Route drops the bias", before(func(o *kernels.Route) { o.Bias = kernels.Mat{} })},
	{"Route weighs with the bias", before(func(o *kernels.Route) {
		if bias := o.Bias; !bias.None() {
			o.Bias = kernels.Mat{}
			o.Logits = copyOf(o.Logits, func(_, j int, x float64) float64 { return x + *at(bias, 0, j) })
		}
	})},
	{"Route takes one softmax for the other", before(func(o *kernels.Route) {
		if o.Score == kernels.SoftmaxScore {
			o.Score = kernels.SoftmaxTopKScore
		}
	})},

	{"Sort is not stable", after(reversed)},
	{"Sort forgets the end", after(func(o *kernels.Sort) { *int32At(o.Offsets, o.Offsets.Rows-1) = 0 })},
	{"Sort lists places for slots", before(func(o *kernels.Sort) { o.Slots, o.Places = o.Places, o.Slots })},
	{"Sort takes any expert", before(func(o *kernels.Sort) { o.Experts = clamped(o.Experts, o.Offsets.Rows-1) })},

	{"GroupedMatMul drops its bias", before(func(o *kernels.GroupedMatMul) { o.Bias = kernels.Mat{} })},
	{"GroupedMatMul takes another token's row", before(func(o *kernels.GroupedMatMul) { o.K *= 2 })},
	{"GroupedMatMul has one expert's weights", before(func(o *kernels.GroupedMatMul) {
		b, out := o.B, o.Dst.Cols
		o.B = copyOf(b, func(i, j int, _ float64) float64 { return *at(b, i%out, j) })
	})},

	{"Combine drops the gates", before(func(o *kernels.Combine) {
		o.Gates = copyOf(o.Gates, func(int, int, float64) float64 { return 1 })
	})},
	{"Combine takes one choice", before(func(o *kernels.Combine) {
		o.Gates = copyOf(o.Gates, func(_, j int, x float64) float64 {
			if j > 0 {
				return 0
			}
			return x
		})
	})},
}

// before changes the operands of ops of type O.
func before[O any](change func(o *O)) mutation {
	return instead(func(dev kernels.Device, o *O) {
		changed := *o
		change(&changed)
		dev.Do(any(&changed).(kernels.Op))
	})
}

// after spoils what ops of type O leave behind.
func after[O any](spoil func(o *O)) mutation {
	return instead(func(dev kernels.Device, o *O) {
		dev.Do(any(o).(kernels.Op))
		spoil(o)
	})
}

// keeping undoes what ops of type O write to one of their matrices.
func keeping[O any](kept func(o *O) kernels.Mat) mutation {
	return instead(func(dev kernels.Device, o *O) {
		mem, _ := kept(o).Mem.([]float64)
		before := slices.Clone(mem)
		dev.Do(any(o).(kernels.Op))
		copy(mem, before)
	})
}

// instead runs do in place of ops of type O.
func instead[O any](do func(dev kernels.Device, o *O)) mutation {
	return func(dev kernels.Device, op kernels.Op) {
		if o, ok := any(op).(*O); ok {
			do(dev, o)
		} else {
			dev.Do(op)
		}
	}
}

func at(m kernels.Mat, i, j int) *float64 { return &m.Mem.([]float64)[m.Off+i*m.Stride+j] }

func int32At(m kernels.Mat, i int) *int32 { return &m.Mem.([]int32)[m.Off+i*m.Stride] }

// change applies f to every element of m.
func change(m kernels.Mat, f func(x float64) float64) {
	for i := range m.Rows {
		for j := range m.Cols {
			*at(m, i, j) = f(*at(m, i, j))
		}
	}
}

// copyOf is f of every element of m, in other memory.
func copyOf(m kernels.Mat, f func(i, j int, x float64) float64) kernels.Mat {
	c := ref.New().Alloc(kernels.F32, m.Rows, m.Cols)
	for i := range m.Rows {
		for j := range m.Cols {
			*at(c, i, j) = f(i, j, *at(m, i, j))
		}
	}
	return c
}

func toBF16(x float64) float64 { return float64(kernels.FromBF16(kernels.ToBF16(float32(x)))) }

// favourLast makes the later of two equal columns the larger, which float64 can tell.
func favourLast(m kernels.Mat) kernels.Mat {
	return copyOf(m, func(_, j int, x float64) float64 { return x + 1e-9*float64(j) })
}

// clamped is the indices below n that are closest to those of m.
func clamped(m kernels.Mat, n int) kernels.Mat {
	c := ref.New().Alloc(kernels.I32, m.Rows, m.Cols)
	for i := range m.Rows {
		for j := range m.Cols {
			*int32At(c.ColRange(j, m.Cols), i) = min(max(*int32At(m.ColRange(j, m.Cols), i), 0), int32(n-1))
		}
	}
	return c
}

// cancelling is Dt with which softplus is as wrong as log(1+exp(x)) in float32, which is
// 0 long before exp(x) is.
func cancelling(dt, bias kernels.Mat) kernels.Mat {
	return copyOf(dt, func(_, d int, x float64) float64 {
		if !bias.None() {
			x += *at(bias, 0, d)
		}
		if x > 20 {
			return x
		}
		return math.Log(math.Expm1(math.Log(float64(1 + float32(math.Exp(x))))))
	})
}

// interleaved is grouped-query attention where query head j reads key-value head j mod
// kv heads.
func interleaved(dev kernels.Device, o *kernels.Attend) {
	heads, kvHeads := o.Q.Cols/o.HeadDim, o.K.Cols/o.HeadDim
	for j := range heads {
		q, kv := j*o.HeadDim, j%kvHeads*o.HeadDim
		head := *o
		head.Dst, head.Q = o.Dst.ColRange(q, q+o.HeadDim), o.Q.ColRange(q, q+o.HeadDim)
		head.K, head.V = o.K.ColRange(kv, kv+o.HeadDim), o.V.ColRange(kv, kv+o.HeadDim)
		dev.Do(&head)
	}
}

// reversed lists the slots of each expert from the last token to the first.
func reversed(o *kernels.Sort) {
	for e := range o.Offsets.Rows - 1 {
		i, j := int(*int32At(o.Offsets, e)), int(*int32At(o.Offsets, e+1))-1
		for ; i < j; i, j = i+1, j-1 {
			a, b := int32At(o.Slots, i), int32At(o.Slots, j)
			*a, *b = *b, *a
			*int32At(o.Places, int(*a)), *int32At(o.Places, int(*b)) = int32(i), int32(j)
		}
	}
}
