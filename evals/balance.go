package evals

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"quadrant/arch"
	"quadrant/kernels"
)

// A Load is how many tokens of a text each expert of a layer was given.
type Load struct {
	Layer  int // index in the model
	Tokens []float64
}

// Balance reads ids with m, in windows of a number of tokens that start afresh, and
// returns the load of every MoE layer, in order. m must live on routes. training makes
// routers choose as in training, within each window. progress, if any, is told the tokens
// read so far.
func Balance(ctx context.Context, routes *Routes, m *arch.Model, ids []int32, window int, training bool, progress func(done int)) ([]Load, error) {
	if window < 1 || len(ids) == 0 {
		return nil, fmt.Errorf("evals: %d tokens in windows of %d: want at least 1 and 1", len(ids), window)
	}
	if err := m.CheckIDs(ids); err != nil {
		return nil, fmt.Errorf("evals: %w", err)
	}
	counts := make(map[int][]float64)
	for i, l := range m.Layers {
		if l.Channel.MoE != nil {
			counts[i] = make([]float64, l.Channel.MoE.Experts)
		}
	}
	if len(counts) == 0 {
		return nil, fmt.Errorf("evals: the model has no mixture of experts to balance")
	}
	routes.See = func(layer int, experts []int32, _ int) {
		for _, e := range experts {
			counts[layer][e]++
		}
	}
	defer func() { routes.See = nil }()

	window = min(window, len(ids))
	s := m.Open(1, window)
	s.Training = training
	in, logits := routes.Alloc(kernels.I32, window, 1), routes.Alloc(kernels.F32, 1, m.Vocab)
	for at := 0; at < len(ids); at += window {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n := min(window, len(ids)-at)
		kernels.Put(routes, in.RowRange(0, n), ids[at:at+n])
		s.Reset()
		s.Forward(logits, in.RowRange(0, n))
		if err := routes.Sync(); err != nil {
			return nil, err
		}
		if progress != nil {
			progress(at + n)
		}
	}
	var loads []Load
	for _, layer := range slices.Sorted(maps.Keys(counts)) {
		loads = append(loads, Load{layer, counts[layer]})
	}
	return loads, nil
}
