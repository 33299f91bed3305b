package reports_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"quadrant/reports"
	"quadrant/reports/chart"
	"quadrant/results"
)

// kernel is a result of one device: 100 GFLOP/s, 10 GB/s from memory, 40 GB/s from 1 MiB.
func kernel(metric string, threads int, p results.Point, v float64) results.Result {
	r := results.Result{
		Schema: results.Schema, Env: results.Env{Device: "cpu/go", CPU: "Test CPU", Host: "h", Threads: threads, Time: "2026-11-24T09:00:00Z", Commit: "0123456789ab"},
		Point: p, Metric: metric, Values: []float64{v},
	}
	if metric == "op_time" {
		r.Subject.DType = "f32"
	}
	return r
}

func kernelResults() []results.Result {
	op := func(name, caches string, flops, bytes, footprint int64, seconds ...float64) (rs []results.Result) {
		for i, s := range seconds {
			rs = append(rs, kernel("op_time", 2, results.Point{
				Op: name, Shape: "s", Part: "mine", Caches: caches, FLOPs: flops, Bytes: bytes, Footprint: footprint, Run: i + 1,
			}, s))
		}
		return rs
	}
	return slices.Concat(
		op("matmul", "warm", 200e9, 1e9, 1e9, 4),          // compute: 2 s at least
		op("matmul", "cold", 1e9, 20e9, 1<<30, 4, 2.5, 8), // memory: 2 s at least
		op("scan", "warm", 1e9, 20e9, 1<<20, 1),           // from 1 MiB: 0.5 s at least
		op("attend", "warm", 1e9, 20e9, 1<<20+1, 4),       // does not fit 1 MiB
		op("sort", "warm", 0, 10e9, 1<<30, 1),             // no FLOPs
		[]results.Result{
			kernel("read_rate", 2, results.Point{Footprint: 1 << 30, Run: 1}, 9e9), kernel("read_rate", 2, results.Point{Footprint: 1 << 30, Run: 2}, 11e9),
			kernel("read_rate", 2, results.Point{Footprint: 1 << 20, Run: 1}, 40e9),
			kernel("multiply_add_rate", 2, results.Point{Run: 1}, 100e9),
			kernel("multiply_add_rate", 1, results.Point{Run: 1}, 50e9), // of another number of threads
		})
}

// A device that rounds activations has another ceiling for products with bf16 weights, and for
// those only.
func TestRoundedCeiling(t *testing.T) {
	rs := kernelResults()
	product, scan := rs[0], rs[4]
	for _, r := range []*results.Result{&product, &scan} {
		r.Subject.DType, r.Point.FLOPs, r.Point.Bytes, r.Values = "bf16", 200e9, 1e9, []float64{4}
	}
	rate := kernel("multiply_add_rate", 2, results.Point{Run: 1}, 400e9)
	rate.Subject.DType = "bf16"
	shares := map[string]string{}
	for _, row := range reports.KernelTable(append(rs, product, scan, rate)).Rows {
		shares[row[0].Text+" "+row[3].Text+" "+row[4].Text] = row[12].Text
	}
	for name, want := range map[string]string{"matmul f32 warm": "50 %", "matmul bf16 warm": "12 %", "scan bf16 warm": "50 %"} {
		if shares[name] != want {
			t.Errorf("the share of %s is %q, want %q", name, shares[name], want)
		}
	}
}

// Shares are of the ceiling that binds, of the same device and threads.
func TestKernelTable(t *testing.T) {
	got := write(t, reports.KernelTable(kernelResults()), "csv")
	want := `op,shape,of,dtype,caches,device,threads,runs,median_s,flop_per_s,byte_per_s,bound,share
(multiply-adds),,,,,cpu/go,2,1,,1e+11,,,
(reading),1 GiB,,,,cpu/go,2,2,,,1e+10,,
(reading),1 MiB,,,,cpu/go,2,1,,,4e+10,,
(multiply-adds),,,,,cpu/go,1,1,,5e+10,,,
matmul,s,mine,f32,warm,cpu/go,2,1,4,5e+10,2.5e+08,compute,0.5
matmul,s,mine,f32,cold,cpu/go,2,3,4,2.5e+08,5e+09,memory,0.5
scan,s,mine,f32,warm,cpu/go,2,1,1,1e+09,2e+10,memory,0.5
attend,s,mine,f32,warm,cpu/go,2,1,4,2.5e+08,5e+09,memory,0.5
sort,s,mine,f32,warm,cpu/go,2,1,1,,1e+10,memory,1
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	bare := write(t, reports.KernelTable(kernelResults()[:1]), "csv")
	if !strings.HasSuffix(bare, "2.5e+08,,\n") {
		t.Errorf("without ceilings there is a share in\n%s", bare)
	}
}

func TestRoofline(t *testing.T) {
	c := figure(t, "roofline", kernelResults())
	if len(c.Panels) != 1 {
		t.Fatalf("%d panels, want one", len(c.Panels))
	}
	p := c.Panels[0]
	if p.X.Scale != chart.Log10 || p.Y.Scale != chart.Log10 || p.Y.Unit != "FLOP/s" {
		t.Errorf("axes %+v and %+v", p.X, p.Y)
	}
	series := map[string]chart.Series{}
	for _, s := range p.Lines.Series {
		series[s.Name] = s
	}
	// Intensities are from 0.05 (cold) to 200; memory meets compute at 10.
	for name, want := range map[string][2][2]float64{"reading of memory": {{0.05, 0.5e9}, {10, 100e9}}, "multiply-adds": {{10, 100e9}, {200, 100e9}}} {
		for i, pt := range series[name].Points {
			if math.Abs(pt.X/want[i][0]-1) > 1e-9 || math.Abs(pt.Y/want[i][1]-1) > 1e-9 {
				t.Errorf("%s: point %d is %+v, want %v", name, i, pt, want[i])
			}
		}
	}
	cold := series["matmul, cold"]
	if len(cold.Points) != 1 || cold.Points[0].Y != 1e9/4 || cold.Points[0].Lo != 1e9/8 || cold.Points[0].Hi != 1e9/2.5 || cold.Look.Hollow || cold.Look.Dash != chart.NoLine {
		t.Errorf("cold products are %+v", cold)
	}
	if warm := series["matmul, warm"]; len(warm.Points) != 1 || !warm.Look.Hollow {
		t.Errorf("warm products are %+v", warm)
	}
	if _, ok := series["other, warm"]; ok {
		t.Error("an operation without FLOPs is drawn")
	}
	for _, words := range []string{"reads 10.0 GB/s of 1 GiB", "100 GFLOP/s in multiply-adds", "medians"} {
		if !strings.Contains(c.Caption, words) {
			t.Errorf("%q is not in %q", words, c.Caption)
		}
	}
	if strings.Contains(c.Note, "1 thread,") {
		t.Errorf("the note %q has threads that no operation ran on", c.Note)
	}

	bare := figure(t, "roofline", kernelResults()[:1])
	if len(bare.Panels[0].Lines.Series) != 1 || !strings.Contains(bare.Caption, "Panels without lines") {
		t.Errorf("without ceilings: %+v, %q", bare.Panels[0].Lines, bare.Caption)
	}
	sort := kernelResults()[6:7]
	wantError(t, "roofline", sort, "no data", "FLOPs")
	wrong := kernelResults()[:1]
	wrong[0].Point.Bytes = 0
	wantError(t, "roofline", wrong, "matmul s, run 1: 0 bytes")
}
