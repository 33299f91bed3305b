package ref

import (
	"math"

	"quadrant/kernels"
)

func convSiLUGrad(o *kernels.ConvSiLUGrad) {
	dx, dw, dBias, w := floats(o.DX), floats(o.DW), floats(o.DBias), floats(o.W)
	n, taps := o.X.Rows/o.Seqs, o.W.Cols
	for s := range o.Seqs {
		part := func(m kernels.Mat) view[float64] { return floats(m.RowRange(s*n, (s+1)*n)) }
		x, dc := part(o.X), convSlope(part(o.G), part(o.X), w, floats(o.Bias))
		for t := range n {
			for d := range dx.Cols {
				sum := 0.0
				for j := range taps {
					if after := t + taps - 1 - j; after < n {
						sum += w.at(d, j) * dc[after][d]
					}
					if before := t - taps + 1 + j; before >= 0 {
						dw.add(d, j, dc[t][d]*x.at(before, d))
					}
				}
				dx.set(s*n+t, d, sum)
				dBias.addIfAny(0, d, dc[t][d])
			}
		}
	}
}

// convSlope is dc [n][D], the gradient of the convolution of one sequence.
func convSlope(g, x, w, bias view[float64]) [][]float64 {
	dc := make([][]float64, x.Rows)
	for t := range dc {
		dc[t] = make([]float64, x.Cols)
		for d := range dc[t] {
			c := bias.or0(0, d)
			for j := range w.Cols {
				if before := t - w.Cols + 1 + j; before >= 0 {
					c += w.at(d, j) * x.at(before, d)
				}
			}
			dc[t][d] = g.at(t, d) * siluSlope(c)
		}
	}
	return dc
}

func scanGrad(o *kernels.ScanGrad) {
	zero(&kernels.Zero{Dst: o.DB}) // sums over channels
	zero(&kernels.Zero{Dst: o.DC})
	for s := range o.Seqs {
		for d := range o.X.Cols {
			scanGradChannel(o, s, d)
		}
	}
}

// scanGradChannel is the part of channel d of sequence s.
func scanGradChannel(o *kernels.ScanGrad, s, d int) {
	n, states := o.X.Rows/o.Seqs, o.A.Cols
	h := scanStates(o, s, d)
	g := make([]float64, states) // exp(δ·A)·g of the token after
	for t := n - 1; t >= 0; t-- {
		scanGradToken(o, s*n+t, d, h[t], h[t+1], g)
	}
}

// scanStates is the states of channel d of sequence s: before token t, [t], and after it,
// [t+1]. What was kept stands for what is before the first token of a chunk.
func scanStates(o *kernels.ScanGrad, s, d int) [][]float64 {
	x, dt, dtBias := floats(o.X), floats(o.Dt), floats(o.DtBias)
	a, b, starts := floats(o.A), floats(o.B), floats(o.Starts)
	n := o.X.Rows / o.Seqs
	chunks := (n + kernels.ScanChunk - 1) / kernels.ScanChunk
	h := make([][]float64, n+1)
	for t := range n {
		if t%kernels.ScanChunk == 0 {
			h[t] = starts.row((s*chunks+t/kernels.ScanChunk)*o.X.Cols + d)
		}
		i := s*n + t
		delta := softplus(dt.at(i, d) + dtBias.or0(0, d))
		h[t+1] = make([]float64, o.A.Cols)
		for k := range h[t+1] {
			h[t+1][k] = math.Exp(delta*a.at(d, k))*h[t][k] + delta*x.at(i, d)*b.at(i, k)
		}
	}
	return h
}

// scanGradToken is the token in row i, with the states before and after it. It takes in
// carried what comes from the token after, and leaves there what goes to the one before.
func scanGradToken(o *kernels.ScanGrad, i, d int, before, after, carried []float64) {
	x, a, b, c := floats(o.X).at(i, d), floats(o.A), floats(o.B), floats(o.C)
	skip, raw := floats(o.D).or0(0, d), floats(o.Dt).at(i, d)+floats(o.DtBias).or0(0, d)
	delta, g := softplus(raw), floats(o.G).at(i, d)

	y := skip*x + dot(after, c.row(i))
	dy := g
	if z := floats(o.Z); !z.None() {
		dy *= silu(z.at(i, d))
		floats(o.DZ).set(i, d, g*y*siluSlope(z.at(i, d)))
	}
	var gb, ea float64 // Σ_n g·B, Σ_n e·A
	for k := range carried {
		decay := math.Exp(delta * a.at(d, k))
		gk := dy*c.at(i, k) + carried[k]
		e := gk * decay * before[k]
		floats(o.DC).add(i, k, dy*after[k])
		floats(o.DB).add(i, k, gk*delta*x)
		floats(o.DA).add(d, k, e*delta)
		gb += gk * b.at(i, k)
		ea += e * a.at(d, k)
		carried[k] = decay * gk
	}
	dDt := (ea + x*gb) * sigmoid(raw)
	floats(o.DX).set(i, d, delta*gb+skip*dy)
	floats(o.DDt).set(i, d, dDt)
	floats(o.DD).addIfAny(0, d, dy*x)
	floats(o.DDtBias).addIfAny(0, d, dDt)
}
