package ref

import (
	"fmt"
	"math"

	"quadrant/kernels"
)

func matMulGradA(o *kernels.MatMulGradA) {
	da, g, b := floats(o.DA), floats(o.G), floats(o.B)
	each(o.DA, func(i, j int) {
		sum := 0.0
		for k := range g.Cols {
			sum += g.at(i, k) * b.at(k, j)
		}
		da.set(i, j, sum)
	})
}

func matMulGradB(o *kernels.MatMulGradB) {
	db, dBias, g, a := floats(o.DB), floats(o.DBias), floats(o.G), floats(o.A)
	for t := range g.Rows {
		for i := range g.Cols {
			for j := range a.Cols {
				db.add(i, j, g.at(t, i)*a.at(t, j))
			}
			dBias.addIfAny(0, i, g.at(t, i))
		}
	}
}

func activationGrad(o *kernels.ActivationGrad) {
	dx, dMul, g, x, mul := floats(o.DX), floats(o.DMul), floats(o.G), floats(o.X), floats(o.Mul)
	act, slope := actOf(o.Act), slopeOf(o.Act)
	each(o.DX, func(i, j int) {
		gated := g.at(i, j)
		if !mul.None() {
			gated *= mul.at(i, j)
		}
		dMul.setIfAny(i, j, g.at(i, j)*act(x.at(i, j)))
		dx.set(i, j, gated*slope(x.at(i, j)))
	})
}

// slopeOf is the derivative of an activation function.
func slopeOf(a kernels.Act) func(float64) float64 {
	switch a {
	case kernels.SiLU:
		return siluSlope
	case kernels.GELU:
		return geluSlope
	case kernels.GELUTanh:
		return geluTanhSlope
	case kernels.ReLU:
		return func(x float64) float64 {
			if x > 0 {
				return 1
			}
			return 0
		}
	}
	panic("ref: activation " + a.String() + " is unknown")
}

func siluSlope(x float64) float64 { return sigmoid(x) * (1 + x*sigmoid(-x)) }

// geluSlope is Φ(x) + x·φ(x).
func geluSlope(x float64) float64 {
	return math.Erfc(-x/math.Sqrt2)/2 + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi)
}

func geluTanhSlope(x float64) float64 {
	root := math.Sqrt(2 / math.Pi)
	tanh := math.Tanh(root * (x + 0.044715*x*x*x))
	return (1+tanh)/2 + x/2*(1-tanh*tanh)*root*(1+3*0.044715*x*x)
}

func crossEntropy(o *kernels.CrossEntropy) error {
	loss, logits, targets := floats(o.Loss), floats(o.Logits), ints(o.Targets)
	for t := range logits.Rows {
		target := int(targets.at(t, 0))
		if target < -1 || target >= logits.Cols {
			return fmt.Errorf("ref: target %d in row %d, want one of a vocabulary of %d, or -1 for none", target, t, logits.Cols)
		}
		row := logits.row(t)
		if target == -1 {
			loss.set(t, 0, 0)
			clear(row)
			continue
		}
		log := logSumExp(len(row), func(v int) float64 { return row[v] })
		loss.set(t, 0, log-row[target])
		for v, p := range softmax(row) {
			if v == target {
				p--
			}
			row[v] = float64(o.Scale) * p
		}
	}
	return nil
}
