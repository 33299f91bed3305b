package train_test

import (
	"math"
	"slices"
	"testing"

	"quadrant/arch"
	"quadrant/kernels"
	"quadrant/kernels/ref"
	"quadrant/train"
)

// What validation measures is what the model itself computes from logits, of each token but
// the first, in windows; with weights as they are now.
func TestValidatorAgreesWithLogits(t *testing.T) {
	const context = 8
	tr := newTrainer(t, ref.New(), pattern{16}, options(20))
	l := tr.Learner()
	ids := make([]int32, 30)
	for i := range ids {
		ids[i] = int32(i * i % 16)
	}
	for _, choice := range train.Choices(small()) {
		v, err := train.NewValidator(l, choice, context, 2)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			got, err := v.Losses(t.Context(), ids)
			if err != nil {
				t.Fatal(err)
			}
			if choice != arch.SinkhornInference { // it depends on what is read together
				if want := lossOf(t, tr, choice, ids, context); math.Abs(got-want) > 1e-4*want {
					t.Errorf("%v: the losses are %v, want %v", choice, got, want)
				}
			}
			steps(t, tr, 5) // other weights, the same validator
		}
	}
}

// lossOf computes it from logits, with a copy of the model that chooses so.
func lossOf(t *testing.T, tr *train.Trainer, choice arch.Inference, ids []int32, context int) float64 {
	cfg, dev := small(), tr.Learner().Device()
	cfg.Layers[2].Channel.MoE.Router.Inference = choice
	m, err := arch.New(cfg, dev, arch.Types{})
	if err != nil {
		t.Fatal(err)
	}
	from := map[string]kernels.Mat{}
	tr.Learner().Model().Params(func(name string, p *arch.Param) { from[name] = p.Mat })
	s := kernels.NewStream(dev)
	m.Params(func(name string, p *arch.Param) { s.Do(kernels.Copy{Dst: p.Mat, X: from[name]}) })
	sum := 0.0
	for at := 0; at < len(ids)-1; at += context {
		n := min(context, len(ids)-1-at)
		in, logits := dev.Alloc(kernels.I32, n, 1), dev.Alloc(kernels.F32, n, cfg.Vocab)
		kernels.Put(dev, in, ids[at:at+n])
		m.Open(1, context).Forward(logits, in)
		host := make([]float32, logits.Len())
		kernels.Get(dev, host, logits)
		for i := range n {
			row, total := host[i*cfg.Vocab:(i+1)*cfg.Vocab], 0.0
			for _, x := range row {
				total += math.Exp(float64(x))
			}
			sum += math.Log(total) - float64(row[ids[at+i+1]])
		}
	}
	return sum
}

func TestChoices(t *testing.T) {
	if got := train.Choices(small()); len(got) != 3 {
		t.Errorf("Sinkhorn with EMA biases can choose in %v, want 3 ways", got)
	}
	if got := train.Choices(models()["router expert-choice"]); !slices.Equal(got, []arch.Inference{arch.ExpertChoiceInference, arch.ArgmaxInference}) {
		t.Errorf("where experts choose in training, inference can choose in %v", got)
	}
	cfg := small()
	cfg.Layers = cfg.Layers[:2]
	if got := train.Choices(cfg); len(got) != 1 || got[0] != 0 {
		t.Errorf("a model without routers can choose in %v, want its own way", got)
	}
}

// Bits per byte count the bytes of all tokens but the first.
func TestBitsPerByte(t *testing.T) {
	tr := newTrainer(t, ref.New(), pattern{16}, options(20))
	v, err := train.NewValidator(tr.Learner(), 0, 8, 1)
	if err != nil {
		t.Fatal(err)
	}
	h := train.Held{Name: "h", IDs: []int32{1, 2, 3, 4, 5}, Bytes: 12}
	nats, err := v.Losses(t.Context(), h.IDs)
	if err != nil {
		t.Fatal(err)
	}
	got, err := v.BitsPerByte(t.Context(), h)
	if want := nats / math.Ln2 / 12; err != nil || math.Abs(got-want) > 1e-9 {
		t.Errorf("%v bits per byte, %v; want %v", got, err, want)
	}
	if _, err := v.BitsPerByte(t.Context(), train.Held{Name: "h"}); err == nil {
		t.Error("no text has bits per byte")
	}
}

// What was learned is answered: before, about one in sixteen is right, after, nearly all.
func TestCorrect(t *testing.T) {
	tr := newTrainer(t, ref.New(), pattern{16}, options(120))
	v, err := train.NewValidator(tr.Learner(), 0, 8, 4)
	if err != nil {
		t.Fatal(err)
	}
	ids, targets := make([]int32, 32), make([]int32, 32)
	for i := range 4 {
		pattern{16}.Sequence(int64(i), ids[i*8:(i+1)*8], targets[i*8:(i+1)*8])
	}
	targets[3] = -1
	before, asked, err := v.Correct(ids, targets)
	if err != nil || asked != 31 || before > 10 {
		t.Errorf("before training %d of %d are right, %v; want few of 31", before, asked, err)
	}
	steps(t, tr, 120)
	if after, _, err := v.Correct(ids, targets); err != nil || after < 29 {
		t.Errorf("after training %d of 31 are right, %v", after, err)
	}
}
