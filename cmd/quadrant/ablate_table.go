package main

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"

	"quadrant/internal/stat"
	"quadrant/reports"
	"quadrant/results"
	"quadrant/sweep"
)

// A cellRun is what one run came to.
type cellRun struct {
	own        string             // the choice of routers that the model has
	choices    []string           // all, in the order measured
	bits       map[string]float64 // by choice: per byte of held-out text, mean over domains
	gram       float64            // of the 5-gram that counted the same text; NaN where there is none
	rate       float64            // tokens/s, by the median step
	maxLoad    float64            // busiest expert against the mean, in the worst layer, over the last steps; NaN without experts
	iterations float64            // of Sinkhorn, mean over the last steps and layers; NaN without it
}

// readRun takes the measurements in rs, and the log, of the run that s describes.
func readRun(s runSettings, rs []results.Result) (cellRun, error) {
	last := s.Options.Schedule.Steps
	r := cellRun{bits: map[string]float64{}, gram: math.NaN(), own: s.ownChoice()}
	rows := map[[2]string]map[string]float64{}
	for _, res := range rs {
		if res.Metric != "training_bits_per_byte" || res.Point.Step != last {
			continue
		}
		row := [2]string{res.Subject.Model, res.Point.Choice}
		if rows[row] == nil {
			rows[row] = map[string]float64{}
			if row[0] == s.Model {
				r.choices = append(r.choices, row[1])
			}
		}
		rows[row][res.Point.Domain] = res.Values[0]
	}
	for row, mean := range means(rows) {
		if row[0] == s.Model {
			r.bits[row[1]] = mean
		} else if row[0] == "5-gram" {
			r.gram = mean
		}
	}
	if _, ok := r.bits[r.own]; !ok {
		return r, fmt.Errorf("%s: no bits per byte of step %d with routers that choose by %q: remove the folder to make the run again", s.out, last, r.own)
	}
	steps, err := readSteps(filepath.Join(s.out, "steps.jsonl"), last)
	if err != nil {
		return r, err
	}
	r.speed(s, steps)
	return r, r.experts(steps[len(steps)-min(s.ValidEvery, len(steps)):])
}

func (r *cellRun) speed(s runSettings, steps []stepLine) {
	var seconds []float64
	for _, l := range steps {
		seconds = append(seconds, l.Seconds)
	}
	r.rate = float64(s.Options.TokensPerStep()) / stat.Median(seconds)
}

// experts sums up what routers did in steps.
func (r *cellRun) experts(steps []stepLine) error {
	r.maxLoad, r.iterations = math.NaN(), math.NaN()
	var iterations []float64
	for i, routed := range steps[0].Routers {
		loads := make([]float64, len(routed.Loads))
		for _, s := range steps {
			for e, n := range s.Routers[i].Loads {
				loads[e] += float64(n)
			}
			iterations = append(iterations, float64(s.Routers[i].Iterations))
		}
		b, err := stat.NewBalance(loads)
		if err != nil {
			return err
		}
		if !(r.maxLoad >= b.MaxLoad) {
			r.maxLoad = b.MaxLoad
		}
	}
	if slices.ContainsFunc(iterations, func(n float64) bool { return n > 0 }) {
		r.iterations, _ = stat.MeanError(iterations)
	}
	return nil
}

// report is the table of an ablation: a row for each cell and choice of routers.
func (ab *ablation) report(runs map[string][]cellRun) reports.Table {
	var base []cellRun
	for _, c := range ab.cells {
		if c.Base {
			base = runs[c.Name]
		}
	}
	t := reports.Table{
		Caption: ab.caption(base),
		Columns: []reports.Column{
			textColumn("cell", "Cell"), numberColumn("params_total", "Parameters"), numberColumn("params_active", "Active"), numberColumn("flops_forward", "FLOPs/token"),
			textColumn("choice", "Routers"), numberColumn("bits_per_byte", "Bits/byte"),
			numberColumn("difference", "Difference"), numberColumn("difference_lo", "95 % from"), numberColumn("difference_hi", "to"), textColumn("verdict", "So it is"),
			numberColumn("tokens_per_s", "Tokens/s"), numberColumn("max_load", "Max/mean"), numberColumn("iterations", "Iterations"),
		},
	}
	for _, c := range ab.cells {
		for _, choice := range runs[c.Name][0].choices {
			t.Rows = append(t.Rows, rowOf(c, choice, runs[c.Name], base))
		}
	}
	return t
}

