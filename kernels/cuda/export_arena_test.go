package cuda

// Unused is how many matrices are gone whose memory is not idle yet.
func Unused(d *Device) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.unused)
}
