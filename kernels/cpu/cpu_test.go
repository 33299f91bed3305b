package cpu_test

import (
	"testing"

	"quadrant/kernels"
	"quadrant/kernels/cpu"
	"quadrant/kernels/kerneltest"
)

func TestConformance(t *testing.T) {
	for name, threads := range map[string]int{"one thread": 1, "two threads": 2, "more threads than cores": 5} {
		t.Run(name, func(t *testing.T) {
			kerneltest.Run(t, func() kernels.Device {
				dev, err := cpu.Open(threads)
				if err != nil {
					t.Fatal(err)
				}
				return dev
			}, kerneltest.Single)
		})
	}
}

func TestOpenErrors(t *testing.T) {
	for _, threads := range []int{-1, 1 << 20} {
		if _, err := cpu.Open(threads); err == nil {
			t.Errorf("opening with %d threads is no error", threads)
		}
	}
}
