//go:build !linux && !darwin

package checkpoint

import "os"

// mapFile returns the bytes of the file at path, read into memory.
func mapFile(path string) ([]byte, error) {
	f, _, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	_ = f.Close()
	return os.ReadFile(path)
}

func unmapFile([]byte) error { return nil }
