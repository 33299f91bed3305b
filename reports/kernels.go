package reports

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"quadrant/internal/stat"
	"quadrant/results"
)

// ceilings are the most that a device does: medians of what it showed.
type ceilings struct {
	flops float64 // a second, in multiply-adds; 0 if not measured
	// products are flops of products with weights of a type, where they have a rate of their own.
	products map[string]float64
	reads    []readSpeed // by footprint, the largest last
	runs     int         // samples of the one with fewest
}

type readSpeed struct {
	footprint int64
	bytes     float64 // a second
}

// ceilingsOf are those in rs, which are of one device with one number of threads.
func ceilingsOf(rs []results.Result) ceilings {
	var c ceilings
	c.runs = math.MaxInt
	c.products = map[string]float64{}
	for _, g := range multiplyAdds(rs) {
		rates := valuesOf(g)
		c.runs = min(c.runs, len(rates))
		if t := g[0].Subject.DType; t != "" {
			c.products[t] = stat.Median(rates)
		} else {
			c.flops = stat.Median(rates)
		}
	}
	for _, g := range group(withMetric(rs, "read_rate"), func(r results.Result) int64 { return r.Point.Footprint }) {
		rates := valuesOf(g)
		c.reads = append(c.reads, readSpeed{g[0].Point.Footprint, stat.Median(rates)})
		c.runs = min(c.runs, len(rates))
	}
	slices.SortFunc(c.reads, func(a, b readSpeed) int { return int(a.footprint - b.footprint) })
	return c
}

// multiplyAdds are the rates in rs, by the weights that they are for.
func multiplyAdds(rs []results.Result) [][]results.Result {
	return group(withMetric(rs, "multiply_add_rate"), func(r results.Result) string { return r.Subject.DType })
}

// of are the ceilings of an op. A GPU's attention is of products with the cache.
func (c ceilings) of(r results.Result) ceilings {
	products := strings.HasSuffix(r.Point.Op, "matmul") || r.Point.Op == "attend" && strings.HasPrefix(r.Env.Device, "cuda/")
	if rate := c.products[r.Subject.DType]; rate > 0 && products {
		c.flops = rate
	}
	return c
}

func valuesOf(rs []results.Result) (values []float64) {
	for _, r := range rs {
		values = append(values, r.Values...)
	}
	return values
}

// whole reports whether both ceilings are there.
func (c ceilings) whole() bool { return c.flops > 0 && len(c.reads) > 0 }

// memory is the rate from the largest footprint.
func (c ceilings) memory() readSpeed { return c.reads[len(c.reads)-1] }

// readFor is the rate that bounds an op: from memory if it is cold, and otherwise from the
// smallest footprint that its operands fit.
func (c ceilings) readFor(p results.Point) readSpeed {
	for _, r := range c.reads {
		if p.Caches == "warm" && p.Footprint <= r.footprint {
			return r
		}
	}
	return c.memory()
}

// bound returns the least time that an op can take and what binds it (Williams, Waterman and
// Patterson, Roofline, 2009).
func (c ceilings) bound(p results.Point) (seconds float64, by string) {
	compute, read := float64(p.FLOPs)/c.flops, float64(p.Bytes)/c.readFor(p).bytes
	if compute > read {
		return compute, "compute"
	}
	return read, "memory"
}

// sameMachine are the fields that a ceiling holds for.
var sameMachine = []field{byDevice, byMachine, byThreads}

// KernelTable summarises op_time: a row for each operation, with the median over samples, its
// rates and its share of the ceiling that binds it, after rows with the ceilings of the devices.
func KernelTable(rs []results.Result) Table {
	t := Table{
		Caption: "Operations. FLOP/s and B/s are of the definition's work and the median. Share: of the least time that the ceilings allow," +
			" which are multiply-adds, or reading as many bytes from memory (cold) or from the smallest footprint measured that holds them (warm).",
		Columns: []Column{
			{Key: "op", Name: "Op"}, {Key: "shape", Name: "Shape"}, {Key: "of", Name: "Of"}, {Key: "dtype", Name: "Type"}, {Key: "caches", Name: "Caches"},
			{Key: "device", Name: "Device"}, {Key: "threads", Name: "Threads", Right: true}, {Key: "runs", Name: "Runs", Right: true},
			{Key: "median_s", Name: "Median", Right: true}, {Key: "flop_per_s", Name: "FLOP/s", Right: true}, {Key: "byte_per_s", Name: "B/s", Right: true},
			{Key: "bound", Name: "Bound"}, {Key: "share", Name: "Share", Right: true},
		},
	}
	settings := group(rs, func(r results.Result) string { return setting(r, sameMachine) })
	for _, g := range settings {
		t.Rows = append(t.Rows, ceilingRows(g)...)
	}
	for _, g := range settings {
		c := ceilingsOf(g)
		ops := group(withMetric(g, "op_time"), func(r results.Result) string {
			r.Point.Run = 0
			return r.Key()
		})
		for _, op := range ops {
			t.Rows = append(t.Rows, kernelRow(op, c))
		}
	}
	return t
}

// ceilingRows are those of one device with one number of threads.
func ceilingRows(rs []results.Result) (rows [][]Cell) {
	row := func(name, shape string, g []results.Result, flops, bytes Cell) []Cell {
		return []Cell{
			Text(name), Text(shape), {}, {}, {}, Text(g[0].Env.Device), Int(g[0].Env.Threads), Int(len(valuesOf(g))),
			{}, flops, bytes, {}, {},
		}
	}
	for _, g := range multiplyAdds(rs) {
		shape := ""
		if t := g[0].Subject.DType; t != "" {
			shape = "products with " + t + " weights"
		}
		rows = append(rows, row("(multiply-adds)", shape, g, Quantity(stat.Median(valuesOf(g)), "FLOP/s"), Cell{}))
	}
	for _, g := range group(withMetric(rs, "read_rate"), func(r results.Result) int64 { return r.Point.Footprint }) {
		shape := Quantity(float64(g[0].Point.Footprint), "B").Text
		rows = append(rows, row("(reading)", shape, g, Cell{}, Quantity(stat.Median(valuesOf(g)), "B/s")))
	}
	if g := withMetric(rs, "copy_rate"); len(g) > 0 {
		shape := "half of " + Quantity(float64(g[0].Point.Footprint), "B").Text + " to the other"
		rows = append(rows, row("(copying)", shape, g, Cell{}, Quantity(stat.Median(valuesOf(g)), "B/s")))
	}
	return rows
}

func kernelRow(rs []results.Result, c ceilings) []Cell {
	p, seconds := rs[0].Point, valuesOf(rs)
	median := stat.Median(seconds)
	row := []Cell{
		Text(p.Op), Text(p.Shape), Text(p.Part), Text(rs[0].Subject.DType), Text(p.Caches), Text(rs[0].Env.Device), Int(rs[0].Env.Threads),
		Int(len(seconds)), Quantity(median, "s"), {}, Quantity(float64(p.Bytes)/median, "B/s"), {}, {},
	}
	if p.FLOPs > 0 {
		row[9] = Quantity(float64(p.FLOPs)/median, "FLOP/s")
	}
	if c.whole() {
		least, by := c.of(rs[0]).bound(p)
		row[11], row[12] = Text(by), Cell{fmt.Sprintf("%.0f %%", 100*least/median), least / median}
	}
	return row
}
