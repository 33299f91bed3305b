package cuda

import (
	"fmt"
	"math"

	"quadrant/kernels"
)

// Attention of many queries on tensor cores: kern/flash.h, and its gradient: kern/flash_grad.cu.

const (
	flashLeast = 16 // queries of a sequence that are worth tensor cores
	flashWide  = 128
)

// flashes reports whether there are kernels for n queries of a sequence with heads of a size.
func flashes(n, head int) bool { return n >= flashLeast && head <= flashWide }

// widened is the elements that kernels give a head.
func widened(head int) int {
	if head <= 64 {
		return 64
	}
	return flashWide
}

// flash plans attention on tensor cores, whose result also becomes panels, if there are kernels for o.
// Keys and values of 16 bits are read where they are, others are taken apart before.
func (d *Device) flash(o *kernels.Attend, to panels) bool {
	n, length, head := o.Q.Rows/o.Seqs, o.K.Rows/o.Seqs, widened(o.HeadDim)
	if !flashes(n, o.HeadDim) || to != (panels{}) && o.HeadDim != head {
		return false
	}
	kernel, k, v := d.flashKeys(o, head)
	a := d.begin(o.Dst, o.Q)
	a.pointer(k.at)
	a.int(k.stride)
	a.pointer(v.at)
	a.int(v.stride, k.low, v.low)
	a.int(n, length)
	a.pointer(d.cell(o.Past))
	a.int(o.HeadDim, o.Q.Cols/o.K.Cols)
	a.float(float64(o.Scale))
	a.panels(to)
	a.mats(o.LSE)
	queries, threads := flashBlock(kernel)
	d.launchZ(kernel, [3]int{o.Q.Cols / o.HeadDim, blocksFor(n, queries), o.Seqs}, threads, a)
	return true
}

// flashKeys is the kernel for o, with heads of head elements, and where it finds keys and values: the
// address, the bytes from a row to the next, and those to the second plane if there are two.
func (d *Device) flashKeys(o *kernels.Attend, head int) (kernel string, k, v struct {
	at          uint64
	stride, low int
}) {
	kernel = fmt.Sprintf("flash%d_%d", head, d.terms())
	if o.HeadDim == head && o.K.Type == o.V.Type && o.K.Type.Size() == 2 && vectors(o.K) && vectors(o.V) {
		k.at, k.stride = address(o.K), o.K.Stride*int(o.K.Type.Size())
		v.at, v.stride = address(o.V), o.V.Stride*int(o.V.Type.Size())
		return typed(kernel, o.K), k, v
	}
	p := planes{rows: o.K.Rows, heads: o.K.Cols / o.HeadDim, head: head, terms: d.terms()}
	k.at, k.stride, k.low = d.temp(2*p.bytes()), p.width(), p.low()
	v = k
	v.at += uint64(p.bytes())
	n, length := o.Q.Rows/o.Seqs, o.K.Rows/o.Seqs
	d.planes(p, k.at, o.K, n, length, d.cell(o.Past), 1)
	d.planes(p, v.at, o.V, n, length, d.cell(o.Past), 1)
	return kernel + [...]string{1: "_bf16", 2: "_f32"}[d.terms()], k, v
}

// flashBlock is the queries and threads of a block: QUERIES and THREADS in kern/flash.h.
func flashBlock(kernel string) (queries, threads int) {
	switch kernel {
	case "flash64_1_bf16", "flash64_1_f16":
		return 128, 128
	case "flash64_2_bf16", "flash64_2_f16":
		return 128, 256
	}
	return 64, 128
}

// planes are an operand of attention taken apart, as kern/planes.cu writes it: heads of a row side by
// side, each widened to head elements, in one or two planes of bf16.
type planes struct{ rows, heads, head, terms int }

func (p planes) width() int { return 2 * p.heads * p.head } // bytes of a row

// low is the bytes from the first plane to the second, 0 if there is none.
func (p planes) low() int { return (p.terms - 1) * p.rows * p.width() }

func (p planes) bytes() int { return p.terms * p.rows * p.width() }

// planes plans that m, times scale, is taken apart to at: of sequences of length rows those of the n
// tokens of the step and of those before it, whose number is in cell, if there is one.
func (d *Device) planes(p planes, at uint64, m kernels.Mat, n, length int, cell uint64, scale float64) {
	head := m.Cols / p.heads
	a := d.begin()
	a.pointer(at)
	a.mats(m)
	a.int(p.low(), length, n)
	a.pointer(cell)
	a.int(head, p.head, p.heads, one(vectors(m) && head%8 == 0))
	a.float(scale)
	d.launch(typed("planes", m), m.Rows, 1, threadsFor(p.heads*p.head/8), a)
}

const gradRows = 64 // of a block: ROWS in kern/flash_grad.cu

// gradShared is the bytes of shared memory of a block: OWN and as many times STAGE as there are STAGES.
func gradShared(head, terms int) int {
	other, stages := 32, 2
	if head*terms > 128 {
		other = 16
	}
	if head > 64 {
		stages = 1
	}
	return 4 * terms * head * (gradRows + stages*other)
}

// flashGrad plans the gradient of attention on tensor cores, if there are kernels for o.
func (d *Device) flashGrad(o *kernels.AttendGrad) bool {
	n, length, heads := o.Q.Rows/o.Seqs, o.K.Rows/o.Seqs, o.Q.Cols/o.HeadDim
	if !flashes(n, o.HeadDim) {
		return false
	}
	head, padded := widened(o.HeadDim), blocksFor(n, gradRows)*gradRows
	forQ := planes{rows: o.Q.Rows, heads: heads, head: head, terms: d.terms()}
	forK := planes{rows: o.K.Rows, heads: o.K.Cols / o.HeadDim, head: head, terms: d.terms()}
	q := d.temp(2*forQ.bytes() + 2*forK.bytes() + 8*o.Seqs*heads*padded)
	g := q + uint64(forQ.bytes())
	k := g + uint64(forQ.bytes())
	v := k + uint64(forK.bytes())
	stats := v + uint64(forK.bytes())
	d.planes(forQ, q, o.Q, n, n, 0, float64(o.Scale)*math.Log2E)
	d.planes(forQ, g, o.G, n, n, 0, 1)
	d.planes(forK, k, o.K, n, length, 0, 1)
	d.planes(forK, v, o.V, n, length, 0, 1)
	a := d.begin()
	a.pointer(stats)
	a.mats(o.G, o.Out, o.LSE)
	a.int(n, padded, o.HeadDim, heads)
	d.launchZ("attend_grad_stats", [3]int{blocksFor(padded, maxThreads/warpThreads), heads, o.Seqs}, maxThreads, a)

	a = d.begin(o.DQ, o.DK, o.DV)
	for _, at := range []uint64{q, g, k, v} {
		a.pointer(at)
	}
	a.int(forQ.low(), forK.low())
	a.pointer(stats)
	a.int(padded, n, length, o.HeadDim, heads, o.Q.Cols/o.K.Cols)
	a.float(float64(o.Scale))
	name := func(of string) string { return fmt.Sprintf("flash_grad_%s%d_%d", of, head, d.terms()) }
	blocks, shared := blocksFor(n, gradRows), gradShared(head, d.terms())
	d.launchShared(name("q"), [3]int{heads, blocks, o.Seqs}, 2*gradRows, shared, a)
	d.launchShared(name("kv"), [3]int{forK.heads, blocks, o.Seqs}, 2*gradRows, shared, a)
	return true
}
