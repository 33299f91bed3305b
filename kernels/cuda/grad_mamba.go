package cuda

import "quadrant/kernels"

func (d *Device) convSiLUGrad(o *kernels.ConvSiLUGrad) {
	n, dim, taps := o.X.Rows/o.Seqs, o.X.Cols, o.W.Cols
	runs := blocksFor(n, convRun)
	rows := o.Seqs * runs
	p := d.partsOf(o.X.Rows*dim, rows*dim*taps, rows*dim)
	slope, dw, dBias := p.take(o.X.Rows*dim), p.take(rows*dim*taps), p.take(rows*dim)
	a := d.begin(o.DX, o.G, o.X, o.W, o.Bias)
	a.pointer(slope)
	a.pointer(dw)
	a.pointer(dBias)
	a.int(dim, taps, n, convRun)
	channels := blocksFor(dim, channelThreads)
	d.launchZ("conv_slope", [3]int{channels, runs, o.Seqs}, channelThreads, a)
	d.launch("conv_back", o.X.Rows, channels, channelThreads, a)
	d.fold(o.DW, dw, rows, true)
	if !o.DBias.None() {
		d.fold(o.DBias, dBias, rows, true)
	}
}

const (
	groupStates = 16  // GROUP in kern/grad_scan.cu: states of a block
	backThreads = 128 // BACK_THREADS
)

// A chunked scan is one whose chunks of [kernels.ScanChunk] tokens are blocks side by side.
type chunked struct{ seqs, n, dim, states, chunks, groups int }

func chunkedScan(x, a kernels.Mat, seqs int) chunked {
	n := x.Rows / seqs
	return chunked{seqs, n, x.Cols, a.Cols, blocksFor(n, kernels.ScanChunk), blocksFor(a.Cols, groupStates)}
}

func (c chunked) numbers(a *args) { a.int(c.dim, c.states, c.n, c.chunks) }

// grid is that of blocks of so many threads for all chunks.
func (c chunked) grid(threads int) [3]int {
	return [3]int{c.seqs * c.chunks, blocksFor(scanLanes*c.dim, threads), c.groups}
}

// scanKeep plans a scan that keeps Starts.
func (d *Device) scanKeep(o *kernels.Scan) {
	c := chunkedScan(o.X, o.A, o.Seqs)
	rows := c.seqs * c.chunks * c.dim
	p := d.partsOf(rows*c.states, rows, c.groups*o.X.Len())
	ends, sums, y := p.take(rows*c.states), p.take(rows), uint64(0)
	if c.groups > 1 {
		y = p.take(c.groups * o.X.Len())
	}
	a := d.begin(o.Dst, o.X, o.Dt, o.A, o.B, o.C, o.D, o.Z, o.DtBias, o.State, o.Starts)
	for _, p := range []uint64{ends, sums, y} {
		a.pointer(p)
	}
	c.numbers(a)
	d.launchZ("scan_keep_ends", c.grid(channelThreads), channelThreads, a)
	d.launch("scan_keep_starts", c.seqs, blocksFor(c.dim*c.states, backThreads), backThreads, a)
	d.launchZ("scan_keep", c.grid(channelThreads), channelThreads, a)
	if c.groups > 1 {
		a.int(c.groups)
		d.launch("scan_keep_join", o.X.Rows, blocksFor(c.dim, channelThreads), channelThreads, a)
	}
}

func (d *Device) scanGrad(o *kernels.ScanGrad) {
	c := chunkedScan(o.X, o.A, o.Seqs)
	all := c.seqs * c.chunks
	grid := c.grid(backThreads)
	sizes := []int{all * c.dim * c.states, all * c.dim, all * c.dim * c.states, grid[1] * o.B.Len(), grid[1] * o.B.Len(), all * c.dim, all * c.dim}
	if c.groups > 1 {
		sizes = append(sizes, 3*c.groups*o.X.Len())
	}
	p := d.partsOf(sizes...)
	at := make([]uint64, 8) // carries, Σδ, dA, dB, dC, dD, dBias, and the sums of several groups
	for i, n := range sizes {
		at[i] = p.take(n)
	}
	a := d.begin(o.DX, o.DDt, o.DZ, o.G, o.X, o.Dt, o.A, o.B, o.C, o.D, o.Z, o.DtBias, o.Starts)
	for _, p := range at {
		a.pointer(p)
	}
	c.numbers(a)
	d.launchZ("scan_back_ends", c.grid(channelThreads), channelThreads, a)
	d.launch("scan_back_carries", c.seqs, blocksFor(c.dim*c.states, backThreads), backThreads, a)
	d.launchZ("scan_back", grid, backThreads, a)
	if c.groups > 1 {
		a.int(c.groups)
		d.launch("scan_back_join", all, blocksFor(c.dim, channelThreads), channelThreads, a)
	}
	d.fold(o.DA, at[2], all, true)
	d.fold(o.DB, at[3], grid[1], false)
	d.fold(o.DC, at[4], grid[1], false)
	if !o.DD.None() {
		d.fold(o.DD, at[5], all, true)
	}
	if !o.DDtBias.None() {
		d.fold(o.DDtBias, at[6], all, true)
	}
}
