package vec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
)

// TestExp compares Exp with float64 over every exponent that a float32 argument can have
// and every result from the smallest denormal to infinity.
func TestExp(t *testing.T) {
	worst, at := 0.0, float32(0)
	check := func(x float32) {
		want := math.Exp(float64(x))
		got := float64(Exp(x))
		if want > math.MaxFloat32 {
			if !math.IsInf(got, 1) && want > math.MaxFloat32*(1+1e-6) {
				t.Fatalf("Exp(%v) = %v, want +Inf", x, got)
			}
			return
		}
		ulp := math.Max(math.Exp2(math.Floor(math.Log2(want))-23), math.Exp2(-149))
		if e := math.Abs(got-want) / ulp; !(e <= worst) {
			worst, at = e, x
		}
	}
	for x := float32(-104.5); x < 89; x += 0.0003 {
		check(x)
	}
	for e := -149; e < 7; e++ {
		check(float32(math.Exp2(float64(e))))
		check(-float32(math.Exp2(float64(e))))
	}
	t.Logf("largest error %.2f ulp, at %v", worst, at)
	if !(worst <= 2) {
		t.Errorf("Exp(%v) is off by %.2f ulp, want at most 2", at, worst)
	}
	for _, c := range []struct{ x, want float64 }{
		{0, 1}, {math.Inf(1), math.Inf(1)}, {math.Inf(-1), 0}, {1000, math.Inf(1)}, {-1000, 0},
	} {
		if got := Exp(float32(c.x)); float64(got) != c.want {
			t.Errorf("Exp(%v) = %v, want %v", c.x, got, c.want)
		}
	}
	if got := Exp(float32(math.NaN())); got == got {
		t.Errorf("Exp(NaN) = %v, want NaN", got)
	}
}

// TestElementwise compares the activations of every set with float64, in units of the
// argument: the error of x·σ(x) is proportional to x, also where the value is near 0.
// Lengths around a vector's leave something over; a NaN stays one and a neighbour does not
// notice.
func TestElementwise(t *testing.T) {
	for _, set := range Sets() {
		for _, f := range []struct {
			name  string
			f     func(y, x []float32)
			want  func(x float64) float64
			bound float64
		}{
			{"SiLU", set.SiLU, func(x float64) float64 { return x / (1 + math.Exp(-x)) }, 3e-7},
			{"GELU", set.GELU, func(x float64) float64 { return 0.5 * x * math.Erfc(-x/math.Sqrt2) }, 3e-7},
			{"GELUTanh", set.GELUTanh, func(x float64) float64 {
				return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
			}, 6e-7},
			{"Softplus", set.Softplus, func(x float64) float64 { return math.Max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }, 3e-7},
		} {
			var x []float32
			for v := float32(-110); v < 110; v += 0.037 {
				x = append(x, v, v/1000)
			}
			x = append(x, 0, 1e-30, -1e-30, 1e30, -1e30)
			y := make([]float32, len(x))
			f.f(y, x)
			worst := 0.0
			for i, v := range x {
				want := f.want(float64(v))
				size := math.Abs(float64(v)) + math.Abs(want) + 1e-37
				if e := math.Abs(float64(y[i])-want) / size; !(e <= worst) {
					worst = e
					if !(e <= f.bound) {
						t.Errorf("%s: %s(%v) = %v, want %v", set.Name, f.name, v, y[i], want)
					}
				}
			}
			t.Logf("%s: %s is off by %.1g of its argument at most", set.Name, f.name, worst)
			for n := range 40 {
				x := make([]float32, n+1)
				for i := range x {
					x[i] = float32(i) - 7.5
				}
				if n > 0 {
					x[n/2] = float32(math.NaN())
				}
				x[n] = 1234 // not part of the call
				f.f(x[:n], x[:n])
				for i, v := range x[:n] {
					if nan := i == n/2; (v != v) != nan {
						t.Errorf("%s: %s of %d values: value %d is %v", set.Name, f.name, n, i, v)
					}
				}
				if x[n] != 1234 {
					t.Errorf("%s: %s of %d values changes the next", set.Name, f.name, n)
				}
			}
		}
	}
}

