package cuda

import "quadrant/kernels"

// convRun is CONV_RUN in kern/mamba.cu: the tokens of a block.
const convRun = 32

// channelThreads is a block of channels: few, so that a small model fills a GPU.
const channelThreads = 64

func (d *Device) convSiLU(o *kernels.ConvSiLU) {
	if d.convRun(o, panels{}) {
		return
	}
	d.launch("conv_silu", o.X.Rows, blocksFor(o.X.Cols, channelThreads), channelThreads, d.convArgs(o))
	d.convKeep(o)
}

func (d *Device) convArgs(o *kernels.ConvSiLU) *args {
	a := d.begin(o.Dst, o.X, o.W, o.Bias, o.State)
	a.int(o.X.Cols, o.W.Cols, o.X.Rows/o.Seqs)
	return a
}

// convRun plans a convolution of many tokens, whose result also becomes panels, if there are
// kernels for it.
func (d *Device) convRun(o *kernels.ConvSiLU, to panels) bool {
	n := o.X.Rows / o.Seqs
	if o.W.Cols != taps || n < convRun {
		return false
	}
	a := d.convArgs(o)
	a.panels(to)
	d.launchZ("conv_run", [3]int{blocksFor(o.X.Cols, 2*channelThreads), blocksFor(n, convRun), o.Seqs}, 2*channelThreads, a)
	d.convKeep(o)
	return true
}

// convKeep plans that the last inputs are kept.
func (d *Device) convKeep(o *kernels.ConvSiLU) {
	if o.W.Cols > 1 {
		d.launch("conv_keep", o.Seqs, blocksFor(o.X.Cols, channelThreads), channelThreads, d.convArgs(o))
	}
}

// registerStates is how many states the scan keeps in registers: STATES in kern/mamba.cu.
const registerStates = 16

const (
	scanLanes   = 4    // TEAM in kern/scan.cu: threads of a channel
	scanThreads = 64   // SCAN_THREADS
	scanWarps   = 1056 // are enough to hide latency, 8 a multiprocessor
	leastTokens = 64   // of a chunk
	mostChunks  = 16
)

// scanRun plans a scan of many tokens with 4 threads a channel, if there are kernels for o.
// Its results also become panels.
// Chunks cost the recurrence twice, so they are for too few sequences to fill a GPU.
func (d *Device) scanRun(o *kernels.Scan, to panels) bool {
	n, dim, states := o.X.Rows/o.Seqs, o.X.Cols, o.A.Cols
	if states > registerStates || states%4 != 0 || !vectors(o.A) || !vectors(o.State) || !vectors(o.B) || !vectors(o.C) {
		return false
	}
	warps := blocksFor(o.Seqs*dim*scanLanes, warpThreads)
	chunks := max(1, min(scanWarps/warps, n/leastTokens, mostChunks))
	chunk := blocksFor(n, chunks)
	chunks = blocksFor(n, chunk)
	var ends, sums kernels.Mat
	if chunks > 1 {
		rows := o.Seqs * dim
		p := d.temp(4 * rows * ((chunks+1)*states + chunks))
		ends = scratch(p, (chunks+1)*rows, states)
		sums = scratch(p+uint64(4*(chunks+1)*rows*states), chunks*rows, 1)
	}
	for _, kernel := range []string{"scan_ends", "scan_run"} {
		a := d.begin(o.Dst, o.X, o.Dt, o.A, o.B, o.C, o.D, o.Z, o.DtBias, o.State)
		a.int(dim, states, n, chunk)
		a.mats(ends, sums)
		a.panels(to)
		grid := [3]int{o.Seqs, blocksFor(scanLanes*dim, scanThreads), chunks}
		if kernel == "scan_run" || chunks > 1 {
			d.launchZ(kernel, grid, scanThreads, a)
		}
	}
	return true
}

func (d *Device) scan(o *kernels.Scan) {
	if !o.Starts.None() {
		d.scanKeep(o)
		return
	}
	if d.scanRun(o, panels{}) {
		return
	}
	kernel := "scan"
	if o.A.Cols > registerStates {
		kernel = "scan_wide"
	}
	a := d.begin(o.Dst, o.X, o.Dt, o.A, o.B, o.C, o.D, o.Z, o.DtBias, o.State)
	a.int(o.X.Cols, o.A.Cols, o.X.Rows/o.Seqs)
	d.launch(kernel, o.Seqs, blocksFor(o.X.Cols, channelThreads), channelThreads, a)
}
