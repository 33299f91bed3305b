package vec

// moments sums in float64: one sum of a long row would lose what sixteen lanes keep.
func moments(x []float32, shift float32) (c, cc float32) {
	sum, squares := 0.0, 0.0
	for _, v := range x {
		v := float64(v - shift)
		sum += v
		squares += v * v
	}
	return float32(sum), float32(squares)
}

func addMoments(x, delta []float32, shift float32) (c, cc float32) {
	delta = delta[:len(x)]
	for i := range x {
		x[i] += delta[i]
	}
	return moments(x, shift)
}

func normalize(y, x, gain []float32, shift, r float32) {
	y, gain = y[:len(x)], gain[:len(x)]
	for i, v := range x {
		y[i] = (v - shift) * r * gain[i]
	}
}

func rotate(a, b, cos, sin []float32) {
	n := len(a)
	b, cos, sin = b[:n], cos[:n], sin[:n]
	for i, x := range a {
		y := b[i]
		a[i], b[i] = x*cos[i]-y*sin[i], y*cos[i]+x*sin[i]
	}
}
