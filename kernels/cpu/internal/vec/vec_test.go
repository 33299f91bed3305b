package vec

import (
	"math"
	"math/rand/v2"
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

// TestGemmRowsAreIndependent: a row's bits do not depend on the rows beside it.
func TestGemmRowsAreIndependent(t *testing.T) {
	const m, n, k = 5, 7, 33
	r := rand.New(rand.NewPCG(1, 2))
	x, w, half := make([]float32, m*k), make([]float32, n*k), make([]uint16, n*k)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	for i := range w {
		half[i] = uint16(math.Float32bits(float32(r.NormFloat64())) >> 16)
		w[i] = bf16(half[i])
	}
	all, allHalf, one, tmp := make([]float32, m*n), make([]float32, m*n), make([]float32, n), make([]float32, 4*k)
	gemm(all, n, x, k, w, k, m, n, k)
	gemmBF16(allHalf, n, x, k, half, k, m, n, k, tmp)
	for i := range m {
		for name, f := range map[string]func(){
			"gemm":     func() { gemm(one, n, x[i*k:], k, w, k, 1, n, k) },
			"gemmBF16": func() { gemmBF16(one, n, x[i*k:], k, half, k, 1, n, k, tmp) },
		} {
			f()
			for j := range n {
				if one[j] != all[i*n+j] || one[j] != allHalf[i*n+j] {
					t.Fatalf("%s: C[%d,%d] alone is %v, among %d rows %v (f32) and %v (bf16)", name, i, j, one[j], m, all[i*n+j], allHalf[i*n+j])
				}
			}
		}
	}
}

func BenchmarkGemm(b *testing.B) {
	const n, k = 1024, 1024
	x, w, c := make([]float32, 64*k), make([]float32, n*k), make([]float32, 64*n)
	for _, m := range []int{1, 64} {
		b.Run(map[int]string{1: "m=1", 64: "m=64"}[m], func(b *testing.B) {
			for b.Loop() {
				gemm(c, n, x, k, w, k, m, n, k)
			}
			b.ReportMetric(2*float64(m)*n*k*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}

func BenchmarkExp(b *testing.B) {
	x, y := make([]float32, 1024), make([]float32, 1024)
	for b.Loop() {
		expSum(y, x, 1)
	}
	b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N)/1024, "ns/value")
}
