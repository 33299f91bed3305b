// Package cusim is a driver of NVIDIA GPUs that simulates one, with ptxsim. Where it is
// linked in, with -tags cuda,cusim, package nvidia calls it in place of libcuda: the way from
// Go through cgo to the driver is tested without a GPU. It is for tests.
//
// It has the calls that package nvidia makes, and like the real driver refuses those on a
// thread that has no current context.
package cusim
