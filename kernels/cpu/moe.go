package cpu

import (
	"math"
	"slices"

	"quadrant/kernels"
	"quadrant/kernels/cpu/internal/vec"
)

// sinkhorn runs on one thread: logits of a whole batch are a few hundred kilobytes at
// most, and it is for training only. The potentials are float64.
func (d *Device) sinkhorn(o *kernels.Sinkhorn) {
	logits, bias := f32(o.Logits), vector(o.Bias)
	s := d.newSinkhorn(logits, float64(o.Temperature))
	if o.ColumnFirst {
		s.firstColumns()
		s.balance()
	}
	iterations, done := 0, false
	for iterations < o.MaxIterations && !done {
		iterations++
		s.rowsAndColumns()
		if !o.Absolute && s.worst() <= float64(o.Tolerance) {
			break
		}
		done = s.balance() <= float64(o.Tolerance) && o.Absolute
	}
	if !o.Iterations.None() {
		i32(o.Iterations).row(0)[0] = int32(iterations)
	}
	mean := 0.0
	for _, v := range s.v {
		mean += v / float64(logits.cols)
	}
	for i, v := range s.v {
		bias[i] = float32((v - mean) * float64(o.Temperature))
	}
}

// newSinkhorn begins with v of zeros.
func (d *Device) newSinkhorn(logits view[float32], temperature float64) sinkhorn {
	e, t := logits.cols, logits.rows
	mem := d.doubled(3*e + 2*t)
	clear(mem)
	s := sinkhorn{
		logits: logits, inv: 1 / temperature, v: mem[:e], col: mem[e : 2*e], top: mem[2*e : 3*e],
		u: mem[3*e : 3*e+t], most: mem[3*e+t:],
	}
	s.exponentials(d)
	return s
}

// sinkhorn alternates in the log domain: u and v are log d₀ (+ log T) and log d₁. Where no
// logit is far below the largest of its row, it multiplies what it has exponentiated once.
type sinkhorn struct {
	logits view[float32]
	inv    float64 // 1/temperature
	u, v   []float64
	col    []float64 // log Σ_i exp(x_ie + u_i), by columns
	top    []float64

	most []float64 // the largest x of each row
	k    []float32 // exp(x − most), by rows, or nil
}

// sinkhornSpread is how far, at most, logits over the temperature are below the largest of
// their row for k to be used: no product of it then underflows.
const sinkhornSpread = 80

// exponentials finds most and, where it may be used, k.
func (s *sinkhorn) exponentials(d *Device) {
	k, e, spread := d.shared(s.logits.rows*s.logits.cols), s.logits.cols, 0.0
	for i := range s.u {
		row := s.logits.row(i)
		most, least := row[0], row[0]
		for _, x := range row {
			most, least = max(most, x), min(least, x)
		}
		s.most[i] = float64(most) * s.inv
		spread = max(spread, s.most[i]-float64(least)*s.inv)
		for c, x := range row {
			k[i*e+c] = float32(float64(x)*s.inv - s.most[i])
		}
	}
	if spread < sinkhornSpread { // not so for a NaN
		d.vec.ExpSum(k, 0)
		s.k = k
	}
}

// firstColumns is columns for u of zeros.
func (s *sinkhorn) firstColumns() {
	if s.k == nil {
		s.columns()
		return
	}
	most := slices.Max(s.most)
	clear(s.col)
	for i, m := range s.most {
		s.addColumns(i, math.Exp(m-most))
	}
	for e, c := range s.col {
		s.col[e] = most + math.Log(c)
	}
}

// addColumns adds row i of k, by a factor, to the columns' sums.
func (s *sinkhorn) addColumns(i int, by float64) {
	for e, k := range s.k[i*len(s.col):][:len(s.col)] {
		s.col[e] += by * float64(k)
	}
}

// rowsAndColumns is rows and then columns. With k, u is only implied.
func (s *sinkhorn) rowsAndColumns() {
	if s.k == nil {
		s.rows()
		s.columns()
		return
	}
	most, w := slices.Max(s.v), s.top
	for e, v := range s.v {
		w[e] = math.Exp(v - most)
	}
	clear(s.col)
	for i := range s.u {
		sum := 0.0
		for e, k := range s.k[i*len(w):][:len(w)] {
			sum += float64(k) * w[e]
		}
		s.addColumns(i, 1/(sum*float64(len(s.u))))
	}
	for e, c := range s.col {
		s.col[e] = math.Log(c) - most
	}
}

func (s *sinkhorn) rows() {
	for i := range s.u {
		row := s.logits.row(i)
		top := math.Inf(-1)
		for e, x := range row {
			top = math.Max(top, float64(x)*s.inv+s.v[e])
		}
		sum := 0.0
		for e, x := range row {
			sum += math.Exp(float64(x)*s.inv + s.v[e] - top)
		}
		s.u[i] = -top - math.Log(sum) - math.Log(float64(len(s.u)))
	}
}

func (s *sinkhorn) columns() {
	for e := range s.col {
		s.top[e], s.col[e] = math.Inf(-1), 0
	}
	for i, u := range s.u {
		for e, x := range s.logits.row(i) {
			s.top[e] = math.Max(s.top[e], float64(x)*s.inv+u)
		}
	}
	for i, u := range s.u {
		for e, x := range s.logits.row(i) {
			s.col[e] += math.Exp(float64(x)*s.inv + u - s.top[e])
		}
	}
	for e := range s.col {
		s.col[e] = s.top[e] + math.Log(s.col[e])
	}
}

