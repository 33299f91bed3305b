package cuda

import "quadrant/kernels"

// channelThreads is a block of channels: few, so that a small model fills a GPU.
const channelThreads = 64

func (d *Device) convSiLU(o *kernels.ConvSiLU) {
	a := d.begin(o.Dst, o.X, o.W, o.Bias, o.State)
	a.int(o.X.Cols, o.W.Cols, o.X.Rows/o.Seqs)
	channels := blocksFor(o.X.Cols, channelThreads)
	d.launch("conv_silu", o.X.Rows, channels, channelThreads, a)
	if o.W.Cols > 1 {
		d.launch("conv_keep", o.Seqs, channels, channelThreads, a)
	}
}

// registerStates is how many states the scan keeps in registers: STATES in kern/mamba.cu.
const registerStates = 16

func (d *Device) scan(o *kernels.Scan) {
	kernel := "scan"
	if o.A.Cols > registerStates {
		kernel = "scan_wide"
	}
	a := d.begin(o.Dst, o.X, o.Dt, o.A, o.B, o.C, o.D, o.Z, o.DtBias, o.State)
	a.int(o.X.Cols, o.A.Cols, o.X.Rows/o.Seqs)
	d.launch(kernel, o.Seqs, blocksFor(o.X.Cols, channelThreads), channelThreads, a)
}
