//go:build !linux

package cpu

// useLargePages does nothing: other systems decide for themselves.
func useLargePages([]byte) {}
