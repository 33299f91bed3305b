package cuda_test

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"

	"quadrant/arch"
	"quadrant/kernels"
	"quadrant/kernels/cuda"
	"quadrant/kernels/cuda/ptxsim"
	"quadrant/kernels/ref"
)

// Steps of one token with bf16 weights have kernels of their own, which compute what float64 does in
// both orders of warps and blocks.
func TestStepsOfOneToken(t *testing.T) {
	for _, order := range []ptxsim.Order{ptxsim.Forward, ptxsim.Backward} {
		for _, name := range []string{"nano-mamba", "nano-transformer", "tiny-mamba-moe", "tiny-transformer-moe"} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				cfg := preset(t, name)
				cfg.Layers = cfg.Layers[:min(2, len(cfg.Layers))]
				launches := &naming{driver: driver{machine(order)}}
				dev, err := cuda.New(launches, cuda.Split)
				if err != nil {
					t.Fatal(err)
				}
				compareTypes(t, cfg, dev, arch.Types{Weights: kernels.BF16, Cache: kernels.BF16}, 1, 2)
				if all := strings.Join(launches.names, " "); !strings.Contains(all, "step") {
					t.Errorf("none of the kernels of one row is among %s", all)
				}
			})
		}
	}
}

// stepBugs are hunted in a product of one row, in three blocks, and its gated activation.
var stepBugs = []bug{
	{name: "no wait for the weights", kernel: "step2_bf16", old: `mbarrier\.try_wait\.parity\.shared::cta\.b64 over, [^;]*;`, new: "setp.eq.u32 over, 0, 0;", caught: "not awaited"},
	{name: "fewer bytes expected than copied", kernel: "step2_bf16", old: `(mbarrier\.arrive\.expect_tx\S+ _, \[%\w+\]), %\w+;`, new: "$1, 16;", caught: "hangs|not awaited"},
	{name: "barrier not shown to copies", kernel: "step2_bf16", old: `fence\.proxy\.async\.shared::cta;`, caught: "not shown to copies"},
	{name: "missing barriers of the row", kernel: "step2_bf16", old: `bar\.sync\s+0;`, caught: "race|nothing in the block has written|no barrier has begun"},
	{name: "the third term left out", kernel: "step2_bf16", old: `, 1, 31, -1;`, new: ", 2, 31, -1;", caught: "element"},
	{name: "rows and columns of weights exchanged", kernel: "step2_bf16", old: `(ldmatrix\.sync\.aligned\.m8n8\.x4)\.shared`, new: "$1.trans.shared", caught: "element|misaligned"},
	{name: "blocks do the same columns", kernel: "step2_bf16", old: `%ctaid\.x`, new: "0", caught: "race"},
}

// The simulator or the comparison notices every planted bug in the kernels of one row.
func TestPlantedBugsOfSteps(t *testing.T) {
	of := operands{1, 96, 70, kernels.BF16}
	want := activated(t, ref.New(), "first", "apart", of)
	for _, order := range []ptxsim.Order{ptxsim.Forward, ptxsim.Backward} {
		for _, b := range stepBugs {
			t.Run(fmt.Sprintf("%d/%s", order, b.name), func(t *testing.T) {
				m := machine(order)
				m.MaxSteps = 1 << 18
				dev, err := cuda.New(planted{driver{m}, t, b}, cuda.Split)
				if err != nil {
					t.Fatal(err)
				}
				got, err := activatedOn(dev, "first", "apart", of)
				for i := range got {
					if off := math.Abs(float64(got[i] - want[i])); !(off <= 1e-4*max(1, math.Abs(float64(want[i])))) && err == nil {
						err = fmt.Errorf("element %d is %v, want %v", i, got[i], want[i])
					}
				}
				if err == nil {
					t.Error("nothing notices")
				} else if !regexp.MustCompile(b.caught).MatchString(err.Error()) {
					t.Errorf("it was noticed, but not as %q: %v", b.caught, err)
				}
			})
		}
	}
}
