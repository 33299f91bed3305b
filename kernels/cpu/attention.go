package cpu

import (
	"math"

	"quadrant/kernels"
	"quadrant/kernels/cpu/internal/vec"
)

// rotaryJob turns and stores one token per unit.
type rotaryJob struct {
	d              *Device
	q, k, v        view[float32]
	kCache, vCache kernels.Mat
	angles         []float32 // per token of a sequence: cosines, then sines
	seqs, past     int
	headDim, half  int
	back           bool
}

func (j *rotaryJob) start(o *kernels.RotaryStore) {
	j.q, j.k, j.v, j.kCache, j.vCache = f32(o.Q), f32(o.K), f32(o.V), o.KCache, o.VCache
	j.seqs, j.past, j.headDim, j.half = o.Seqs, o.Past, o.HeadDim, o.Rotary/2
	j.angles = j.d.angles(j.q.rows/j.seqs, o.Past, o.Rotary, o.Base)
	j.d.pool.do(j, j.q.rows, 4*(j.q.cols+2*j.k.cols))
}

// turns are the angles of n tokens from past on, kept from one op to the next: the layers of a
// model ask for the same.
type turns struct {
	n, past, rotary int
	base            float64
	angles          []float32 // the cosines, then the sines, of each token
}

// angles are the cosines, then the sines, of each of n tokens.
func (d *Device) angles(n, past, rotary int, base float64) []float32 {
	half, kept := rotary/2, &d.turns
	if kept.n == n && kept.past == past && kept.rotary == rotary && kept.base == base {
		return kept.angles
	}
	if cap(kept.angles) < 2*n*half {
		kept.angles = make([]float32, 2*n*half)
	}
	*kept = turns{n, past, rotary, base, kept.angles[:2*n*half]}
	for i := range half {
		turn := math.Pow(base, -2*float64(i)/float64(rotary))
		for t := range n {
			sin, cos := math.Sincos(float64(past+t) * turn)
			at := kept.angles[2*t*half:]
			at[i], at[half+i] = float32(cos), float32(sin)
		}
	}
	return kept.angles
}

func (j *rotaryJob) run(_, lo, hi int) {
	n, length := j.q.rows/j.seqs, j.kCache.Rows/j.seqs
	for i := lo; i < hi; i++ {
		at := j.angles[2*(i%n)*j.half:]
		j.turn(j.q.row(i), at)
		j.turn(j.k.row(i), at)
		row := i/n*length + j.past + i%n
		j.d.store(j.kCache, row, j.k.row(i))
		j.d.store(j.vCache, row, j.v.row(i))
	}
}

func (j *rotaryJob) turn(x, angles []float32) {
	if j.half == 0 {
		return
	}
	cos, sin := angles[:j.half], angles[j.half:2*j.half]
	for h := 0; h < len(x); h += j.headDim {
		a, b := x[h:h+j.half], x[h+j.half:h+2*j.half]
		if j.back {
			a, b = b, a // a rotation by the opposite angle
		}
		j.d.vec.Rotate(a, b, cos, sin)
	}
}

// store writes a row of a cache of any float type.
func (d *Device) store(cache kernels.Mat, row int, x []float32) {
	at := cache.Off + row*cache.Stride
	switch s := cache.Mem.(type) {
	case []float32:
		copy(s[at:][:len(x)], x)
	case []uint16:
		if cache.Type == kernels.F16 {
			d.vec.RoundF16(s[at:][:len(x)], x)
		} else {
			d.vec.RoundBF16(s[at:][:len(x)], x)
		}
	}
}

// attendJob takes heads of blocks of queries or, where a sequence has one query, the heads that
// share keys. Keys come in tiles that stay in the nearer
// caches for all queries of a block; each query keeps the largest score so far and what its
// exponentials add up to, and what it has gathered is scaled down when a larger comes (the
// online softmax of FlashAttention, arXiv:2205.14135). Tiles begin at the same keys for every
// query, so that a query's numbers do not depend on its block.
type attendJob struct {
	d                   *Device
	dst, q, lse         view[float32] // lse may be absent
	k, v                weights
	seqs, past, headDim int
	heads, share        int // share: query heads per key-value head
	together            int // heads of one unit
	perSeq              int // blocks of one sequence
	scale               float32
}

