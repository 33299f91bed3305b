package ref

import (
	"fmt"

	"quadrant/kernels"
)

func routeGrad(o *kernels.RouteGrad) error {
	if err := within("expert", o.Experts, o.Logits.Cols); err != nil {
		return err
	}
	dLogits, logits := floats(o.DLogits), floats(o.Logits)
	for t := range logits.Rows {
		chosen := make([]int, o.Experts.Cols)
		flow := times(floats(o.G).row(t), floats(o.Gates).row(t)) // G·Gates
		for c, e := range ints(o.Experts).row(t) {
			chosen[c] = int(e)
		}
		for j := range logits.Cols {
			dLogits.set(t, j, 0)
		}
		switch o.Score {
		case kernels.SigmoidScore:
			for c, e := range chosen {
				dLogits.set(t, e, flow[c]*sigmoid(-logits.at(t, e)))
			}
		case kernels.SoftmaxScore:
			softmaxGrad(dLogits.row(t), flow, chosen, softmax(logits.row(t)), identity(logits.Cols))
		case kernels.SoftmaxTopKScore:
			softmaxGrad(dLogits.row(t), flow, chosen, softmax(pick(logits.row(t), chosen)), chosen)
		default:
			panic("ref: score " + o.Score.String() + " is unknown")
		}
	}
	return nil
}

// softmaxGrad adds the gradient of a softmax p over the experts listed in over: of each
// chosen one c, flow_c·(δ_jc − p_j).
func softmaxGrad(d, flow []float64, chosen []int, p []float64, over []int) {
	for c, e := range chosen {
		d[e] += flow[c]
		for i, j := range over {
			d[j] -= flow[c] * p[i]
		}
	}
}

func identity(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// within wants the indices of m to be at least 0 and below n.
func within(what string, m kernels.Mat, n int) error {
	for i := range m.Rows {
		for _, x := range ints(m).row(i) {
			if x < 0 || int(x) >= n {
				return fmt.Errorf("ref: row %d has %s %d, want one of %d", i, what, x, n)
			}
		}
	}
	return nil
}

func groupedMatMulGradA(o *kernels.GroupedMatMulGradA) error {
	return eachExpert(o.Offsets, o.G.Rows, func(e, first, last int) {
		matMulGradA(&kernels.MatMulGradA{
			DA: o.DA.RowRange(first, last), G: o.G.RowRange(first, last), B: o.B.RowRange(e*o.G.Cols, (e+1)*o.G.Cols),
		})
	})
}

func groupedMatMulGradB(o *kernels.GroupedMatMulGradB) error {
	if err := within("slot", o.Slots, o.Slots.Rows); err != nil {
		return err
	}
	return eachExpert(o.Offsets, o.G.Rows, func(e, first, last int) {
		for j := first; j < last; j++ {
			from := j
			if !o.Slots.None() {
				from = int(ints(o.Slots).at(j, 0)) / o.K
			}
			p := &kernels.MatMulGradB{
				DB: o.DB.RowRange(e*o.G.Cols, (e+1)*o.G.Cols), G: o.G.RowRange(j, j+1), A: o.A.RowRange(from, from+1),
			}
			if !o.DBias.None() {
				p.DBias = o.DBias.RowRange(e, e+1)
			}
			matMulGradB(p)
		}
	})
}

// eachExpert calls f with the places of every expert.
func eachExpert(offsets kernels.Mat, places int, f func(e, first, last int)) error {
	for e := range offsets.Rows - 1 {
		first, last := int(ints(offsets).at(e, 0)), int(ints(offsets).at(e+1, 0))
		if first < 0 || last < first || last > places {
			return fmt.Errorf("ref: expert %d has places %d to %d, want them in order and within %d", e, first, last, places)
		}
		f(e, first, last)
	}
	return nil
}

func combineGrad(o *kernels.CombineGrad) error {
	if err := within("place", o.Places, o.DSrc.Rows); err != nil {
		return err
	}
	dSrc, dGates, g, src := floats(o.DSrc), floats(o.DGates), floats(o.G), floats(o.Src)
	k := o.DSrc.Rows / o.G.Rows
	for t := range g.Rows {
		for c := range k {
			place, gate := int(ints(o.Places).at(t*k+c, 0)), 1.0
			if !o.Gates.None() {
				gate = floats(o.Gates).at(t, c)
				dGates.set(t, c, dot(g.row(t), src.row(place)))
			}
			for d := range g.Cols {
				dSrc.set(place, d, gate*g.at(t, d))
			}
		}
	}
	return nil
}

func balanceLoss(o *kernels.BalanceLoss) error {
	tokens, experts := o.Logits.Rows, o.Logits.Cols
	if err := within("expert", o.Experts, experts); err != nil {
		return err
	}
	share := make([]float64, experts) // f
	each(o.Experts, func(t, c int) { share[ints(o.Experts).at(t, c)] += 1 / float64(o.Experts.Len()) })

	var even, small float64 // Σ_e f_e·P_e, mean_t (log Σ exp)²
	balance, z := float64(o.Balance)*float64(experts), float64(o.Z)
	for t := range tokens {
		row := floats(o.Logits).row(t)
		p, log := softmax(row), logSumExp(len(row), func(e int) float64 { return row[e] })
		inner := dot(share, p)
		even += inner / float64(tokens)
		small += log * log / float64(tokens)
		for e := range row {
			floats(o.Grad).set(t, e, p[e]*(balance*(share[e]-inner)+2*z*log)/float64(tokens))
		}
	}
	floats(o.Loss).set(0, 0, balance*even)
	floats(o.Loss).set(0, 1, z*small)
	return nil
}

func hashRoute(o *kernels.HashRoute) {
	k := o.Experts.Cols
	each(o.Experts, func(t, c int) {
		hash := 2654435769 * uint32(ints(o.IDs).at(t, 0)) >> 16
		ints(o.Experts).set(t, c, int32((int(hash)+c)%o.Of))
		floats(o.Gates).set(t, c, 1/float64(k))
	})
}

func limitLoad(o *kernels.LimitLoad) error {
	if err := within("expert", o.Experts, o.Offsets.Rows-1); err != nil {
		return err
	}
	k := o.Gates.Cols
	each(o.Gates, func(t, c int) {
		first := ints(o.Offsets).at(int(ints(o.Experts).at(t, c)), 0)
		if int(ints(o.Places).at(t*k+c, 0)-first) >= o.Capacity {
			floats(o.Gates).set(t, c, 0)
		}
	})
	return nil
}
