package ref

import (
	"fmt"
	"math"
	"slices"

	"quadrant/kernels"
)

func sinkhorn(o *kernels.Sinkhorn) {
	p := newPlan(o)
	iterations := 0
	for done := false; !done && iterations < o.MaxIterations; iterations++ {
		if o.Absolute {
			done = p.iterateAbsolute(float64(o.Tolerance))
		} else {
			done = p.iterate(float64(o.Tolerance))
		}
	}
	ints(o.Iterations).setIfAny(0, 0, int32(iterations))
	bias, centre := floats(o.Bias), mean(p.v)
	for e, v := range p.v {
		bias.set(0, e, (v-centre)*float64(o.Temperature))
	}
}

// A plan is the matrix exp(u_i + x_ie + v_e) that sends tokens i to experts e, by its
// logarithms: u is log d₀, v is log d₁.
type plan struct {
	x    [][]float64 // [T][E]
	u, v []float64
}

func newPlan(o *kernels.Sinkhorn) *plan {
	p := &plan{u: make([]float64, o.Logits.Rows), v: make([]float64, o.Logits.Cols)}
	for i := range o.Logits.Rows {
		row := make([]float64, o.Logits.Cols)
		for e := range row {
			row[e] = floats(o.Logits).at(i, e) / float64(o.Temperature)
		}
		p.x = append(p.x, row)
	}
	if o.ColumnFirst {
		p.balanceColumns() // with u = 0
	}
	return p
}

// iterate says whether the columns' sums were near enough to 1/E, and makes them so if not.
func (p *plan) iterate(tolerance float64) (done bool) {
	p.balanceRows()
	if p.imbalance() <= tolerance {
		return true
	}
	p.balanceColumns()
	return false
}

// iterateAbsolute says whether d₁ moved by no more than tolerance, on average. A difference
// beyond float64 is an infinity, and none is 0 however large d₁ is.
func (p *plan) iterateAbsolute(tolerance float64) (done bool) {
	before := slices.Clone(p.v)
	p.balanceRows()
	p.balanceColumns()
	moved := 0.0
	for e, v := range p.v {
		if v != before[e] {
			moved += math.Exp(max(v, before[e])) * -math.Expm1(-math.Abs(v-before[e])) / float64(len(p.v))
		}
	}
	return moved <= tolerance
}

// balanceRows sets u so that each token's row sums to 1/T.
func (p *plan) balanceRows() {
	for i, row := range p.x {
		sum := logSumExp(len(row), func(e int) float64 { return row[e] + p.v[e] })
		p.u[i] = -math.Log(float64(len(p.u))) - sum
	}
}

// balanceColumns sets v so that each expert's column sums to 1/E.
func (p *plan) balanceColumns() {
	for e := range p.v {
		p.v[e] = -math.Log(float64(len(p.v))) - p.column(e)
	}
}

// imbalance is the largest relative distance of a column's sum from 1/E.
func (p *plan) imbalance() float64 {
	worst := 0.0
	for e, v := range p.v {
		mass := math.Exp(v + p.column(e))
		worst = max(worst, math.Abs(float64(len(p.v))*mass-1))
	}
	return worst
}

// column is log Σ_i exp(u_i + x_ie).
func (p *plan) column(e int) float64 {
	return logSumExp(len(p.x), func(i int) float64 { return p.u[i] + p.x[i][e] })
}

func route(o *kernels.Route) error {
	experts, gates, logits := ints(o.Experts), floats(o.Gates), floats(o.Logits)
	for i := range logits.Rows {
		chosen := choose(logits.row(i), floats(o.Bias), experts.Cols)
		if c := slices.Index(chosen, -1); c >= 0 {
			return fmt.Errorf("ref: token %d has no expert left for choice %d: its logits hold NaN", i, c)
		}
		for c, gate := range score(o.Score, logits.row(i), chosen) {
			experts.set(i, c, int32(chosen[c]))
			gates.set(i, c, float64(o.Scale())*gate)
		}
	}
	return nil
}

