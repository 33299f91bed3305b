package bench

import (
	"math/rand/v2"

	"quadrant/arch"
	"quadrant/kernels"
)

// Route is route with a seed.
func Route(routing string, seed uint64, tokens, experts, k int) []int32 {
	return route(routing, rand.New(rand.NewPCG(seed, 0)), tokens, experts, k)
}

// LogitsUnder is what a pass under a routing computes.
func LogitsUnder(dev *Steered, m *arch.Model, p ReplayPlan, routing string) ([]float32, error) {
	r := newReplayer(dev, nil, m, p)
	defer func() { dev.plan = nil }()
	if err := r.prepare(p); err != nil {
		return nil, err
	}
	dev.plan = r.plans[routing]
	r.session.Reset()
	r.session.Forward(r.logits, r.ids)
	values := make([]float32, r.logits.Len())
	kernels.Get(dev, values, r.logits)
	return values, dev.Sync()
}
