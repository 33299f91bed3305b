package cpu_test

import (
	"fmt"
	"testing"

	"quadrant/kernels"
	"quadrant/kernels/cpu"
	"quadrant/kernels/kerneltest"
)

// Every variant that this processor runs computes every op as its definition does.
func TestConformance(t *testing.T) {
	conform(t, kerneltest.Run, 2, 1, 5) // 5 is more than most test machines have cores
}

// TestTraining: as TestConformance, for what training adds. Its results on other numbers of
// threads are held against each other in TestThreadsChangeNoGradient.
func TestTraining(t *testing.T) { conform(t, kerneltest.RunTraining, 2) }

func conform(t *testing.T, suite func(*testing.T, func() kernels.Device, kerneltest.Tolerance), threads ...int) {
	for i, variant := range cpu.Variants() {
		for _, threads := range threads {
			if threads != 2 && (i > 0 || testing.Short()) {
				continue
			}
			t.Run(fmt.Sprintf("%s, %d threads", variant, threads), func(t *testing.T) {
				suite(t, func() kernels.Device {
					dev, err := cpu.Open(variant, threads)
					if err != nil {
						t.Fatal(err)
					}
					return dev
				}, kerneltest.Single)
			})
		}
	}
}

func TestOpenErrors(t *testing.T) {
	for _, threads := range []int{-1, 1 << 20} {
		if _, err := cpu.Open("", threads); err == nil {
			t.Errorf("opening with %d threads is no error", threads)
		}
	}
	if _, err := cpu.Open("sse9", 1); err == nil {
		t.Error("a variant that does not exist is no error")
	}
}
