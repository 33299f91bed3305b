package reports

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"quadrant/reports/chart"
	"quadrant/results"
)

// kernelLooks say how the operations of a roofline look, several alike as one.
var kernelLooks = []struct {
	name string
	ops  []string
	look chart.Look
}{
	{"matmul", []string{"matmul"}, chart.Look{Color: chart.Blue, Mark: chart.Circle}},
	{"grouped matmul", []string{"grouped_matmul"}, chart.Look{Color: chart.Sky, Mark: chart.Square}},
	{"attention", []string{"attend"}, chart.Look{Color: chart.Vermillion, Mark: chart.Diamond}},
	{"scan", []string{"scan"}, chart.Look{Color: chart.Orange, Mark: chart.Triangle}},
	{"convolution", []string{"conv_silu"}, chart.Look{Color: chart.Purple, Mark: chart.Down}},
	{"activations", []string{"activation"}, chart.Look{Color: chart.Green, Mark: chart.Pentagon}},
	{"norms", []string{"rms_norm", "layer_norm"}, chart.Look{Color: chart.Black, Mark: chart.Triangle}},
	{"other", nil, chart.Look{Color: chart.Gray, Mark: chart.Square}},
}

// byWeights is byDType in the order of precision.
var byWeights = field{"dtype", func(r results.Result) value {
	return value{slices.Index([]string{"f32", "bf16", "f16"}, r.Subject.DType), r.Subject.DType + " weights"}
}}

// drawRoofline draws the rate of operations against their intensity, below the lines of the
// device's ceilings, in a panel for each device and type of weights.
func drawRoofline(rs []results.Result) (picture, error) {
	counted := slices.DeleteFunc(withMetric(rs, "op_time"), func(r results.Result) bool { return r.Point.FLOPs == 0 })
	if len(counted) == 0 {
		return picture{}, fmt.Errorf("%w: no result is of an operation with FLOPs", ErrNoData)
	}
	for _, r := range counted {
		if r.Point.Bytes < 1 || len(r.Values) != 1 || r.Values[0] <= 0 {
			return picture{}, fmt.Errorf("%s %s, run %d: %d bytes and values %v, want at least 1 byte and one value above 0",
				r.Point.Op, r.Point.Shape, r.Point.Run, r.Point.Bytes, r.Values)
		}
	}
	facets, err := split(counted, append(slices.Clone(sameMachine), byWeights)...)
	if err != nil {
		return picture{}, err
	}
	x := chart.Axis{Label: "Intensity", Unit: "FLOP/B", Scale: chart.Log10}
	y := chart.Axis{Label: "Rate", Unit: "FLOP/s", Scale: chart.Log10}
	var panels []chart.Panel
	for _, f := range facets {
		panels = append(panels, chart.Panel{Title: f.label, X: x, Y: y, Lines: &chart.Lines{Series: kernelSeries(f.results), Of: "Operation"}})
	}
	spread := spread(panels, "sample")
	said, ceilings := addRoofs(panels, facets, rs)
	return picture{
		chart: chart.Chart{Width: rooflineWidth(panels), Columns: columnsFor(panels), Panels: panels},
		said: append(said, "Filled marks: cold, operands come from memory. Hollow marks: warm, operands lie in caches where they fit them, so that an operation may be faster than memory allows.",
			"Operations without FLOPs are left out."),
		conditions: slices.Concat([]string{list(counted, "device not recorded", named("", where))}, ceilings,
			[]string{spread, dates(rs), "commit " + list(rs, "not recorded", named("", shortCommit))}, loadOf(rs)),
	}, nil
}

func rooflineWidth(panels []chart.Panel) chart.Width {
	if len(panels) == 1 {
		return chart.Single
	}
	return chart.Double
}

func loadOf(rs []results.Result) []string {
	if load := otherLoad(rs); load != "" {
		return []string{load}
	}
	return nil
}