// TestSoftmaxParts compares a softmax made of its parts with float64, whatever the length
// and the size of scores.
func TestSoftmaxParts(t *testing.T) {
	for _, set := range Sets() {
		for _, n := range []int{1, 2, 15, 16, 17, 31, 33, 1000} {
			x, want := make([]float32, n), make([]float64, n)
			sum := 0.0
			for i := range x {
				x[i] = float32(i%13)*7 - 300
				want[i] = math.Exp(0.5 * (float64(x[i]) + 216))
				sum += want[i]
			}
			set.Scale(x, 1/set.ExpSum(x, set.ScaledMax(x, 0.5)))
			for i, v := range x {
				if e := math.Abs(float64(v) - want[i]/sum); !(e <= 1e-6) {
					t.Errorf("%s: softmax of %d: %d is %v, want %v", set.Name, n, i, v, want[i]/sum)
				}
			}
		}
		if top := set.ScaledMax(nil, 1); !math.IsInf(float64(top), -1) {
			t.Errorf("%s: the largest of nothing is %v, want -Inf", set.Name, top)
		}
	}
}

// operands are matrices with room around their rows; bf and h are w as bf16 and as f16.
func operands(m, n, k int) (x, w []float32, bf, h []uint16) {
	r := rand.New(rand.NewPCG(uint64(m), uint64(n*1000+k)))
	x, w = make([]float32, m*(k+3)), make([]float32, n*(k+5))
	bf, h = make([]uint16, n*(k+5)), make([]uint16, n*(k+5))
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	for i := range w {
		// Seven bits of fraction and an exponent from 2⁻¹⁴ to 2 fit either type.
		frac, exp, sign := r.UintN(1<<7), 1+r.UintN(15), r.UintN(2)
		bf[i] = uint16(sign<<15 | (exp+112)<<7 | frac)
		h[i] = uint16(sign<<15 | exp<<10 | frac<<3)
		w[i] = bf16(bf[i])
	}
	return x, w, bf, h
}

// TestGemm compares products of every set with float64, and their bits with those of a row
// and a column alone: neither the rows computed beside one nor the columns change it, nor
// does the type of the weights.
func TestGemm(t *testing.T) {
	for _, set := range Sets() {
		for _, m := range []int{1, 2, 3, 4, 5, 9} {
			for _, n := range []int{1, 3, 4, 5, 8, 18} {
				for _, k := range []int{1, 7, 8, 9, 15, 16, 17, 33, 100, 512, 1030} {
					testGemm(t, set, m, n, k)
				}
			}
		}
	}
}

func testGemm(t *testing.T, set Funcs, m, n, k int) {
	t.Helper()
	x, w, bf, h := operands(m, n, k)
	ldx, ldw, ldc := k+3, k+5, n+2
	c, cBF, cH := make([]float32, m*ldc), make([]float32, m*ldc), make([]float32, m*ldc)
	tmp, one := make([]float32, 4*k), make([]float32, 1)
	set.Gemm(c, ldc, x, ldx, w, ldw, m, n, k)
	set.GemmBF16(cBF, ldc, x, ldx, bf, ldw, m, n, k, tmp)
	set.GemmF16(cH, ldc, x, ldx, h, ldw, m, n, k, tmp)
	for i := range m {
		for j := range n {
			got, want, terms := c[i*ldc+j], 0.0, 0.0
			for l := range k {
				p := float64(x[i*ldx+l]) * float64(w[j*ldw+l])
				want += p
				terms += math.Abs(p)
			}
			if e := math.Abs(float64(got) - want); !(e <= 1e-6*terms) {
				t.Fatalf("%s %dx%dx%d: C[%d,%d] = %v, want %v", set.Name, m, n, k, i, j, got, want)
			}
			set.Gemm(one, 1, x[i*ldx:], ldx, w[j*ldw:], ldw, 1, 1, k)
			if one[0] != got || cBF[i*ldc+j] != got || cH[i*ldc+j] != got {
				t.Fatalf("%s %dx%dx%d: C[%d,%d] is %v, alone %v, with bf16 weights %v, with f16 weights %v",
					set.Name, m, n, k, i, j, got, one[0], cBF[i*ldc+j], cH[i*ldc+j])
			}
		}
		for j := n; j < ldc; j++ {
			if c[i*ldc+j] != 0 || cBF[i*ldc+j] != 0 || cH[i*ldc+j] != 0 {
				t.Fatalf("%s %dx%dx%d: wrote beyond row %d", set.Name, m, n, k, i)
			}
		}
	}
}

