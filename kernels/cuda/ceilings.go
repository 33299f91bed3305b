package cuda

import (
	"bytes"
	"fmt"
	"math"

	"quadrant/kernels"
)

// Instruments are what measuring needs of a driver beyond [Driver]. The simulator has none.
type Instruments interface {
	// Mark notes on the GPU when the work given before it is done: mark 0 or 1.
	Mark(i int) error
	// Elapsed is the time of the GPU from mark 0 to mark 1, once both have come.
	Elapsed() (seconds float64, err error)
	// CopyWithin copies between two places of the GPU's memory, in order with launches.
	CopyWithin(dst, src uint64, bytes int) error
	CacheBytes() int64 // of the last cache before memory
	UUID() string      // "GPU-…", "" where the driver has none
}

func (d *Device) instruments() (Instruments, error) {
	i, ok := d.drv.(Instruments)
	if !ok {
		return nil, fmt.Errorf("%s has no clock to time its work by: measure on a GPU", d.Name())
	}
	return i, nil
}

// TimesItself is nil where the GPU has a clock, and otherwise says that it has none.
func (d *Device) TimesItself() error {
	_, err := d.instruments()
	return err
}

// CacheBytes is the size of the GPU's L2 cache; 0 where the driver does not tell.
func (d *Device) CacheBytes() int64 {
	if i, err := d.instruments(); err == nil {
		return i.CacheBytes()
	}
	return 0
}

// UUID names the GPU among all, as nvidia-smi does; "" where the driver does not tell.
func (d *Device) UUID() string {
	if i, err := d.instruments(); err == nil {
		return i.UUID()
	}
	return ""
}

// Time returns the seconds that the ops which do asks for take, by the GPU's clock. They run
// three times, the first two to become a graph and to warm up; before runs ahead of the one that
// counts, and may be nil.
func (d *Device) Time(do, before func()) (seconds float64, err error) {
	watch, err := d.instruments()
	if err != nil {
		return 0, err
	}
	for range 2 {
		do()
		if err := d.Sync(); err != nil {
			return 0, err
		}
	}
	if before != nil {
		before()
	}
	if err := d.Sync(); err != nil {
		return 0, err
	}
	do()
	return d.between(watch, d.flush)
}

// between returns the seconds that the GPU takes for what work gives it.
func (d *Device) between(watch Instruments, work func()) (float64, error) {
	d.fail(watch.Mark(0))
	work()
	d.fail(watch.Mark(1))
	if err := d.Sync(); err != nil {
		return 0, err
	}
	return watch.Elapsed()
}

// The launches of kern/ceilings.cu: blocks that fill the multiprocessors of the largest GPUs
// evenly, or nearly so.
const (
	ceilingBlocks = 2112 // 16 for each of 132
	packBytes     = 16
	readAhead     = 8                                  // READ_AHEAD
	readRound     = readAhead * packBytes * maxThreads // bytes of a block
	fusedFLOPs    = 2 * 16 * 8                         // of a thread, a round: CHAINS · FUSED_ROUND multiply-adds
	tensorFLOPs   = 2 * 16 * 8 * 16 * 8                // of a warp, a round: TENSOR_CHAINS products of 16·8·16
	wgmmaFLOPs    = 2 * 2 * 64 * 64 * 192              // of a block, a round: two products of 64·64·WGMMA_COLUMNS
	wgmmaOperands = (2*64 + 192) * 128                 // OPERAND_BYTES
	leastCeiling  = 1e-3                               // seconds that a ceiling is measured for at least
	mostRounds    = 1 << 22                            // of a launch
	ceilingWarps  = maxThreads / warpThreads
)

// ReadRate is the bytes a second that the GPU reads of m, again and again: past the caches of
// multiprocessors, but from its L2 cache if m fits there.
func (d *Device) ReadRate(m kernels.Mat) (float64, error) {
	rounds, seconds, err := d.calibrate(func(rounds int) { d.readAll(m, rounds, ceilingBlocks) })
	return float64(rounds) * ceilingBlocks * readRound / seconds, err
}

