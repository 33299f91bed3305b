package nvidia_test

import (
	"strings"
	"testing"

	"quadrant/kernels/cuda/nvidia"
)

// A program that cannot reach a GPU starts, and says why.
func TestWithoutGPU(t *testing.T) {
	want := "no CUDA driver: "
	if !nvidia.Built {
		want = "built without -tags cuda"
	}
	gpus, err := nvidia.Devices()
	if err == nil {
		t.Skipf("this machine has %d GPUs", len(gpus))
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("Devices: %v, want %q in it", err, want)
	}
	if _, err := nvidia.Open(0); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Open: %v, want %q in it", err, want)
	}
}
