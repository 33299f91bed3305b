package train_test

import (
	"slices"
	"testing"

	"quadrant/arch"
	"quadrant/kernels"
	"quadrant/train"
)

// Layers that are computed again have the same losses, gradients, loads and learned balance,
// bit for bit, in every step; and such a step allocates nothing either.
func TestRecomputeChangesNothing(t *testing.T) {
	for name, cfg := range models() {
		t.Run(name, func(t *testing.T) {
			cfg.Layers = slices.Concat(cfg.Layers, cfg.Layers) // some alike in memory, some not
			plain, again := openLearner(t, cfg), openLearner(t, cfg)
			again.Recompute(true)
			for at := range 3 {
				want, got := slices.Clone(step(t, plain, 2, 10*at, 24, 0.1)), step(t, again, 2, 10*at, 24, 0.1)
				if !slices.Equal(got, want) {
					t.Errorf("step %d: losses %v, want %v", at, got, want)
				}
				if !slices.Equal(gradients(again), gradients(plain)) {
					t.Errorf("step %d: gradients differ", at)
				}
				if !slices.Equal(buffers(again), buffers(plain)) {
					t.Errorf("step %d: routers learn %v, want %v", at, buffers(again), buffers(plain))
				}
				for i, r := range again.Routers() {
					if want := plain.Routers()[i]; !slices.Equal(r.Loads, want.Loads) || r.Iterations != want.Iterations || r.Balance != want.Balance || r.Z != want.Z || r.Unchosen != want.Unchosen {
						t.Errorf("step %d: router %+v, want %+v", at, r, want)
					}
				}
			}
			ids := tokens(24, 1)
			if n := testing.AllocsPerRun(5, func() {
				if _, err := again.Step(ids, ids, 2, 0.1); err != nil {
					t.Fatal(err)
				}
			}); n != 0 {
				t.Errorf("a step makes %v allocations, want none", n)
			}
		})
	}
}

// buffers are what routers learn without gradients.
func buffers(l *train.Learner) (all []float32) {
	l.Model().Params(func(_ string, p *arch.Param) {
		if p.Buffer {
			v := make([]float32, p.Len())
			kernels.Get(l.Device(), v, p.Mat)
			all = append(all, v...)
		}
	})
	return all
}
