package ref

import (
	"fmt"
	"math"

	"quadrant/kernels"
)

func sum(o *kernels.Sum) {
	dst, x, y := floats(o.Dst), floats(o.X), floats(o.Y)
	each(o.Dst, func(i, j int) { dst.set(i, j, float64(o.Scale)*(x.at(i, j)+y.or0(i, j))) })
}

func embedGrad(o *kernels.EmbedGrad) error {
	dTable, g, ids := floats(o.DTable), floats(o.G), ints(o.IDs)
	for i := range g.Rows {
		id := int(ids.at(i, 0))
		if id < 0 || id >= dTable.Rows {
			return fmt.Errorf("ref: token id %d in row %d, want one of a table of %d", id, i, dTable.Rows)
		}
		for j := range g.Cols {
			dTable.add(id, j, g.at(i, j))
		}
	}
	return nil
}

func negExpGrad(o *kernels.NegExpGrad) {
	dx, g, y := floats(o.DX), floats(o.G), floats(o.Y)
	each(o.DX, func(i, j int) { dx.add(i, j, g.at(i, j)*y.at(i, j)) })
}

func rmsNormGrad(o *kernels.RMSNormGrad) {
	dx, dGain, g, x, gain := floats(o.DX), floats(o.DGain), floats(o.G), floats(o.X), floats(o.Gain)
	for i := range x.Rows {
		r := 1 / math.Sqrt(meanSquare(x.row(i), 0)+float64(o.Eps))
		q := times(g.row(i), gain.row(0))
		qx := mean(times(q, x.row(i)))
		for j := range x.Cols {
			dx.add(i, j, r*(q[j]-x.at(i, j)*r*r*qx))
			dGain.add(0, j, g.at(i, j)*x.at(i, j)*r)
		}
	}
}

func layerNormGrad(o *kernels.LayerNormGrad) {
	dx, dGain, dBias := floats(o.DX), floats(o.DGain), floats(o.DBias)
	g, x, gain := floats(o.G), floats(o.X), floats(o.Gain)
	for i := range x.Rows {
		m := mean(x.row(i))
		r := 1 / math.Sqrt(meanSquare(x.row(i), m)+float64(o.Eps))
		unit := make([]float64, x.Cols) // x̂
		for j := range unit {
			unit[j] = (x.at(i, j) - m) * r
		}
		q := times(g.row(i), gain.row(0))
		mq, qx := mean(q), mean(times(q, unit))
		for j := range x.Cols {
			dx.add(i, j, r*(q[j]-mq-unit[j]*qx))
			dGain.add(0, j, g.at(i, j)*unit[j])
			dBias.addIfAny(0, j, g.at(i, j))
		}
	}
}

// times is the product of a and b, element by element.
func times(a, b []float64) []float64 {
	product := make([]float64, len(a))
	for i := range a {
		product[i] = a[i] * b[i]
	}
	return product
}

// each calls f for every element of m, row by row.
func each(m kernels.Mat, f func(i, j int)) {
	for i := range m.Rows {
		for j := range m.Cols {
			f(i, j)
		}
	}
}
