package arch_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"quadrant/arch"
	"quadrant/kernels"
)

// How a router chooses in training and how afterwards are two answers.
func TestChoices(t *testing.T) {
	s := &arch.Sinkhorn{}
	for _, c := range []struct {
		router              arch.Router
		training, inference string
	}{
		{arch.Router{}, "argmax", "argmax"},
		{arch.Router{Sinkhorn: s}, "sinkhorn", "argmax"},
		{arch.Router{Sinkhorn: s, Inference: arch.SinkhornInference}, "sinkhorn", "sinkhorn"},
		{arch.Router{Sinkhorn: s, Inference: arch.EMABiasInference}, "sinkhorn", "ema_bias"},
		{arch.Router{LossFree: &arch.LossFree{}}, "loss_free", "loss_free"},
		{arch.Router{Hash: true}, "hash", "hash"},
		{arch.Router{ExpertChoice: true}, "expert_choice", "argmax"},
		{arch.Router{ExpertChoice: true, Inference: arch.ExpertChoiceInference}, "expert_choice", "expert_choice"},
	} {
		if a, b := c.router.TrainingChoice(), c.router.InferenceChoice(); a != c.training || b != c.inference {
			t.Errorf("%+v: %s in training and %s in inference, want %s and %s", c.router, a, b, c.training, c.inference)
		}
	}
}