// kernelSeries has a series for each look and state of the caches, a point for each operation.
func kernelSeries(rs []results.Result) (all []chart.Series) {
	for i, k := range kernelLooks {
		for _, caches := range []string{"cold", "warm"} {
			own := slices.DeleteFunc(slices.Clone(rs), func(r results.Result) bool { return r.Point.Caches != caches || lookOf(r.Point.Op) != i })
			if len(own) == 0 {
				continue
			}
			s := chart.Series{Name: k.name + ", " + caches, Look: k.look}
			s.Look.Dash, s.Look.Hollow = chart.NoLine, caches == "warm"
			for _, g := range group(own, func(r results.Result) string { r.Point.Run = 0; return r.Key() }) {
				p := g[0].Point
				var rates []float64
				for _, seconds := range valuesOf(g) {
					rates = append(rates, float64(p.FLOPs)/seconds)
				}
				s.Points = append(s.Points, median(intensity(p), rates))
			}
			slices.SortFunc(s.Points, func(a, b chart.Point) int { return cmp.Or(cmp.Compare(a.X, b.X), cmp.Compare(a.Y, b.Y)) })
			all = append(all, s)
		}
	}
	return all
}

func lookOf(op string) int {
	for i, k := range kernelLooks {
		if slices.Contains(k.ops, op) {
			return i
		}
	}
	return len(kernelLooks) - 1
}

func intensity(p results.Point) float64 { return float64(p.FLOPs) / float64(p.Bytes) }

// addRoofs adds the ceilings of its device to each panel: the rate of memory times the
// intensity up to the rate of multiply-adds, and that. It returns what they are, for the
// caption and for the fine print.
func addRoofs(panels []chart.Panel, facets []facet, rs []results.Result) (said, values []string) {
	lo, hi := math.Inf(1), 0.0
	for _, f := range facets {
		for _, r := range f.results {
			lo, hi = min(lo, intensity(r.Point)), max(hi, intensity(r.Point))
		}
	}
	missing := false
	for i, f := range facets {
		key := setting(f.results[0], sameMachine)
		c := ceilingsOf(slices.DeleteFunc(slices.Clone(rs), func(r results.Result) bool { return setting(r, sameMachine) != key }))
		if !c.whole() {
			missing = true
			continue
		}
		with := ""
		if t := f.results[0].Subject.DType; c.products[t] > 0 {
			c.flops, with = c.products[t], " of products with "+t+" weights"
		}
		memory := c.memory()
		ridge := c.flops / memory.bytes
		at := func(x float64) chart.Point {
			y := min(c.flops, x*memory.bytes)
			return chart.Point{X: x, Y: y, Lo: y, Hi: y, N: c.runs}
		}
		first, last := min(lo, ridge/2), max(hi, ridge*2)
		panels[i].Lines.Series = append([]chart.Series{
			{Name: "reading of memory", Look: chart.Look{Color: chart.Black, Mark: chart.NoMark, Dash: chart.Dashed}, Points: []chart.Point{at(first), at(ridge)}},
			{Name: "multiply-adds", Look: chart.Look{Color: chart.Black, Mark: chart.NoMark}, Points: []chart.Point{at(ridge), at(last)}},
		}, panels[i].Lines.Series...)
		value := fmt.Sprintf("%s reads %s of %s and does %s in multiply-adds%s", f.results[0].Env.Device, chart.Quantity(memory.bytes, "B/s"),
			chart.Quantity(float64(memory.footprint), "B"), chart.Quantity(c.flops, "FLOP/s"), with)
		if !slices.Contains(values, value) {
			values = append(values, value)
		}
	}
	if len(values) > 0 {
		said = append(said, fmt.Sprintf("Lines are the ceilings, medians of what the same command measured: %s.", strings.Join(values, "; ")))
	}
	if missing {
		said = append(said, "Panels without lines are of devices that cannot show their ceilings.")
	}
	return said, values
}
