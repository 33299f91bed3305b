// Package device opens devices by name.
package device

import (
	"fmt"
	"strings"

	"quadrant/kernels"
	"quadrant/kernels/cpu"
	"quadrant/kernels/ref"
)

// Names are the devices that there are here: "cpu" is the fastest variant that this
// machine runs, "cpu/go" the portable one, "ref" the float64 definition, slow on purpose.
func Names() []string {
	names := []string{"cpu"}
	for _, v := range cpu.Variants() {
		names = append(names, "cpu/"+v)
	}
	return append(names, "ref")
}

// Open opens the device called name with the given number of threads (0: one per core),
// which ref does not use. It never opens another in its place.
func Open(name string, threads int) (kernels.Device, error) {
	kind, variant, _ := strings.Cut(name, "/")
	switch {
	case kind == "cpu" && (variant != "" || name == "cpu"):
		return cpu.Open(variant, threads)
	case name == "ref":
		return ref.New(), nil
	}
	return nil, fmt.Errorf("device %q is unknown: want one of %s", name, strings.Join(Names(), ", "))
}
