package vec

import (
	"fmt"
	"testing"
)

// TestCache compares what Scores and Values make of each head with Gemm and WeightedRows, bit by
// bit, for rows that make no fours, heads that are no vectors and heads that share.
func TestCache(t *testing.T) {
	for _, set := range Sets() {
		for _, rows := range []int{1, 3, 4, 7, 18} {
			for _, dim := range []int{1, 8, 12, 16, 64, 528} {
				for _, heads := range [][2]int{{1, 1}, {3, 1}, {6, 3}, {4, 2}, {14, 7}} {
					name := fmt.Sprintf("%s: %d rows, %d heads of %d, %d share", set.Name, rows, heads[0], dim, heads[1])
					testCache(t, name, set, rows, heads[0], heads[1], dim)
				}
			}
		}
	}
}

func testCache(t *testing.T, name string, set Funcs, rows, heads, share, dim int) {
	t.Helper()
	width := heads / share * dim
	x, w, bf, h := operands(heads, rows, max(width, dim))
	ldc, ldp := max(width, dim)+5, rows+3 // as operands has them
	x = x[:heads*dim]
	tmp := make([]float32, 4*dim)
	gemm := func(c, x []float32, at int) { set.Gemm(c, rows, x, dim, w[at:], ldc, 1, rows, dim) }
	gemmBF16 := func(c, x []float32, at int) { set.GemmBF16(c, rows, x, dim, bf[at:], ldc, 1, rows, dim, tmp) }
	gemmF16 := func(c, x []float32, at int) { set.GemmF16(c, rows, x, dim, h[at:], ldc, 1, rows, dim, tmp) }
	p, want := make([]float32, heads*ldp), make([]float32, rows)
	for _, c := range []struct {
		of   string
		do   func()
		head func(c, x []float32, at int)
	}{
		{"Scores", func() { set.Scores(CacheArgs[float32]{p, ldp, x, w, ldc, rows, heads, share, dim}) }, gemm},
		{"ScoresBF16", func() { set.ScoresBF16(CacheArgs[uint16]{p, ldp, x, bf, ldc, rows, heads, share, dim}) }, gemmBF16},
		{"ScoresF16", func() { set.ScoresF16(CacheArgs[uint16]{p, ldp, x, h, ldc, rows, heads, share, dim}) }, gemmF16},
	} {
		clear(p)
		c.do()
		for i := range heads {
			c.head(want, x[i*dim:], i/share*dim)
			same(t, name+": "+c.of, p[i*ldp:][:rows], want)
			same(t, name+": after "+c.of, p[i*ldp+rows:][:ldp-rows], make([]float32, ldp-rows))
		}
	}
	y, sum := make([]float32, heads*dim+1), make([]float32, dim)
	y[heads*dim] = 1234
	for _, c := range []struct {
		of   string
		do   func()
		head func(y, p []float32, at int)
	}{
		{"Values", func() { set.Values(CacheArgs[float32]{p, ldp, y, w, ldc, rows, heads, share, dim}) },
			func(y, p []float32, at int) { set.WeightedRows(y, p, w[at:], ldc) }},
		{"ValuesBF16", func() { set.ValuesBF16(CacheArgs[uint16]{p, ldp, y, bf, ldc, rows, heads, share, dim}) },
			func(y, p []float32, at int) { set.WeightedRowsBF16(y, p, bf[at:], ldc) }},
		{"ValuesF16", func() { set.ValuesF16(CacheArgs[uint16]{p, ldp, y, h, ldc, rows, heads, share, dim}) },
			func(y, p []float32, at int) { set.WeightedRowsF16(y, p, h[at:], ldc) }},
	} {
		c.do()
		for i := range heads {
			c.head(sum, p[i*ldp:][:rows], i/share*dim)
			same(t, name+": "+c.of, y[i*dim:][:dim], sum)
		}
		if y[heads*dim] != 1234 {
			t.Fatalf("%s: %s writes beyond its heads", name, c.of)
		}
	}
}

func same(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i, v := range got {
		if v != want[i] {
			t.Fatalf("%s: %d is %v, want %v", what, i, v, want[i])
		}
	}
}
