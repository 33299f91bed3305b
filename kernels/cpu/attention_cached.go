package cpu

import (
	"quadrant/kernels"
	"quadrant/kernels/cpu/internal/vec"
)

// cachedAttention is attendJob for one query of a sequence with many keys before it. A unit there
// walks through one head's keys, which are few bytes in each row of the cache; here it takes
// whole rows, of a tile of keys, for all heads, which memory gives at its full rate. What is
// added to what, and in which order, is the same, and so are the bits: a tile's scores need
// nothing from other tiles, its weights only the largest score up to there. So there are passes
// over tiles of keys, over tiles of values and over heads.
type cachedAttention struct {
	*attendJob
	seq, seen, tiles, stride int

	scores     []float32 // [heads, stride]: of all keys that are seen
	tops, sums []float32 // [heads, tiles]: the largest score up to a tile, what its weights add up to
	parts      []float32 // [tiles, heads·headDim]: weighted values of a tile
}

// cachedTiles is how many tiles there have to be for each worker.
const cachedTiles = 2

// wholeRows says whether j's queries are better answered by cachedAttention.
func (j *attendJob) wholeRows(n int) bool {
	return n == 1 && j.lse.none() && blocks(j.past+1, keyTile) >= cachedTiles*j.d.pool.workers
}

func (c *cachedAttention) start(j *attendJob) {
	c.attendJob, c.seen = j, j.past+1
	c.tiles = blocks(c.seen, keyTile)
	c.stride = c.tiles * keyTile
	width, perTile := j.heads*j.headDim, j.heads*c.tiles
	all := j.d.shared(j.heads*c.stride + 2*perTile + c.tiles*width)
	c.scores, all = all[:j.heads*c.stride], all[j.heads*c.stride:]
	c.tops, c.sums, c.parts = all[:perTile], all[perTile:2*perTile], all[2*perTile:]
	cost := keyTile * width
	for c.seq = range j.seqs {
		j.d.pool.do(scorePass{c}, c.tiles, cost)
		c.accumulateTops()
		j.d.pool.do(valuePass{c}, c.tiles, cost)
		j.d.pool.do(mergePass{c}, j.heads, c.tiles*j.headDim)
	}
	c.attendJob = nil
}

// tile is the first key of tile t and how many of it are seen.
func (c *cachedAttention) tile(t int) (first, n int) {
	return t * keyTile, min(keyTile, c.seen-t*keyTile)
}

// rows is w from key first of the sequence on.
func (c *cachedAttention) rows(w weights, first int) weights {
	return w.at(c.seq*(w.rows/c.seqs)+first, 0)
}

// ofHead is the part of head h in a tile of scores.
func (c *cachedAttention) ofHead(h, t int) []float32 {
	first, n := c.tile(t)
	return c.scores[h*c.stride+first:][:n]
}

// scorePass takes tiles of keys.
type scorePass struct{ *cachedAttention }

// scoreTiles are taken at once: long streams, which are still in a cache when heads that share
// keys take several turns.
const scoreTiles = 4

func (c scorePass) run(_, lo, hi int) {
	for t := lo; t < hi; t += scoreTiles {
		first, last := t*keyTile, min(min(t+scoreTiles, hi)*keyTile, c.seen)
		c.d.cachedScores(c.rows(c.k, first), vec.CacheArgs[float32]{
			P: c.scores[first:], LDP: c.stride, X: c.q.row(c.seq), Rows: last - first, Heads: c.heads, Share: c.share, Dim: c.headDim,
		})
	}
	for t := lo; t < hi; t++ {
		for h := range c.heads {
			c.tops[h*c.tiles+t] = c.d.vec.ScaledMax(c.ofHead(h, t), c.scale)
		}
	}
}

// accumulateTops makes of each tile's largest score the largest up to that tile.
func (c *cachedAttention) accumulateTops() {
	for h := range c.heads {
		tops := c.tops[h*c.tiles:][:c.tiles]
		for t := 1; t < c.tiles; t++ {
			if !(tops[t] > tops[t-1]) {
				tops[t] = tops[t-1]
			}
		}
	}
}

// valuePass takes tiles of values.
type valuePass struct{ *cachedAttention }

func (c valuePass) run(_, lo, hi int) {
	width := c.heads * c.headDim
	for t := lo; t < hi; t++ {
		first, n := c.tile(t)
		for h := range c.heads {
			c.sums[h*c.tiles+t] = c.d.vec.ExpSum(c.ofHead(h, t), c.tops[h*c.tiles+t])
		}
		c.d.cachedValues(c.rows(c.v, first), vec.CacheArgs[float32]{
			P: c.scores[first:], LDP: c.stride, X: c.parts[t*width:][:width], Rows: n, Heads: c.heads, Share: c.share, Dim: c.headDim,
		})
	}
}

// mergePass takes heads.
type mergePass struct{ *cachedAttention }

func (c mergePass) run(_, lo, hi int) {
	for h := lo; h < hi; h++ {
		out, sum := c.dst.row(c.seq)[h*c.headDim:][:c.headDim], float32(0)
		tops, sums := c.tops[h*c.tiles:][:c.tiles], c.sums[h*c.tiles:]
		for t := range tops {
			part := c.parts[(t*c.heads+h)*c.headDim:][:c.headDim]
			if t == 0 {
				copy(out, part)
			} else {
				if tops[t] > tops[t-1] {
					shrink := vec.Exp(tops[t-1] - tops[t])
					sum *= shrink
					c.d.vec.Scale(out, shrink)
				}
				c.d.vec.Axpy(out, 1, part)
			}
			sum += sums[t]
		}
		c.d.vec.Scale(out, 1/sum)
	}
}

// cachedScores is vec's Scores of a's rows, keys of any float type.
func (d *Device) cachedScores(keys weights, a vec.CacheArgs[float32]) {
	switch keys.typ {
	case kernels.F32:
		a.C, a.LDC = keys.f, keys.stride
		d.vec.Scores(a)
	case kernels.BF16:
		d.vec.ScoresBF16(halved(a, keys))
	case kernels.F16:
		d.vec.ScoresF16(halved(a, keys))
	}
}

// cachedValues is vec's Values of a's rows, values of any float type.
func (d *Device) cachedValues(values weights, a vec.CacheArgs[float32]) {
	switch values.typ {
	case kernels.F32:
		a.C, a.LDC = values.f, values.stride
		d.vec.Values(a)
	case kernels.BF16:
		d.vec.ValuesBF16(halved(a, values))
	case kernels.F16:
		d.vec.ValuesF16(halved(a, values))
	}
}

// halved is a with rows of 16 bits.
func halved(a vec.CacheArgs[float32], rows weights) vec.CacheArgs[uint16] {
	return vec.CacheArgs[uint16]{
		P: a.P, LDP: a.LDP, X: a.X, C: rows.h, LDC: rows.stride, Rows: a.Rows, Heads: a.Heads, Share: a.Share, Dim: a.Dim,
	}
}
