package ref

import (
	"math"

	"quadrant/kernels"
)

func rotaryStore(o *kernels.RotaryStore) {
	q, k, v := floats(o.Q), floats(o.K), floats(o.V)
	n, length := o.Q.Rows/o.Seqs, o.KCache.Rows/o.Seqs
	for i := range o.Q.Rows {
		s, position := i/n, o.Past+i%n
		rotate(q.row(i), position, o.HeadDim, o.Rotary, o.Base)
		rotate(k.row(i), position, o.HeadDim, o.Rotary, o.Base)
		store(floats(o.KCache), s*length+position, k.row(i))
		store(floats(o.VCache), s*length+position, v.row(i))
	}
	// K is unspecified from here on: nobody may have a use for it.
	fill(k, math.NaN())
}

// rotate turns every head in row to the given position.
func rotate(row []float64, position, headDim, rotary int, base float64) {
	for ; len(row) > 0; row = row[headDim:] {
		for i := range rotary / 2 {
			angle := float64(position) * math.Pow(base, -2*float64(i)/float64(rotary))
			sin, cos := math.Sincos(angle)
			a, b := row[i], row[i+rotary/2]
			row[i], row[i+rotary/2] = a*cos-b*sin, b*cos+a*sin
		}
	}
}

func store(cache view[float64], i int, row []float64) {
	for j, x := range row {
		cache.set(i, j, x)
	}
}

func attend(o *kernels.Attend) {
	q, dst := floats(o.Q), floats(o.Dst)
	n, length := o.Q.Rows/o.Seqs, o.K.Rows/o.Seqs
	perKV := o.Q.Cols / o.K.Cols // heads that share keys and values
	for i := range o.Q.Rows {
		first := i / n * length
		seen := o.Past + i%n + 1
		for head := range o.Q.Cols / o.HeadDim {
			query := head * o.HeadDim
			key := head / perKV * o.HeadDim
			k := floats(o.K.RowRange(first, first+seen).ColRange(key, key+o.HeadDim))
			v := floats(o.V.RowRange(first, first+seen).ColRange(key, key+o.HeadDim))
			out, lse := attendHead(q.row(i)[query:query+o.HeadDim], k, v, float64(o.Scale))
			for d, y := range out {
				dst.set(i, query+d, y)
			}
			floats(o.LSE).setIfAny(i, head, lse)
		}
	}
}

// attendHead is the attention of one query to the keys and values that it sees, and the
// logarithm of the softmax's denominator.
func attendHead(q []float64, k, v view[float64], scale float64) (out []float64, lse float64) {
	scores := make([]float64, k.Rows)
	for j := range scores {
		scores[j] = scale * dot(q, k.row(j))
	}
	out = make([]float64, len(q))
	for j, p := range softmax(scores) {
		for d := range out {
			out[d] += p * v.at(j, d)
		}
	}
	return out, logSumExp(len(scores), func(j int) float64 { return scores[j] })
}

func softmax(xs []float64) []float64 {
	log := logSumExp(len(xs), func(i int) float64 { return xs[i] })
	ps := make([]float64, len(xs))
	for i, x := range xs {
		ps[i] = math.Exp(x - log)
	}
	return ps
}

// logSumExp is log Σ exp(x(i)) over i < n, whatever the size of the x.
func logSumExp(n int, x func(i int) float64) float64 {
	top := math.Inf(-1)
	for i := range n {
		top = max(top, x(i))
	}
	sum := 0.0
	for i := range n {
		sum += math.Exp(x(i) - top)
	}
	return top + math.Log(sum)
}