func (ab *ablation) caption(base []cellRun) string {
	text := fmt.Sprintf("%s: %s Bits per byte of held-out text, mean over %d seed(s), matched: %v. Differences are to the base with its own routers (%s), seed by seed",
		ab.Name, ab.About, ab.Seeds, ab.Match, pick(base[0].own != "", base[0].own, "none"))
	if ab.Seeds == 1 {
		text += "; of one seed there is no interval"
	}
	if grams := valuesOf(base, func(r cellRun) float64 { return r.gram }); !math.IsNaN(grams[0]) {
		mean, _ := stat.MeanError(grams)
		text += fmt.Sprintf(". A 5-gram that counted the same text: %.4f", mean)
	}
	return text + ". Max/mean: the busiest expert of the worst layer in training, and Sinkhorn's iterations, over the last steps."
}

// rowOf is the row of a cell with one choice of routers.
func rowOf(c sweep.Cell, choice string, runs, base []cellRun) []reports.Cell {
	bits := valuesOf(runs, func(r cellRun) float64 { return r.bits[choice] })
	mean, _ := stat.MeanError(bits)
	row := []reports.Cell{
		reports.Text(cellName(c)), count(c.Params.Total), count(c.Params.Active), flopCount(int64(c.FLOPs)), reports.Text(choice), reports.Number(mean, 4),
	}
	if c.Base && choice == base[0].own {
		row = append(row, reports.Cell{}, reports.Cell{}, reports.Cell{}, reports.Text("base"))
	} else {
		row = append(row, differenceOf(bits, valuesOf(base, func(r cellRun) float64 { return r.bits[r.own] }))...)
	}
	for _, f := range []struct {
		of       func(cellRun) float64
		decimals int
	}{
		{func(r cellRun) float64 { return r.rate }, 0}, {func(r cellRun) float64 { return r.maxLoad }, 2}, {func(r cellRun) float64 { return r.iterations }, 1},
	} {
		v, _ := stat.MeanError(valuesOf(runs, f.of))
		row = append(row, numberOrNone(v, f.decimals))
	}
	return row
}

// differenceOf is that of xs to base, pair by pair: mean, interval, and what it says.
func differenceOf(xs, base []float64) []reports.Cell {
	diffs := make([]float64, len(xs))
	for i := range xs {
		diffs[i] = xs[i] - base[i]
	}
	mean, _ := stat.MeanError(diffs)
	interval := stat.MeanInterval(diffs, 0.95)
	return []reports.Cell{
		reports.Number(mean, 4), numberOrNone(interval.Lo, 4), numberOrNone(interval.Hi, 4), reports.Text(verdict(mean, interval, len(diffs))),
	}
}

// verdict says what a mean difference in bits per byte over n seeds comes to.
func verdict(mean float64, interval stat.Range, n int) string {
	switch {
	case math.Abs(mean) < reports.TooSmallToOrder:
		return "too small to order"
	case n == 1:
		return "of one seed (n=1)"
	case !interval.Excludes(0):
		return "within the noise of seeds"
	case mean < 0:
		return "better"
	}
	return "worse"
}

func valuesOf(runs []cellRun, of func(cellRun) float64) (all []float64) {
	for _, r := range runs {
		all = append(all, of(r))
	}
	return all
}

// numberOrNone leaves out what is not a finite number.
func numberOrNone(v float64, decimals int) reports.Cell {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return reports.Cell{}
	}
	return reports.Number(v, decimals)
}
