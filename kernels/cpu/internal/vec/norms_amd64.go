//go:build !noasm

package vec

func (a *assembled) rowMoments(x []float32, shift float32) (c, cc float32) {
	n := len(x) / a.lanes
	if n > 0 {
		c, cc = a.moments(&x[0], shift, n)
	}
	restC, restCC := moments(x[n*a.lanes:], shift)
	return c + restC, cc + restCC
}

func (a *assembled) rowAddMoments(x, delta []float32, shift float32) (c, cc float32) {
	n := len(x) / a.lanes
	if n > 0 {
		c, cc = a.addMoments(&x[0], &delta[0], shift, n)
	}
	restC, restCC := addMoments(x[n*a.lanes:], delta[n*a.lanes:], shift)
	return c + restC, cc + restCC
}

func (a *assembled) normalized(y, x, gain []float32, shift, r float32) {
	n := len(x) / a.lanes
	if n > 0 {
		a.normalize(&y[0], &x[0], &gain[0], shift, r, n)
	}
	at := n * a.lanes
	normalize(y[at:], x[at:], gain[at:], shift, r)
}

func (a *assembled) rotated(x, y, cos, sin []float32) {
	n := len(x) / a.lanes
	if n > 0 {
		a.rotate(&x[0], &y[0], &cos[0], &sin[0], n)
	}
	at := n * a.lanes
	rotate(x[at:], y[at:], cos[at:], sin[at:])
}
