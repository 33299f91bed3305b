package cpu

import (
	"math"

	"quadrant/kernels"
	"quadrant/kernels/cpu/internal/vec"
)

// routeGradJob takes tokens.
type routeGradJob struct {
	d                         *Device
	dLogits, g, gates, logits view[float32]
	experts                   view[int32]
	score                     kernels.Score
}

func (j *routeGradJob) start(o *kernels.RouteGrad) {
	j.dLogits, j.g, j.gates, j.logits = f32(o.DLogits), f32(o.G), f32(o.Gates), f32(o.Logits)
	j.experts, j.score = i32(o.Experts), o.Score
	if j.d.checkExperts(j.experts, j.logits.cols) {
		j.d.pool.do(j, j.logits.rows, 16*j.logits.cols)
	}
}

// checkExperts guards against experts that Route did not choose.
func (d *Device) checkExperts(experts view[int32], count int) bool {
	for i := range experts.rows {
		for _, e := range experts.row(i) {
			if e < 0 || int(e) >= count {
				d.failf("token %d is sent to expert %d of %d", i, e, count)
				return false
			}
		}
	}
	return true
}

func (j *routeGradJob) run(_, lo, hi int) {
	for i := lo; i < hi; i++ {
		out, logits, chosen := j.dLogits.row(i), j.logits.row(i), j.experts.row(i)
		clear(out)
		sum := float32(0)
		for c, e := range chosen {
			q := j.g.row(i)[c] * j.gates.row(i)[c]
			if j.score == kernels.SigmoidScore {
				q *= vec.Sigmoid(-logits[e])
			}
			out[e] += q
			sum += q
		}
		switch j.score {
		case kernels.SoftmaxScore:
			top, total := softmaxOf(logits)
			for e, l := range logits {
				out[e] -= vec.Exp(l-top) / total * sum
			}
		case kernels.SoftmaxTopKScore:
			top, total := float32(math.Inf(-1)), float32(0)
			for _, e := range chosen {
				top = max(top, logits[e])
			}
			for _, e := range chosen {
				total += vec.Exp(logits[e] - top)
			}
			for _, e := range chosen {
				out[e] -= vec.Exp(logits[e]-top) / total * sum
			}
		}
	}
}

// softmaxOf is the largest of logits and the sum of the exponentials of what they are below it.
func softmaxOf(logits []float32) (top, total float32) {
	top = float32(math.Inf(-1))
	for _, l := range logits {
		top = max(top, l)
	}
	for _, l := range logits {
		total += vec.Exp(l - top)
	}
	return top, total
}

// combineGradJob takes tokens.
type combineGradJob struct {
	d                           *Device
	dSrc, dGates, g, src, gates view[float32]
	places                      view[int32]
	k                           int
}

func (j *combineGradJob) start(o *kernels.CombineGrad) {
	j.dSrc, j.dGates, j.g, j.src, j.gates = f32(o.DSrc), f32(o.DGates), f32(o.G), f32(o.Src), f32(o.Gates)
	j.places, j.k = i32(o.Places), o.DSrc.Rows/o.G.Rows
	if j.d.checkPlaces(j.places, j.dSrc.rows) {
		j.d.pool.do(j, j.g.rows, 2*j.g.cols*j.k)
	}
}

func (j *combineGradJob) run(_, lo, hi int) {
	for t := lo; t < hi; t++ {
		g := j.g.row(t)
		for c := range j.k {
			place := int(j.places.row(t*j.k + c)[0])
			dst := j.dSrc.row(place)
			copy(dst, g)
			if !j.gates.none() {
				j.d.vec.Scale(dst, j.gates.row(t)[c])
				j.dGates.row(t)[c] = j.d.vec.Dot(g, j.src.row(place))
			}
		}
	}
}

