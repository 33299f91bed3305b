package train_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"quadrant/arch"
	"quadrant/kernels"
	"quadrant/kernels/ref"
	"quadrant/train"
)

// A lab is a learner in float64, whose weights can be moved by less than float32 tells apart.
type lab struct {
	*train.Learner
	*chosen
	ids, targets []int32
}

// chosen is a device that keeps what routers chose, and adds up all losses.
type chosen struct {
	kernels.Device
	experts []int32
	total   float64 // of scaled losses
}

func (c *chosen) Do(op kernels.Op) {
	c.Device.Do(op)
	switch o := op.(type) {
	case *kernels.Sort:
		experts := make([]int32, o.Experts.Len())
		kernels.Get(c.Device, experts, o.Experts)
		c.experts = append(c.experts, experts...)
	case *kernels.CrossEntropy:
		for _, loss := range ref.Float64s(o.Loss) {
			c.total += float64(o.Scale) * loss
		}
	case *kernels.BalanceLoss:
		for _, loss := range ref.Float64s(o.Loss) {
			c.total += loss
		}
	}
}

func openLab(t *testing.T, cfg arch.Config, seed uint64) *lab {
	t.Helper()
	dev := &chosen{Device: ref.New()}
	l, err := train.NewLearner(cfg, dev)
	if err != nil {
		t.Fatal(err)
	}
	l.Model().Init(seed)
	r := rand.New(rand.NewPCG(seed, 5))
	for _, p := range l.Params() { // larger than for training, so that nothing is nearly linear
		if p.Decay || p.Weight.Rows == 1 {
			for i := range weights(p) {
				weights(p)[i] += 0.2 * r.NormFloat64()
			}
		}
	}
	const seqs, n = 2, 9
	return &lab{l, dev, tokens(seqs*n, 1), tokens(seqs*n, 2)}
}

// loss computes the whole loss, and adds to the gradients.
func (l *lab) loss(t *testing.T) (loss float64, experts []int32) {
	t.Helper()
	l.experts, l.total = nil, 0
	if _, err := l.Step(l.ids, l.targets, 2, 1/float32(len(l.ids))); err != nil {
		t.Fatal(err)
	}
	return l.total, l.chosen.experts
}

func weights(p train.Param) []float64 { return p.Weight.Mem.([]float64) }

// The gradient of every weight, along a random direction, is the difference quotient of the
// loss: in float64, of models of every kind. Weights that are so near to the edge of a
// router's choice that the quotient steps over it are drawn again.
func TestGradientsAreDifferences(t *testing.T) {
	for name, cfg := range models() {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(4) {
				if compareDifferences(t, openLab(t, cfg, seed)) {
					return
				}
			}
			t.Error("a router's choice changed with every seed")
		})
	}
}

// compareDifferences returns false if a router's choice changed.
func compareDifferences(t *testing.T, l *lab) bool {
	_, before := l.loss(t)
	grads, scale := map[string][]float64{}, 0.0
	for _, p := range l.Params() {
		grads[p.Name] = ref.Float64s(p.Grad)
		for _, g := range grads[p.Name] {
			scale = max(scale, math.Abs(g))
		}
	}
	r, worst := rand.New(rand.NewPCG(1, 9)), 0.0
	for _, p := range l.Params() {
		direction, want := make([]float64, p.Weight.Len()), 0.0
		for i := range direction {
			direction[i] = r.NormFloat64() / math.Sqrt(float64(len(direction)))
			want += direction[i] * grads[p.Name][i]
		}
		frozen := true
		move := func(by float64) float64 {
			for i, d := range direction {
				weights(p)[i] += by * d
			}
			loss, experts := l.loss(t)
			frozen = frozen && slices.Equal(experts, before)
			return loss
		}
		const h = 1e-4
		got := (move(h) - move(-2*h)) / (2 * h)
		if move(h); !frozen {
			return false
		}
		off := math.Abs(got-want) / (math.Abs(want) + 1e-3*scale)
		worst = max(worst, off)
		if !(off < 1e-6) {
			t.Errorf("%s: the gradient is %.10g along a direction, the difference %.10g", p.Name, want, got)
		}
	}
	t.Logf("%d weights, largest relative error %.2g", len(l.Params()), worst)
	return true
}
