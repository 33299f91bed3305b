package cuda

// WGMMAFrom lets products of rows or more use wgmma, if the GPU has it.
func (d *Device) WGMMAFrom(rows int) {
	if d.wgmmaFrom > 0 {
		d.wgmmaFrom = rows
	}
}

// Launches is how many the last list of ops was planned as.
func (d *Device) Launches() int { return len(d.launches) }
