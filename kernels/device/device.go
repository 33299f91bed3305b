// Package device opens devices by name.
package device

import (
	"fmt"

	"quadrant/kernels"
	"quadrant/kernels/cpu"
	"quadrant/kernels/ref"
)

// Names are the devices there are: "cpu" is the fastest variant that this machine runs,
// "cpu/go" the portable one, "ref" the float64 definition, slow on purpose.
var Names = []string{"cpu", "cpu/go", "ref"}

// Open opens the device called name with the given number of threads (0: one per core),
// which ref does not use. It never opens another in its place.
func Open(name string, threads int) (kernels.Device, error) {
	switch name {
	case "cpu", "cpu/go":
		return cpu.Open(threads)
	case "ref":
		return ref.New(), nil
	}
	return nil, fmt.Errorf("device %q is unknown: want one of %v", name, Names)
}
