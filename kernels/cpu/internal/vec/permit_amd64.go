//go:build !noasm && !linux

package vec

// tilesPermitted: how other systems give permission is not known here.
func tilesPermitted() bool { return false }
