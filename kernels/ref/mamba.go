package ref

import (
	"math"

	"quadrant/kernels"
)

func convSiLU(o *kernels.ConvSiLU) {
	dst, w, bias := floats(o.Dst), floats(o.W), floats(o.Bias)
	n, taps := o.X.Rows/o.Seqs, o.W.Cols
	for s := range o.Seqs {
		x := window{floats(o.X), floats(o.State), s, n, taps - 1}
		for t := range n {
			for d := range dst.Cols {
				c := bias.or0(0, d)
				for j := range taps {
					c += w.at(d, j) * x.at(t-taps+1+j, d)
				}
				dst.set(s*n+t, d, silu(c))
			}
		}
		x.keep()
	}
}

// A window is the input of sequence s at its tokens 0 … n−1 and, in the state, at the
// past ones −past … −1.
type window struct {
	x, state   view[float64]
	s, n, past int
}

func (w window) at(t, d int) float64 {
	if t < 0 {
		return w.state.at(w.s*w.past+w.past+t, d)
	}
	return w.x.at(w.s*w.n+t, d)
}

// keep makes the last rows the state. Each is read from behind where it is written, so
// that none is lost where a step is shorter than the state.
func (w window) keep() {
	for k := range w.past {
		for d := range w.state.Cols {
			w.state.set(w.s*w.past+k, d, w.at(w.n-w.past+k, d))
		}
	}
}

func scan(o *kernels.Scan) {
	n := o.X.Rows / o.Seqs
	for s := range o.Seqs {
		for t := range n {
			for d := range o.X.Cols {
				if !o.Starts.None() && t%kernels.ScanChunk == 0 {
					keepStart(o, s, t/kernels.ScanChunk, d)
				}
				scanToken(o, s, s*n+t, d)
			}
		}
	}
}

// keepStart keeps the state of channel d of sequence s before a chunk.
func keepStart(o *kernels.Scan, s, chunk, d int) {
	n := o.X.Rows / o.Seqs
	chunks := (n + kernels.ScanChunk - 1) / kernels.ScanChunk
	copy(floats(o.Starts).row((s*chunks+chunk)*o.X.Cols+d), floats(o.State).row(s*o.X.Cols+d))
}

// scanToken is one step of channel d of sequence s, whose token is in row i.
func scanToken(o *kernels.Scan, s, i, d int) {
	dst, x, dt, z := floats(o.Dst), floats(o.X), floats(o.Dt), floats(o.Z)
	a, b, c := floats(o.A), floats(o.B), floats(o.C)
	skip, dtBias := floats(o.D), floats(o.DtBias)
	h := floats(o.State).row(s*o.X.Cols + d)

	delta := softplus(dt.at(i, d) + dtBias.or0(0, d))
	y := skip.or0(0, d) * x.at(i, d)
	for n := range h {
		h[n] = math.Exp(delta*a.at(d, n))*h[n] + delta*x.at(i, d)*b.at(i, n)
		y += h[n] * c.at(i, n)
	}
	if !z.None() {
		y *= silu(z.at(i, d))
	}
	dst.set(i, d, y)
}

func softplus(x float64) float64 {
	if x > 20 {
		return x
	}
	return math.Log1p(math.Exp(x))
}
