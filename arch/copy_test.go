package arch_test

import (
	"slices"
	"testing"

	"quadrant/arch"
	"quadrant/kernels"
)

// A sequence that goes on from another's memory computes what it would have had it read
// those tokens itself: bit for bit, and whatever room either session has.
func TestCopyFrom(t *testing.T) {
	each(t, func(t *testing.T, m *arch.Model, dev kernels.Device) {
		const past, more = 9, 4
		ids := tokens(2*past + 3*more)
		a, b, ends := ids[:past], ids[past:2*past], ids[2*past:]
		src := m.Open(2, past+5)
		feed(t, src, dev, 2, slices.Concat(a, b), past)
		dst := m.Open(3, past+more)
		dst.CopyFrom(src, []int{1, 0, 1})
		if dst.Past() != past {
			t.Fatalf("it holds %d tokens, want %d", dst.Past(), past)
		}
		got := feed(t, dst, dev, 3, ends, more)
		for i, head := range [][]int32{b, a, b} {
			whole := run(t, m, dev, 1, slices.Concat(head, ends[i*more:(i+1)*more]), past, more)
			if !slices.Equal(got[i*more*vocab:(i+1)*more*vocab], whole[past*vocab:]) {
				t.Errorf("sequence %d differs from one that read everything itself", i)
			}
		}
		// The source goes on undisturbed.
		after := feed(t, src, dev, 2, ends[:2*more], more)
		want := run(t, m, dev, 2, slices.Concat(a, ends[:more], b, ends[more:2*more]), past, more)
		if !slices.Equal(after[:more*vocab], want[past*vocab:(past+more)*vocab]) {
			t.Error("copying disturbed the session copied from")
		}
	})
}

// Logits of chosen positions are those of a pass that computes all.
func TestForwardAt(t *testing.T) {
	each(t, func(t *testing.T, m *arch.Model, dev kernels.Device) {
		ids := tokens(2 * 7)
		all := run(t, m, dev, 2, ids, 7)
		at := []int32{6, 0, 13, 6}
		in, rows, out := dev.Alloc(kernels.I32, 14, 1), dev.Alloc(kernels.I32, len(at), 1), dev.Alloc(kernels.F32, len(at), vocab)
		kernels.Put(dev, in, ids)
		kernels.Put(dev, rows, at)
		s := m.Open(2, 14)
		s.ForwardAt(out, in, rows)
		got := make([]float32, len(at)*vocab)
		kernels.Get(dev, got, out)
		for i, p := range at {
			if !slices.Equal(got[i*vocab:(i+1)*vocab], all[int(p)*vocab:int(p+1)*vocab]) {
				t.Errorf("the logits at %d differ", p)
			}
		}
		// Without positions the tokens are read all the same.
		quiet := m.Open(2, 14)
		quiet.ForwardAt(kernels.Mat{}, in, kernels.Mat{})
		if a, b := feed(t, quiet, dev, 2, ids, 7), feed(t, s, dev, 2, ids, 7); !slices.Equal(a, b) {
			t.Error("what follows differs where nothing was predicted")
		}
	})
}

func TestCopyFromPanics(t *testing.T) {
	dev := openCPU(t)
	m := build(t, models()["mamba"], dev, arch.Types{})
	other := build(t, models()["mamba"], dev, arch.Types{})
	src := m.Open(2, 4)
	feed(t, src, dev, 2, tokens(6), 3)
	for name, f := range map[string]func(){
		"another model":  func() { other.Open(1, 4).CopyFrom(src, []int{0}) },
		"too long":       func() { m.Open(1, 2).CopyFrom(src, []int{0}) },
		"no such source": func() { m.Open(1, 4).CopyFrom(src, []int{2}) },
		"too few":        func() { m.Open(2, 4).CopyFrom(src, []int{0}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}
