package vec

// StripChannels is the channels of a row of what Conv, ScanIn and ScanOut share with their callers,
// and so what they take at most: some cache lines of each token's row.
const StripChannels = 4 * ScanBlock

// ConvTaps is the taps that Conv takes, those of the published models.
const ConvTaps = 4

// ConvArgs are the operands of Conv: rows of up to [StripChannels] channels of the tokens of a
// sequence, the ConvTaps − 1 rows before them, the oldest first, and W, the taps and the bias.
//
//	y[t] = silu(bias + Σ_k w[k]·x[t−ConvTaps+1+k])
type ConvArgs struct {
	Y, X, Past       []float32
	LDY, LDX, LDPast int
	W                []float32 // [ConvTaps+1][StripChannels]
	Tokens, Channels int
}

func (c ConvArgs) from(at int) ConvArgs {
	c.Y, c.X, c.Past, c.W, c.Channels = c.Y[at:], c.X[at:], c.Past[at:], c.W[at:], c.Channels-at
	return c
}

func conv(a ConvArgs) {
	for t := range a.Tokens {
		for c := range a.Channels {
			sum := a.W[ConvTaps*StripChannels+c]
			for k := range ConvTaps {
				x, from := float32(0), t-ConvTaps+1+k
				if from < 0 {
					x = a.Past[(from+ConvTaps-1)*a.LDPast+c]
				} else {
					x = a.X[from*a.LDX+c]
				}
				sum += a.W[k*StripChannels+c] * x
			}
			a.Y[t*a.LDY+c] = sum * Sigmoid(sum)
		}
	}
}

// ScanStretch is the tokens that ScanIn and ScanOut take at most: what they share with Scan then
// stays in the nearest caches.
const ScanStretch = 32

// StretchSize is the values from one part of Work in [StretchArgs] to the next.
const StretchSize = ScanStretch * StripChannels

// The parts of Work, rows of [StripChannels]: what Scan takes, and what it makes of it.
const (
	StretchDT = iota // softplus(dt + bias)
	StretchDU        // that by x
	StretchY
	StretchParts
)

// StretchArgs are the operands of ScanIn, which reads Dt, X and Bias and sets StretchDT and
// StretchDU, and of ScanOut, which reads StretchY, X, Skip and Z:
//
//	dst = (y + skip·x)·silu(z)
//
// Skip and Z may be absent.
type StretchArgs struct {
	Work                 []float32 // [StretchParts][ScanStretch][StripChannels]
	Dst, Dt, X, Z        []float32 // [tokens, channels]
	LDDst, LDT, LDX, LDZ int
	Bias, Skip           []float32 // [StripChannels]
	Tokens, Channels     int
}

func (s StretchArgs) part(i int) []float32 { return s.Work[i*StretchSize:] }

func (s StretchArgs) from(at int) StretchArgs {
	for _, m := range []*[]float32{&s.Work, &s.Dst, &s.Dt, &s.X, &s.Z, &s.Bias, &s.Skip} {
		if *m != nil {
			*m = (*m)[at:]
		}
	}
	s.Channels -= at
	return s
}

func scanIn(s StretchArgs) {
	dt, du := s.part(StretchDT), s.part(StretchDU)
	for t := range s.Tokens {
		for c := range s.Channels {
			at := t*StripChannels + c
			dt[at] = s.Dt[t*s.LDT+c] + s.Bias[c]
			softplus(dt[at:at+1], dt[at:at+1])
			du[at] = dt[at] * s.X[t*s.LDX+c]
		}
	}
}

func scanOut(s StretchArgs) {
	y := s.part(StretchY)
	for t := range s.Tokens {
		for c := range s.Channels {
			out := y[t*StripChannels+c]
			if s.Skip != nil {
				out += s.Skip[c] * s.X[t*s.LDX+c]
			}
			if s.Z != nil {
				z := s.Z[t*s.LDZ+c]
				out *= z * Sigmoid(z)
			}
			s.Dst[t*s.LDDst+c] = out
		}
	}
}
