package evals

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"quadrant/arch"
	"quadrant/kernels"
)

// A Load is what the experts of a layer were given of a text.
type Load struct {
	Layer   int  // index in the model
	TopK    int  // experts that each token is sent to
	Limited bool // the router drops tokens that an expert has no room for
	Tally
	Classes []Tally // by class, as many as [Classes]; nil where tokens have none
}

// A Tally counts, for every expert of a layer, the tokens sent to it and of these those
// dropped because it had no room, which are 0 where a layer is not Limited.
type Tally struct{ Tokens, Dropped []float64 }

func newTally(experts int) Tally { return Tally{make([]float64, experts), make([]float64, experts)} }

// BalanceOptions say how [Balance] reads a text.
type BalanceOptions struct {
	Window   int            // tokens after which a sequence starts afresh
	Training bool           // routers choose, and drop, as in training, within each window
	Classes  []Class        // of every token, to count each class by itself; nil counts none
	Progress func(done int) // if any, is told the tokens read so far
}

// Balance reads ids with m and returns the load of every MoE layer, in order. m must live
// on routes.
func Balance(ctx context.Context, routes *Routes, m *arch.Model, ids []int32, o BalanceOptions) ([]Load, error) {
	if o.Window < 1 || len(ids) == 0 {
		return nil, fmt.Errorf("evals: %d tokens in windows of %d: want at least 1 and 1", len(ids), o.Window)
	}
	if o.Classes != nil && len(o.Classes) != len(ids) {
		return nil, fmt.Errorf("evals: %d tokens and %d classes: want one for each", len(ids), len(o.Classes))
	}
	if err := m.CheckIDs(ids); err != nil {
		return nil, fmt.Errorf("evals: %w", err)
	}
	t := newTeller(m, o.Classes)
	if len(t.loads) == 0 {
		return nil, fmt.Errorf("evals: the model has no mixture of experts to balance")
	}
	if err := TokensChoose(m.Config, o.Training); err != nil {
		return nil, err
	}
	routes.See, routes.Limit = t.see, t.limit
	defer func() { routes.See, routes.Limit = nil, nil }()

	window := min(o.Window, len(ids))
	s := m.Open(1, window)
	s.Training = o.Training
	in, logits := routes.Alloc(kernels.I32, window, 1), routes.Alloc(kernels.F32, 1, m.Vocab)
	for at := 0; at < len(ids); at += window {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n := min(window, len(ids)-at)
		kernels.Put(routes, in.RowRange(0, n), ids[at:at+n])
		s.Reset()
		t.at = at
		s.Forward(logits, in.RowRange(0, n))
		if err := routes.Sync(); err != nil {
			return nil, err
		}
		if o.Progress != nil {
			o.Progress(at + n)
		}
	}
	var loads []Load
	for _, layer := range slices.Sorted(maps.Keys(t.loads)) {
		loads = append(loads, *t.loads[layer])
	}
	return loads, nil
}

// A teller counts what routers choose.
type teller struct {
	loads   map[int]*Load
	classes []Class
	at      int     // of the text, where the step begins
	chosen  []int32 // by the router that chose last
}

func newTeller(m *arch.Model, classes []Class) *teller {
	t := &teller{loads: make(map[int]*Load), classes: classes}
	for i, l := range m.Layers {
		if l.Channel.MoE == nil {
			continue
		}
		load := &Load{Layer: i, TopK: l.Channel.MoE.Router.TopK, Tally: newTally(l.Channel.MoE.Experts)}
		for range Classes {
			if classes != nil {
				load.Classes = append(load.Classes, newTally(l.Channel.MoE.Experts))
			}
		}
		t.loads[i] = load
	}
	return t
}

func (t *teller) see(layer int, experts []int32, k int) {
	t.chosen = append(t.chosen[:0], experts...)
	load := t.loads[layer]
	for slot, e := range experts {
		load.Tokens[e]++
		if t.classes != nil {
			load.Classes[t.classes[t.at+slot/k]].Tokens[e]++
		}
	}
}

// limit counts the choices just seen that LimitLoad drops: those of each expert, in the
// order of the tokens, from the capacity-th on.
func (t *teller) limit(layer, capacity int) {
	load := t.loads[layer]
	load.Limited = true
	taken := make([]int, len(load.Tokens))
	for slot, e := range t.chosen {
		if taken[e]++; taken[e] <= capacity {
			continue
		}
		load.Dropped[e]++
		if t.classes != nil {
			load.Classes[t.classes[t.at+slot/load.TopK]].Dropped[e]++
		}
	}
}
