package arch_test

import (
	"fmt"
	"testing"

	"quadrant/arch"
	"quadrant/kernels"
	"quadrant/kernels/ref"
)

// The fast device computes what the float64 definition computes, with the same weights.
func TestAgreesWithReference(t *testing.T) {
	for name, cfg := range models() {
		for _, w := range []kernels.Type{kernels.F32, kernels.BF16, kernels.F16} {
			t.Run(fmt.Sprintf("%s/%v", name, w), func(t *testing.T) {
				fast, slow := openCPU(t), ref.New()
				types := arch.Types{Weights: w, Cache: kernels.F32}
				ids := tokens(2 * 11)
				want := run(t, build(t, cfg, slow, types), slow, 2, ids, 8, 1, 2)
				near(t, run(t, build(t, cfg, fast, types), fast, 2, ids, 8, 1, 2), want)
			})
		}
	}
}
