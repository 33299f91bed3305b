package train

import (
	"context"
	"fmt"
	"math"
	"slices"

	"quadrant/arch"
	"quadrant/kernels"
)

// Choices are the ways in which routers of c can choose once they are trained: for those
// whose choices in training depend on the whole batch there are several, otherwise c's own alone.
func Choices(c arch.Config) []arch.Inference {
	for _, l := range c.Layers {
		if m := l.Channel.MoE; m != nil {
			if all := m.Router.Inferences(); all != nil {
				return all
			}
		}
	}
	return []arch.Inference{0}
}

// withChoice is c with routers that choose so, where they can.
func withChoice(c arch.Config, choice arch.Inference) arch.Config {
	layers := slices.Clone(c.Layers)
	for i, l := range layers {
		if m := l.Channel.MoE; m != nil && slices.Contains(m.Router.Inferences(), choice) {
			moe := *m
			moe.Router.Inference = choice
			layers[i].Channel.MoE = &moe
		}
	}
	c.Layers = layers
	return c
}

// A Validator measures how well a model predicts text, with weights as they are when it is
// asked.
type Validator struct {
	Choice  arch.Inference // how routers choose; 0 is the model's own way
	context int
	seqs    int

	dev                  kernels.Device
	session              *arch.Session
	ids, targets, losses kernels.Mat
	hostIDs, hostTargets []int32
	hostLosses           []float32

	logits     kernels.Mat // absent until Correct wants it
	hostLogits []float32
}

// NewValidator prepares to read seqs windows of context tokens at a time with l's weights.
func NewValidator(l *Learner, choice arch.Inference, context, seqs int) (*Validator, error) {
	m, err := borrow(l, withChoice(l.Model().Config, choice))
	if err != nil {
		return nil, err
	}
	dev, n := l.Device(), seqs*context
	return &Validator{
		Choice: choice, context: context, seqs: seqs, dev: dev, session: m.Open(seqs, context),
		ids: dev.Alloc(kernels.I32, n, 1), targets: dev.Alloc(kernels.I32, n, 1), losses: dev.Alloc(kernels.F32, n, 1),
		hostIDs: make([]int32, n), hostTargets: make([]int32, n), hostLosses: make([]float32, n),
	}, nil
}

// Losses reads held windows that start afresh every context tokens, and returns the sum of
// the losses of predicting each token but the first, in nats.
func (v *Validator) Losses(ctx context.Context, ids []int32) (float64, error) {
	sum, last := 0.0, len(ids)-1
	for at := 0; at < last; at += v.seqs * v.context {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		for i := range v.hostIDs {
			v.hostIDs[i], v.hostTargets[i] = 0, -1
			if t := at + i; t < last {
				v.hostIDs[i], v.hostTargets[i] = ids[t], ids[t+1]
			}
		}
		part, err := v.Batch(v.hostIDs, v.hostTargets)
		if err != nil {
			return 0, err
		}
		for _, loss := range part {
			sum += float64(loss)
		}
	}
	return sum, nil
}

// Batch returns the losses of one pass. They are valid until the next.
func (v *Validator) Batch(ids, targets []int32) ([]float32, error) {
	kernels.Put(v.dev, v.ids, ids)
	kernels.Put(v.dev, v.targets, targets)
	v.session.Reset()
	v.session.Loss(v.losses, v.ids, v.targets, 1)
	kernels.Get(v.dev, v.hostLosses, v.losses)
	return v.hostLosses, v.dev.Sync()
}

// Correct reads seqs sequences of context tokens and counts the targets that are asked for,
// and those that the model holds for likelier than any other token.
func (v *Validator) Correct(ids, targets []int32) (right, asked int, err error) {
	vocab := v.session.Vocab
	if v.logits.None() {
		v.logits = v.dev.Alloc(kernels.F32, v.seqs*v.context, vocab)
		v.hostLogits = make([]float32, v.logits.Len())
	}
	kernels.Put(v.dev, v.ids, ids)
	v.session.Reset()
	v.session.Forward(v.logits, v.ids)
	kernels.Get(v.dev, v.hostLogits, v.logits)
	if err := v.dev.Sync(); err != nil {
		return 0, 0, err
	}
	for i, target := range targets {
		if target < 0 {
			continue
		}
		asked++
		row := v.hostLogits[i*vocab : (i+1)*vocab]
		best := true
		for id, logit := range row {
			best = best && (logit < row[target] || id == int(target))
		}
		if best {
			right++
		}
	}
	return right, asked, nil
}

// BitsPerByte is the compression that the model's predictions are worth on h.
func (v *Validator) BitsPerByte(ctx context.Context, h Held) (float64, error) {
	if h.Bytes < 1 {
		return 0, fmt.Errorf("train: no text of %s is held out", h.Name)
	}
	nats, err := v.Losses(ctx, h.IDs)
	return nats / math.Ln2 / float64(h.Bytes), err
}

// borrow makes a model of cfg whose weights are l's.
func borrow(l *Learner, cfg arch.Config) (*arch.Model, error) {
	weights := map[string]kernels.Mat{}
	l.Model().Params(func(name string, p *arch.Param) { weights[name] = p.Mat })
	lender := &lender{Device: l.Device(), lent: math.MaxInt}
	m, err := arch.New(cfg, lender, arch.Types{})
	if err != nil {
		return nil, err
	}
	lender.lent = 0
	m.Params(func(string, *arch.Param) { lender.lent++ })
	m, err = arch.New(cfg, lender, arch.Types{})
	if err != nil {
		return nil, err
	}
	m.Params(func(name string, p *arch.Param) {
		w, ok := weights[name]
		if !ok || w.Rows != p.Rows || w.Cols != p.Cols {
			err = fmt.Errorf("train: a model with %s %v borrows from one with %v", name, p.Mat, w)
		}
		p.Mat = w
	})
	return m, err
}

// A lender is a device whose first matrices have no memory: the weights of a model that
// borrows those of another.
type lender struct {
	kernels.Device
	lent int // how many have none
}

func (l *lender) Alloc(t kernels.Type, rows, cols int) kernels.Mat {
	if l.lent > 0 {
		l.lent--
		return kernels.Mat{Type: t, Rows: rows, Cols: cols, Stride: cols}
	}
	return l.Device.Alloc(t, rows, cols)
}
