package train_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"quadrant/arch"
	"quadrant/kernels"
	"quadrant/train"
)

func openLearner(t *testing.T, cfg arch.Config) *train.Learner {
	t.Helper()
	l, err := train.NewLearner(cfg, openDevice(t, "cpu"))
	if err != nil {
		t.Fatal(err)
	}
	l.Model().Init(1)
	return l
}

// step runs l.Step on n tokens from the at-th on of a fixed text, as seqs sequences.
func step(t *testing.T, l *train.Learner, seqs, at, n int, scale float32) []float32 {
	t.Helper()
	losses, err := l.Step(tokens(200, 1)[at:at+n], tokens(200, 2)[at:at+n], seqs, scale)
	if err != nil {
		t.Fatal(err)
	}
	return losses
}

func gradients(l *train.Learner) (all []float32) {
	for _, p := range l.Params() {
		g := make([]float32, p.Grad.Len())
		kernels.Get(l.Device(), g, p.Grad)
		all = append(all, g...)
	}
	return all
}

// The gradient of a batch is the sum of the gradients of its halves, except where a router
// looks at the batch.
func TestGradientsAddUp(t *testing.T) {
	for _, name := range []string{"transformer", "mamba", "parallel", "router both", "router hash", "router unbalanced"} {
		l := openLearner(t, models()[name])
		losses := slices.Clone(step(t, l, 4, 0, 4*12, 1.0/48))
		want := gradients(l)
		l.ZeroGrad()
		halves := slices.Clone(step(t, l, 2, 0, 2*12, 1.0/48))
		halves = append(halves, step(t, l, 2, 24, 2*12, 1.0/48)...)
		if !slices.Equal(halves, losses) {
			t.Errorf("%s: losses of halves are others", name)
		}
		if relative, _ := compare(gradients(l), want); !(relative < 1e-6) {
			t.Errorf("%s: gradients of halves add up to others, by %.2g", name, relative)
		}
	}
}

// A step with the same input has the same gradients bit for bit, also after steps of another
// shape; and one like the last allocates nothing.
func TestStepsRepeat(t *testing.T) {
	for name, cfg := range models() {
		l := openLearner(t, cfg)
		l.AsInference = true // what routers learn would change the second step
		step(t, l, 2, 0, 2*12, 0.1)
		want := gradients(l)
		step(t, l, 1, 0, 70, 0.1)
		for range 2 {
			l.ZeroGrad()
			step(t, l, 2, 0, 2*12, 0.1)
			if !slices.Equal(gradients(l), want) {
				t.Errorf("%s: a second step has other gradients than the first", name)
			}
		}
	}
}

