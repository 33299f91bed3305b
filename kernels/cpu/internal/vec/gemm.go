package vec

import "math"

func gemm(c []float32, ldc int, x []float32, ldx int, w []float32, ldw, m, n, k int) {
	j := 0
	for ; j+4 <= n; j += 4 {
		w0, w1, w2, w3 := w[j*ldw:][:k], w[(j+1)*ldw:][:k], w[(j+2)*ldw:][:k], w[(j+3)*ldw:][:k]
		gemm4(c[j:], ldc, x, ldx, w0, w1, w2, w3, m)
	}
	for ; j < n; j++ {
		for i := range m {
			c[i*ldc+j] = dot(x[i*ldx:][:k], w[j*ldw:][:k])
		}
	}
}

func gemmBF16(c []float32, ldc int, x []float32, ldx int, w []uint16, ldw, m, n, k int, tmp []float32) {
	j := 0
	if m == 1 {
		for ; j+4 <= n; j += 4 {
			c[j], c[j+1], c[j+2], c[j+3] = dot4BF16(x[:k], w[j*ldw:][:k], w[(j+1)*ldw:][:k], w[(j+2)*ldw:][:k], w[(j+3)*ldw:][:k])
		}
	}
	if j < n {
		gemmWidened(widenBF16, c[j:], ldc, x, ldx, w[j*ldw:], ldw, m, n-j, k, tmp)
	}
}

func gemmF16(c []float32, ldc int, x []float32, ldx int, w []uint16, ldw, m, n, k int, tmp []float32) {
	gemmWidened(widenF16, c, ldc, x, ldx, w, ldw, m, n, k, tmp)
}

// gemmWidened is Gemm with weights of 16 bits, four rows of which are widened at a time.
func gemmWidened(widen func(dst []float32, src []uint16), c []float32, ldc int, x []float32, ldx int, w []uint16, ldw, m, n, k int, tmp []float32) {
	j := 0
	for ; j+4 <= n; j += 4 {
		w0, w1, w2, w3 := tmp[:k], tmp[k:][:k], tmp[2*k:][:k], tmp[3*k:][:k]
		widen(w0, w[j*ldw:][:k])
		widen(w1, w[(j+1)*ldw:][:k])
		widen(w2, w[(j+2)*ldw:][:k])
		widen(w3, w[(j+3)*ldw:][:k])
		gemm4(c[j:], ldc, x, ldx, w0, w1, w2, w3, m)
	}
	for ; j < n; j++ {
		row := tmp[:k]
		widen(row, w[j*ldw:][:k])
		for i := range m {
			c[i*ldc+j] = dot(x[i*ldx:][:k], row)
		}
	}
}

// gemm4 is Gemm for four rows of W, two rows of X at a time.
func gemm4(c []float32, ldc int, x []float32, ldx int, w0, w1, w2, w3 []float32, m int) {
	k := len(w0)
	i := 0
	for ; i+2 <= m; i += 2 {
		a, b := c[i*ldc:][:4], c[(i+1)*ldc:][:4]
		dot4x2((*[4]float32)(a), (*[4]float32)(b), x[i*ldx:][:k], x[(i+1)*ldx:][:k], w0, w1, w2, w3)
	}
	if i < m {
		a := c[i*ldc:][:4]
		a[0], a[1], a[2], a[3] = dot4(x[i*ldx:][:k], w0, w1, w2, w3)
	}
}

func dot4x2(a, b *[4]float32, x, y, w0, w1, w2, w3 []float32) {
	k := len(x)
	y, w0, w1, w2, w3 = y[:k], w0[:k], w1[:k], w2[:k], w3[:k]
	var a0, a1, a2, a3, b0, b1, b2, b3 float32
	for i, u := range x {
		v := y[i]
		p, q, r, s := w0[i], w1[i], w2[i], w3[i]
		a0 += u * p
		b0 += v * p
		a1 += u * q
		b1 += v * q
		a2 += u * r
		b2 += v * r
		a3 += u * s
		b3 += v * s
	}
	*a, *b = [4]float32{a0, a1, a2, a3}, [4]float32{b0, b1, b2, b3}
}

func dot4(x, w0, w1, w2, w3 []float32) (a0, a1, a2, a3 float32) {
	k := len(x)
	w0, w1, w2, w3 = w0[:k], w1[:k], w2[:k], w3[:k]
	for i, u := range x {
		a0 += u * w0[i]
		a1 += u * w1[i]
		a2 += u * w2[i]
		a3 += u * w3[i]
	}
	return a0, a1, a2, a3
}

