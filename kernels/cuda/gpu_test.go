//go:build cuda && cgo && linux

package cuda_test

import (
	"os"
	"strconv"
	"testing"

	"quadrant/kernels"
	"quadrant/kernels/cuda"
	"quadrant/kernels/cuda/nvidia"
)

// openGPU opens the GPU whose number QUADRANT_CUDA_DEVICE holds; without it, the test is
// skipped.
func openGPU(t *testing.T) *cuda.Device {
	t.Helper()
	number, ok := os.LookupEnv("QUADRANT_CUDA_DEVICE")
	if !ok {
		t.Skip("this test needs a GPU: set QUADRANT_CUDA_DEVICE to its number, such as 0")
	}
	n, err := strconv.Atoi(number)
	if err != nil {
		t.Fatalf("QUADRANT_CUDA_DEVICE=%s: want the number of a GPU", number)
	}
	drv, err := nvidia.Open(n)
	if err != nil {
		t.Fatal(err)
	}
	dev, err := cuda.New(drv, cuda.Split)
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

// A real GPU computes every op as its definition does.
func TestGPUConformance(t *testing.T) {
	openGPU(t)
	for op, cases := range byOp() {
		t.Run(op, func(t *testing.T) {
			dev := openGPU(t)
			for _, c := range cases {
				if err := c.Check(dev, tolerance(c)); err != nil {
					t.Errorf("%s: %v", c.Name, err)
					dev = openGPU(t)
				}
			}
		})
	}
	for _, op := range []string{"MatMul", "GroupedMatMul"} {
		t.Run(op+"WGMMA", func(t *testing.T) {
			dev := openGPU(t)
			dev.WGMMAFrom(1)
			for _, c := range byOp()[op] {
				if err := c.Check(dev, tolerance(c)); err != nil {
					t.Errorf("%s: %v", c.Name, err)
				}
			}
		})
	}
}

// A real GPU computes whole models as float64 does.
func TestGPUModels(t *testing.T) {
	for _, name := range tiny {
		t.Run(name, func(t *testing.T) { compareModel(t, preset(t, name), openGPU(t), 33) })
	}
}

// Work that is given from different goroutines and threads, one after another, is one
// stream.
func TestGPUChangesThreads(t *testing.T) {
	dev := openGPU(t)
	const n = 1000
	x, sum := dev.Alloc(kernels.F32, 1, n), dev.Alloc(kernels.F32, 1, n)
	one := make([]float32, n)
	for i := range one {
		one[i] = 1
	}
	kernels.Put(dev, x, one)
	s := kernels.NewStream(dev)
	const rounds = 64
	for range rounds {
		done := make(chan bool)
		go func() {
			s.Do(kernels.Add{Dst: sum, X: x})
			done <- true
		}()
		<-done
	}
	if err := dev.Sync(); err != nil {
		t.Fatal(err)
	}
	got := make([]float32, n)
	kernels.Get(dev, got, sum)
	for i, v := range got {
		if v != rounds {
			t.Fatalf("element %d is %v after %d additions of 1", i, v, rounds)
		}
	}
}
