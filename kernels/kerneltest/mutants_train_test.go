package kerneltest_test

import (
	"math"

	"quadrant/kernels"
	"quadrant/kernels/ref"
)

// trainingMutants make mistakes in what only training uses.
var trainingMutants = []bug{
	{"Scan keeps nothing", before(func(o *kernels.Scan) { o.Starts = kernels.Mat{} })},
	{"Scan keeps a chunk's start in the next", after(func(o *kernels.Scan) {
		if d := o.X.Cols; o.Starts.Rows > d {
			starts := copyOf(o.Starts, func(_, _ int, x float64) float64 { return x })
			each(o.Starts.RowRange(d, o.Starts.Rows), func(i, j int) { *at(o.Starts, d+i, j) = *at(starts, i, j) })
		}
	})},
	{"Attend keeps the sum for its logarithm", after(func(o *kernels.Attend) { change(o.LSE, math.Exp) })},
	{"Attend keeps no more than the largest score", after(func(o *kernels.Attend) {
		change(o.LSE, func(x float64) float64 { return x - 1e-3 })
	})},
	{"Sinkhorn compares sums where d1 should settle", before(func(o *kernels.Sinkhorn) { o.Absolute = false })},
	{"Sinkhorn does not count the last iteration", after(func(o *kernels.Sinkhorn) {
		if !o.Iterations.None() {
			*int32At(o.Iterations, 0)--
		}
	})},
	{"Route drops the scale of its gates", before(func(o *kernels.Route) { o.GateScale = 0 })},
	{"Combine takes a mean where there are no gates", after(func(o *kernels.Combine) {
		if o.Gates.None() {
			change(o.Dst, func(x float64) float64 { return x / float64(o.PerToken()) })
		}
	})},

	{"Sum drops its second operand", before(func(o *kernels.Sum) { o.Y = kernels.Mat{} })},
	{"Sum drops the scale", before(func(o *kernels.Sum) { o.Scale = 1 })},
	{"EmbedGrad sets", before(func(o *kernels.EmbedGrad) { change(o.DTable, func(float64) float64 { return 0 }) })},
	{"EmbedGrad keeps the last of equal ids", instead(func(dev kernels.Device, o *kernels.EmbedGrad) {
		last := map[int32]int{}
		for i := range o.G.Rows {
			last[*int32At(o.IDs, i)] = i
		}
		once := copyOf(o.G, func(i, j int, x float64) float64 {
			if last[*int32At(o.IDs, i)] != i {
				return 0
			}
			return x
		})
		dev.Do(&kernels.EmbedGrad{DTable: o.DTable, G: once, IDs: o.IDs})
	})},
	{"EmbedGrad takes any id", before(func(o *kernels.EmbedGrad) { o.IDs = clamped(o.IDs, o.DTable.Rows) })},
	{"NegExpGrad forgets the sign", before(func(o *kernels.NegExpGrad) { o.Y = negated(o.Y) })},
	{"NegExpGrad sets", before(func(o *kernels.NegExpGrad) { change(o.DX, func(float64) float64 { return 0 }) })},
	{"RMSNormGrad sets", before(func(o *kernels.RMSNormGrad) { change(o.DX, func(float64) float64 { return 0 }) })},
	{"RMSNormGrad sets the gain's gradient", before(func(o *kernels.RMSNormGrad) { change(o.DGain, func(float64) float64 { return 0 }) })},
	{"RMSNormGrad drops eps", before(func(o *kernels.RMSNormGrad) { o.Eps = 0 })},
	{"RMSNormGrad drops the gain", before(func(o *kernels.RMSNormGrad) { o.Gain = ones(o.Gain) })},
	{"RMSNormGrad takes the root for a constant", instead(func(dev kernels.Device, o *kernels.RMSNormGrad) {
		for i := range o.X.Rows {
			row := o.X.RowRange(i, i+1)
			r := 0.0
			each(row, func(_, j int) { r += *at(row, 0, j) * *at(row, 0, j) / float64(row.Cols) })
			r = 1 / math.Sqrt(r+float64(o.Eps))
			each(row, func(_, j int) {
				*at(o.DX, i, j) += r * *at(o.G, i, j) * *at(o.Gain, 0, j)
				*at(o.DGain, 0, j) += r * *at(o.G, i, j) * *at(o.X, i, j)
			})
		}
	})},
	{"LayerNormGrad keeps the mean", instead(func(dev kernels.Device, o *kernels.LayerNormGrad) {
		dev.Do(&kernels.RMSNormGrad{DX: o.DX, DGain: o.DGain, G: o.G, X: o.X, Gain: o.Gain, Eps: o.Eps})
	})},
	{"LayerNormGrad sets the bias's gradient", before(func(o *kernels.LayerNormGrad) { change(o.DBias, func(float64) float64 { return 0 }) })},

	{"MatMulGradA adds", instead(func(dev kernels.Device, o *kernels.MatMulGradA) {
		was := copyOf(o.DA, func(_, _ int, x float64) float64 { return x })
		dev.Do(o)
		dev.Do(&kernels.Add{Dst: o.DA, X: was})
	})},
	{"MatMulGradA leaves out the last term", before(func(o *kernels.MatMulGradA) { o.G.Cols--; o.B.Rows-- })},
	{"MatMulGradB sets", before(func(o *kernels.MatMulGradB) { change(o.DB, func(float64) float64 { return 0 }) })},
	{"MatMulGradB drops the last row", before(func(o *kernels.MatMulGradB) { o.G.Rows--; o.A.Rows-- })},
	{"MatMulGradB drops the bias's gradient", before(func(o *kernels.MatMulGradB) { o.DBias = kernels.Mat{} })},
	{"MatMulGradB sets the bias's gradient", before(func(o *kernels.MatMulGradB) { change(o.DBias, func(float64) float64 { return 0 }) })},
	{"ActivationGrad takes GELU for its approximation", before(func(o *kernels.ActivationGrad) {
		if o.Act == kernels.GELUTanh {
			o.Act = kernels.GELU
		}
	})},
	{"ActivationGrad drops the gate", instead(func(dev kernels.Device, o *kernels.ActivationGrad) {
		dev.Do(o)
		dev.Do(&kernels.ActivationGrad{DX: o.DX, G: o.G, X: o.X, Act: o.Act})
	})},
	{"ActivationGrad leaves the gate's gradient", keeping(func(o *kernels.ActivationGrad) kernels.Mat { return o.DMul })},
	{"CrossEntropy drops the scale", before(func(o *kernels.CrossEntropy) { o.Scale = 1 })},
	{"CrossEntropy leaves the target's logit", after(func(o *kernels.CrossEntropy) {
		if t := *int32At(o.Targets, 0); t >= 0 {
			*at(o.Logits, 0, int(t)) += float64(o.Scale)
		}
	})},
	{"CrossEntropy counts rows without a target", instead(func(dev kernels.Device, o *kernels.CrossEntropy) {
		changed := *o
		changed.Targets = clamped(o.Targets, o.Logits.Cols)
		dev.Do(&changed)
	})},
	{"CrossEntropy leaves the logits", keeping(func(o *kernels.CrossEntropy) kernels.Mat { return o.Logits })},

	{"ConvSiLUGrad reverses the taps", before(func(o *kernels.ConvSiLUGrad) {
		w := o.W
		o.W = copyOf(w, func(i, j int, _ float64) float64 { return *at(w, i, w.Cols-1-j) })
	})},
	{"ConvSiLUGrad runs from a sequence into the next", before(func(o *kernels.ConvSiLUGrad) { o.Seqs = 1 })},
	{"ConvSiLUGrad drops the bias", before(func(o *kernels.ConvSiLUGrad) { o.Bias = kernels.Mat{} })},
	{"ConvSiLUGrad sets", before(func(o *kernels.ConvSiLUGrad) { change(o.DW, func(float64) float64 { return 0 }) })},
	{"ScanGrad drops the gate", before(func(o *kernels.ScanGrad) { o.Z = kernels.Mat{} })},
	{"ScanGrad drops D", before(func(o *kernels.ScanGrad) { o.D = kernels.Mat{} })},
	{"ScanGrad drops the bias of dt", before(func(o *kernels.ScanGrad) { o.DtBias = kernels.Mat{} })},
	{"ScanGrad sets A's gradient", before(func(o *kernels.ScanGrad) { change(o.DA, func(float64) float64 { return 0 }) })},
	{"ScanGrad starts every chunk from nothing", before(func(o *kernels.ScanGrad) {
		o.Starts = copyOf(o.Starts, func(int, int, float64) float64 { return 0 })
	})},
	{"ScanGrad takes nothing from the chunk after", instead(func(dev kernels.Device, o *kernels.ScanGrad) {
		if n := o.X.Rows / o.Seqs; o.Seqs > 1 || n%kernels.ScanChunk != 0 {
			dev.Do(o)
			return
		}
		chunks := *o // as sequences of their own
		chunks.Seqs = o.X.Rows / kernels.ScanChunk
		dev.Do(&chunks)
	})},

	{"RotaryGrad has another base", before(func(o *kernels.RotaryGrad) { o.Base = 10100 })},
	{"RotaryGrad turns forward", instead(func(dev kernels.Device, o *kernels.RotaryGrad) {
		dev.Do(o)
		if o.DKCache.Rows == o.DQ.Rows { // else rows of the cache are not the step's
			q, k := ref.New().Alloc(kernels.F32, o.DQ.Rows, o.DQ.Cols), copyOf(o.DKCache, func(_, _ int, x float64) float64 { return x })
			dev.Do(&kernels.RotaryStore{Q: q, K: k, V: o.DVCache, KCache: o.DK, VCache: copyOf(o.DV, func(_, _ int, x float64) float64 { return x }),
				Seqs: o.Seqs, HeadDim: o.HeadDim, Rotary: o.Rotary, Base: o.Base})
		}
	})},
	{"RotaryGrad leaves the queries", keeping(func(o *kernels.RotaryGrad) kernels.Mat { return o.DQ })},
	{"RotaryGrad leaves the values", keeping(func(o *kernels.RotaryGrad) kernels.Mat { return o.DV })},
	{"AttendGrad drops what the softmax takes back", before(func(o *kernels.AttendGrad) {
		o.Out = copyOf(o.Out, func(int, int, float64) float64 { return 0 })
	})},
	{"AttendGrad has another scale", before(func(o *kernels.AttendGrad) { o.Scale *= 1.001 })},
	{"AttendGrad reads the keys of the first sequence", before(func(o *kernels.AttendGrad) {
		keys, k := o.K.Rows/o.Seqs, o.K
		o.K = copyOf(k, func(i, j int, _ float64) float64 { return *at(k, i%keys, j) })
	})},
	{"AttendGrad leaves the keys' gradient", keeping(func(o *kernels.AttendGrad) kernels.Mat { return o.DK })},
	{"AttendGrad clears the rest of the cache's gradient", before(func(o *kernels.AttendGrad) {
		change(o.DV, func(float64) float64 { return 0 })
	})},

	{"RouteGrad takes one softmax for the other", before(func(o *kernels.RouteGrad) {
		if o.Score == kernels.SoftmaxScore {
			o.Score = kernels.SoftmaxTopKScore
		}
	})},
	{"RouteGrad drops the gates", before(func(o *kernels.RouteGrad) { o.Gates = ones(o.Gates) })},
	{"RouteGrad has a sigmoid's slope of one", after(func(o *kernels.RouteGrad) {
		if o.Score == kernels.SigmoidScore {
			e := int(*int32At(o.Experts, 0))
			*at(o.DLogits, 0, e) = *at(o.G, 0, 0) * *at(o.Gates, 0, 0)
		}
	})},
	{"GroupedMatMulGradA has one expert's weights", before(func(o *kernels.GroupedMatMulGradA) {
		b, out := o.B, o.G.Cols
		o.B = copyOf(b, func(i, j int, _ float64) float64 { return *at(b, i%out, j) })
	})},
	{"GroupedMatMulGradB takes another token's row", before(func(o *kernels.GroupedMatMulGradB) { o.K *= 2 })},
	{"GroupedMatMulGradB sets", before(func(o *kernels.GroupedMatMulGradB) { change(o.DB, func(float64) float64 { return 0 }) })},
	{"GroupedMatMulGradB drops the biases' gradient", before(func(o *kernels.GroupedMatMulGradB) { o.DBias = kernels.Mat{} })},
	{"CombineGrad drops the gates", instead(func(dev kernels.Device, o *kernels.CombineGrad) {
		dev.Do(o)
		dev.Do(&kernels.CombineGrad{DSrc: o.DSrc, G: o.G, Places: o.Places})
	})},
	{"CombineGrad takes another expert's output", before(func(o *kernels.CombineGrad) {
		if src := o.Src; !src.None() {
			o.Src = copyOf(src, func(i, j int, _ float64) float64 { return *at(src, (i+1)%src.Rows, j) })
		}
	})},
	{"BalanceLoss drops the z-loss", before(func(o *kernels.BalanceLoss) { o.Z = 0 })},
	{"BalanceLoss drops the balance", before(func(o *kernels.BalanceLoss) { o.Balance = 0 })},
	{"BalanceLoss counts the first choice only", before(func(o *kernels.BalanceLoss) { o.Experts.Cols = 1 })},
	{"HashRoute takes the id for its hash", instead(func(dev kernels.Device, o *kernels.HashRoute) {
		dev.Do(o)
		for t := range o.IDs.Rows {
			*int32At(o.Experts, t) = *int32At(o.IDs, t) % int32(o.Of)
		}
	})},
	{"HashRoute gives every choice all of the token", after(func(o *kernels.HashRoute) { change(o.Gates, func(float64) float64 { return 1 }) })},
	{"LimitLoad has room for one more", before(func(o *kernels.LimitLoad) { o.Capacity++ })},
	{"LimitLoad counts from the first place", before(func(o *kernels.LimitLoad) {
		o.Offsets = ref.New().Alloc(kernels.I32, o.Offsets.Rows, 1)
	})},
	{"ExpertChoice takes the later of equal tokens", after(func(o *kernels.ExpertChoice) {
		if first := int32At(o.Slots, 0); *first == 0 && o.Slots.Rows < o.Logits.Rows*o.Logits.Cols {
			*first = int32(o.K * (o.Logits.Rows - 1))
		}
	})},
	{"ExpertChoice drops the scale", before(func(o *kernels.ExpertChoice) { o.GateScale = 1 })},
	{"ExpertChoice compares logits", before(func(o *kernels.ExpertChoice) {
		o.Logits = copyOf(o.Logits, func(_, _ int, x float64) float64 { return math.Exp(x) })
	})},
	{"ExpertChoiceGrad drops the other experts", before(func(o *kernels.ExpertChoiceGrad) {
		o.Logits = copyOf(o.Logits, func(_, _ int, _ float64) float64 { return 0 })
	})},
	{"ExpertChoiceGrad drops the gates", before(func(o *kernels.ExpertChoiceGrad) { o.Gates = ones(o.Gates) })},
	{"ScatterAdd drops the gates", before(func(o *kernels.ScatterAdd) { o.Gates = kernels.Mat{} })},
	{"ScatterAdd takes the slot for the token", before(func(o *kernels.ScatterAdd) {
		if slots := o.Slots; o.K > 1 {
			o.Slots = ref.New().Alloc(kernels.I32, slots.Rows, 1)
			for j := range slots.Rows {
				*int32At(o.Slots, j) = *int32At(slots, j) / 2 * 2
			}
			o.K = 2
		}
	})},
	{"ScatterAddGrad drops the gates", before(func(o *kernels.ScatterAddGrad) { o.Gates = ones(o.Gates) })},
	{"ScatterAddGrad takes another token's gradient", before(func(o *kernels.ScatterAddGrad) {
		g := o.G
		o.G = copyOf(g, func(i, j int, _ float64) float64 { return *at(g, (i+1)%g.Rows, j) })
	})},

	{"SquareSum adds", after(func(o *kernels.SquareSum) { *at(o.Dst, 0, 0)++ })},
	{"SquareSum drops the last row", before(func(o *kernels.SquareSum) { o.X.Rows-- })},
	{"AdamW drops the correction of its means", before(func(o *kernels.AdamW) { o.Step = 1 << 30 })},
	{"AdamW decays the gradient", before(func(o *kernels.AdamW) {
		g, w, decay, scale := o.Grad, o.W, float64(o.Decay), float64(o.GradScale)
		o.Grad = copyOf(g, func(i, j int, x float64) float64 { return x + decay/scale**at(w, i, j) })
		o.Decay = 0
	})},
	{"AdamW drops the scale of the gradient", before(func(o *kernels.AdamW) { o.GradScale = 1 })},
	{"AdamW leaves the second moment", keeping(func(o *kernels.AdamW) kernels.Mat { return o.V })},
	{"Average moves the other way", before(func(o *kernels.Average) { o.Rate = -o.Rate })},
	{"BiasStep favours the loaded", before(func(o *kernels.BiasStep) { o.Rate = -o.Rate })},
	{"BiasStep moves experts with the mean load", after(func(o *kernels.BiasStep) {
		if o.Bias.Cols == 1 {
			*at(o.Bias, 0, 0) += float64(o.Rate)
		}
	})},
}

func ones(m kernels.Mat) kernels.Mat { return copyOf(m, func(int, int, float64) float64 { return 1 }) }

func negated(m kernels.Mat) kernels.Mat {
	return copyOf(m, func(_, _ int, x float64) float64 { return -x })
}

func each(m kernels.Mat, f func(i, j int)) {
	for i := range m.Rows {
		for j := range m.Cols {
			f(i, j)
		}
	}
}