// TestGemmWide compares products of tiles with those of rows, bit by bit, for rows and columns
// that make no tile and for blocks of k; products whose sums are -0 are among them.
func TestGemmWide(t *testing.T) {
	for _, set := range Sets() {
		if set.GemmWide == nil {
			continue
		}
		for _, m := range []int{1, 12, 25} {
			for _, n := range []int{5, 16, 32, 33, 48, 100, WideCols} {
				for _, k := range []int{1, 8, 15, 16, 17, 40, 100, 511, 512, 513, 520, 1100} {
					testGemmWide(t, set, m, n, k)
				}
			}
		}
	}
}

func testGemmWide(t *testing.T, set Funcs, m, n, k int) {
	t.Helper()
	x, w, bf, h := operands(m, n, k)
	ldx, ldw, ldc := k+3, k+5, n+2
	for i := range k {
		w[i], bf[i], h[i] = 0x1p-100, 0x0d80, 1 // so that signs decide
		if x[i] *= -1e-30; i%3 == 0 {
			x[i] = float32(math.Copysign(1e-30, -1))
		}
	}
	for i := range m {
		for l := k; l < ldx; l++ {
			x[i*ldx+l] = float32(math.NaN()) // no part of the product
		}
	}
	tmp := make([]float32, WideTemp)
	for i := range tmp {
		tmp[i] = float32(math.NaN())
	}
	for name, f := range map[string]struct{ wide, row func(c []float32) }{
		"f32": {
			func(c []float32) { set.GemmWide(c, ldc, x, ldx, w, ldw, m, n, k, tmp) },
			func(c []float32) { set.Gemm(c, ldc, x, ldx, w, ldw, m, n, k) },
		},
		"bf16": {
			func(c []float32) { set.GemmWideBF16(c, ldc, x, ldx, bf, ldw, m, n, k, tmp) },
			func(c []float32) { set.GemmBF16(c, ldc, x, ldx, bf, ldw, m, n, k, nil) },
		},
		"f16": {
			func(c []float32) { set.GemmWideF16(c, ldc, x, ldx, h, ldw, m, n, k, tmp) },
			func(c []float32) { set.GemmF16(c, ldc, x, ldx, h, ldw, m, n, k, nil) },
		},
	} {
		got, want := make([]float32, m*ldc), make([]float32, m*ldc)
		for i := range got {
			got[i], want[i] = 5, 5
		}
		f.wide(got)
		f.row(want)
		for i := range got {
			if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
				t.Fatalf("%s %s %dx%dx%d: C[%d,%d] is %v in a tile, %v in a row", set.Name, name, m, n, k, i/ldc, i%ldc, got[i], want[i])
			}
		}
	}
}

// TestF16 compares every half, widened by the products of every set, with what IEEE 754 says.
func TestF16(t *testing.T) {
	all := make([]uint16, 1<<16)
	for h := range all {
		all[h] = uint16(h)
	}
	for _, set := range Sets() {
		products, weighted, tmp := make([]float32, 1<<16), make([]float32, 1<<16), make([]float32, 4*16)
		set.GemmF16(products, 1<<16, []float32{1, 0, 0, 0, 0, 0, 0, 0, 0}, 1, all, 1, 1, 1<<16, 1, tmp)
		set.WeightedRowsF16(weighted, []float32{1}, all, 1<<16)
		for h := range all {
			sign, exp, frac := 1-2*float64(h>>15), h>>10&0x1f, float64(h&0x3ff)
			want := sign * math.Ldexp(1+frac/1024, exp-15)
			switch {
			case exp == 0:
				want = sign * math.Ldexp(frac/1024, -14)
			case exp == 31 && frac == 0:
				want = math.Inf(int(sign))
			case exp == 31:
				if products[h] == products[h] || weighted[h] == weighted[h] {
					t.Fatalf("%s: NaN %#x is %v in a product and %v as a row", set.Name, h, products[h], weighted[h])
				}
				continue
			}
			if float64(products[h]) != want || float64(weighted[h]) != want {
				t.Fatalf("%s: %#x is %v in a product and %v as a row, want %v", set.Name, h, products[h], weighted[h], want)
			}
		}
	}
}