// choose returns the k experts with the largest biased logits, best first.
func choose(logits []float64, bias view[float64], k int) []int {
	biased := make([]float64, len(logits))
	for e, l := range logits {
		biased[e] = l + bias.or0(0, e)
	}
	taken := map[int]bool{}
	chosen := make([]int, k)
	for c := range chosen {
		chosen[c] = largest(biased, taken)
		taken[chosen[c]] = true
	}
	return chosen
}

// score returns the gates of the chosen experts.
func score(s kernels.Score, logits []float64, chosen []int) []float64 {
	switch s {
	case kernels.SigmoidScore:
		gates := pick(logits, chosen)
		for c, l := range gates {
			gates[c] = sigmoid(l)
		}
		return gates
	case kernels.SoftmaxScore:
		return pick(softmax(logits), chosen)
	case kernels.SoftmaxTopKScore:
		return softmax(pick(logits, chosen))
	}
	panic("ref: score " + s.String() + " is unknown")
}

func pick(xs []float64, indices []int) []float64 {
	picked := make([]float64, len(indices))
	for c, i := range indices {
		picked[c] = xs[i]
	}
	return picked
}

func sort(o *kernels.Sort) error {
	slots, places, offsets, experts := ints(o.Slots), ints(o.Places), ints(o.Offsets), ints(o.Experts)
	count := offsets.Rows - 1
	for i := range experts.Rows {
		for _, e := range experts.row(i) {
			if e < 0 || int(e) >= count {
				return fmt.Errorf("ref: token %d has expert %d, want one of %d", i, e, count)
			}
		}
	}
	place := 0
	for e := range count {
		offsets.set(e, 0, int32(place))
		for slot := range slots.Rows {
			if int(experts.at(slot/experts.Cols, slot%experts.Cols)) == e {
				slots.set(place, 0, int32(slot))
				places.set(slot, 0, int32(place))
				place++
			}
		}
	}
	offsets.set(count, 0, int32(place))
	return nil
}

func groupedMatMul(o *kernels.GroupedMatMul) error {
	slots, offsets := ints(o.Slots), ints(o.Offsets)
	for e := range offsets.Rows - 1 {
		first, last := int(offsets.at(e, 0)), int(offsets.at(e+1, 0))
		if first < 0 || last < first || last > o.Dst.Rows {
			return fmt.Errorf("ref: expert %d has places %d to %d, want them in order and within %d", e, first, last, o.Dst.Rows)
		}
		for j := first; j < last; j++ {
			from := j
			if !slots.None() {
				slot := int(slots.at(j, 0))
				if slot < 0 || slot >= slots.Rows {
					return fmt.Errorf("ref: place %d has slot %d, want one of %d", j, slot, slots.Rows)
				}
				from = slot / o.K
			}
			matMul(expertProduct(o, e, j, from))
		}
	}
	return nil
}

// expertProduct is row j of the output: the product of row from of A with the weights of
// expert e.
func expertProduct(o *kernels.GroupedMatMul, e, j, from int) *kernels.MatMul {
	p := &kernels.MatMul{
		Dst: o.Dst.RowRange(j, j+1),
		A:   o.A.RowRange(from, from+1),
		B:   o.B.RowRange(e*o.Dst.Cols, (e+1)*o.Dst.Cols),
	}
	if !o.Bias.None() {
		p.Bias = o.Bias.RowRange(e, e+1)
	}
	return p
}

func combine(o *kernels.Combine) error {
	dst, src, gates, places := floats(o.Dst), floats(o.Src), floats(o.Gates), ints(o.Places)
	for t := range dst.Rows {
		for d := range dst.Cols {
			dst.set(t, d, 0)
		}
		for c := range o.PerToken() {
			slot := t*o.PerToken() + c
			place := int(places.at(slot, 0))
			if place < 0 || place >= src.Rows {
				return fmt.Errorf("ref: slot %d has place %d, want one of %d", slot, place, src.Rows)
			}
			gate := 1.0
			if !gates.None() {
				gate = gates.at(t, c)
			}
			for d := range dst.Cols {
				dst.set(t, d, dst.at(t, d)+gate*src.at(place, d))
			}
		}
	}
	return nil
}
