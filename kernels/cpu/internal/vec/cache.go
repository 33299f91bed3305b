package vec

// CacheArgs are the operands of Scores and Values: rows of a cache of keys or values, as long as
// all heads that have any, of which Share heads of X each take the same Dim columns, and for each
// row and each head of X a score or weight.
type CacheArgs[T float32 | uint16] struct {
	P                       []float32 // [Heads, Rows]
	LDP                     int
	X                       []float32 // [Heads·Dim]: queries, or what values add up to
	C                       []T       // [Rows, Heads/Share·Dim]
	LDC                     int
	Rows, Heads, Share, Dim int
}

// head is what head h takes.
func (c CacheArgs[T]) head(h int) (p, x []float32, rows []T) {
	return c.P[h*c.LDP:][:c.Rows], c.X[h*c.Dim:][:c.Dim], c.C[h/c.Share*c.Dim:]
}

// scoresBy is Scores by products of one row with one.
func scoresBy[T float32 | uint16](dot func(x []float32, w []T) float32) func(c CacheArgs[T]) {
	return func(c CacheArgs[T]) {
		for h := range c.Heads {
			p, x, rows := c.head(h)
			for r := range p {
				p[r] = dot(x, rows[r*c.LDC:][:c.Dim])
			}
		}
	}
}

// valuesBy is Values by WeightedRows of one head after the other.
func valuesBy[T float32 | uint16](weighted func(y, p []float32, v []T, ldv int)) func(c CacheArgs[T]) {
	return func(c CacheArgs[T]) {
		for h := range c.Heads {
			p, x, rows := c.head(h)
			weighted(x, p, rows, c.LDC)
		}
	}
}
