package cpu

import (
	"math"

	"quadrant/kernels"
	"quadrant/kernels/cpu/internal/vec"
)

// choiceJob takes tokens for their log p, and then experts for their tokens.
type choiceJob struct {
	d             *Device
	slots, starts view[int32]
	gates, logits view[float32]
	k             int
	scale         float32
	keys          []uint32 // log p of every token for every expert, by experts; see orderOf
	choosing      bool
}

func (j *choiceJob) start(o *kernels.ExpertChoice) {
	j.slots, j.starts, j.gates, j.logits = i32(o.Slots), i32(o.Offsets), f32(o.Gates), f32(o.Logits)
	j.k, j.scale = o.K, o.Scale()
	t, e := j.logits.rows, j.logits.cols
	if cap(j.keys) < t*e {
		j.keys = make([]uint32, t*e)
	}
	j.keys = j.keys[:t*e]
	for i := range e + 1 {
		j.starts.row(i)[0] = int32(i * t * j.k / e)
	}
	j.choosing = false
	j.d.pool.do(j, t, 16*e)
	j.choosing = true
	j.d.pool.do(j, e, 40*t)
}

func (j *choiceJob) run(_, lo, hi int) {
	for i := lo; i < hi; i++ {
		if j.choosing {
			j.choose(i)
		} else {
			j.order(i)
		}
	}
}

// order finds the keys of token i.
func (j *choiceJob) order(i int) {
	top, total := softmaxOf(j.logits.row(i))
	sum := float32(math.Log(float64(total)))
	for e, l := range j.logits.row(i) {
		j.keys[e*j.logits.rows+i] = orderOf(l - top - sum)
	}
}

// orderOf maps floats to integers in the same order. Both zeros are one, and a NaN is the least.
func orderOf(x float32) uint32 {
	if x != x {
		return 0
	}
	bits := math.Float32bits(x + 0)
	if bits>>31 != 0 {
		return ^bits
	}
	return bits | 1<<31
}

// choose takes the tokens of expert e: those above the least key that enough have, and of
// those at it the first.
func (j *choiceJob) choose(e int) {
	place, end := int(j.starts.row(e)[0]), int(j.starts.row(e + 1)[0])
	keys := j.keys[e*j.logits.rows:][:j.logits.rows]
	least := largestKey(keys, end-place)
	equal := end - place // places for tokens at it
	for _, key := range keys {
		if key > least {
			equal--
		}
	}
	for t, key := range keys {
		if key < least || key == least && equal == 0 {
			continue
		}
		if key == least {
			equal--
		}
		top, total := softmaxOf(j.logits.row(t))
		j.slots.row(place)[0], j.gates.row(place)[0] = int32(t*j.k), j.scale*(vec.Exp(j.logits.row(t)[e]-top)/total)
		place++
	}
}

// largestKey is the largest that at least n of keys reach, found bit by bit.
func largestKey(keys []uint32, n int) uint32 {
	least := uint32(0)
	for bit := uint32(1) << 31; bit > 0; bit >>= 1 {
		reach := 0
		for _, key := range keys {
			if key >= least|bit {
				reach++
			}
		}
		if reach >= n {
			least |= bit
		}
	}
	return least
}

// takenPlaces are the places of an [kernels.ExpertChoice], looked up by tokens.
type takenPlaces struct {
	slots, offsets view[int32]
	k              int
}

// check guards against places that ExpertChoice did not make.
func (p takenPlaces) check(d *Device, tokens int) bool {
	place := int32(0)
	for e := range p.offsets.rows - 1 {
		first, last := p.offsets.row(e)[0], p.offsets.row(e + 1)[0]
		if first != place || last < first || int(last) > p.slots.rows {
			d.failf("expert %d has places %d to %d of %d", e, first, last, p.slots.rows)
			return false
		}
		before := -1
		for ; place < last; place++ {
			t := int(p.slots.row(int(place))[0])
			if t < 0 || t >= tokens*p.k || t/p.k <= before {
				d.failf("place %d of expert %d has slot %d of %d, after token %d", place, e, t, tokens*p.k, before)
				return false
			}
			before = t / p.k
		}
	}
	return true
}

