package ptxsim

import (
	"math"

	"quadrant/kernels"
)

// matrices are the instructions of tensor cores: a warp's lanes hold pieces of small matrices.
func matrices(t map[string]builder) {
	t["ldmatrix.sync.aligned.m8n8.x4.shared.b16"] = loadMatrices(false)
	t["ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16"] = loadMatrices(true)
	t["mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"] = multiply(kernels.FromBF16)
	t["mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32"] = multiply(kernels.FromF16)
	t["cvt.rn.bf16x2.f32"] = pack(kernels.ToBF16)
	t["cvt.rn.f16x2.f32"] = pack(kernels.ToF16)
}

// pack decodes "cvt d, upper, lower".
func pack(round func(float32) uint16) builder {
	half := func(v uint64) uint64 {
		if x := single(v); x == x {
			return uint64(round(x))
		}
		return 0x7fff
	}
	return apply2(32, 32, 32, func(upper, lower uint64) uint64 { return half(upper)<<16 | half(lower) })
}

// loadMatrices decodes "ldmatrix {a, b, c, d}, [row]": lanes 8i to 8i+7 have the addresses of the
// rows of matrix i, 8 elements of 2 bytes each; lane l gets the elements 2(l mod 4) and the one
// after it of row l/4 of every matrix. Transposed, it gets those of column l/4.
func loadMatrices(transposed bool) builder {
	return func(d *decoder) (action, error) { return d.loadMatrices(transposed) }
}

func (d *decoder) loadMatrices(transposed bool) (action, error) {
	if err := d.want(2); err != nil {
		return nil, err
	}
	dst, err := d.vector(d.at.operands[0], 32, 4, d.register)
	if err != nil {
		return nil, err
	}
	from, err := d.address(d.at.operands[1], "shared")
	return func(w *warp, mask uint32) error {
		var rows [lanes][]byte
		err := each(mask, func(l int) (err error) {
			rows[l], err = w.place("shared", w.regs[from.base][l]+from.offset, 16, l, false, false)
			return err
		})
		if err != nil {
			return err
		}
		for i, r := range dst {
			for l := range lanes {
				if transposed {
					low, high := rows[8*i+l%4*2], rows[8*i+l%4*2+1]
					w.regs[r][l] = get(low[l/4*2:], 16) | get(high[l/4*2:], 16)<<16
				} else {
					w.regs[r][l] = get(rows[8*i+l/4][l%4*4:], 32)
				}
			}
		}
		return nil
	}, err
}

// multiply decodes "mma {d…}, {a…}, {b…}, {c…}": D = A·B + C with A 16×16, B 16×8, in the
// layout of the PTX manual. With g = lane/4 and t = lane mod 4, register i of A holds two
// elements of row g + 8(i mod 2) from column 2t + 8(i/2) on, register i of B those of column g
// from row 2t + 8i on, element e of C and D is [g + 8(e/2), 2t + e mod 2].
//
// The sum is taken exactly and rounded once: a GPU's may differ by its last bits.
func multiply(widen func(uint16) float32) builder {
	return func(d *decoder) (action, error) { return d.multiply(widen) }
}

func (d *decoder) multiply(widen func(uint16) float32) (action, error) {
	if err := d.want(4); err != nil {
		return nil, err
	}
	dst, err := d.vector(d.at.operands[0], 32, 4, d.register)
	if err != nil {
		return nil, err
	}
	a, err := d.vector(d.at.operands[1], 32, 4, d.register)
	if err != nil {
		return nil, err
	}
	b, err := d.vector(d.at.operands[2], 32, 2, d.register)
	if err != nil {
		return nil, err
	}
	c, err := d.vector(d.at.operands[3], 32, 4, d.value)
	return func(w *warp, mask uint32) error {
		pair := func(v uint64) (low, high float64) {
			return float64(widen(uint16(v))), float64(widen(uint16(v >> 16)))
		}
		var left [16][16]float64
		var right [8][16]float64 // by columns
		for l := range lanes {
			g, t := l/4, l%4
			for i, r := range a {
				left[g+8*(i%2)][2*t+8*(i/2)], left[g+8*(i%2)][2*t+8*(i/2)+1] = pair(w.regs[r][l])
			}
			for i, r := range b {
				right[g][2*t+8*i], right[g][2*t+8*i+1] = pair(w.regs[r][l])
			}
		}
		for l := range lanes {
			for e, r := range c {
				sum := float64(single(w.regs[r][l]))
				row, column := &left[l/4+8*(e/2)], &right[l%4*2+e%2]
				for k, x := range row {
					sum += x * column[k]
				}
				w.regs[dst[e]][l] = uint64(math.Float32bits(float32(sum)))
			}
		}
		return nil
	}, err
}
