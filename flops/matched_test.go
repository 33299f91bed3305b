package flops_test

import (
	"math"
	"testing"

	"quadrant/arch"
	"quadrant/configs"
	"quadrant/flops"
)

// TestNanoIsMatched compares the FLOPs of a forward pass per token, averaged over the
// training context, and active parameters: those of the nano models are what their presets
// say, and each sparse model is matched closely to its dense control.
func TestNanoIsMatched(t *testing.T) {
	const context = 128
	type size struct{ flops, total, active float64 }
	of := func(name string) size {
		p, err := configs.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		c, err := flops.Count(p.Config, flops.Work{Seqs: 1, Tokens: context, Types: arch.Types{}})
		if err != nil {
			t.Fatal(err)
		}
		return size{float64(c.FLOPs) / context, float64(c.Params.Total), float64(c.Params.Active)}
	}
	within := func(name, what string, got, want, percent float64) {
		if off := 100 * (got/want - 1); math.Abs(off) > percent {
			t.Errorf("%s has %.0f %s, %.2f %% off %.0f, want at most %v %%", name, got, what, off, want, percent)
		}
	}
	dense := of("nano-transformer")
	for _, name := range []string{"nano-mamba", "nano-mamba-mlp", "nano-transformer-moe", "nano-mamba-moe"} {
		within(name, "FLOPs per token", of(name).flops, dense.flops, 3)
		within(name, "active parameters", of(name).active, dense.active, 7)
	}
	for sparse, control := range map[string]string{"nano-transformer-moe": "nano-transformer", "nano-mamba-moe": "nano-mamba-mlp"} {
		within(sparse, "FLOPs per token", of(sparse).flops, of(control).flops, 1)
		within(sparse, "active parameters", of(sparse).active, of(control).active, 1)
		if total := of(sparse).total; total < 3*of(control).total {
			t.Errorf("%s has %.0f parameters, want at least three times those of %s", sparse, total, control)
		}
	}
}