// from is the first place of expert e whose token is t or a later one.
func (p takenPlaces) from(e, t int) int {
	lo, hi := int(p.offsets.row(e)[0]), int(p.offsets.row(e + 1)[0])
	for lo < hi {
		if mid := (lo + hi) / 2; p.token(mid) < t {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

func (p takenPlaces) token(place int) int { return int(p.slots.row(place)[0]) / p.k }

// choiceGradJob takes tokens.
type choiceGradJob struct {
	d                         *Device
	dLogits, g, gates, logits view[float32]
	taken                     takenPlaces
}

func (j *choiceGradJob) start(o *kernels.ExpertChoiceGrad) {
	j.dLogits, j.g, j.gates, j.logits = f32(o.DLogits), f32(o.G), f32(o.Gates), f32(o.Logits)
	j.taken = takenPlaces{i32(o.Slots), i32(o.Offsets), o.K}
	if j.taken.check(j.d, j.logits.rows) {
		j.d.pool.do(j, j.logits.rows, 16*j.logits.cols)
	}
}

func (j *choiceGradJob) run(_, lo, hi int) {
	for t := lo; t < hi; t++ {
		clear(j.dLogits.row(t))
	}
	for e := range j.logits.cols {
		end := int(j.taken.offsets.row(e + 1)[0])
		for place := j.taken.from(e, lo); place < end && j.taken.token(place) < hi; place++ {
			j.dLogits.row(j.taken.token(place))[e] = j.g.row(place)[0] * j.gates.row(place)[0]
		}
	}
	for t := lo; t < hi; t++ {
		out, sum := j.dLogits.row(t), float32(0)
		for _, flow := range out {
			sum += flow
		}
		top, total := softmaxOf(j.logits.row(t))
		for e, l := range j.logits.row(t) {
			out[e] -= vec.Exp(l-top) / total * sum
		}
	}
}

// scatterJob takes tokens.
type scatterJob struct {
	d               *Device
	dst, src, gates view[float32]
	taken           takenPlaces
}

func (j *scatterJob) start(o *kernels.ScatterAdd) {
	j.dst, j.src, j.gates = f32(o.Dst), f32(o.Src), f32(o.Gates)
	j.taken = takenPlaces{i32(o.Slots), i32(o.Offsets), o.K}
	if j.taken.check(j.d, j.dst.rows) {
		j.d.pool.do(j, j.dst.rows, 2*j.dst.cols*o.K)
	}
}

func (j *scatterJob) run(_, lo, hi int) {
	for t := lo; t < hi; t++ {
		clear(j.dst.row(t))
	}
	for e := range j.taken.offsets.rows - 1 {
		end := int(j.taken.offsets.row(e + 1)[0])
		for place := j.taken.from(e, lo); place < end && j.taken.token(place) < hi; place++ {
			gate := float32(1)
			if !j.gates.none() {
				gate = j.gates.row(place)[0]
			}
			j.d.vec.Axpy(j.dst.row(j.taken.token(place)), gate, j.src.row(place))
		}
	}
}

// scatterGradJob takes places.
type scatterGradJob struct {
	d                           *Device
	dSrc, dGates, g, src, gates view[float32]
	slots                       view[int32]
	k                           int
}

func (j *scatterGradJob) start(o *kernels.ScatterAddGrad) {
	j.dSrc, j.dGates, j.g, j.src, j.gates = f32(o.DSrc), f32(o.DGates), f32(o.G), f32(o.Src), f32(o.Gates)
	j.slots, j.k = i32(o.Slots), o.K
	if j.d.checkPlaces(j.slots, j.g.rows*j.k) {
		j.d.pool.do(j, j.src.rows, 3*j.src.cols)
	}
}

func (j *scatterGradJob) run(_, lo, hi int) {
	for place := lo; place < hi; place++ {
		g, dst := j.g.row(int(j.slots.row(place)[0])/j.k), j.dSrc.row(place)
		j.dGates.row(place)[0] = j.d.vec.Dot(g, j.src.row(place))
		copy(dst, g)
		j.d.vec.Scale(dst, j.gates.row(place)[0])
	}
}
