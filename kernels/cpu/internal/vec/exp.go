package vec

import "math"

// Exp is exp(x) within 2 units in the last place over all of float32, denormal results
// included: 2^n·exp(r) with n = round(x/ln 2), |r| ≤ ln 2/2 and the polynomial of the
// Cephes library's expf for exp(r).
func Exp(x float32) float32 {
	const (
		log2e = 1.44269504088896340736
		ln2Hi = 0.693359375 // few bits, so that n·ln2Hi is exact
		ln2Lo = -2.12194440e-4
	)
	switch {
	case x != x:
		return x
	case x > 88.72284:
		return float32(math.Inf(1))
	case x < -103.97208:
		return 0
	}
	half := float32(0.5)
	if x < 0 {
		half = -0.5
	}
	n := int32(x*log2e + half)
	f := float32(n)
	r := (x - f*ln2Hi) - f*ln2Lo
	p := float32(1.9875691500e-4)
	p = p*r + 1.3981999507e-3
	p = p*r + 8.3334519073e-3
	p = p*r + 4.1665795894e-2
	p = p*r + 1.6666665459e-1
	p = p*r + 5.0000001201e-1
	y := p*(r*r) + r + 1
	switch {
	case n < -126: // in two factors, of which the first result is still normal
		return y * exp2(n+24) * (1.0 / (1 << 24))
	case n > 127:
		return y * exp2(n-1) * 2
	}
	return y * exp2(n)
}

// exp2 is 2^n for a normal result.
func exp2(n int32) float32 { return math.Float32frombits(uint32(n+127) << 23) }

// Sigmoid is 1/(1+exp(−x)).
func Sigmoid(x float32) float32 { return 1 / (1 + Exp(-x)) }

func scaledMax(x []float32, scale float32) float32 {
	top := float32(math.Inf(-1))
	for i, v := range x {
		x[i] = v * scale
		top = max(top, x[i])
	}
	return top
}

func expSum(x []float32, shift float32) (sum float32) {
	for i, v := range x {
		x[i] = Exp(v - shift)
		sum += x[i]
	}
	return sum
}

func scale(x []float32, a float32) {
	for i := range x {
		x[i] *= a
	}
}

func silu(y, x []float32) {
	y = y[:len(x)]
	for i, v := range x {
		y[i] = v * Sigmoid(v)
	}
}

func gelu(y, x []float32) {
	y = y[:len(x)]
	for i, v := range x {
		y[i] = float32(0.5 * float64(v) * math.Erfc(-float64(v)/math.Sqrt2))
	}
}

func geluTanh(y, x []float32) {
	y = y[:len(x)]
	for i, v := range x {
		u := float64(v)
		y[i] = float32(0.5 * u * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(u+0.044715*u*u*u))))
	}
}

// softplus is x where the difference is below float32's resolution; the threshold is
// PyTorch's.
func softplus(y, x []float32) {
	y = y[:len(x)]
	for i, v := range x {
		if v <= 20 {
			v = float32(math.Log1p(float64(Exp(v))))
		}
		y[i] = v
	}
}

func mul(y, x []float32) {
	x = x[:len(y)]
	for i := range y {
		y[i] *= x[i]
	}
}

func mulAdd(y, a, b []float32) {
	a, b = a[:len(y)], b[:len(y)]
	for i := range y {
		y[i] += a[i] * b[i]
	}
}

func scan(s ScanArgs) {
	for ch := range s.Channels {
		h, a := s.H[ch*s.LDH:][:s.States], s.A[ch*s.LDA:][:s.States]
		for t := range s.Tokens {
			at := t*s.LDY + ch
			s.Y[at] = scanStep(h, a, s.B[t*s.LDB:], s.C[t*s.LDC:], s.DT[at], s.DU[at])
		}
	}
}

func scanStep(h, a, b, c []float32, dt, du float32) (y float32) {
	n := len(h)
	a, b, c = a[:n], b[:n], c[:n]
	for i, s := range h {
		s = Exp(dt*a[i])*s + du*b[i]
		h[i] = s
		y += s * c[i]
	}
	return y
}
