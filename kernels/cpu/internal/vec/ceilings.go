package vec

// fused has eight values side by side, and a multiplication and an addition for each: Go does
// not fuse them on every processor.
func fused(n int) (float32, int64) {
	var a, b, c, d, e, f, g, h float32
	for range n {
		a = a*0.5 + 1
		b = b*0.5 + 1
		c = c*0.5 + 1
		d = d*0.5 + 1
		e = e*0.5 + 1
		f = f*0.5 + 1
		g = g*0.5 + 1
		h = h*0.5 + 1
	}
	return max(a, b, c, d, e, f, g, h), 16 * int64(n)
}

func sum(x []float32) float32 {
	var a, b, c, d, e, f, g, h float32
	for ; len(x) >= 8; x = x[8:] {
		a += x[0]
		b += x[1]
		c += x[2]
		d += x[3]
		e += x[4]
		f += x[5]
		g += x[6]
		h += x[7]
	}
	for _, v := range x {
		a += v
	}
	return (a + e) + (b + f) + (c + g) + (d + h)
}
