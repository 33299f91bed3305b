package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"quadrant/kernels"
)

// TestWholeRows: the two ways in which one query goes through a cache make the same bits, also
// where a key holds an infinity or a NaN.
func TestWholeRows(t *testing.T) {
	for _, variant := range Variants() {
		for i, typ := range []kernels.Type{kernels.F32, kernels.BF16, kernels.F16} {
			for _, heads := range [][2]int{{3, 1}, {4, 2}} {
				for _, odd := range []float64{0, math.Inf(1), math.Inf(-1), math.NaN()} {
					t.Run(fmt.Sprintf("%s, %v, %d heads, %d share, %v", variant, typ, heads[0], heads[1], odd), func(t *testing.T) {
						testWholeRows(t, variant, typ, heads[0], heads[1], 1030+i, float32(odd))
					})
				}
			}
		}
	}
}

func testWholeRows(t *testing.T, variant string, typ kernels.Type, heads, share, past int, odd float32) {
	const dim, seqs = 24, 2
	var got [2][]float32
	for i, threads := range []int{1, 16} {
		d, err := Open(variant, threads)
		if err != nil {
			t.Fatal(err)
		}
		if whole := (&attendJob{d: d, past: past}).wholeRows(1); whole != (threads == 1) {
			t.Fatalf("%d threads take whole rows: %v", threads, whole)
		}
		r := rand.New(rand.NewPCG(1, 2))
		fill := func(t kernels.Type, rows, cols int) kernels.Mat {
			x, m := d.Alloc(kernels.F32, rows, cols), d.Alloc(t, rows, cols)
			for i := range f32(x).data {
				f32(x).data[i] = float32(r.NormFloat64())
			}
			if rows > seqs {
				f32(x).data[rows/4*cols] = odd // in the first sequence
			}
			for i := range rows {
				d.store(m, i, f32(x).row(i))
			}
			return m
		}
		op := kernels.Attend{
			Dst: d.Alloc(kernels.F32, seqs, heads*dim), Q: fill(kernels.F32, seqs, heads*dim),
			K: fill(typ, seqs*(past+3), heads/share*dim), V: fill(typ, seqs*(past+3), heads/share*dim),
			Seqs: seqs, Past: past, HeadDim: dim, Scale: 1.5,
		}
		d.Do(&op)
		if err := d.Sync(); err != nil {
			t.Fatal(err)
		}
		got[i] = f32(op.Dst).data
	}
	for i, v := range got[0] {
		if w := got[1][i]; v != w && (v == v || w == w) {
			t.Fatalf("value %d is %v by whole rows, %v head by head", i, v, w)
		}
	}
}
