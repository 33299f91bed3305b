package train

import (
	"slices"
	"testing"

	"quadrant/arch"
	"quadrant/kernels"
	"quadrant/kernels/ref"
)

func tiny() arch.Config {
	norm := arch.Norm{Kind: arch.RMSNorm, Eps: 1e-5}
	return arch.Config{Vocab: 11, Dim: 8, Norm: norm, FinalNorm: norm, TiedHead: true, Layers: []arch.Layer{{
		Sequence: arch.Sequence{Mamba: &arch.Mamba{Inner: 12, State: 2, Conv: 3, Rank: 1}},
		Channel:  arch.Channel{MLP: &arch.MLP{Hidden: 8, Act: kernels.SiLU, Gate: arch.FirstHalf}}, Parallel: true,
	}}}
}

// The list of gradient ops is made once for steps that are alike, whatever their scale, and
// made again for one that is not.
func TestListIsReused(t *testing.T) {
	l, err := NewLearner(tiny(), ref.New())
	if err != nil {
		t.Fatal(err)
	}
	l.Model().Init(1)
	step := func(seqs int, scale float32) []kernels.Op {
		ids := []int32{1, 2, 3, 4, 5, 6}
		if _, err := l.Step(ids, ids, seqs, scale); err != nil {
			t.Fatal(err)
		}
		return slices.Clone(l.tape.backward)
	}
	first := step(2, 1)
	if !slices.Equal(step(2, 0.5), first) { // pointers
		t.Error("a step like the last compiles again")
	}
	memory := len(l.tape.pool.all)
	if slices.Equal(step(3, 1), first) {
		t.Error("a step of another shape plays the ops of the last")
	}
	step(2, 1)
	step(3, 1)
	if n := len(l.tape.pool.all); n > 2*memory {
		t.Errorf("two shapes take %d buffers, one takes %d", n, memory)
	}
}

// Gradients of activations share memory once they are used up: two buffers more than one
// layer needs do for any number.
func TestGradientsShareMemory(t *testing.T) {
	buffers := func(layers int) int {
		cfg := tiny()
		cfg.Layers = slices.Repeat(cfg.Layers, layers)
		l, err := NewLearner(cfg, ref.New())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Step([]int32{1, 2, 3}, []int32{2, 3, 4}, 1, 1); err != nil {
			t.Fatal(err)
		}
		return len(l.tape.pool.all)
	}
	// A's gradient is needed to the end of the step: one more per Mamba layer.
	if two, nine := buffers(2), buffers(9); nine != two+7 {
		t.Errorf("9 layers take %d buffers, 2 take %d", nine, two)
	}
}

// Views of one value have views of its gradient.
func TestWithin(t *testing.T) {
	mem := new(int)
	whole := kernels.Mat{Rows: 6, Cols: 10, Stride: 12, Off: 5, Mem: mem}
	part := whole.RowRange(2, 5).ColRange(3, 9)
	r, ok := within(whole, part)
	if !ok || r != (rect{2, 3, 3, 6}) || r.of(whole) != part || r.area() != 18 {
		t.Errorf("%v, %v", r, ok)
	}
	for name, m := range map[string]kernels.Mat{
		"other memory": {Rows: 1, Cols: 1, Stride: 1, Off: 5, Mem: new(int)}, "before": {Rows: 1, Cols: 1, Stride: 1, Off: 4, Mem: mem},
		"between rows": {Rows: 1, Cols: 1, Stride: 1, Off: 16, Mem: mem}, "other rows": {Rows: 2, Cols: 2, Stride: 24, Off: 5, Mem: mem},
		"absent": {},
	} {
		if r, ok := within(whole, m); ok {
			t.Errorf("%s: lies at %v", name, r)
		}
	}
	if o := (rect{0, 0, 4, 4}).overlap(rect{2, 3, 9, 9}); o != (rect{2, 3, 2, 1}) {
		t.Errorf("overlap %v", o)
	}
	if o := (rect{0, 0, 4, 4}).overlap(rect{5, 0, 2, 2}); o.area() != 0 {
		t.Errorf("overlap %v", o)
	}
}