const (
	queryBlock = 32
	keyTile    = 256
)

func (j *attendJob) start(o *kernels.Attend) {
	j.dst, j.q, j.lse, j.k, j.v = f32(o.Dst), f32(o.Q), f32(o.LSE), weightsOf(o.K), weightsOf(o.V)
	j.seqs, j.past, j.headDim, j.scale = o.Seqs, o.Past, o.HeadDim, o.Scale
	j.heads, j.share = o.Q.Cols/o.HeadDim, o.Q.Cols/o.K.Cols
	n := j.q.rows / j.seqs
	if j.wholeRows(n) {
		j.d.jobs.cached.start(j)
		return
	}
	j.perSeq = blocks(n, queryBlock)
	j.together = 1
	if n == 1 && j.share <= queryBlock && j.seqs*j.heads/j.share >= j.d.pool.workers {
		j.together = j.share // which read the same keys
	}
	j.d.pool.do(j, j.seqs*j.perSeq*j.heads/j.together, min(n, queryBlock)*j.together*(j.past+n)*2*j.headDim)
}

func (j *attendJob) run(worker, lo, hi int) {
	perBlock := j.heads / j.together
	for u := lo; u < hi; u++ {
		head, block := u%perBlock*j.together, u/perBlock
		j.block(worker, block/j.perSeq, block%j.perSeq*queryBlock, head)
	}
}

// A softmaxState is what a query keeps from tile to tile.
type softmaxState struct {
	begun    bool
	top, sum float32
}

// queries are the rows of one unit: one head of several tokens, or the heads of one token that
// share keys.
type queries struct {
	row, head int // the first
	n         int
	heads     bool // of one token
}

// at is the token's row and the head of query i.
func (u queries) at(i int) (row, head int) {
	if u.heads {
		return u.row, u.head + i
	}
	return u.row + i, u.head
}

// out is where query i gathers.
func (j *attendJob) out(u queries, i int) []float32 {
	row, head := u.at(i)
	return j.dst.row(row)[head*j.headDim:][:j.headDim]
}

// block computes one head for the queries of a sequence from token t0 on, or of one token the
// heads that a unit takes together.
func (j *attendJob) block(worker, seq, t0, head int) {
	n := j.q.rows / j.seqs
	u := queries{row: seq*n + t0, head: head, n: min(queryBlock, n-t0)}
	step, m := j.q.stride, u.n
	if j.together > 1 {
		u.heads, u.n = true, j.together
		step = j.headDim
	}
	kvCol, length := head/j.share*j.headDim, j.k.rows/j.seqs
	space := j.space(worker)
	var states [queryBlock]softmaxState
	for k0, seen := 0, j.past+t0+m; k0 < seen; k0 += keyTile {
		tile := min(keyTile, seen-k0)
		k, v := j.k.at(seq*length+k0, kvCol), j.v.at(seq*length+k0, kvCol)
		j.score(space, j.q.data[u.row*j.q.stride+head*j.headDim:], step, k, u.n, tile)
		if u.n > 1 {
			v = j.widened(space, v, tile)
		}
		for i := 0; i < u.n; i += valueGroup {
			n := min(valueGroup, u.n-i)
			j.gather(u, i, states[i:i+n], space.scores[i*keyTile:], j.past+t0+1-k0, tile, v, space.parts)
		}
	}
	for i := range u.n {
		j.d.vec.Scale(j.out(u, i), 1/states[i].sum)
		if row, head := u.at(i); !j.lse.none() {
			j.lse.row(row)[head] = float32(float64(states[i].top) + math.Log(float64(states[i].sum)))
		}
	}
}

// An attendSpace is what a unit works in.
type attendSpace struct {
	scores []float32 // [queryBlock, keyTile]
	parts  []float32 // [valueGroup, headDim]
	values []float32 // [keyTile, headDim]: a tile, widened
	temp   []float32 // of products
}

