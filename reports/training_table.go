package reports

import (
	"fmt"
	"slices"

	"quadrant/results"
)

// TooSmallToOrder is the difference in bits per byte below which models are not ordered: seeds
// alone make about as much.
const TooSmallToOrder = 0.02

// TrainingTable orders models by the bits per byte that they ended training with, and says
// which differences are large enough to mean something. Every number is of one run. The
// error wraps [ErrNoData] if rs hold none.
func TrainingTable(rs []results.Result) (Table, error) {
	found := preferred(withMetric(rs, "training_bits_per_byte"))
	if len(found) == 0 {
		return Table{}, fmt.Errorf("reports: training: %w: no result of metric \"training_bits_per_byte\"; measure it with \"quadrant train\"", ErrNoData)
	}
	type row struct {
		line
		text string
		last reading
	}
	var rows []row
	for _, l := range lines(found) {
		own := slices.DeleteFunc(slices.Clone(found), func(r results.Result) bool { return modelOf(r) != l.model })
		for _, of := range group(own, func(r results.Result) string { return r.Point.Corpus }) {
			all, err := readings(of)
			if err != nil {
				return Table{}, fmt.Errorf("reports: training: %w", err)
			}
			rows = append(rows, row{l, of[0].Point.Corpus, all[len(all)-1]})
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		switch {
		case a.text != b.text:
			return slices.IndexFunc(rows, func(r row) bool { return r.text == a.text }) - slices.IndexFunc(rows, func(r row) bool { return r.text == b.text })
		case a.last.bits < b.last.bits:
			return -1
		case a.last.bits > b.last.bits:
			return 1
		}
		return 0
	})
	t := Table{
		Caption: fmt.Sprintf("Bits per byte of held-out text after training, one run of each model; differences below %g are too small to order", TooSmallToOrder),
		Columns: []Column{
			{Key: "model", Name: "Model"}, {Key: "text", Name: "Text"}, {Key: "choice", Name: "Routers"}, {Key: "tokens", Name: "Tokens", Right: true},
			{Key: "training_bits_per_byte", Name: "Bits per byte", Right: true}, {Key: "over_better", Name: "Over the one above", Right: true}, {Key: "verdict", Name: "Verdict"},
		},
	}
	for i, r := range rows {
		over, verdict := Cell{}, "best"
		if i > 0 && rows[i-1].text == r.text {
			d := r.last.bits - rows[i-1].last.bits
			over, verdict = Number(d, 4), "worse"
			if d < TooSmallToOrder {
				verdict = "too small to order"
			}
		}
		t.Rows = append(t.Rows, []Cell{Text(r.name), Text(r.text), Text(r.last.choice), Int(r.last.tokens), Number(r.last.bits, 4), over, Text(verdict)})
	}
	return t, t.check()
}