// worst is the largest relative distance of a column's mass from 1/E.
func (s *sinkhorn) worst() (worst float64) {
	for e, c := range s.col {
		worst = math.Max(worst, math.Abs(float64(len(s.v))*math.Exp(c+s.v[e])-1))
	}
	return worst
}

// balance gives every column the mass 1/E. It returns the mean change of d₁.
func (s *sinkhorn) balance() (change float64) {
	for e, c := range s.col {
		was := math.Exp(s.v[e])
		s.v[e] = -c - math.Log(float64(len(s.v)))
		change += math.Abs(math.Exp(s.v[e])-was) / float64(len(s.v))
	}
	return change
}

type routeJob struct {
	d             *Device
	experts       view[int32]
	gates, logits view[float32]
	bias          []float32
	score         kernels.Score
	scale         float32
}

func (j *routeJob) start(o *kernels.Route) {
	j.experts, j.gates, j.logits = i32(o.Experts), f32(o.Gates), f32(o.Logits)
	j.bias, j.score, j.scale = vector(o.Bias), o.Score, o.Scale()
	j.d.pool.do(j, j.logits.rows, j.logits.cols*(j.experts.cols+8))
	for i := range j.experts.rows {
		if c := slices.Index(j.experts.row(i), nobody); c >= 0 {
			j.d.failf("token %d has no expert left for choice %d: its logits hold NaN", i, c)
			return
		}
	}
}

// nobody stands for an expert where there is none to choose.
const nobody = int32(-1)

func (j *routeJob) run(_, lo, hi int) {
	for i := lo; i < hi; i++ {
		chosen, logits := j.experts.row(i), j.logits.row(i)
		for c := range chosen {
			chosen[c] = j.best(logits, chosen[:c])
		}
		if slices.Contains(chosen, nobody) {
			continue
		}
		j.gate(j.gates.row(i), logits, chosen)
		if j.scale != 1 {
			j.d.vec.Scale(j.gates.row(i), j.scale)
		}
	}
}

// best is the expert with the largest biased logit that is not taken and not NaN.
func (j *routeJob) best(logits []float32, taken []int32) int32 {
	best, top := nobody, float32(0)
next:
	for e, v := range logits {
		for _, t := range taken {
			if int(t) == e {
				continue next
			}
		}
		if j.bias != nil {
			v += j.bias[e]
		}
		if v > top || best == nobody && !isNaN(v) {
			best, top = int32(e), v
		}
	}
	return best
}

func (j *routeJob) gate(gates, logits []float32, chosen []int32) {
	if j.score == kernels.SigmoidScore {
		for c, e := range chosen {
			gates[c] = vec.Sigmoid(logits[e])
		}
		return
	}
	top, sum := float32(math.Inf(-1)), float32(0)
	if j.score == kernels.SoftmaxScore {
		for _, v := range logits {
			top = max(top, v)
		}
		for _, v := range logits {
			sum += vec.Exp(v - top)
		}
	} else {
		for _, e := range chosen {
			top = max(top, logits[e])
		}
		for _, e := range chosen {
			sum += vec.Exp(logits[e] - top)
		}
	}
	for c, e := range chosen {
		gates[c] = vec.Exp(logits[e]-top) / sum
	}
}

// sort is a counting sort. Offsets are first the number of slots of each expert, then
// where the next of them goes, and at the end where each began.
func (d *Device) sort(o *kernels.Sort) {
	slots, places, offsets, experts := i32(o.Slots), i32(o.Places), i32(o.Offsets), i32(o.Experts)
	zeroRows(offsets)
	for i := range experts.rows {
		for _, e := range experts.row(i) {
			if e < 0 || int(e) >= offsets.rows-1 {
				d.failf("token %d is sent to expert %d of %d", i, e, offsets.rows-1)
				return
			}
			offsets.row(int(e) + 1)[0]++
		}
	}
	for e := 1; e < offsets.rows; e++ {
		offsets.row(e)[0] += offsets.row(e - 1)[0]
	}
	for i := range experts.rows {
		for c, e := range experts.row(i) {
			slot, next := i*experts.cols+c, offsets.row(int(e))
			slots.row(int(next[0]))[0], places.row(slot)[0] = int32(slot), next[0]
			next[0]++
		}
	}
	for e := offsets.rows - 1; e > 0; e-- {
		offsets.row(e)[0] = offsets.row(e - 1)[0]
	}
	offsets.row(0)[0] = 0
}

// combineJob takes tokens.
type combineJob struct {
	d               *Device
	dst, src, gates view[float32]
	places          view[int32]
	k               int // rows of Src per token
}

func (j *combineJob) start(o *kernels.Combine) {
	j.dst, j.src, j.gates, j.places, j.k = f32(o.Dst), f32(o.Src), f32(o.Gates), i32(o.Places), o.PerToken()
	if j.d.checkPlaces(j.places, j.src.rows) {
		j.d.pool.do(j, j.dst.rows, 2*j.dst.cols*j.k)
	}
}

// checkPlaces guards against places among rows that Sort did not make.
func (d *Device) checkPlaces(places view[int32], rows int) bool {
	for slot := range places.rows {
		if p := places.row(slot)[0]; p < 0 || int(p) >= rows {
			d.failf("slot %d is at place %d of %d", slot, p, rows)
			return false
		}
	}
	return true
}

func (j *combineJob) run(_, lo, hi int) {
	for t := lo; t < hi; t++ {
		dst := j.dst.row(t)
		clear(dst)
		for c := range j.k {
			g := float32(1)
			if !j.gates.none() {
				g = j.gates.row(t)[c]
			}
			j.d.vec.Axpy(dst, g, j.src.row(int(j.places.row(t*j.k + c)[0])))
		}
	}
}
