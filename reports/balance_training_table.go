package reports

import (
	"cmp"
	"fmt"
	"slices"

	"quadrant/internal/stat"
	"quadrant/results"
)

// TrainingBalanceTable says how evenly each layer of each model spread its tokens as training
// went on, from results of metric training_expert_tokens: a row for each layer and each
// stretch of steps. The error wraps [ErrNoData] if there are none.
func TrainingBalanceTable(rs []results.Result) (Table, error) {
	t := Table{
		Caption: "Expert balance during training. Steps: from the row before to this one. max/mean: the busiest expert's tokens over the mean; " +
			"dead: experts with less than a tenth of the mean; entropy: 1 is even.",
		Columns: append([]Column{
			{Key: "model", Name: "Model"}, {Key: "corpus", Name: "Text"}, {Key: "layer", Name: "Layer", Right: true}, {Key: "step", Name: "Steps to", Right: true},
		}, evennessColumns()...),
	}
	rs = withMetric(rs, "training_expert_tokens")
	if len(rs) == 0 {
		f, _ := FigureNamed("experts-training")
		return t, f.noData(0)
	}
	for _, l := range lines(rs) {
		own := slices.DeleteFunc(slices.Clone(rs), func(r results.Result) bool { return modelOf(r) != l.model })
		slices.SortStableFunc(own, func(a, b results.Result) int {
			return cmp.Or(cmp.Compare(layerOf(a), layerOf(b)), cmp.Compare(a.Point.Step, b.Point.Step))
		})
		for i, r := range own {
			if r.Point.Layer == nil || i > 0 && layerOf(own[i-1]) == layerOf(r) && own[i-1].Point.Step == r.Point.Step {
				return t, fmt.Errorf("reports: expert balance: %s: step %d: point.layer is missing, or the step is given twice", l.name, r.Point.Step)
			}
			b, err := stat.NewBalance(r.Values)
			if err != nil {
				return t, fmt.Errorf("reports: expert balance: %s, layer %d, step %d: %w", l.name, *r.Point.Layer, r.Point.Step, err)
			}
			t.Rows = append(t.Rows, append([]Cell{Text(l.name), Text(r.Point.Corpus), Int(*r.Point.Layer), Int(r.Point.Step)}, evenness(b)...))
		}
	}
	return t, nil
}