func (j *attendJob) space(worker int) attendSpace {
	sizes := []int{queryBlock * keyTile, valueGroup * j.headDim, keyTile * j.headDim, max(4*j.headDim, vec.WideTemp)}
	all := j.d.temp(worker, sizes[0]+sizes[1]+sizes[2]+sizes[3])
	next := func(i int) []float32 {
		s := all[:sizes[i]]
		all = all[sizes[i]:]
		return s
	}
	return attendSpace{next(0), next(1), next(2), next(3)}
}

// score computes the scores of n queries, step values apart, and a tile of keys: by tiles of
// products where they are many, which sum as others do.
func (j *attendJob) score(s attendSpace, q []float32, step int, k weights, n, tile int) {
	if n >= vec.WideRows && j.d.vec.GemmWide != nil {
		j.d.wideProduct(s.scores, keyTile, q, step, k, n, tile, j.headDim, s.temp)
		return
	}
	j.d.product(s.scores, keyTile, q, step, k, n, tile, j.headDim, s.temp)
}

// widened is n rows of values as float32, once for all queries of a unit.
func (j *attendJob) widened(s attendSpace, v weights, n int) weights {
	widen := j.d.vec.WidenBF16
	switch v.typ {
	case kernels.F32:
		return v
	case kernels.F16:
		widen = j.d.vec.WidenF16
	}
	for i := range n {
		widen(s.values[i*j.headDim:][:j.headDim], v.h[i*v.stride:][:j.headDim])
	}
	return weights{typ: kernels.F32, f: s.values, rows: n, stride: j.headDim}
}

// valueGroup is the queries whose sums of values are computed at once.
const valueGroup = 8

// gather adds the values of a tile, weighted by the exponentials of their scores, to what as
// many queries as there are states, from one on, have gathered. The first token of the unit sees
// that many keys of the tile, which may be less than one, and each other one more than the
// one before it, up to all. The values that all of them see are one product; it sums, like
// WeightedRows, in the order of the keys.
func (j *attendJob) gather(u queries, from int, states []softmaxState, scores []float32, sees, tile int, v weights, parts []float32) {
	hd, common := j.headDim, 0
	visible := func(r int) int {
		if u.heads {
			return min(tile, sees)
		}
		return min(tile, sees+from+r)
	}
	if len(states) > 1 && v.f != nil && hd%16 == 0 { // whole vectors, which both sum alike
		common = max(0, visible(0))
	}
	for r := range states {
		if visible := visible(r); visible > 0 {
			j.weigh(&states[r], j.out(u, from+r), scores[r*keyTile:][:visible])
		}
	}
	if common > 0 {
		j.d.vec.Product(vec.ProductArgs{C: parts, LDC: hd, A: scores, RowA: keyTile, StepA: 1, B: v.f, LDB: v.stride, M: len(states), N: hd, K: common})
	}
	for r := range states {
		visible := visible(r)
		if visible < 1 {
			continue
		}
		part, weights := parts[r*hd:][:hd], scores[r*keyTile:][:visible]
		if common == 0 {
			j.d.weightedRows(part, weights, v)
		}
		for k := common; k < visible && common > 0; k++ {
			j.d.vec.Axpy(part, weights[k], v.f[k*v.stride:])
		}
		out := j.out(u, from+r)
		if s := &states[r]; s.begun {
			j.d.vec.Axpy(out, 1, part)
		} else {
			s.begun = true
			copy(out, part)
		}
	}
}

// weigh turns scores into their weights, next to which it scales what has been gathered.
func (j *attendJob) weigh(s *softmaxState, out, scores []float32) {
	top := j.d.vec.ScaledMax(scores, j.scale)
	if !s.begun {
		s.top = top
	} else if top > s.top {
		shrink := vec.Exp(s.top - top)
		s.top, s.sum = top, s.sum*shrink
		j.d.vec.Scale(out, shrink)
	}
	s.sum += j.d.vec.ExpSum(scores, s.top)
}
