package kernels

// SquareSum is Dst = Σ X², of all elements: what the norm of a gradient is made of. Dst is
// [1, 1] F32. The sum is taken in an order that does not depend on threads.
//
// Gradient: none, it is asked of gradients.
type SquareSum struct{ Dst, X Mat }

func (o SquareSum) Cost() Cost {
	return Cost{Other: 2 * elements(o.X)}.reads(o.X).writes(o.Dst)
}

func (o SquareSum) check() error {
	return first(rows("dst", o.Dst, 1), cols("dst", o.Dst, 1), f32("operand", o.Dst, o.X))
}

// AdamW is one step of Adam with decoupled weight decay (arXiv:1711.05101). With g =
// GradScale·Grad,
//
//	M ← Beta1·M + (1−Beta1)·g,   V ← Beta2·V + (1−Beta2)·g²
//	W ← W − Rate·(M/(1−Beta1^Step) / (√(V/(1−Beta2^Step)) + Eps) + Decay·W)
//
// Step counts from 1. All matrices have W's shape and are F32.
//
// Gradient: none, it uses one.
type AdamW struct {
	W, Grad, M, V                             Mat
	Rate, Beta1, Beta2, Eps, Decay, GradScale float32
	Step                                      int
}

func (o AdamW) Cost() Cost {
	return Cost{Other: 15 * elements(o.W)}.weights(o.W).reads(o.Grad).updates(o.M).updates(o.V).writes(o.W)
}

func (o AdamW) check() error {
	return first(
		shaped("gradient", o.Grad, o.W), shaped("m", o.M, o.W), shaped("v", o.V, o.W), atLeast("step", o.Step, 1),
		f32("operand", o.W, o.Grad, o.M, o.V))
}

// Average moves Dst towards X: Dst += Rate·(X − Dst), an exponential moving average.
//
// Gradient: none, it follows what has none.
type Average struct {
	Dst, X Mat
	Rate   float32
}

func (o Average) Cost() Cost {
	return Cost{Other: 3 * elements(o.Dst)}.reads(o.Dst, o.X).writes(o.Dst)
}

func (o Average) check() error {
	return first(shaped("x", o.X, o.Dst), f32("operand", o.Dst, o.X))
}

// BiasStep moves a router's bias against its load: Bias[e] += Rate·sign(mean load − load of
// e), where Offsets is as [Sort] makes it. Bias is [1, E] F32. (Loss-free balancing,
// arXiv:2408.15664.)
//
// Gradient: none, it is a rule of its own.
type BiasStep struct {
	Bias, Offsets Mat
	Rate          float32
}

func (o BiasStep) Cost() Cost {
	return Cost{Other: 4 * elements(o.Bias)}.reads(o.Offsets, o.Bias).writes(o.Bias)
}

func (o BiasStep) check() error {
	return first(
		rows("bias", o.Bias, 1), rows("offsets", o.Offsets, o.Bias.Cols+1), cols("offsets", o.Offsets, 1),
		f32("bias", o.Bias), i32("offsets", o.Offsets))
}
