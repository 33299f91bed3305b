package cuda_test

import (
	"math"
	"testing"

	"quadrant/arch"
	"quadrant/configs"
	"quadrant/kernels"
	"quadrant/kernels/cuda"
	"quadrant/kernels/cuda/ptxsim"
	"quadrant/kernels/ref"
)

// tiny are presets of the four architectures.
var tiny = []string{"tiny-transformer", "tiny-mamba", "tiny-transformer-moe", "tiny-mamba-moe"}

// Whole models compute on a GPU what they compute in float64: a prompt, then tokens one by
// one. The simulator runs one layer of each kind.
func TestModels(t *testing.T) {
	for _, name := range tiny {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := preset(t, name)
			cfg.Layers = cfg.Layers[:min(2, len(cfg.Layers))]
			d := &counting{driver: driver{machine(ptxsim.Forward)}}
			dev, err := cuda.New(d, cuda.Split)
			if err != nil {
				t.Fatal(err)
			}
			compareModel(t, cfg, dev, 2)
			if d.launched != 3 {
				t.Errorf("%d of 4 steps were launches of a graph, want all but the first", d.launched)
			}
		})
	}
}

// Routers that read the embedding too, scale their gates or choose by the token's id compute what
// they do in float64, in steps of one sequence and of several.
func TestRouters(t *testing.T) {
	for _, sequence := range []string{"nano-transformer-moe", "nano-mamba-moe"} {
		for name, edit := range map[string]func(r *arch.Router){
			"both":      func(*arch.Router) {},
			"embedding": func(r *arch.Router) { r.Input = arch.EmbeddingInput },
			"scaled":    func(r *arch.Router) { r.Input = arch.HiddenInput },
			"hash":      func(r *arch.Router) { *r = arch.Router{TopK: 1, Hash: true} },
			"tokens":    func(r *arch.Router) { *r = expertsChoose(arch.ArgmaxInference) },
			"experts":   func(r *arch.Router) { *r = expertsChoose(arch.ExpertChoiceInference) },
		} {
			t.Run(sequence+"/"+name, func(t *testing.T) {
				t.Parallel()
				cfg := preset(t, sequence)
				cfg.Layers = cfg.Layers[:2]
				editRouters(t, cfg, edit)
				for _, seqs := range []int{1, 2} {
					compareModelOf(t, cfg, open(t, ptxsim.Forward), seqs, 2)
				}
			})
		}
	}
}

// editRouters edits the routers of cfg's layers, and wants some to be there.
func editRouters(t *testing.T, cfg arch.Config, edit func(r *arch.Router)) {
	t.Helper()
	routed := 0
	for i := range cfg.Layers {
		if moe := cfg.Layers[i].Channel.MoE; moe != nil {
			c := *moe
			edit(&c.Router)
			cfg.Layers[i].Channel.MoE, routed = &c, routed+1
		}
	}
	if routed == 0 {
		t.Fatal("there is no router")
	}
}

// expertsChoose is a router whose experts choose while it trains.
func expertsChoose(inference arch.Inference) arch.Router {
	return arch.Router{TopK: 2, Score: kernels.SoftmaxScore, ExpertChoice: true, Inference: inference}
}

func preset(t *testing.T, name string) arch.Config {
	t.Helper()
	p, err := configs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return p.Config
}

// compareModel compares the logits of a model on dev with those in float64, in the
// Euclidean norm, after a prompt of the given length and after each of four more tokens, for
// two sequences. From the second of those on, a step is a graph.
func compareModel(t *testing.T, cfg arch.Config, dev kernels.Device, prompt int) {
	t.Helper()
	compareModelOf(t, cfg, dev, 2, prompt)
}

func compareModelOf(t *testing.T, cfg arch.Config, dev kernels.Device, seqs, prompt int) {
	t.Helper()
	compareTypes(t, cfg, dev, arch.Types{Weights: kernels.F32, Cache: kernels.F32}, seqs, prompt)
}

func compareTypes(t *testing.T, cfg arch.Config, dev kernels.Device, types arch.Types, seqs, prompt int) {
	t.Helper()
	const steps, tolerance = 4, 1e-4
	got, want := logits(t, cfg, dev, types, seqs, prompt, steps), logits(t, cfg, ref.New(), types, seqs, prompt, steps)
	var off, size float64
	for i, w := range want {
		off += (float64(got[i]) - float64(w)) * (float64(got[i]) - float64(w))
		size += float64(w) * float64(w)
	}
	if e := math.Sqrt(off / size); !(e < tolerance) {
		t.Errorf("%s: logits are off by %.2g of their norm, want less than %g", dev.Name(), e, tolerance)
	} else {
		t.Logf("%s: logits are off by %.2g of their norm", dev.Name(), e)
	}
}

// logits returns those of the last token of the prompt and of the tokens after it.
func logits(t *testing.T, cfg arch.Config, dev kernels.Device, types arch.Types, seqs, prompt, steps int) []float32 {
	t.Helper()
	m, err := arch.New(cfg, dev, types)
	if err != nil {
		t.Fatal(err)
	}
	m.Init(1)
	session := m.Open(seqs, prompt+steps)
	var all []float32
	var in, out kernels.Mat
	for step, n := 0, prompt; step <= steps; step, n = step+1, 1 {
		ids := make([]int32, seqs*n)
		for i := range ids {
			ids[i] = int32((37*i + 11*step + 5) % cfg.Vocab)
		}
		if step <= 1 { // later steps are the same work on the same memory
			in, out = dev.Alloc(kernels.I32, len(ids), 1), dev.Alloc(kernels.F32, len(ids), m.Vocab)
		}
		kernels.Put(dev, in, ids)
		session.Forward(out, in)
		if err := dev.Sync(); err != nil {
			t.Fatal(err)
		}
		values := make([]float32, out.Len())
		kernels.Get(dev, values, out)
		all = append(all, values...)
	}
	return all
}

// A counting driver counts the launches of graphs.
type counting struct {
	driver
	launched int
}

type countingGraph struct {
	cuda.Graph
	d *counting
}

func (d *counting) Record(launches func() error) (cuda.Graph, error) {
	g, err := d.driver.Record(launches)
	return countingGraph{g, d}, err
}

func (g countingGraph) Launch() error {
	g.d.launched++
	return g.Graph.Launch()
}
