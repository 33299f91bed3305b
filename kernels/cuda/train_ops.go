package cuda

import "quadrant/kernels"

// What ops.go says of ops, for those that only training uses.

func cloneTraining(op kernels.Op) kernels.Op {
	switch o := op.(type) {
	case *kernels.EmbedGrad:
		return copied(o)
	case *kernels.NegExpGrad:
		return copied(o)
	case *kernels.RMSNormGrad:
		return copied(o)
	case *kernels.LayerNormGrad:
		return copied(o)
	case *kernels.MatMulGradA:
		return copied(o)
	case *kernels.MatMulGradB:
		return copied(o)
	case *kernels.ActivationGrad:
		return copied(o)
	case *kernels.CrossEntropy:
		return copied(o)
	case *kernels.ConvSiLUGrad:
		return copied(o)
	case *kernels.ScanGrad:
		return copied(o)
	case *kernels.RotaryGrad:
		return copied(o)
	case *kernels.AttendGrad:
		return copied(o)
	case *kernels.RouteGrad:
		return copied(o)
	case *kernels.GroupedMatMulGradA:
		return copied(o)
	case *kernels.GroupedMatMulGradB:
		return copied(o)
	case *kernels.CombineGrad:
		return copied(o)
	case *kernels.SquareSum:
		return copied(o)
	case *kernels.AdamW:
		return copied(o)
	case *kernels.ExpertChoice:
		return copied(o)
	case *kernels.ExpertChoiceGrad:
		return copied(o)
	case *kernels.ScatterAdd:
		return copied(o)
	case *kernels.ScatterAddGrad:
		return copied(o)
	}
	return nil
}

// sameTraining is same for them. What differs from one step of AdamW to the next is in the GPU's
// memory: see setStep.
func sameTraining(a, b kernels.Op) bool {
	switch o := a.(type) {
	case *kernels.EmbedGrad:
		return equal(o, b)
	case *kernels.NegExpGrad:
		return equal(o, b)
	case *kernels.RMSNormGrad:
		return equal(o, b)
	case *kernels.LayerNormGrad:
		return equal(o, b)
	case *kernels.MatMulGradA:
		return equal(o, b)
	case *kernels.MatMulGradB:
		return equal(o, b)
	case *kernels.ActivationGrad:
		return equal(o, b)
	case *kernels.CrossEntropy:
		return equal(o, b)
	case *kernels.ConvSiLUGrad:
		return equal(o, b)
	case *kernels.ScanGrad:
		return equal(o, b)
	case *kernels.RotaryGrad:
		return equal(o, b)
	case *kernels.AttendGrad:
		return equal(o, b)
	case *kernels.RouteGrad:
		return equal(o, b)
	case *kernels.GroupedMatMulGradA:
		return equal(o, b)
	case *kernels.GroupedMatMulGradB:
		return equal(o, b)
	case *kernels.CombineGrad:
		return equal(o, b)
	case *kernels.SquareSum:
		return equal(o, b)
	case *kernels.ExpertChoice:
		return equal(o, b)
	case *kernels.ExpertChoiceGrad:
		return equal(o, b)
	case *kernels.ScatterAdd:
		return equal(o, b)
	case *kernels.ScatterAddGrad:
		return equal(o, b)
	case *kernels.AdamW:
		p, ok := b.(*kernels.AdamW)
		if !ok {
			return false
		}
		q := *p
		q.Rate, q.GradScale, q.Step = o.Rate, o.GradScale, o.Step
		return q == *o
	}
	return false
}

