package vec

import (
	"math"
	"runtime"
	"sync"
	"testing"
)

// TestFused: the rounds are done, all of them, and counted.
func TestFused(t *testing.T) {
	for _, set := range Sets() {
		for _, n := range []int{1, 2, 3, 10, 1000} {
			want := 2 - math.Exp2(float64(1-n))
			if got, flops := set.Fused(n); math.Abs(float64(got)-want) > 1e-6 || flops < int64(n)*16 || flops%int64(2*n) != 0 {
				t.Errorf("%s: %d rounds reach %v in %d FLOPs, want %v", set.Name, n, got, flops, want)
			}
		}
	}
}

// TestSum: every value is read, and none beyond.
func TestSum(t *testing.T) {
	for _, set := range Sets() {
		for _, n := range []int{0, 1, 7, 8, 63, 64, 65, 127, 128, 129, 1000, 4095, 4096, 4097, 3*4096 + 5} {
			x := make([]float32, n+1)
			want := 0
			for i := range n {
				x[i] = float32(i % 5)
				want += i % 5
			}
			x[n] = 1e6
			if got := set.Sum(x[:n]); got != float32(want) {
				t.Errorf("%s: the sum of %d values is %v, want %d", set.Name, n, got, want)
			}
		}
	}
}

func BenchmarkFused(b *testing.B) {
	for _, set := range Sets() {
		b.Run(set.Name, func(b *testing.B) {
			flops := int64(0)
			for b.Loop() {
				_, n := set.Fused(1 << 12)
				flops += n
			}
			b.ReportMetric(float64(flops)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}

// BenchmarkSum reads memory that no cache holds, on one thread and on as many as cores.
func BenchmarkSum(b *testing.B) {
	const values = 192 << 20
	x := make([]float32, values)
	for i := range x {
		x[i] = 1
	}
	for _, set := range Sets() {
		for name, threads := range map[string]int{"one": 1, "all": runtime.GOMAXPROCS(0)} {
			b.Run(set.Name+"/"+name, func(b *testing.B) {
				for b.Loop() {
					var wg sync.WaitGroup
					for t := range threads {
						wg.Go(func() { set.Sum(x[t*values/threads : (t+1)*values/threads]) })
					}
					wg.Wait()
				}
				b.ReportMetric(4*values*float64(b.N)/b.Elapsed().Seconds()/1e9, "GB/s")
			})
		}
	}
}
