package cuda

// Unused is how many matrices are gone whose memory is not idle yet.
func Unused(d *Device) int {
	d.unused.mu.Lock()
	defer d.unused.mu.Unlock()
	return len(d.unused.at)
}