func writtenTraining(op kernels.Op) []kernels.Mat {
	switch o := op.(type) {
	case *kernels.EmbedGrad:
		return []kernels.Mat{o.DTable}
	case *kernels.NegExpGrad:
		return []kernels.Mat{o.DX}
	case *kernels.RMSNormGrad:
		return []kernels.Mat{o.DX, o.DGain}
	case *kernels.LayerNormGrad:
		return []kernels.Mat{o.DX, o.DGain, o.DBias}
	case *kernels.MatMulGradA:
		return []kernels.Mat{o.DA}
	case *kernels.MatMulGradB:
		return []kernels.Mat{o.DB, o.DBias}
	case *kernels.ActivationGrad:
		return []kernels.Mat{o.DX, o.DMul}
	case *kernels.CrossEntropy:
		return []kernels.Mat{o.Loss, o.Logits}
	case *kernels.ConvSiLUGrad:
		return []kernels.Mat{o.DX, o.DW, o.DBias}
	case *kernels.ScanGrad:
		return []kernels.Mat{o.DX, o.DDt, o.DA, o.DB, o.DC, o.DD, o.DZ, o.DDtBias}
	case *kernels.RotaryGrad:
		return []kernels.Mat{o.DQ, o.DK, o.DV}
	case *kernels.AttendGrad:
		return []kernels.Mat{o.DQ, o.DK, o.DV}
	case *kernels.RouteGrad:
		return []kernels.Mat{o.DLogits}
	case *kernels.GroupedMatMulGradA:
		return []kernels.Mat{o.DA}
	case *kernels.GroupedMatMulGradB:
		return []kernels.Mat{o.DB, o.DBias}
	case *kernels.CombineGrad:
		return []kernels.Mat{o.DSrc, o.DGates}
	case *kernels.SquareSum:
		return []kernels.Mat{o.Dst}
	case *kernels.AdamW:
		return []kernels.Mat{o.W, o.M, o.V}
	case *kernels.ExpertChoice:
		return []kernels.Mat{o.Slots, o.Offsets, o.Gates}
	case *kernels.ExpertChoiceGrad:
		return []kernels.Mat{o.DLogits}
	case *kernels.ScatterAdd:
		return []kernels.Mat{o.Dst}
	case *kernels.ScatterAddGrad:
		return []kernels.Mat{o.DSrc, o.DGates}
	}
	panic(unknown(op))
}

// planTraining is plan for them.
func (d *Device) planTraining(op kernels.Op) {
	switch o := op.(type) {
	case *kernels.EmbedGrad:
		d.embedGrad(o)
	case *kernels.NegExpGrad:
		d.negExpGrad(o)
	case *kernels.RMSNormGrad:
		d.normGrad("rms_norm_grad", o.DX, o.DGain, kernels.Mat{}, o.G, o.X, o.Gain, o.Eps)
	case *kernels.LayerNormGrad:
		d.normGrad("layer_norm_grad", o.DX, o.DGain, o.DBias, o.G, o.X, o.Gain, o.Eps)
	case *kernels.MatMulGradA:
		d.matMulGradA(o)
	case *kernels.MatMulGradB:
		d.matMulGradB(o)
	case *kernels.ActivationGrad:
		d.activationGrad(o)
	case *kernels.CrossEntropy:
		d.crossEntropy(o)
	case *kernels.ConvSiLUGrad:
		d.convSiLUGrad(o)
	case *kernels.ScanGrad:
		d.scanGrad(o)
	case *kernels.RotaryGrad:
		d.rotaryGrad(o)
	case *kernels.AttendGrad:
		d.attendGrad(o)
	case *kernels.RouteGrad:
		d.routeGrad(o)
	case *kernels.GroupedMatMulGradA:
		d.groupedMatMulGradA(o)
	case *kernels.GroupedMatMulGradB:
		d.groupedMatMulGradB(o)
	case *kernels.CombineGrad:
		d.combineGrad(o)
	case *kernels.SquareSum:
		d.squareSum(o)
	case *kernels.AdamW:
		d.adamW(o)
	case *kernels.ExpertChoice:
		d.expertChoice(o)
	case *kernels.ExpertChoiceGrad:
		d.expertChoiceGrad(o)
	case *kernels.ScatterAdd:
		d.scatterAdd(o)
	case *kernels.ScatterAddGrad:
		d.scatterAddGrad(o)
	default:
		panic(unknown(op))
	}
}