// balanceJob takes blocks of tokens twice: first for their part of the losses, while the
// gradient's place holds probabilities, and then for the gradient.
type balanceJob struct {
	d            *Device
	grad, logits view[float32]
	experts      view[int32]
	balance, z   float32
	parts        parts     // per block: Σ p, then choices, of each expert, then Σ lse²
	lse          []float32 // of each token
	slope        []float32 // the gradient of the first loss by each p
	second       bool
}

func (j *balanceJob) start(o *kernels.BalanceLoss) {
	j.grad, j.logits, j.experts, j.balance, j.z = f32(o.Grad), f32(o.Logits), i32(o.Experts), o.Balance, o.Z
	t, e := j.logits.rows, j.logits.cols
	if !j.d.checkExperts(j.experts, e) {
		return
	}
	units, width := blocks(t, partBlock), 2*e+1
	mem := j.d.shared(units*width + t + e)
	j.parts, j.lse, j.slope, j.second = parts{mem[:units*width], width}, mem[units*width:][:t], mem[units*width+t:], false
	clear(j.parts.data)
	j.d.pool.do(j, units, partBlock*16*e)

	even, size := 0.0, 0.0
	for i := range e {
		chosen := j.total(e+i) / float64(t*j.experts.cols)
		even += chosen * j.total(i) / float64(t)
		j.slope[i] = float32(float64(o.Balance) * float64(e) * chosen / float64(t))
	}
	size = j.total(2*e) / float64(t)
	loss := f32(o.Loss).row(0)
	loss[0], loss[1] = float32(float64(o.Balance)*float64(e)*even), float32(float64(o.Z)*size)

	j.second = true
	j.d.pool.do(j, units, partBlock*4*e)
}

// total is the sum of a column of the parts.
func (j *balanceJob) total(col int) (sum float64) {
	for at := col; at < len(j.parts.data); at += j.parts.cols {
		sum += float64(j.parts.data[at])
	}
	return sum
}

func (j *balanceJob) run(_, lo, hi int) {
	for u := lo; u < hi; u++ {
		for i := u * partBlock; i < min((u+1)*partBlock, j.logits.rows); i++ {
			if j.second {
				j.gradient(i)
			} else {
				j.probabilities(i, j.parts.row(u))
			}
		}
	}
}

func (j *balanceJob) probabilities(i int, part []float32) {
	p, e := j.grad.row(i), j.logits.cols
	top, total := softmaxOf(j.logits.row(i))
	for k, l := range j.logits.row(i) {
		p[k] = vec.Exp(l-top) / total
		part[k] += p[k]
	}
	for _, k := range j.experts.row(i) {
		part[e+int(k)]++
	}
	j.lse[i] = float32(float64(top) + math.Log(float64(total)))
	part[2*e] += j.lse[i] * j.lse[i]
}

func (j *balanceJob) gradient(i int) {
	p := j.grad.row(i)
	mean := float32(0)
	for k, v := range p {
		mean += v * j.slope[k]
	}
	size := 2 * j.z * j.lse[i] / float32(j.logits.rows)
	for k, v := range p {
		p[k] = v * (j.slope[k] - mean + size)
	}
}

func (d *Device) hashRoute(o *kernels.HashRoute) {
	experts, gates, ids := i32(o.Experts), f32(o.Gates), i32(o.IDs)
	k := experts.cols
	for t := range experts.rows {
		hash := int(uint32(2654435769) * uint32(ids.row(t)[0]) >> 16)
		for c := range k {
			experts.row(t)[c], gates.row(t)[c] = int32((hash+c)%o.Of), 1/float32(k)
		}
	}
}

func (d *Device) limitLoad(o *kernels.LimitLoad) {
	gates, places, offsets, experts := f32(o.Gates), i32(o.Places), i32(o.Offsets), i32(o.Experts)
	if !d.checkExperts(experts, offsets.rows-1) {
		return
	}
	for t := range gates.rows {
		for c, e := range experts.row(t) {
			place := int(places.row(t*gates.cols + c)[0])
			if place-int(offsets.row(int(e))[0]) >= o.Capacity {
				gates.row(t)[c] = 0
			}
		}
	}
}
