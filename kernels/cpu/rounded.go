package cpu

import (
	"quadrant/kernels"
	"quadrant/kernels/cpu/internal/vec"
)

// A variant that rounds multiplies weights of bf16 by activations rounded to bf16, summed in
// float32: on some processors twice the rate of float32, on others less than it, at the price
// of up to 2⁻⁹ of each activation. All else it computes as the others do. It is opened by its
// name only.

// Rounding are the variants that this processor runs and that round the activations of
// products with bf16 weights, the fastest first.
func Rounding() (names []string) {
	for _, set := range vec.Rounding() {
		names = append(names, set.Name)
	}
	return names
}

// operand is the rows of a product's activations: h where they are rounded, packed where they
// are also in panels, and k their columns.
type operand struct {
	f      []float32
	h      []uint16
	packed bool
	stride int
	k      int
}

// rows is x from row i on, the first of expert e. Panels begin at every expert's first row:
// those before it fill at most i/TileRows and one for each other expert.
func (x operand) rows(i, e int) operand {
	switch {
	case x.packed:
		x.h = x.h[(i/vec.TileRows+e)*vec.PanelSize(x.k):]
	case x.h != nil:
		x.h = x.h[i*x.stride:]
	default:
		x.f = x.f[i*x.stride:]
	}
	return x
}

// operandOf is a as the products with weights of type t take it: rounded, once for all that
// multiply it, where this is a variant that rounds. offsets are the first rows of experts, none:
// there are no experts.
func (d *Device) operandOf(a view[float32], t kernels.Type, offsets view[int32]) operand {
	if d.vec.FusedRounded == nil || t != kernels.BF16 {
		return operand{f: a.data, stride: a.stride, k: a.cols}
	}
	j := &d.jobs.round
	j.a, j.offsets, j.panel = a, offsets, 0
	units, n := a.rows, a.rows*a.cols
	if d.vec.GemmTiles != nil {
		j.panel, j.experts = vec.PanelSize(a.cols), max(1, offsets.rows-1)
		units = blocks(a.rows, vec.TileRows) + j.experts
		n = units * j.panel
	}
	if cap(d.rounded) < n {
		d.rounded = make([]uint16, n)
	}
	j.to = d.rounded[:n]
	d.pool.do(j, units, n/units)
	return operand{h: j.to, packed: j.panel > 0, stride: a.cols, k: a.cols}
}

// roundJob takes rows, or panels of them.
type roundJob struct {
	d       *Device
	a       view[float32]
	offsets view[int32]
	to      []uint16
	panel   int // values of a panel, 0: rows
	experts int
}

func (j *roundJob) run(worker, lo, hi int) {
	for i := lo; i < hi; i++ {
		if j.panel > 0 {
			j.pack(worker, i)
		} else {
			j.d.vec.RoundBF16(j.to[i*j.a.cols:][:j.a.cols], j.a.row(i))
		}
	}
}

// pack makes panel p, if it is one of an expert's.
func (j *roundJob) pack(worker, p int) {
	for e := range j.experts {
		first, last := 0, j.a.rows
		if !j.offsets.none() {
			first, last = int(j.offsets.row(e)[0]), int(j.offsets.row(e + 1)[0])
		}
		from := first + (p-first/vec.TileRows-e)*vec.TileRows
		if from < first || from >= last {
			continue
		}
		n, k := min(vec.TileRows, last-from), j.a.cols
		rows := j.d.halves(worker, n*k)
		for i := range n {
			j.d.vec.RoundBF16(rows[i*k:][:k], j.a.row(from+i))
		}
		j.d.vec.PackTiles(j.to[p*j.panel:][:j.panel], rows, n, k)
	}
}

// halves lends worker w n values of 16 bits, of unspecified content, until its next halves.
func (d *Device) halves(w, n int) []uint16 {
	if cap(d.scratch16[w]) < n {
		d.scratch16[w] = make([]uint16, n)
	}
	return d.scratch16[w][:n]
}
