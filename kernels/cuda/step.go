package cuda

import (
	"fmt"

	"quadrant/kernels"
)

// The products of a step of one token with bf16 weights: kern/step_90.cu.

const (
	rowThreads     = 256       // ROW_THREADS in kern/row.h
	rowTerms       = 3         // TERMS
	rowPad         = 16        // ROW_PAD
	rowInner       = 32        // ROW_STEP in kern/row.h
	mostRowColumns = 128       // MOST_COLUMNS
	mostRowBytes   = 110 << 10 // of shared memory, if two blocks are to find a place
	someRowBytes   = 72 << 10  // of weights, of blocks that are several to a multiprocessor
	leastRowBytes  = 78 << 10  // so that no three blocks find a place, and two kernels share each multiprocessor evenly
)

// rowTiles are the kernels' tiles of 16 columns.
var rowTiles = [...]int{1, 2, 3, 4, 6, 8}

// A rowGrid is how the columns of a product of one row are shared by blocks.
type rowGrid struct{ units, blocks, tiles, shared int }

// rowGridOf shares out units of each columns, whose rows of weights have in elements.
func (d *Device) rowGridOf(units, each, in int) rowGrid {
	row := 2*in + rowPad
	fixed := rowTerms*row + rowPad
	g := rowGrid{units: blocksFor(units, d.multiprocessors)}
	if most := (mostRowBytes - fixed) / row / each; g.units > min(most, mostRowColumns/each) {
		most = max(1, min(someRowBytes/row, mostRowColumns)/each)
		rounds := blocksFor(g.units, most)
		g.units = blocksFor(units, d.multiprocessors*rounds)
		g.shared = fixed + g.units*each*row
	} else {
		g.shared = max(fixed+g.units*each*row, leastRowBytes)
	}
	g.blocks = blocksFor(units, g.units)
	for _, t := range rowTiles {
		if g.tiles = t; 16*t >= g.units*each {
			break
		}
	}
	return g
}

// canRow reports whether the kernels of one row can multiply a with b.
func (d *Device) canRow(rows int, a, b kernels.Mat) bool {
	return rows == 1 && b.Type == kernels.BF16 && d.rowCopies && b.Cols%rowInner == 0 && canStream(a, b)
}

// kernel is the name of the kernel for g.
func (g rowGrid) kernel(name string) string { return fmt.Sprintf("%s%d_bf16", name, g.tiles) }
