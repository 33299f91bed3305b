//go:build !cuda || !cgo || !linux

package nvidia

import (
	"errors"

	"quadrant/kernels/cuda"
)

// Built says whether this program can drive GPUs.
const Built = false

var errWithout = errors.New("this program was built without -tags cuda: build it with kernels/cuda/build-cuda.sh, on Linux with a C compiler")

// Open returns an error: this program has no driver of GPUs.
func Open(int) (cuda.Driver, error) { return nil, errWithout }

// Devices returns an error: this program cannot look for GPUs.
func Devices() ([]Info, error) { return nil, errWithout }