func dot4BF16(x []float32, w0, w1, w2, w3 []uint16) (a0, a1, a2, a3 float32) {
	k := len(x)
	w0, w1, w2, w3 = w0[:k], w1[:k], w2[:k], w3[:k]
	for i, u := range x {
		a0 += u * bf16(w0[i])
		a1 += u * bf16(w1[i])
		a2 += u * bf16(w2[i])
		a3 += u * bf16(w3[i])
	}
	return a0, a1, a2, a3
}

func dot(x, w []float32) (sum float32) {
	w = w[:len(x)]
	for i, u := range x {
		sum += u * w[i]
	}
	return sum
}

func dotBF16(x []float32, w []uint16) (sum float32) {
	w = w[:len(x)]
	for i, u := range x {
		sum += u * bf16(w[i])
	}
	return sum
}

func dotF16(x []float32, w []uint16) (sum float32) {
	w = w[:len(x)]
	for i, u := range x {
		sum += u * f16(w[i])
	}
	return sum
}

func widenBF16(dst []float32, src []uint16) {
	src = src[:len(dst)]
	for i := range dst {
		dst[i] = bf16(src[i])
	}
}

func widenF16(dst []float32, src []uint16) {
	src = src[:len(dst)]
	for i := range dst {
		dst[i] = f16(src[i])
	}
}

// f16 widens an IEEE half, exactly.
func f16(h uint16) float32 {
	bits := uint32(h&0x8000)<<16 | uint32(h&0x7fff)<<13
	switch h & 0x7c00 {
	case 0: // zero or denormal: whole multiples of 2⁻²⁴
		return math.Float32frombits(bits&(1<<31) | math.Float32bits(float32(h&0x3ff)*(1.0/(1<<24))))
	case 0x7c00: // infinity or NaN
		return math.Float32frombits(bits | 0xff<<23)
	}
	return math.Float32frombits(bits + 112<<23)
}

func bf16(b uint16) float32 { return math.Float32frombits(uint32(b) << 16) }

func roundBF16(y []uint16, x []float32) {
	y = y[:len(x)]
	for i, v := range x {
		y[i] = toBF16(v)
	}
}

func toBF16(x float32) uint16 {
	b := math.Float32bits(x)
	if x != x {
		return uint16(b>>16) | 0x40 // keeps the fraction non-zero
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

func roundF16(y []uint16, x []float32) {
	y = y[:len(x)]
	for i, v := range x {
		y[i] = toF16(v)
	}
}

// toF16 rounds to the nearest half: from 65520 on to an infinity, below 2⁻¹⁴ to a denormal.
func toF16(x float32) uint16 {
	b := math.Float32bits(x)
	sign, b := uint16(b>>16&0x8000), b&^(1<<31)
	switch {
	case b > 0xff<<23: // NaN
		return sign | 0x7e00 | uint16(b>>13&0x3ff)
	case b >= 0x477ff000: // 65520
		return sign | 0x7c00
	case b < 113<<23: // whole multiples of 2⁻²⁴, to which adding 1/2 rounds
		return sign | uint16(math.Float32bits(math.Float32frombits(b)+0.5)-math.Float32bits(0.5))
	}
	return sign | uint16((b-112<<23+0xfff+b>>13&1)>>13)
}

func axpy(y []float32, a float32, x []float32) {
	x = x[:len(y)]
	for i := range y {
		y[i] += a * x[i]
	}
}

func weightedRows(y, p, v []float32, ldv int) {
	clear(y)
	i := 0
	for ; i+4 <= len(p); i += 4 {
		v0, v1, v2, v3 := v[i*ldv:][:len(y)], v[(i+1)*ldv:][:len(y)], v[(i+2)*ldv:][:len(y)], v[(i+3)*ldv:][:len(y)]
		p0, p1, p2, p3 := p[i], p[i+1], p[i+2], p[i+3]
		for j, s := range y {
			s += p0 * v0[j]
			s += p1 * v1[j]
			s += p2 * v2[j]
			s += p3 * v3[j]
			y[j] = s
		}
	}
	for ; i < len(p); i++ {
		axpy(y, p[i], v[i*ldv:][:len(y)])
	}
}

func weightedRowsBF16(y, p []float32, v []uint16, ldv int) {
	clear(y)
	for i, a := range p {
		row := v[i*ldv:][:len(y)]
		for j := range y {
			y[j] += a * bf16(row[j])
		}
	}
}

func weightedRowsF16(y, p []float32, v []uint16, ldv int) {
	clear(y)
	for i, a := range p {
		row := v[i*ldv:][:len(y)]
		for j := range y {
			y[j] += a * f16(row[j])
		}
	}
}
