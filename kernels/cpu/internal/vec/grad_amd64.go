//go:build !noasm

package vec

// grads are the loops of training: Go's, but for those in assembly.
func (a *assembled) grads() Grads {
	g := goGrads()
	g.Dot = a.dot
	return g
}

func (a *assembled) dot(x, y []float32) (sum float32) {
	n := a.whole(len(x))
	if n > 0 {
		sum = a.f32.single(&x[0], &y[0], n)
	}
	return sum + dot(x[n:], y[n:])
}