// TestConversions compares with conversions one by one, for every half and for what lies
// between halves, and for lengths around a vector's.
func TestConversions(t *testing.T) {
	var x []float32
	for h := range 1 << 15 {
		a, b := float64(f16(uint16(h))), float64(f16(uint16(h+1)))
		for _, v := range []float64{a, (a + b) / 2, (a+b)/2 - (b-a)/64, b - (b-a)/4} {
			x = append(x, float32(v), float32(-v))
		}
	}
	x = append(x, 65504, 65519.9, 65520, 1e30, float32(math.Inf(1)), float32(math.NaN()))
	for _, set := range Sets() {
		y, wide := make([]uint16, len(x)), make([]float32, len(x))
		set.RoundF16(y, x)
		set.WidenF16(wide, y)
		for i, v := range x {
			got, nan := f16(y[i]), v != v
			if nan != (got != got) || nan != (wide[i] != wide[i]) || !nan && (y[i] != toF16(v) || wide[i] != got) {
				t.Fatalf("%s: %v became %#x, and that %v", set.Name, v, y[i], wide[i])
			}
		}
		for h := range y {
			y[h] = uint16(h)
		}
		set.WidenBF16(wide[:1<<16], y[:1<<16])
		for h, v := range wide[:1<<16] {
			if want := bf16(uint16(h)); v != want && v == v {
				t.Fatalf("%s: bf16 %#x became %v, want %v", set.Name, h, v, want)
			}
		}
		for n := range 40 {
			short, out := make([]float32, n+1), make([]uint16, n+1)
			set.WidenF16(short[:n], y[0x3c00:][:n])
			set.RoundF16(out[:n], short[:n])
			if short[n] != 0 || out[n] != 0 || n > 0 && out[n-1] != y[0x3c00+n-1] {
				t.Errorf("%s: %d values: %v, %v", set.Name, n, short, out)
			}
		}
	}
}

// TestScan compares the scan of every set with float64, for whole and partial blocks of
// channels and any number of states, in one piece and in two.
func TestScan(t *testing.T) {
	const tokens = 9
	for _, set := range Sets() {
		for _, channels := range []int{1, 15, ScanBlock} {
			for _, states := range []int{1, 4, 8, 15, 16, 17, 32} {
				testScan(t, set, tokens, channels, states)
			}
		}
	}
}

func testScan(t *testing.T, set Funcs, tokens, channels, states int) {
	t.Helper()
	r := rand.New(rand.NewPCG(3, uint64(channels*100+states)))
	random := func(n int, scale, shift float64) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(r.NormFloat64()*scale + shift)
		}
		return v
	}
	ldb := states + 3
	dt, du := random(tokens*ScanBlock, 0.1, 0.5), random(tokens*ScanBlock, 1, 0)
	h, a := random(channels*states, 1, 0), random(channels*states, 0.5, -3)
	b, c := random(tokens*ldb, 1, 0), random(tokens*ldb, 1, 0)
	y := make([]float32, tokens*ScanBlock)
	args := func(h, y []float32, from, n int) ScanArgs {
		return ScanArgs{
			Y: y[from*ScanBlock:], DT: dt[from*ScanBlock:], DU: du[from*ScanBlock:], LDY: ScanBlock, H: h, A: a, LDH: states, LDA: states,
			B: b[from*ldb:], C: c[from*ldb:], LDB: ldb, LDC: ldb, Tokens: n, Channels: channels, States: states,
		}
	}
	whole, parts := append([]float32(nil), h...), append([]float32(nil), h...)
	set.Scan(args(whole, y, 0, tokens))
	again := make([]float32, len(y))
	set.Scan(args(parts, again, 0, 4))
	set.Scan(args(parts, again, 4, tokens-4))
	for ch := range channels {
		state := make([]float64, states)
		for n := range state {
			state[n] = float64(h[ch*states+n])
		}
		for tok := range tokens {
			at := tok*ScanBlock + ch
			want, terms := 0.0, 0.0
			for n := range state {
				state[n] = math.Exp(float64(dt[at])*float64(a[ch*states+n]))*state[n] + float64(du[at])*float64(b[tok*ldb+n])
				p := state[n] * float64(c[tok*ldb+n])
				want += p
				terms += math.Abs(p)
			}
			if e := math.Abs(float64(y[at]) - want); !(e <= 2e-6*(terms+1)) {
				t.Fatalf("%s, %d channels, %d states: y[%d,%d] = %v, want %v", set.Name, channels, states, tok, ch, y[at], want)
			}
			if again[at] != y[at] {
				t.Fatalf("%s, %d channels, %d states: y[%d,%d] = %v in one piece, %v in two", set.Name, channels, states, tok, ch, y[at], again[at])
			}
		}
	}
}

