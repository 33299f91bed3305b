//go:build !noasm

package vec

type (
	scoresKernel[T float32 | uint16] func(p *float32, ldp int, x *float32, w *T, ldw, rows, groups, share, steps int)
	valuesKernel[T float32 | uint16] func(x, p *float32, ldp int, w *T, ldw, rows, groups, share, steps int)
)

// cached are kernels for whole rows of a cache whose heads are whole vectors: for one, two and
// four of the heads that share keys or values, of which the last may be nil.
type cached[T float32 | uint16] struct {
	scores           [3]scoresKernel[T]
	values1, values4 [3]valuesKernel[T]
}

// together calls do for as many of the heads that share as kernels take, from the first of them
// in each group on: which is their number's logarithm.
func (by cached[T]) together(share int, do func(first, which int)) {
	for first := 0; first < share; {
		which := 2
		for by.scores[which] == nil || first+1<<which > share {
			which--
		}
		do(first, which)
		first += 1 << which
	}
}

// cachedScores takes rows in fours, and those left over head by head, as it takes heads that are
// no whole vectors, or longer than the kernel sums at once.
func cachedScores[T float32 | uint16](a *assembled, by cached[T], p products[T]) func(c CacheArgs[T]) {
	const most = 512
	return func(c CacheArgs[T]) {
		fours := c.Rows / 4
		if c.Dim%a.lanes != 0 || c.Dim > most {
			fours = 0
		}
		if fours > 0 {
			by.together(c.Share, func(first, which int) {
				by.scores[which](&c.P[first*c.LDP], c.LDP, &c.X[first*c.Dim], &c.C[0], c.LDC, fours, c.Heads/c.Share, c.Share, c.Dim/a.lanes)
			})
		}
		if done := 4 * fours; done < c.Rows {
			for h := range c.Heads {
				scores, x, rows := c.head(h)
				gemmBy(a, p, scores[done:], c.Rows, x, c.Dim, rows[done*c.LDC:], c.LDC, 1, c.Rows-done, c.Dim)
			}
		}
	}
}

// cachedValues takes rows in fours, and those left over one by one.
func cachedValues[T float32 | uint16](a *assembled, by cached[T], p products[T]) func(c CacheArgs[T]) {
	return func(c CacheArgs[T]) {
		if c.Dim%a.lanes != 0 {
			for h := range c.Heads {
				weights, x, rows := c.head(h)
				weightedBy(a, p, x, weights, rows, c.LDC)
			}
			return
		}
		clear(c.X[:c.Heads*c.Dim])
		by.together(c.Share, func(first, which int) {
			x, at := c.X[first*c.Dim:], first*c.LDP
			if fours := c.Rows / 4; fours > 0 {
				by.values4[which](&x[0], &c.P[at], c.LDP, &c.C[0], c.LDC, fours, c.Heads/c.Share, c.Share, c.Dim/a.lanes)
			}
			if done := c.Rows / 4 * 4; done < c.Rows {
				by.values1[which](&x[0], &c.P[at+done], c.LDP, &c.C[done*c.LDC], c.LDC, c.Rows-done, c.Heads/c.Share, c.Share, c.Dim/a.lanes)
			}
		})
	}
}
