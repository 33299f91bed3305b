//go:build !noasm

package vec

import "unsafe"

// amx is avx512 with products of bf16 by bf16 in tiles.
func amx() Funcs {
	f := avx512()
	f.Name = "amx"
	f.PackTiles, f.GemmTiles, f.FusedRounded = packTiles, gemmTiles, fusedTiles
	return f
}

const (
	tileDepth = 32 // elements of k of one tile
	tileSide  = TileRows / 2
	tileBytes = 1024
	// chunk is how many panels of X a block of W is multiplied by at once, group how many blocks
	// of W a chunk is, and chunkSize the products of one with one.
	chunk     = 16
	group     = TilesTemp / chunkSize
	chunkSize = chunk * TileRows * TileRows
	// deep is the steps of k after which sums go to memory and the next block of W comes: what
	// they take of a chunk of X stays in the second cache for a whole group.
	deep = 24
)

// packTiles interleaves pairs of k, sixteen rows side by side.
func packTiles(to, x []uint16, rows, k int) {
	const tile = tileBytes / 2
	var last [TileRows * tileDepth]uint16
	for l := 0; l < k; l += tileDepth {
		from, ld := x[l:], k
		if l+tileDepth > k || rows < TileRows || k%2 != 0 { // with zeros for what there is not
			clear(last[:])
			for i := range rows {
				copy(last[i*tileDepth:], x[i*k+l:i*k+min(k, l+tileDepth)])
			}
			from, ld = last[:], tileDepth
		}
		for half := range 2 {
			at := to[l/tileDepth*2*tile+half*tile:]
			turnAVX512(word(at), 16, word(from[half*tileSide*ld:]), ld/2, 1)
		}
	}
}

// word is the first two of x as one value.
func word(x []uint16) *float32 { return (*float32)(unsafe.Pointer(&x[0])) }

func gemmTiles(c []float32, ldc int, x []uint16, w []uint16, ldw, m, n, k int, tmp []float32, rest []uint16) {
	steps := (k + tileDepth - 1) / tileDepth
	for j := 0; j < n; {
		blocks, rows, from, ld := 1, min(TileRows, n-j), w[j*ldw:], ldw
		if rows < TileRows || k%tileDepth != 0 {
			ld = steps * tileDepth
			clear(rest[:TileRows*ld])
			for i := range rows {
				copy(rest[i*ld:], from[i*ldw:i*ldw+k])
			}
			from = rest
		} else {
			blocks = min(group, (n-j)/TileRows)
			rows = blocks * TileRows
		}
		for i := 0; i < m; i += chunk * TileRows {
			count := min(chunk*TileRows, m-i)
			tileBlocks(tmp, from, ld, x[i/TileRows*steps*TileRows*tileDepth:], steps, blocks, count)
			for b := 0; b < rows; b += TileRows {
				for r := 0; r < count; r += TileRows {
					untile(c[(i+r)*ldc+j+b:], ldc, tmp[b/TileRows*chunkSize+r*TileRows:], min(TileRows, count-r), min(TileRows, rows-b))
				}
			}
		}
		j += rows
	}
}

// tileBlocks are the products of blocks of rows of W with panels of count rows of X.
func tileBlocks(to []float32, w []uint16, ldw int, x []uint16, steps, blocks, count int) {
	if panel := steps * TileRows * tileDepth; count > tileSide {
		for s := 0; s < steps; s += deep {
			for b := range blocks {
				tilesAMX(&to[b*chunkSize], &w[b*TileRows*ldw+s*tileDepth], ldw, &x[s*TileRows*tileDepth], panel, min(deep, steps-s), (count+TileRows-1)/TileRows, s)
			}
		}
		return
	}
	for b := range blocks {
		slimTilesAMX(&to[b*chunkSize], &w[b*TileRows*ldw], ldw, &x[0], 0, steps, 1, 0)
	}
}

// untile is C = Tᵀ for a panel's products.
func untile(c []float32, ldc int, t []float32, m, n int) {
	if m == TileRows && n == TileRows {
		turnAVX512(&c[0], ldc, &t[0], TileRows, 2)
		turnAVX512(&c[tileSide], ldc, &t[tileSide*TileRows], TileRows, 2)
		return
	}
	for i := range m {
		for j := range n {
			c[i*ldc+j] = t[j*TileRows+i]
		}
	}
}

// fusedTiles is the rate of products of tiles, in registers.
func fusedTiles(n int) (flops int64) {
	fusedAMX(n)
	return 4 * 2 * 16 * 16 * tileDepth * int64(n)
}