func BenchmarkGemm(b *testing.B) {
	const n, k = 1024, 1024
	for _, set := range Sets() {
		for _, m := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/m=%d", set.Name, m), func(b *testing.B) {
				x, w, c := make([]float32, m*k), make([]float32, n*k), make([]float32, m*n)
				for b.Loop() {
					for j := 0; j < n; j += 16 {
						set.Gemm(c[j:], n, x, k, w[j*k:], k, m, 16, k)
					}
				}
				b.ReportMetric(2*float64(m)*n*k*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}

// BenchmarkRead is the product with one row over weights that no cache holds, on as many
// threads as cores: the rate at which these kernels read memory.
func BenchmarkRead(b *testing.B) {
	const k, rows = 4096, 32768
	w, half := make([]float32, rows*k), make([]uint16, rows*k)
	for i := range w { // so that every page has memory of its own
		w[i], half[i] = 1, 1
	}
	threads := runtime.GOMAXPROCS(0)
	x, c, tmp := make([]float32, k), make([]float32, rows), make([]float32, threads*4*k)
	read := func(b *testing.B, size int, product func(j int, tmp []float32)) {
		for b.Loop() {
			var wg sync.WaitGroup
			for t := range threads {
				wg.Go(func() {
					for j := t * rows / threads / 16 * 16; j < (t+1)*rows/threads/16*16; j += 16 {
						product(j, tmp[t*4*k:][:4*k])
					}
				})
			}
			wg.Wait()
		}
		b.ReportMetric(float64(size*rows*k)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GB/s")
	}
	for _, set := range Sets() {
		b.Run(set.Name+"/f32", func(b *testing.B) {
			read(b, 4, func(j int, _ []float32) { set.Gemm(c[j:], rows, x, k, w[j*k:], k, 1, 16, k) })
		})
		b.Run(set.Name+"/bf16", func(b *testing.B) {
			read(b, 2, func(j int, tmp []float32) { set.GemmBF16(c[j:], rows, x, k, half[j*k:], k, 1, 16, k, tmp) })
		})
		b.Run(set.Name+"/f16", func(b *testing.B) {
			read(b, 2, func(j int, tmp []float32) { set.GemmF16(c[j:], rows, x, k, half[j*k:], k, 1, 16, k, tmp) })
		})
	}
}

func BenchmarkSiLU(b *testing.B) {
	for _, set := range Sets() {
		b.Run(set.Name, func(b *testing.B) {
			x, y := make([]float32, 1024), make([]float32, 1024)
			for b.Loop() {
				set.SiLU(y, x)
			}
			b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N)/1024, "ns/value")
		})
	}
}

func BenchmarkScan(b *testing.B) {
	const tokens, states = 64, 16
	for _, set := range Sets() {
		b.Run(set.Name, func(b *testing.B) {
			v := make([]float32, tokens*ScanBlock)
			h, a := make([]float32, ScanBlock*states), make([]float32, ScanBlock*states)
			for b.Loop() {
				set.Scan(ScanArgs{Y: v, DT: v, DU: v, LDY: ScanBlock, H: h, A: a, LDH: states, LDA: states, B: v, C: v, LDB: states, LDC: states,
					Tokens: tokens, Channels: ScanBlock, States: states})
			}
			b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N)/(tokens*ScanBlock*states), "ns/state")
		})
	}
}
