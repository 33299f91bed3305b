//go:build cuda && cgo && linux

package cuda_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"quadrant/arch"
	"quadrant/kernels"
	"quadrant/kernels/cuda"
	"quadrant/kernels/cuda/nvidia"
)

// simulated says that the driver is cusim's.
var simulated bool

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

// So it does token by token with bf16 weights, for which it has other kernels.
func TestGPUSteps(t *testing.T) {
	for _, name := range tiny {
		t.Run(name, func(t *testing.T) {
			cfg, prompt := preset(t, name), 33
			if simulated {
				cfg.Layers, prompt = cfg.Layers[:1], 2
			}
			compareTypes(t, cfg, openGPU(t), arch.Types{Weights: kernels.BF16, Cache: kernels.F32}, 1, prompt)
		})
	}
}

// A real GPU trains whole models as the CPU does. Under the simulator it is one small model.
func TestGPUTraining(t *testing.T) {
	for _, name := range tiny {
		t.Run(name, func(t *testing.T) {
			cfg, tokens := preset(t, name), 65
			if simulated {
				cfg.Layers, tokens = cfg.Layers[:1], 9
			}
			compareTraining(t, cfg, openGPU(t), tokens, 2)
		})
	}
	t.Run("expert_choice", func(t *testing.T) {
		cfg, tokens := preset(t, "tiny-transformer-moe"), 65
		if simulated {
			cfg.Layers, tokens = cfg.Layers[:1], 9
		}
		editRouters(t, cfg, func(r *arch.Router) { *r = expertsChoose(arch.ArgmaxInference) })
		compareTraining(t, cfg, openGPU(t), tokens, 2)
	})
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

// With cublasLt a real GPU computes products as their definition says, once and as part of a graph.
// A machine without the library is told so.
func TestGPULibrary(t *testing.T) {
	dev := openGPU(t)
	if err := dev.UseLibrary(); err != nil {
		if os.Getenv("QUADRANT_CUBLASLT") != "" || !strings.Contains(err.Error(), "no cublasLt: ") {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	for _, c := range byOp()["MatMul"] {
		if err := c.Check(dev, tolerance(c)); err != nil {
			t.Errorf("%s: %v", c.Name, err)
			dev = openGPU(t)
			if err := dev.UseLibrary(); err != nil {
				t.Fatal(err)
			}
		}
	}
	p := product{rows: 300, in: 256, out: 136, experts: 2, k: 1, random: rand.New(rand.NewPCG(1, 2))}
	a, b, bias := p.normal(300*256), p.normal(2*136*256), p.normal(2*136)
	x, w, v := dev.Alloc(kernels.F32, 300, 256), dev.Alloc(kernels.BF16, 136, 256), dev.Alloc(kernels.F32, 1, 136)
	dst, got := dev.Alloc(kernels.F32, 300, 136), [3][]float32{}
	kernels.Put(dev, w, b[:136*256])
	kernels.Put(dev, v, bias[:136])
	s := kernels.NewStream(dev)
	for i := range got { // the second and third are a graph
		kernels.Put(dev, x, a)
		s.Do(kernels.MatMul{Dst: dst, A: x, B: w, Bias: v})
		got[i] = make([]float32, 300*136)
		kernels.Get(dev, got[i], dst)
	}
	if err := dev.Sync(); err != nil {
		t.Fatal(err)
	}
	for i := range got[0] {
		if got[0][i] != got[1][i] || got[0][i] != got[2][i] {
			t.Fatalf("element %d is %v, and %v and %v as a graph", i, got[0][i], got[1][i], got[2][i])
		}
	}
}
