// Package nvidia drives NVIDIA GPUs: it is the cuda.Driver of a real one.
//
// It is built with -tags cuda and cgo, on Linux, through gorgonia.org/cu and a few calls that
// cu lacks; kernels/cuda/build-cuda.sh sets what that needs. The CUDA toolkit is not needed:
// include holds a header of ours, lib an empty archive in place of libcuda, and
// trampolines.c looks the driver up when it is first called. So the program starts on
// machines without a GPU too, and says there what is missing. Built in any other way, all of
// this package's functions return an error that says so.
package nvidia

// An Info describes a GPU.
type Info struct {
	Name            string // "NVIDIA H200"
	Memory          int64  // bytes
	Major, Minor    int    // compute capability
	Multiprocessors int
	CUDA            int // the newest version of CUDA that the driver serves, 1000·major + 10·minor
}
