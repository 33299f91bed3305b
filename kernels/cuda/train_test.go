package cuda_test

import (
	"math"
	"testing"

	"quadrant/arch"
	"quadrant/kernels"
	"quadrant/kernels/cpu"
	"quadrant/kernels/cuda"
	"quadrant/kernels/cuda/ptxsim"
	"quadrant/train"
)

// learners are of the four architectures; those with experts are the nano ones, as the optimizer's
// part, which the interpreter does element by element, goes with all of their weights.
var learners = []string{"tiny-transformer", "tiny-mamba", "nano-transformer-moe", "nano-mamba-moe"}

// A step of training on a GPU finds the gradients that the CPU finds, moves weights as it does,
// and is a graph from its second time on.
func TestTraining(t *testing.T) {
	for _, name := range learners {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := preset(t, name)
			cfg.Layers = cfg.Layers[:min(2, len(cfg.Layers))]
			d := &counting{driver: driver{machine(ptxsim.Forward)}}
			dev, err := cuda.New(d, cuda.Split)
			if err != nil {
				t.Fatal(err)
			}
			compareTraining(t, cfg, dev, 12, 3)
			if d.launched < 4 {
				t.Errorf("three steps launched %d graphs, want the passes and norms of all but the first", d.launched)
			}
		})
	}
}

// Where experts choose their tokens, training is the CPU's too.
func TestTrainingWhereExpertsChoose(t *testing.T) {
	for _, name := range learners[2:] {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := preset(t, name)
			cfg.Layers = cfg.Layers[:2]
			editRouters(t, cfg, func(r *arch.Router) { *r = expertsChoose(arch.ArgmaxInference) })
			compareTraining(t, cfg, open(t, ptxsim.Forward), 12, 3)
		})
	}
}

// What fused kernels of few rows leave is all that gradients need.
func TestTrainingOfFewTokens(t *testing.T) {
	for _, name := range learners {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := preset(t, name)
			cfg.Layers = cfg.Layers[:min(2, len(cfg.Layers))]
			for _, tokens := range []int{1, 3} {
				compareTraining(t, cfg, open(t, ptxsim.Forward), tokens, 2)
			}
		})
	}
}

// compareTraining compares losses, gradients and weights with the CPU's after steps of training on
// two sequences of n tokens.
func compareTraining(t *testing.T, cfg arch.Config, dev kernels.Device, n, steps int) {
	t.Helper()
	host, err := cpu.Open("", 1)
	if err != nil {
		t.Fatal(err)
	}
	got, want := trained(t, cfg, dev, n, steps), trained(t, cfg, host, n, steps)
	for name, w := range want {
		var off, size float64
		for i := range w {
			off += float64(got[name][i]-w[i]) * float64(got[name][i]-w[i])
			size += float64(w[i]) * float64(w[i])
		}
		if e := math.Sqrt(off / max(size, 1e-20)); !(e < 2e-3) {
			t.Errorf("%s: %s is off by %.2g of its norm", dev.Name(), name, e)
		}
	}
}

// trained is the losses, gradients and weights after steps, by name.
func trained(t *testing.T, cfg arch.Config, dev kernels.Device, n, steps int) map[string][]float32 {
	t.Helper()
	l, err := train.NewLearner(cfg, dev)
	if err != nil {
		t.Fatal(err)
	}
	l.Model().Init(1)
	opt := train.NewOptimizer(train.DefaultAdamW, dev, l.Params())
	ids, targets := make([]int32, 2*n), make([]int32, 2*n)
	for i := range ids {
		ids[i], targets[i] = int32((37*i+5)%cfg.Vocab), int32((53*i+11)%cfg.Vocab)
	}
	all := map[string][]float32{}
	for range steps {
		l.ZeroGrad()
		losses, err := l.Step(ids, targets, 2, 1/float32(len(ids)))
		if err != nil {
			t.Fatal(err)
		}
		all["losses"] = append(all["losses"], losses...)
		norm, err := opt.Norm()
		if err != nil {
			t.Fatal(err)
		}
		opt.Step(1e-4, norm)
	}
	for _, p := range l.Params() {
		for what, m := range map[string]kernels.Mat{"gradient of ": p.Grad, "weight ": p.Weight} {
			values := make([]float32, m.Len())
			kernels.Get(dev, values, m)
			all[what+p.Name] = values
		}
	}
	if err := dev.Sync(); err != nil {
		t.Fatal(err)
	}
	return all
}
