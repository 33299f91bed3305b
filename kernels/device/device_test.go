package device_test

import (
	"strings"
	"testing"

	"quadrant/kernels/cuda/nvidia"
	"quadrant/kernels/device"
)

// What Names lists opens; GPUs are not looked for.
func TestNamesOpen(t *testing.T) {
	for _, name := range device.Names() {
		if strings.HasPrefix(name, "cuda:") {
			if !nvidia.Built {
				t.Errorf("%s is listed, and this program cannot open it", name)
			}
			continue
		}
		dev, err := device.Open(name, 1)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !strings.HasPrefix(dev.Name(), name) {
			t.Errorf("%s opens %s", name, dev.Name())
		}
	}
}

// What is not here is an error that says what is, and never another device.
func TestOpenErrors(t *testing.T) {
	for name, want := range map[string]string{
		"tpu":                          `device "tpu" is unknown: want one of cpu`,
		"cpu/sse9":                     "sse9",
		"cpu/":                         "unknown",
		"cuda":                         "unknown",
		"cuda:":                        "the number of a GPU, such as cuda:0",
		"cuda:-1":                      "the number of a GPU",
		"cuda:x":                       "the number of a GPU",
		"cuda:60000":                   "device cuda:60000: ",
		"cuda:60000/bf16/mma+cublaslt": "device cuda:60000/bf16/mma+cublaslt: ",
		"cuda:0+cublas":                "the number of a GPU",
		"ref/x":                        "unknown",
	} {
		if dev, err := device.Open(name, 1); err == nil {
			t.Errorf("%q opens %s", name, dev.Name())
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", name, err, want)
		}
	}
}
