package ref

import (
	"math"

	"quadrant/kernels"
)

func rotaryGrad(o *kernels.RotaryGrad) {
	dq, dk, dv := floats(o.DQ), floats(o.DK), floats(o.DV)
	n, length := o.DQ.Rows/o.Seqs, o.DKCache.Rows/o.Seqs
	for i := range o.DQ.Rows {
		stored := i/n*length + i%n
		copy(dk.row(i), floats(o.DKCache).row(stored))
		copy(dv.row(i), floats(o.DVCache).row(stored))
		rotate(dq.row(i), -(i % n), o.HeadDim, o.Rotary, o.Base)
		rotate(dk.row(i), -(i % n), o.HeadDim, o.Rotary, o.Base)
	}
}

func attendGrad(o *kernels.AttendGrad) {
	n, length := o.Q.Rows/o.Seqs, o.K.Rows/o.Seqs
	perKV := o.Q.Cols / o.K.Cols
	zero(&kernels.Zero{Dst: o.DQ})
	for s := range o.Seqs {
		first := s * length
		zero(&kernels.Zero{Dst: o.DK.RowRange(first, first+n)})
		zero(&kernels.Zero{Dst: o.DV.RowRange(first, first+n)})
		for t := range n {
			for head := range o.Q.Cols / o.HeadDim {
				attendGradHead(o, s*n+t, head, first, t+1, head/perKV*o.HeadDim)
			}
		}
	}
}

// attendGradHead is the query of one head in row i, which sees keys from row first on in
// the columns from key on.
func attendGradHead(o *kernels.AttendGrad, i, head, first, seen, key int) {
	cols := func(m kernels.Mat) []float64 { return floats(m).row(i)[head*o.HeadDim : (head+1)*o.HeadDim] }
	rows := func(m kernels.Mat) view[float64] {
		return floats(m.RowRange(first, first+seen).ColRange(key, key+o.HeadDim))
	}
	q, g, dq := cols(o.Q), cols(o.G), cols(o.DQ)
	k, v, dk, dv := rows(o.K), rows(o.V), rows(o.DK), rows(o.DV)
	scale, lse, inner := float64(o.Scale), floats(o.LSE).at(i, head), dot(g, cols(o.Out))
	for j := range seen {
		p := math.Exp(scale*dot(q, k.row(j)) - lse)
		ds := scale * p * (dot(g, v.row(j)) - inner)
		for d := range o.HeadDim {
			dv.add(j, d, p*g[d])
			dq[d] += ds * k.at(j, d)
			dk.add(j, d, ds*q[d])
		}
	}
}
