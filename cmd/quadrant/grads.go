package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/spf13/cobra"

	"quadrant/arch"
	"quadrant/checkpoint"
	"quadrant/configs"
	"quadrant/flops"
	"quadrant/kernels"
	"quadrant/train"
)

func newGrads(a *app) *cobra.Command {
	var model, out string
	var ids []string
	var training bool
	cmd := &cobra.Command{
		Use:   "grads",
		Short: "Write the gradients of a model's loss on given token ids",
		Long: `Runs a model forward and backward on sequences of token ids, all of one length, and
writes a safetensors file with

  loss           [] F32: the mean loss of predicting each token from those before it, in nats
  grad.NAME      F32: its gradient by the weight that the checkpoint calls NAME

so that another implementation can be compared number by number. Routers choose as they
do in inference, or, with --training, as they do in training; what they add to the loss
for balance is then in the gradients, not in the loss. Weights of presets have the
names that they have here, such as layers.0.mlp.in.`,
		Example: `  quadrant grads --model tiny-mamba-moe --ids 72,101,108,108,111 --out grads.safetensors
  quadrant grads --model my-checkpoint --ids 1,2,3 --ids 4,5,6 --out grads.safetensors`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if out == "" {
				return misuse(errors.New("no file named: --out takes the safetensors file to write"))
			}
			seqs, err := parseIDs(ids)
			if err == nil && len(seqs[0]) < 2 {
				err = errors.New("a sequence of one token has nothing to predict: --ids takes two or more")
			}
			if err != nil {
				return misuse(err)
			}
			return a.grads(model, seqs, training, out)
		},
	}
	f := cmd.Flags()
	f.StringVar(&model, "model", "", "preset, YAML file or checkpoint folder")
	f.StringArrayVar(&ids, "ids", nil, "token ids of a sequence, by comma; once per sequence")
	f.BoolVar(&training, "training", false, "routers choose as they do in training")
	f.StringVar(&out, "out", "", "safetensors file to write")
	return cmd
}

func (a *app) grads(model string, seqs [][]int32, training bool, out string) error {
	p, err := findModel(model)
	if err != nil {
		return err
	}
	if c, err := a.checkpointOf(p); err != nil {
		return err
	} else if c != nil {
		p.Config = c.Config
	}
	flat := slices.Concat(seqs...)
	if err := p.Config.CheckIDs(flat); err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	bytes, err := trainingBytes(p.Config, len(seqs), len(seqs[0]))
	if err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	dev, err := a.openDevice()
	if err != nil {
		return err
	}
	if err := checkMemory(dev, p.Name, bytes); err != nil {
		return err
	}
	subject, err := a.subject(p, arch.Types{})
	if err != nil {
		return err
	}
	m, err := a.build(train.NewTape(dev), p, arch.Types{})
	if err != nil {
		return err
	}
	l, err := train.Learn(m)
	if err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	l.AsInference = !training
	loss, err := meanLoss(l, flat, len(seqs))
	if err != nil {
		return err
	}
	tensors, err := a.gradientsOf(p, l)
	if err != nil {
		return err
	}
	tensors = append(tensors, scalar("loss", loss))
	return checkpoint.WriteSafetensors(out, tensors, map[string]string{
		"model": p.Name, "weights": subject.Weights, "device": dev.Name(),
	})
}

// trainingBytes is the memory that a training step takes, all in all, without what an
// optimiser keeps.
func trainingBytes(cfg arch.Config, seqs, tokens int) (int64, error) {
	var meter flops.Meter
	l, err := train.NewLearner(cfg, &meter)
	if err != nil {
		return 0, err
	}
	ids := make([]int32, seqs*tokens)
	_, err = l.Step(ids, ids, seqs, 1)
	return meter.Bytes, err
}

// meanLoss computes the mean next-token loss of ids, and its gradients.
func meanLoss(l *train.Learner, ids []int32, seqs int) (float64, error) {
	targets, scored := train.NextTokens(ids, seqs)
	losses, err := l.Step(ids, targets, seqs, 1/float32(scored))
	sum := 0.0
	for _, loss := range losses {
		sum += float64(loss)
	}
	return sum / float64(scored), err
}

// gradientsOf are l's gradients under the names that p's checkpoint has for the weights, or
// the model's own where there is none.
func (a *app) gradientsOf(p configs.Preset, l *train.Learner) ([]checkpoint.Tensor, error) {
	grads := map[string]kernels.Mat{}
	for _, p := range l.Params() {
		grads[p.Name] = p.Grad
	}
	c, err := a.checkpointOf(p)
	if err != nil {
		return nil, err
	}
	var tensors []checkpoint.Tensor
	if c != nil {
		tensors, err = c.Tensors(l.Device(), l.Model(), func(param string) kernels.Mat { return grads[param] })
	} else {
		for _, p := range l.Params() {
			t := checkpoint.Tensor{Name: p.Name, DType: "F32", Shape: []int{p.Grad.Rows, p.Grad.Cols}, Data: make([]byte, p.Grad.Bytes())}
			l.Device().Read(t.Data, p.Grad)
			tensors = append(tensors, t)
		}
	}
	for i := range tensors {
		tensors[i].Name = "grad." + tensors[i].Name
	}
	return tensors, err
}

func scalar(name string, x float64) checkpoint.Tensor {
	return checkpoint.Tensor{Name: name, DType: "F32", Shape: []int{}, Data: binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(x)))}
}
