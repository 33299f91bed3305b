package vec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// TestGemmPairs compares products of bf16 by bf16 with float64, and their bits with those of a
// row and a column alone.
func TestGemmPairs(t *testing.T) {
	if len(Rounding()) == 0 {
		t.Skip("this processor has no products of bf16")
	}
	for _, set := range Rounding() {
		for _, m := range []int{1, 3, 4, 5, 9, 17, 33, 64} {
			for _, n := range []int{1, 3, 4, 5, 8, 18, 32, 70} {
				for _, k := range []int{1, 2, 15, 31, 32, 33, 63, 64, 65, 100} {
					testGemmPairs(t, set, m, n, k)
				}
			}
		}
	}
}

// gemmRounded is the products of a set by pairs or by tiles.
func gemmRounded(set Funcs, c []float32, ldc int, x []uint16, ldx int, w []uint16, ldw, m, n, k int) {
	if set.GemmPairs != nil {
		set.GemmPairs(c, ldc, x, ldx, w, ldw, m, n, k)
		return
	}
	size := PanelSize(k)
	packed, rows := make([]uint16, (m+TileRows-1)/TileRows*size), make([]uint16, TileRows*k)
	for i := 0; i < m; i += TileRows {
		n := min(TileRows, m-i)
		for r := range n {
			copy(rows[r*k:], x[(i+r)*ldx:][:k])
		}
		set.PackTiles(packed[i/TileRows*size:][:size], rows, n, k)
	}
	set.GemmTiles(c, ldc, packed, w, ldw, m, n, k, make([]float32, TilesTemp), make([]uint16, size))
}

func testGemmPairs(t *testing.T, set Funcs, m, n, k int) {
	t.Helper()
	r := rand.New(rand.NewPCG(uint64(m), uint64(n*1000+k)))
	ldx, ldw, ldc := k+3, k+5, n+2
	// What lies around the rows is NaN.
	x, w, c, one := make([]uint16, m*ldx), make([]uint16, n*ldw), make([]float32, m*ldc), make([]float32, 1)
	for _, v := range [][]uint16{x, w} {
		for i := range v {
			v[i] = 0x7fc0
		}
	}
	for i := range m {
		for l := range k {
			x[i*ldx+l] = uint16(math.Float32bits(float32(r.NormFloat64())) >> 16)
		}
	}
	for j := range n {
		for l := range k {
			w[j*ldw+l] = uint16(math.Float32bits(float32(r.NormFloat64())) >> 16)
		}
	}
	gemmRounded(set, c, ldc, x, ldx, w, ldw, m, n, k)
	for i := range m {
		for j := range ldc {
			got, want, terms := c[i*ldc+j], 0.0, 0.0
			if j < n {
				for l := range k {
					p := float64(bf16(x[i*ldx+l])) * float64(bf16(w[j*ldw+l]))
					want += p
					terms += math.Abs(p)
				}
				gemmRounded(set, one, 1, x[i*ldx:], ldx, w[j*ldw:], ldw, 1, 1, k)
				if one[0] != got {
					t.Fatalf("%s %dx%dx%d: C[%d,%d] is %v, alone %v", set.Name, m, n, k, i, j, got, one[0])
				}
			}
			if e := math.Abs(float64(got) - want); !(e <= 1e-6*terms) {
				t.Fatalf("%s %dx%dx%d: C[%d,%d] = %v, want %v", set.Name, m, n, k, i, j, got, want)
			}
		}
	}
}

// TestRoundBF16 compares with rounding one by one, for every upper half and the lower halves
// that decide, and for lengths around a vector's.
func TestRoundBF16(t *testing.T) {
	for _, set := range append(Sets(), Rounding()...) {
		x, y := make([]float32, 1<<16), make([]uint16, 1<<16)
		for _, low := range []uint32{0, 1, 0x7fff, 0x8000, 0x8001, 0xffff} {
			for h := range x {
				x[h] = math.Float32frombits(uint32(h)<<16 | low)
			}
			set.RoundBF16(y, x)
			for h, v := range x {
				got, lower, upper := bf16(y[h]), bf16(uint16(h)), bf16(uint16(h+1))
				switch {
				case v != v:
					if got == got {
						t.Fatalf("%s: NaN %#x%04x became %v", set.Name, h, low, got)
					}
				case low < 0x8000 || low == 0x8000 && h%2 == 0:
					if y[h] != uint16(h) {
						t.Fatalf("%s: %v became %v, want %v", set.Name, v, got, lower)
					}
				case y[h] != uint16(h+1):
					t.Fatalf("%s: %v became %v, want %v", set.Name, v, got, upper)
				}
			}
		}
		for n := range 40 {
			y := make([]uint16, n+1)
			set.RoundBF16(y[:n], x[0x3f80:][:n])
			if y[n] != 0 || n > 0 && y[n-1] == 0 {
				t.Errorf("%s: %d values: %v", set.Name, n, y)
			}
		}
	}
}

func BenchmarkGemmPairs(b *testing.B) {
	const n, k = 1024, 1024
	for _, set := range Rounding() {
		for _, m := range []int{1, 64} {
			if set.GemmPairs == nil {
				continue
			}
			b.Run(fmt.Sprintf("%s/m=%d", set.Name, m), func(b *testing.B) {
				x, w, c := make([]uint16, m*k), make([]uint16, n*k), make([]float32, m*n)
				for b.Loop() {
					for j := 0; j < n; j += 16 {
						set.GemmPairs(c[j:], n, x, k, w[j*k:], k, m, 16, k)
					}
				}
				b.ReportMetric(2*float64(m)*n*k*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}