// Configs with routers of every kind survive JSON, by names.
func TestRouterJSON(t *testing.T) {
	cfg := models()["routers"]
	text, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"hash":true`, `"input":"both"`, `"inference":"ema_bias"`, `"absolute":true`, `"loss_free":{"rate":0.01}`, `"gate_scale":2`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
	var back arch.Config
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, cfg) {
		t.Errorf("%v: it comes back as %+v", err, back)
	}
	for _, bad := range []string{`{"input": "tokens"}`, `{"inference": "argmin"}`} {
		if err := json.Unmarshal([]byte(bad), new(arch.Router)); err == nil {
			t.Errorf("%s is no error", bad)
		}
	}
}

// A vector that routers learn without a gradient is neither a parameter nor changes how the
// parameters are drawn.
func TestBuffersAreNoParameters(t *testing.T) {
	dev := openCPU(t)
	with, without := models()["mamba-moe"], models()["mamba-moe"]
	for i := range with.Layers {
		if m := with.Layers[i].Channel.MoE; m != nil {
			moe := *m
			moe.Router.Inference = arch.EMABiasInference
			with.Layers[i].Channel.MoE = &moe
		}
	}
	a, b := build(t, with, dev, arch.Types{}), build(t, without, dev, arch.Types{})
	if a.Count().Total != b.Count().Total || a.Count().Active != b.Count().Active || a.Count().Bytes != b.Count().Bytes+2*4*4 {
		t.Errorf("counts %+v and %+v", a.Count(), b.Count())
	}
	values := map[string][]float32{}
	get := func(p *arch.Param) []float32 {
		v := make([]float32, p.Len())
		kernels.Get(dev, v, p.Mat)
		return v
	}
	b.Params(func(name string, p *arch.Param) { values[name] = get(p) })
	buffers := 0
	a.Params(func(name string, p *arch.Param) {
		if p.Buffer {
			buffers++
			if v := get(p); !strings.HasSuffix(name, "moe.router.balance") || slices.Max(v) != 0 || slices.Min(v) != 0 {
				t.Errorf("%s begins as %v", name, v)
			}
		} else if !slices.Equal(get(p), values[name]) {
			t.Errorf("%s is drawn otherwise", name)
		}
	})
	if buffers != 2 {
		t.Errorf("%d vectors, want one per router", buffers)
	}
}

// Only a step of training moves what routers learn: neither Forward nor a loss in inference.
func TestWhatMovesBuffers(t *testing.T) {
	dev := openCPU(t)
	m := build(t, models()["routers"], dev, arch.Types{})
	buffers := func() (all []float32) {
		m.Params(func(_ string, p *arch.Param) {
			if p.Buffer {
				v := make([]float32, p.Len())
				kernels.Get(dev, v, p.Mat)
				all = append(all, v...)
			}
		})
		return all
	}
	ids := tokens(30)
	still := make([]float32, 8)
	for _, training := range []bool{false, true} {
		s := m.Open(1, 30)
		s.Training = training
		feed(t, s, dev, 1, ids, 30)
		if got := buffers(); !slices.Equal(got, still) {
			t.Errorf("Forward with Training %v moves %v", training, got)
		}
	}
	losses(t, m.Open(1, 30), dev, ids, ids, 1)
	if got := buffers(); !slices.Equal(got, still) {
		t.Errorf("a loss in inference moves %v", got)
	}
	s := m.Open(1, 30)
	s.Training = true
	losses(t, s, dev, ids, ids, 1)
	for _, part := range [][]float32{buffers()[:4], buffers()[4:]} {
		if slices.Equal(part, still[:4]) {
			t.Errorf("a step of training leaves %v", part)
		}
	}
}

// Where experts choose, each has its share of a step of training, and a token that it is sent
// to in inference depends on no other token.
func TestExpertChoice(t *testing.T) {
	dev := openCPU(t)
	cfg := models()["transformer-moe"]
	for i := range cfg.Layers {
		moe := *cfg.Layers[i].Channel.MoE
		moe.Router = arch.Router{TopK: 2, Score: kernels.SoftmaxScore, ExpertChoice: true}
		cfg.Layers[i].Channel.MoE = &moe
	}
	m := build(t, cfg, dev, arch.Types{})
	ids := tokens(29)
	whole := run(t, m, dev, 1, ids, len(ids))
	if step := run(t, m, dev, 1, ids, 20, 9); !slices.Equal(step, whole) {
		t.Error("inference depends on what comes later")
	}
	s := m.Open(1, len(ids))
	s.Training = true
	if training := feed(t, s, dev, 1, ids, len(ids)); slices.Equal(training, whole) {
		t.Error("training chooses as inference does")
	}
	counter := &shares{Device: dev}
	s = build(t, cfg, counter, arch.Types{}).Open(1, len(ids))
	s.Training = true
	feed(t, s, counter, 1, ids, len(ids))
	if want := []int32{0, 14, 29, 43, 58}; len(counter.ends) != 2 || !slices.Equal(counter.ends[0], want) || !slices.Equal(counter.ends[1], want) {
		t.Errorf("experts have the places %v, want %v in both layers", counter.ends, want)
	}
}

// shares is a device that notes the places of experts that choose.
type shares struct {
	kernels.Device
	ends [][]int32
}

func (s *shares) Do(op kernels.Op) {
	s.Device.Do(op)
	if o, ok := op.(*kernels.ExpertChoice); ok {
		ends := make([]int32, o.Offsets.Rows)
		kernels.Get(s.Device, ends, o.Offsets)
		s.ends = append(s.ends, ends)
	}
}

// The diagnostic inference rule balances as training does.
func TestSinkhornInference(t *testing.T) {
	dev := openCPU(t)
	cfg := models()["mamba-moe"]
	for i := range cfg.Layers {
		if m := cfg.Layers[i].Channel.MoE; m != nil {
			moe := *m
			moe.Router.Inference = arch.SinkhornInference
			cfg.Layers[i].Channel.MoE = &moe
		}
	}
	w := &watcher{Device: dev}
	ids := tokens(400)
	run(t, build(t, cfg, w, arch.Types{}), w, 1, ids, len(ids))
	if worst, fair := slices.Max(w.loads), int32(len(ids)/4); worst > fair*3/2 {
		t.Errorf("the fullest expert has %d of %d tokens; fair is %d", worst, len(ids), fair)
	}
}
