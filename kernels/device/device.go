// Package device opens devices by name.
package device

import (
	"fmt"
	"strconv"
	"strings"

	"quadrant/kernels"
	"quadrant/kernels/cpu"
	"quadrant/kernels/cuda"
	"quadrant/kernels/cuda/nvidia"
	"quadrant/kernels/ref"
)

// Names are the devices that this program can open here: "cpu" is the fastest variant that
// this machine runs, "cpu/go" the portable one, "cpu/amx" one that rounds activations to
// bf16 where weights are and is never chosen but by name, "ref" the float64 definition, slow on
// purpose. "cuda:0" stands for the GPUs, 0 and on, of a program that can drive them; whether
// there is one, [GPUs] finds out. "cuda:0/bf16" rounds activations to bf16 in products of many
// rows with bf16 weights; "cuda:0" keeps 16 bits of them, at twice the work. "/mma" after either
// does without the instructions that only compute capability 9.0 has (wgmma). "+cublaslt" at the
// end gives products of many rows to that library, where it is installed.
func Names() []string {
	names := []string{"cpu"}
	for _, v := range append(cpu.Variants(), cpu.Rounding()...) {
		names = append(names, "cpu/"+v)
	}
	names = append(names, "ref")
	if nvidia.Built {
		names = append(names, "cuda:0")
	}
	return names
}

// GPUs describes the devices cuda:0, cuda:1 and so on. The error says why there are none.
func GPUs() ([]nvidia.Info, error) { return nvidia.Devices() }

// Open opens the device called name with the given number of threads (0: one per core),
// which ref and GPUs do not use. It never opens another in its place.
func Open(name string, threads int) (kernels.Device, error) {
	kind, variant, _ := strings.Cut(name, "/")
	number, gpu := strings.CutPrefix(name, "cuda:")
	switch {
	case kind == "cpu" && (variant != "" || name == "cpu"):
		return cpu.Open(variant, threads)
	case name == "ref":
		return ref.New(), nil
	case gpu:
		return openGPU(name, number)
	}
	return nil, fmt.Errorf("device %q is unknown: want one of %s", name, strings.Join(Names(), ", "))
}

func openGPU(name, number string) (kernels.Device, error) {
	products := cuda.Split
	number, library := strings.CutSuffix(number, "+cublaslt")
	number, avoid := strings.CutSuffix(number, "/mma")
	number, rounded := strings.CutSuffix(number, "/bf16")
	if rounded {
		products = cuda.Rounded
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("device %q: want cuda: and the number of a GPU, such as cuda:0, cuda:0/bf16, cuda:0/mma or cuda:0/bf16/mma, and +cublaslt after any", name)
	}
	drv, err := nvidia.Open(int(n))
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", name, err)
	}
	dev, err := cuda.New(drv, products)
	if err == nil && library {
		err = dev.UseLibrary()
	}
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", name, err)
	}
	if avoid {
		dev.AvoidWGMMA()
	}
	return dev, nil
}