func TestStepAllocatesNothing(t *testing.T) {
	for name, cfg := range models() {
		l := openLearner(t, cfg)
		ids, targets, scale := tokens(24, 1), tokens(24, 2), float32(0.1)
		n := testing.AllocsPerRun(5, func() {
			scale /= 2 // which no gradient op knows
			if _, err := l.Step(ids, targets, 2, scale); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: a step makes %v allocations, want none", name, n)
		}
	}
}

// Between steps, the model computes what it would compute without a tape.
func TestModelOfALearner(t *testing.T) {
	cfg := models()["hybrid"]
	l := openLearner(t, cfg)
	step(t, l, 2, 0, 24, 0.1)
	plain, err := arch.New(cfg, l.Device(), arch.Types{})
	if err != nil {
		t.Fatal(err)
	}
	plain.Init(1)
	var all [2][]float32
	for i, m := range []*arch.Model{plain, l.Model()} {
		in, out := l.Device().Alloc(kernels.I32, 7, 1), l.Device().Alloc(kernels.F32, 7, vocab)
		kernels.Put(l.Device(), in, tokens(7, 1))
		if i == 0 { // what the router learned in the step
			copyBuffers(l.Device(), plain, l.Model())
		}
		m.Open(1, 7).Forward(out, in)
		all[i] = make([]float32, 7*vocab)
		kernels.Get(l.Device(), all[i], out)
	}
	if !slices.Equal(all[0], all[1]) {
		t.Error("logits of a model on a tape differ")
	}
}

func copyBuffers(dev kernels.Device, to, from *arch.Model) {
	values := map[string][]float32{}
	from.Params(func(name string, p *arch.Param) {
		if p.Buffer {
			values[name] = make([]float32, p.Len())
			kernels.Get(dev, values[name], p.Mat)
		}
	})
	to.Params(func(name string, p *arch.Param) {
		if p.Buffer {
			kernels.Put(dev, p.Mat, values[name])
		}
	})
}

// What Step and NewLearner are given is checked, with the numbers.
func TestLearnerErrors(t *testing.T) {
	l := openLearner(t, models()["mamba"])
	for _, c := range []struct {
		ids, targets []int32
		seqs         int
		want         string
	}{
		{nil, nil, 1, "0 ids do not make 1 sequences"},
		{[]int32{1, 2, 3}, []int32{1, 2, 3}, 2, "3 ids do not make 2 sequences"},
		{[]int32{1, 2}, []int32{1, 2}, 0, "2 ids do not make 0 sequences"},
		{[]int32{1, 2}, []int32{1}, 1, "1 targets for 2 ids"},
		{[]int32{1, vocab}, []int32{1, 2}, 1, "token id 23 at position 1"},
		{[]int32{1, 2}, []int32{1, vocab}, 1, "target 23 at position 1"},
		{[]int32{1, 2}, []int32{-2, 1}, 1, "target -2 at position 0"},
		{[]int32{1, 2}, []int32{-1, -1}, 1, "nothing to learn"},
	} {
		if _, err := l.Step(c.ids, c.targets, c.seqs, 1); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, %v, %d: error %v, want one with %q", c.ids, c.targets, c.seqs, err, c.want)
		}
	}
	if slices.ContainsFunc(gradients(l), func(g float32) bool { return g != 0 }) {
		t.Error("a step that was refused has gradients")
	}
	dev := openDevice(t, "cpu")
	mute := models()["router unbalanced"]
	mute.Layers[0].Channel.MoE.Router.Score = kernels.SoftmaxTopKScore
	if _, err := train.NewLearner(mute, dev); err == nil || !strings.Contains(err.Error(), "router has no gradient") {
		t.Errorf("a router without gradient: error %v", err)
	}
	m, err := arch.New(models()["mamba"], dev, arch.Types{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := train.Learn(m); err == nil || !strings.Contains(err.Error(), "want it on a tape") {
		t.Errorf("a model without a tape: error %v", err)
	}
	m, err = arch.New(models()["mamba"], train.NewTape(dev), arch.Types{Weights: kernels.BF16})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := train.Learn(m); err == nil || !strings.Contains(err.Error(), "is bf16, want f32") {
		t.Errorf("a model of bf16: error %v", err)
	}
}

// What each router did can be told after a step.
func TestRouters(t *testing.T) {
	l := openLearner(t, models()["mamba-moe"])
	step(t, l, 2, 0, 24, 0.1)
	routers := l.Routers()
	if len(routers) != 2 || routers[0].Layer != 1 || routers[1].Layer != 3 {
		t.Fatalf("routers %+v, want those of layers 1 and 3", routers)
	}
	for _, r := range routers {
		total := int32(0)
		for _, n := range r.Loads {
			total += n
		}
		if len(r.Loads) != 4 || total != 24 || r.Iterations < 1 || r.Iterations > 8 || r.Dropped != 0 {
			t.Errorf("router %+v, want 24 choices of 4 experts and 1 to 8 iterations", r)
		}
	}
	l = openLearner(t, models()["router capacity"])
	step(t, l, 2, 0, 24, 0.1)
	for _, r := range l.Routers() {
		dropped := 0
		for _, n := range r.Loads {
			dropped += max(0, int(n)-9) // ⌈0.75·24·2/4⌉
		}
		if r.Dropped != dropped || dropped == 0 || r.Iterations != 0 {
			t.Errorf("router %+v, want %d dropped", r, dropped)
		}
	}
	cfg := models()["router expert-choice"]
	for _, layer := range cfg.Layers {
		layer.Channel.MoE.Router.TopK = 1
	}
	l = openLearner(t, cfg)
	step(t, l, 2, 0, 24, 0.1)
	for _, r := range l.Routers() { // 6 of 24 tokens each, and hardly all of them by one expert
		if !slices.Equal(r.Loads, []int32{6, 6, 6, 6}) || r.Unchosen < 1 || r.Unchosen > 18 {
			t.Errorf("router %+v, want 6 tokens for each expert, and some for none", r)
		}
	}
	l = openLearner(t, models()["router softmax"])
	step(t, l, 2, 0, 24, 1.0/24)
	for _, r := range l.Routers() { // at least 0.01, its value for an even load, and z's of 4 experts
		if !(r.Balance > 0.009 && r.Balance < 0.04) || !(r.Z > 0 && r.Z < 0.1) {
			t.Errorf("router %+v", r)
		}
	}
}

// The bias that inference chooses by follows Sinkhorn's, and so makes loads more even than the
// plain argmax; a loss-free bias moves against the load by its rate.
func TestRoutersLearnBalance(t *testing.T) {
	cfg := models()["mamba-moe"]
	for i := range cfg.Layers {
		if m := cfg.Layers[i].Channel.MoE; m != nil {
			moe := *m
			cfg.Layers[i].Channel.MoE = &moe
		}
	}
	l := openLearner(t, cfg)
	for range 150 {
		step(t, l, 2, 0, 200, 0.01)
	}
	learned := worstLoad(t, l)
	l.Model().Params(func(_ string, p *arch.Param) {
		if p.Buffer {
			kernels.Put(l.Device(), p.Mat, make([]float32, p.Len()))
		}
	})
	if plain := worstLoad(t, l); learned >= plain || learned > 75 {
		t.Errorf("the fullest expert has %d of 200 tokens with the learned bias, %d without; 50 is fair", learned, plain)
	}

	free := models()["router loss-free"]
	for i := range free.Layers {
		free.Layers[i].Channel.MoE.Router.LossFree.Rate = 0.25
	}
	l = openLearner(t, free)
	step(t, l, 2, 0, 24, 0.1)
	router := 0
	l.Model().Params(func(name string, p *arch.Param) {
		if !p.Buffer {
			return
		}
		bias := make([]float32, 4)
		kernels.Get(l.Device(), bias, p.Mat)
		for e, load := range l.Routers()[router].Loads {
			if want := 0.25 * float32(sign(12-int(load))); bias[e] != want {
				t.Errorf("%s: expert %d with load %d has bias %v, want %v", name, e, load, bias[e], want)
			}
		}
		router++
	})
}

func sign(n int) int { return min(1, max(-1, n)) }

// worstLoad is the largest load of an expert in inference.
func worstLoad(t *testing.T, l *train.Learner) (worst int32) {
	t.Helper()
	l.AsInference = true
	step(t, l, 2, 0, 200, 0.01)
	l.AsInference = false
	for _, r := range l.Routers() {
		worst = max(worst, slices.Max(r.Loads))
	}
	return worst
}

// The targets of plain text are the next tokens.
func TestNextTokens(t *testing.T) {
	targets, scored := train.NextTokens([]int32{1, 2, 3, 4, 5, 6}, 2)
	if !slices.Equal(targets, []int32{2, 3, -1, 5, 6, -1}) || scored != 4 {
		t.Errorf("%v, %d scored", targets, scored)
	}
	losses := step(t, openLearner(t, models()["mamba"]), 1, 0, 20, 1)
	for i, loss := range losses {
		if !(math.Abs(float64(loss)-math.Log(vocab)) < 1) {
			t.Errorf("loss %d is %v, want about ln %d", i, loss, vocab)
		}
	}
}
