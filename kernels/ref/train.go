package ref

import (
	"fmt"
	"math"

	"quadrant/kernels"
)

// train carries out the ops that only training uses.
func train(op kernels.Op) error {
	switch o := op.(type) {
	case *kernels.Sum:
		sum(o)
	case *kernels.EmbedGrad:
		return embedGrad(o)
	case *kernels.NegExpGrad:
		negExpGrad(o)
	case *kernels.RMSNormGrad:
		rmsNormGrad(o)
	case *kernels.LayerNormGrad:
		layerNormGrad(o)
	case *kernels.MatMulGradA:
		matMulGradA(o)
	case *kernels.MatMulGradB:
		matMulGradB(o)
	case *kernels.ActivationGrad:
		activationGrad(o)
	case *kernels.CrossEntropy:
		return crossEntropy(o)
	case *kernels.ConvSiLUGrad:
		convSiLUGrad(o)
	case *kernels.ScanGrad:
		scanGrad(o)
	case *kernels.RotaryGrad:
		rotaryGrad(o)
	case *kernels.AttendGrad:
		attendGrad(o)
	case *kernels.RouteGrad:
		return routeGrad(o)
	case *kernels.GroupedMatMulGradA:
		return groupedMatMulGradA(o)
	case *kernels.GroupedMatMulGradB:
		return groupedMatMulGradB(o)
	case *kernels.CombineGrad:
		return combineGrad(o)
	case *kernels.BalanceLoss:
		return balanceLoss(o)
	case *kernels.HashRoute:
		hashRoute(o)
	case *kernels.LimitLoad:
		return limitLoad(o)
	case *kernels.SquareSum:
		squareSum(o)
	case *kernels.AdamW:
		adamW(o)
	case *kernels.Average:
		average(o)
	case *kernels.BiasStep:
		biasStep(o)
	case *kernels.ExpertChoice:
		expertChoice(o)
	case *kernels.ExpertChoiceGrad:
		return expertChoiceGrad(o)
	case *kernels.ScatterAdd:
		return scatterAdd(o)
	case *kernels.ScatterAddGrad:
		return scatterAddGrad(o)
	default:
		panic(fmt.Sprintf("ref: %T is unknown", op))
	}
	return nil
}

func squareSum(o *kernels.SquareSum) {
	total := 0.0
	for i := range o.X.Rows {
		total += dot(floats(o.X).row(i), floats(o.X).row(i))
	}
	floats(o.Dst).set(0, 0, total)
}

func adamW(o *kernels.AdamW) {
	w, grad, m, v := floats(o.W), floats(o.Grad), floats(o.M), floats(o.V)
	rate, decay, eps := float64(o.Rate), float64(o.Decay), float64(o.Eps)
	beta1, beta2, step := float64(o.Beta1), float64(o.Beta2), float64(o.Step)
	each(o.W, func(i, j int) {
		g := float64(o.GradScale) * grad.at(i, j)
		m.set(i, j, beta1*m.at(i, j)+(1-beta1)*g)
		v.set(i, j, beta2*v.at(i, j)+(1-beta2)*g*g)
		average := m.at(i, j) / (1 - math.Pow(beta1, step))
		root := math.Sqrt(v.at(i, j) / (1 - math.Pow(beta2, step)))
		w.add(i, j, -rate*(average/(root+eps)+decay*w.at(i, j)))
	})
}

func average(o *kernels.Average) {
	dst, x := floats(o.Dst), floats(o.X)
	each(o.Dst, func(i, j int) { dst.add(i, j, float64(o.Rate)*(x.at(i, j)-dst.at(i, j))) })
}

func biasStep(o *kernels.BiasStep) {
	bias, offsets := floats(o.Bias), ints(o.Offsets)
	total, experts := int(offsets.at(o.Bias.Cols, 0)-offsets.at(0, 0)), o.Bias.Cols
	for e := range experts {
		load := int(offsets.at(e+1, 0) - offsets.at(e, 0))
		switch over := load*experts - total; {
		case over < 0:
			bias.add(0, e, float64(o.Rate))
		case over > 0:
			bias.add(0, e, -float64(o.Rate))
		}
	}
}
