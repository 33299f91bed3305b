package cpu_test

import (
	"slices"
	"testing"

	"quadrant/kernels"
	"quadrant/kernels/cpu"
)

// The work is counted in proportion to the rounds, whatever the number of threads, and
// leaves the matrix as it is.
func TestCeilings(t *testing.T) {
	for _, variant := range append(cpu.Variants(), cpu.Rounding()...) {
		for _, threads := range []int{1, 3} {
			dev, err := cpu.Open(variant, threads)
			if err != nil {
				t.Fatal(err)
			}
			least, more := dev.MultiplyAdd(1), dev.MultiplyAdd(8*threads*10)
			if least <= 0 || more != 10*least {
				t.Errorf("%s: %d FLOPs for the least, %d for ten times as many rounds", variant, least, more)
			}
			rounds := slices.Contains(cpu.Rounding(), variant)
			least, more = dev.MultiplyAddRounded(1), dev.MultiplyAddRounded(8*threads*10)
			if (least > 0) != rounds || more != 10*least {
				t.Errorf("%s: %d rounded FLOPs for the least, %d for ten times as many rounds", variant, least, more)
			}
			m := dev.Alloc(kernels.F32, 7, 30011)
			dev.ReadAll(m)
			dev.ReadAll(m.RowRange(2, 3))
			got := make([]float32, 30011)
			kernels.Get(dev, got, m.RowRange(2, 3))
			for i, v := range got {
				if v != 0 {
					t.Fatalf("%s: element %d is %v after reading", variant, i, v)
				}
			}
		}
	}
}
