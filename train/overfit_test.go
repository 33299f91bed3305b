package train_test

import (
	"math"
	"os"
	"testing"

	"quadrant/arch"
	"quadrant/kernels"
	"quadrant/kernels/device"
	"quadrant/train"
)

// Each of the four architectures learns 2 KB of text by heart, to under 0.1 bits per byte. The
// text is cut into windows, and each begins with a token of its own, so that its first bytes
// can be known too.
func TestLearnsByHeart(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds of computing: run without -short")
	}
	const bytes, window, perStep, epochs = 2048, 32, 2, 60
	text, err := os.ReadFile("../LICENSE")
	if err != nil || len(text) < bytes {
		t.Fatalf("%d bytes of text: %v", len(text), err)
	}
	ids, targets := make([]int32, bytes), make([]int32, bytes)
	for i := range bytes {
		targets[i] = int32(text[i])
		if ids[i] = int32(text[max(0, i-1)]); i%window == 0 {
			ids[i] = int32(128 + i/window)
		}
	}
	for name, cfg := range quadrants(128 + bytes/window) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAdam(t, cfg)
			const n = perStep * window
			for epoch := range epochs {
				bits := 0.0
				for at := 0; at < bytes; at += n {
					a.ZeroGrad()
					losses, err := a.Step(ids[at:at+n], targets[at:at+n], perStep, 1.0/n)
					if err != nil {
						t.Fatal(err)
					}
					for _, loss := range losses {
						bits += float64(loss) / math.Ln2 / bytes
					}
					done := (float64(epoch) + float64(at)/bytes) / epochs
					a.update(3e-3 * (0.5 + 0.5*math.Cos(math.Pi*done)))
				}
				if bits < 0.1 {
					t.Logf("%.3f bits per byte in epoch %d", bits, epoch)
					return
				}
			}
			t.Errorf("%d epochs were not enough", epochs)
		})
	}
}

// quadrants are the four architectures, small.
func quadrants(vocab int) map[string]arch.Config {
	norm := arch.Norm{Kind: arch.RMSNorm, Eps: 1e-5}
	attention := arch.Sequence{Attention: &arch.Attention{Heads: 4, KVHeads: 4, HeadDim: 8, Rotary: &arch.Rotary{Dim: 8, Base: 100}}}
	mamba := arch.Sequence{Mamba: &arch.Mamba{Inner: 64, State: 8, Conv: 4, Rank: 4, ConvBias: true}}
	expert := arch.MLP{Hidden: 128, Act: kernels.SiLU, Gate: arch.FirstHalf}
	mlp := arch.Channel{MLP: &expert}
	moe := arch.Channel{MoE: &arch.MoE{Experts: 4, Expert: expert, Router: arch.Router{
		TopK: 1, Score: kernels.SigmoidScore, GateScale: 2,
		Sinkhorn: &arch.Sinkhorn{Temperature: 0.5, ColumnFirst: true, MaxIterations: 8, Tolerance: 0.01},
	}}}
	all := map[string]arch.Config{}
	for name, l := range map[string]arch.Layer{
		"transformer": {Sequence: attention, Channel: mlp}, "transformer-moe": {Sequence: attention, Channel: moe},
		"mamba": {Sequence: mamba, Channel: mlp}, "mamba-moe": {Sequence: mamba, Channel: moe},
	} {
		all[name] = arch.Config{Vocab: vocab, Dim: 48, Norm: norm, FinalNorm: norm, TiedHead: true, Layers: []arch.Layer{l, l}}
	}
	return all
}

// An adam is a learner with the plainest use of kernels.AdamW.
type adam struct {
	*train.Learner
	stream *kernels.Stream
	m, v   []kernels.Mat
	steps  int
}

func newAdam(t *testing.T, cfg arch.Config) *adam {
	t.Helper()
	dev, err := device.Open("cpu", 1)
	if err != nil {
		t.Fatal(err)
	}
	l, err := train.NewLearner(cfg, dev)
	if err != nil {
		t.Fatal(err)
	}
	l.Model().Init(1)
	a := &adam{Learner: l, stream: kernels.NewStream(dev)}
	for _, p := range l.Params() {
		a.m = append(a.m, dev.Alloc(kernels.F32, p.Grad.Rows, p.Grad.Cols))
		a.v = append(a.v, dev.Alloc(kernels.F32, p.Grad.Rows, p.Grad.Cols))
	}
	return a
}

func (a *adam) update(rate float64) {
	a.steps++
	for i, p := range a.Params() {
		a.stream.Do(kernels.AdamW{
			W: p.Weight, Grad: p.Grad, M: a.m[i], V: a.v[i], Rate: float32(rate * min(1, float64(a.steps)/20)),
			Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, GradScale: 1, Step: a.steps,
		})
	}
}
