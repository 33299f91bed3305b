package reports

import (
	"fmt"
	"slices"

	"quadrant/internal/stat"
	"quadrant/results"
)

// LatencyTable summarises generation latency: a row for each model, prompt, batch and number
// of tokens generated, with the median over runs and the range; prefill is a row with one
// token generated. Throughput counts the tokens of all sequences.
func LatencyTable(rs []results.Result) Table {
	t := Table{
		Caption: "Generation latency: from before the prompt is read until the last token is chosen. Tokens per second are of the median." +
			" MBU: the bytes that a decode step must move, over its median time, as a share of the bytes that the device was measured to move in as long.",
		Columns: []Column{
			{Key: "model", Name: "Model"}, {Key: "dtype", Name: "Type"}, {Key: "device", Name: "Device"},
			{Key: "threads", Name: "Threads", Right: true}, {Key: "batch", Name: "Batch", Right: true},
			{Key: "test", Name: "Test"}, {Key: "prompt", Name: "Prompt", Right: true}, {Key: "gen", Name: "Gen", Right: true},
			{Key: "runs", Name: "Runs", Right: true}, {Key: "median_s", Name: "Median", Right: true},
			{Key: "min_s", Name: "Min", Right: true}, {Key: "max_s", Name: "Max", Right: true},
			{Key: "tokens_per_s", Name: "Tokens/s", Right: true}, {Key: "mbu", Name: "MBU", Right: true},
		},
	}
	type group struct {
		first   results.Result
		seconds []float64
	}
	groups := make(map[string]*group)
	var order []string
	for _, r := range rs {
		if r.Metric != "generation" && r.Metric != "prefill" {
			continue
		}
		same := r
		same.Point.Run = 0
		key := same.Key()
		if groups[key] == nil {
			groups[key] = &group{first: r}
			order = append(order, key)
		}
		groups[key].seconds = append(groups[key].seconds, r.Values...)
	}
	// Runs alternate between models; a table shows each model's together, in the order met.
	var models []string
	for _, key := range order {
		if m := groups[key].first.Subject.Model; !slices.Contains(models, m) {
			models = append(models, m)
		}
	}
	slices.SortStableFunc(order, func(a, b string) int {
		return slices.Index(models, groups[a].first.Subject.Model) - slices.Index(models, groups[b].first.Subject.Model)
	})
	for _, key := range order {
		t.Rows = append(t.Rows, append(latencyRow(groups[key].first, groups[key].seconds), bandwidthUse(groups[key].first, rs)))
	}
	return t
}

// latencyRow names tests as llama-bench does: pp512 reads a prompt of 512 tokens, tg128
// generates 128.
func latencyRow(r results.Result, seconds []float64) []Cell {
	median := stat.Median(seconds)
	gen, test, tokens := r.Point.Gen, fmt.Sprintf("tg%d", r.Point.Gen), r.Point.Gen
	if r.Metric == "prefill" {
		gen, test, tokens = 1, fmt.Sprintf("pp%d", r.Point.Prompt), r.Point.Prompt
	} else if r.Point.Prompt > 0 {
		test = fmt.Sprintf("pp%d+%s", r.Point.Prompt, test)
	}
	return []Cell{
		Text(r.Subject.Model), Text(r.Subject.DType), Text(r.Env.Device), Int(r.Env.Threads), Int(r.Point.Batch),
		Text(test), Int(r.Point.Prompt), Int(gen), Int(len(seconds)),
		Quantity(median, "s"), Quantity(slices.Min(seconds), "s"), Quantity(slices.Max(seconds), "s"),
		Number(float64(tokens*r.Point.Batch)/median, 1),
	}
}

// bandwidthUse is the MBU of r, if it is a generation: empty where there is nothing to tell it from.
func bandwidthUse(r results.Result, rs []results.Result) Cell {
	share, ok := bandwidthShare(r, rs)
	if !ok {
		return Cell{}
	}
	return Cell{fmt.Sprintf("%.0f %%", 100*share), share}
}

// bandwidthShare is the model bandwidth utilisation of the decode steps of r; not ok where rs do not hold
// the bytes of a step, its time and how fast the device moves bytes.
func bandwidthShare(r results.Result, rs []results.Result) (share float64, ok bool) {
	if r.Point.Gen < 2 {
		return 0, false // there is no step
	}
	var bytes float64
	var seconds, rates []float64
	longest := 0 // of the runs that the steps are of
	for _, o := range rs {
		same := o.Point.Prompt == r.Point.Prompt && o.Point.Batch == r.Point.Batch && settingOf(o) == settingOf(r) && sameSubject(o, r)
		switch {
		case o.Metric == "token_bytes" && same && o.Point.Gen == r.Point.Gen:
			bytes = o.Values[0]
		case o.Metric == "token" && same && len(o.Values) >= r.Point.Gen-1 && (longest == 0 || longest == o.Point.Gen):
			longest = o.Point.Gen
			seconds = append(seconds, o.Values[:r.Point.Gen-1]...)
		case (o.Metric == "copy_rate" || o.Metric == "read_rate") && settingOf(o) == settingOf(r):
			rates = append(rates, o.Values...)
		}
	}
	if bytes == 0 || len(seconds) == 0 || len(rates) == 0 {
		return 0, false
	}
	return bytes / stat.Median(seconds) / stat.Median(rates), true
}

// settingOf is what rates of memory are of.
func settingOf(r results.Result) string { return setting(r, sameMachine) }

func sameSubject(a, b results.Result) bool {
	x, y := a.Subject, b.Subject
	return x.Model == y.Model && x.DType == y.DType && x.Weights == y.Weights && x.Total == y.Total
}