// readAll plans a launch that reads readRound bytes by each block in every round. Its result, by
// warp, is at the address that it returns.
func (d *Device) readAll(m kernels.Mat, rounds, blocks int) (results uint64) {
	results = d.temp(4 * blocks * ceilingWarps)
	a := d.begin()
	a.pointer(address(m))
	a.int(int(m.Bytes())/packBytes, readAhead*rounds)
	a.pointer(results)
	d.launch("read_all", blocks, 1, maxThreads, a)
	return results
}

// Evict reads m, which displaces what the caches hold if it is larger than they are.
func (d *Device) Evict(m kernels.Mat) {
	rounds := blocksFor(int(m.Bytes()), ceilingBlocks*readRound)
	d.direct(func() { d.readAll(m, rounds, ceilingBlocks) })
}

// CopyRate is the bytes a second that copies from src to dst move, read and written both counted.
// They have the same size.
func (d *Device) CopyRate(dst, src kernels.Mat) (float64, error) {
	watch, err := d.instruments()
	if err != nil {
		return 0, err
	}
	n := int(src.Bytes())
	copies, seconds, err := d.measure(watch, func(copies int) {
		for range copies {
			d.fail(watch.CopyWithin(address(dst), address(src), n))
		}
	})
	return 2 * float64(n) * float64(copies) / seconds, err
}

// MultiplyAddRate is the FLOP/s of multiply-adds between registers, a multiply-add being two: of
// float32, or on tensor cores of BF16 or F16 with sums of float32. Those of BF16 are by wgmma, from
// shared memory, where products are.
func (d *Device) MultiplyAddRate(t kernels.Type) (float64, error) {
	kernel, each := "fused", fusedFLOPs*maxThreads
	switch {
	case t == kernels.BF16 && d.wgmmaFrom > 0:
		kernel, each = "wgmma_bf16", wgmmaFLOPs
	case t != kernels.F32:
		kernel, each = "tensor_"+t.String(), tensorFLOPs*ceilingWarps
	}
	rounds, seconds, err := d.calibrate(func(rounds int) { d.multiplyAdds(kernel, rounds, ceilingBlocks) })
	return float64(each) * ceilingBlocks * float64(rounds) / seconds, err
}

// multiplyAdds plans a launch whose result, by warp, counts what it did.
func (d *Device) multiplyAdds(kernel string, rounds, blocks int) (results uint64) {
	ones := d.temp(wgmmaOperands + 4*blocks*ceilingWarps)
	results = ones + wgmmaOperands
	a := d.begin()
	switch kernel {
	case "fused":
		a.float(1)
		a.float(1)
	case "tensor_f16":
		a.int(0x3c003c00) // two ones
	case "tensor_bf16":
		a.int(0x3f803f80)
	case "wgmma_bf16":
		a.pointer(ones)
		d.fail(d.drv.CopyIn(ones, bytes.Repeat([]byte{0x80, 0x3f}, wgmmaOperands/2)))
	}
	a.int(rounds)
	a.pointer(results)
	d.launch(kernel, blocks, 1, maxThreads, a)
	return results
}

// direct launches what plan plans, behind the ops before it.
func (d *Device) direct(plan func()) {
	d.flush()
	d.launches = d.launches[:0]
	if plan(); d.err == nil {
		d.fail(d.start())
		d.busy = true
	}
}

// calibrate times a launch that plan plans for as many rounds as a clock needs.
func (d *Device) calibrate(plan func(rounds int)) (rounds int, seconds float64, err error) {
	watch, err := d.instruments()
	if err != nil {
		return 0, 0, err
	}
	return d.measure(watch, func(rounds int) { d.direct(func() { plan(rounds) }) })
}

// measure times work(rounds), with more rounds until that takes leastCeiling.
func (d *Device) measure(watch Instruments, work func(rounds int)) (rounds int, seconds float64, err error) {
	if err := d.Sync(); err != nil {
		return 0, 0, err
	}
	for rounds = 1; ; rounds = min(mostRounds, rounds*int(math.Ceil(max(2, min(64, 1.2*leastCeiling/seconds))))) {
		if seconds, err = d.between(watch, func() { work(rounds) }); err != nil {
			return rounds, seconds, err
		}
		if seconds >= leastCeiling || rounds == mostRounds {
			return rounds, seconds, nil
		}
	}
}
