package ref

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"quadrant/kernels"
)

func expertChoice(o *kernels.ExpertChoice) {
	logits, gates := floats(o.Logits), floats(o.Gates)
	logP := make([][]float64, logits.Rows)
	for t := range logP {
		row := logits.row(t)
		total := logSumExp(len(row), func(e int) float64 { return row[e] })
		for _, l := range row {
			logP[t] = append(logP[t], l-total)
		}
	}
	count := logits.Cols
	for e := range count + 1 {
		ints(o.Offsets).set(e, 0, int32(e*logits.Rows*o.K/count))
	}
	for e := range count {
		first, last := int(ints(o.Offsets).at(e, 0)), int(ints(o.Offsets).at(e+1, 0))
		for i, t := range firstTokens(logP, e, last-first) {
			ints(o.Slots).set(first+i, 0, int32(o.K*t))
			gates.set(first+i, 0, float64(o.Scale())*math.Exp(logP[t][e]))
		}
	}
}

// firstTokens are the n tokens for which expert e's log p is largest, in order.
func firstTokens(logP [][]float64, e, n int) []int {
	tokens := identity(len(logP))
	slices.SortStableFunc(tokens, func(a, b int) int { return cmp.Compare(logP[b][e], logP[a][e]) })
	tokens = tokens[:n]
	slices.Sort(tokens)
	return tokens
}

// eachTaken tells f the token of every place, and its expert, after checking them.
func eachTaken(slots, offsets kernels.Mat, tokens, k int, f func(place, token, expert int)) error {
	if err := within("slot", slots, tokens*k); err != nil {
		return err
	}
	return eachExpert(offsets, slots.Rows, func(e, first, last int) {
		for j := first; j < last; j++ {
			f(j, int(ints(slots).at(j, 0))/k, e)
		}
	})
}

// inOrder wants each expert's tokens to be in their order.
func inOrder(slots, offsets kernels.Mat, tokens, k int) (err error) {
	before, of := -1, -1
	wrong := eachTaken(slots, offsets, tokens, k, func(j, t, e int) {
		if e == of && t <= before && err == nil {
			err = fmt.Errorf("ref: place %d of expert %d has token %d after %d, want them in order", j, e, t, before)
		}
		before, of = t, e
	})
	if wrong != nil {
		return wrong
	}
	return err
}

func expertChoiceGrad(o *kernels.ExpertChoiceGrad) error {
	d, logits := floats(o.DLogits), floats(o.Logits)
	if err := inOrder(o.Slots, o.Offsets, logits.Rows, o.K); err != nil {
		return err
	}
	each(o.DLogits, func(t, e int) { d.set(t, e, 0) })
	return eachTaken(o.Slots, o.Offsets, logits.Rows, o.K, func(j, t, e int) {
		flow := floats(o.G).at(j, 0) * floats(o.Gates).at(j, 0)
		softmaxGrad(d.row(t), []float64{flow}, []int{e}, softmax(logits.row(t)), identity(logits.Cols))
	})
}

func scatterAdd(o *kernels.ScatterAdd) error {
	dst := floats(o.Dst)
	if err := inOrder(o.Slots, o.Offsets, dst.Rows, o.K); err != nil {
		return err
	}
	each(o.Dst, func(t, i int) { dst.set(t, i, 0) })
	return eachTaken(o.Slots, o.Offsets, dst.Rows, o.K, func(j, t, _ int) {
		gate := 1.0
		if !o.Gates.None() {
			gate = floats(o.Gates).at(j, 0)
		}
		for i, x := range floats(o.Src).row(j) {
			dst.add(t, i, gate*x)
		}
	})
}

func scatterAddGrad(o *kernels.ScatterAddGrad) error {
	if err := within("slot", o.Slots, o.G.Rows*o.K); err != nil {
		return err
	}
	for j := range o.Src.Rows {
		g, gate := floats(o.G).row(int(ints(o.Slots).at(j, 0))/o.K), floats(o.Gates).at(j, 0)
		floats(o.DGates).set(j, 0, dot(g, floats(o.Src).row(j)))
		for i, x := range g {
			floats(o.DSrc).set(j, i, gate*x)
		}
	}
	return nil
}
