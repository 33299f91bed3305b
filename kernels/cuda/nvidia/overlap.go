//go:build cuda && cgo && linux

package nvidia

import "strings"

// firstOverlapping is the compute capability from which on launches can overlap.
const firstOverlapping = 9

// withoutOverlap is ptx for a GPU before that: the kernels do not wait, because the launches
// do.
func withoutOverlap(ptx string) string {
	ptx = strings.Replace(ptx, ".target sm_90", ".target sm_80", 1)
	ptx = strings.ReplaceAll(ptx, "griddepcontrol.wait;", "")
	return strings.ReplaceAll(ptx, "griddepcontrol.launch_dependents;", "")
}
