package cpu_test

import (
	"testing"

	"quadrant/bench"
	"quadrant/kernels"
	"quadrant/kernels/cpu"
)

// BenchmarkOp times every operation of 'quadrant bench-kernels' with its operands warm, for
// benchstat to compare two builds:
//
//	go test ./kernels/cpu -run '^$' -bench 'Op/matmul' -count 10 > old.txt
//	benchstat old.txt new.txt
func BenchmarkOp(b *testing.B) {
	sizes := bench.AllSizes[0]
	if testing.Short() {
		sizes = bench.AllSizes[1]
	}
	for _, variant := range cpu.Variants() {
		for _, c := range sizes.Cases([]kernels.Type{kernels.F32, kernels.BF16, kernels.F16}) {
			if c.Cold {
				continue
			}
			b.Run(c.Op+"/"+c.Shape+"/"+c.DType.String()+"/"+variant, func(b *testing.B) { benchmark(b, c, variant) })
		}
	}
}

func benchmark(b *testing.B, c bench.KernelCase, variant string) {
	dev, err := cpu.Open(variant, 0)
	if err != nil {
		b.Fatal(err)
	}
	op, stream := c.Place(dev), kernels.NewStream(dev)
	for b.Loop() {
		stream.Do(op)
	}
	if err := dev.Sync(); err != nil {
		b.Fatal(err)
	}
	cost, seconds := op.Cost(), b.Elapsed().Seconds()/float64(b.N)
	if cost.FLOPs() > 0 {
		b.ReportMetric(float64(cost.FLOPs())/seconds/1e9, "GFLOP/s")
	}
	b.ReportMetric(float64(cost.Read+cost.Write)/seconds/1e9, "GB/s")
}
