//go:build !linux

package cpu

import "unsafe"

// useLargePages does nothing: other systems decide for themselves.
func useLargePages(unsafe.Pointer, int) {}
