package train

import (
	"errors"
	"fmt"

	"quadrant/arch"
	"quadrant/kernels"
)

// A Learner is a model whose gradients can be had.
type Learner struct {
	// AsInference makes routers choose as they do in inference; what they learn without
	// gradients then stays as it is.
	AsInference bool

	model  *arch.Model
	tape   *Tape
	stream *kernels.Stream // to the device under the tape
	params []Param
	runs   map[shape]*run
}

// A Param is a weight that is learned, and its gradient, which has the weight's shape.
type Param struct {
	Name         string // as arch.Model.Params names it
	Weight, Grad kernels.Mat
	Decay        bool // a matrix, which weight decay is for: not a norm, a bias, a router, A_log, D or a convolution
}

// A shape is that of a batch.
type shape struct{ seqs, tokens int }

// A run is what steps of one shape use again.
type run struct {
	session              *arch.Session
	ids, targets, losses kernels.Mat
	host                 []float32
}

// NewLearner makes a model of cfg on dev, with F32 weights of unspecified values.
func NewLearner(cfg arch.Config, dev kernels.Device) (*Learner, error) {
	m, err := arch.New(cfg, NewTape(dev), arch.Types{})
	if err != nil {
		return nil, err
	}
	return Learn(m)
}

// Learn returns the Learner of a model that was made on a [Tape], with F32 weights.
func Learn(m *arch.Model) (*Learner, error) {
	tape, ok := m.Device().(*Tape)
	if !ok {
		return nil, fmt.Errorf("train: the model is on device %s, want it on a tape", m.Device().Name())
	}
	if err := m.Trainable(); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	l := &Learner{model: m, tape: tape, stream: kernels.NewStream(tape.Device), runs: map[shape]*run{}}
	var err error
	m.Params(func(name string, p *arch.Param) {
		switch {
		case p.Type != kernels.F32:
			err = fmt.Errorf("train: %s is %v, want f32: steps are too small for less", name, p.Type)
		case !p.Buffer:
			grad := tape.Alloc(kernels.F32, p.Rows, p.Cols)
			tape.Watch(p.Mat, grad)
			l.params = append(l.params, Param{name, p.Mat, grad, !p.Wide})
		}
	})
	return l, err
}

// Recompute makes steps from the next on forget what layers compute, and compute it again for
// the gradients: those are the same bit for bit, a step takes a third more work, and of the
// memory that a layer needs there is that of one.
func (l *Learner) Recompute(on bool) {
	if l.tape.Recompute != on {
		l.tape.Recompute, l.tape.compiled = on, false
		clear(l.runs)
	}
}

// Model is the model. Its sessions can be used between steps.
func (l *Learner) Model() *arch.Model { return l.model }

// Device is the device under the tape, for ops that nothing is to be learned from.
func (l *Learner) Device() kernels.Device { return l.tape.Device }

// Params are the weights, in the order of arch.Model.Params. What routers learn without a
// gradient is not among them.
func (l *Learner) Params() []Param { return l.params }

// ZeroGrad makes all gradients zero.
func (l *Learner) ZeroGrad() {
	for _, p := range l.params {
		l.stream.Do(kernels.Zero{Dst: p.Grad})
	}
}

// Step adds to the gradients that of scale·Σ losses, with what routers add for balance, and
// returns the losses: of predicting targets[s·n+t] from ids[s·n], …, ids[s·n+t], in nats, for
// each of seqs sequences of n tokens. A target of −1 is none, and has no loss. The losses are
// valid until the next Step.
//
// Routers choose as they do in training, and what they learn without gradients moves, unless
// AsInference is set.
func (l *Learner) Step(ids, targets []int32, seqs int, scale float32) ([]float32, error) {
	if err := l.check(ids, targets, seqs); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	r := l.open(shape{seqs, len(ids) / seqs})
	kernels.Put(l.tape.Device, r.ids, ids)
	kernels.Put(l.tape.Device, r.targets, targets)
	r.session.Training = !l.AsInference
	l.tape.Begin()
	r.session.Reset()
	r.session.Loss(r.losses, r.ids, r.targets, scale)
	l.tape.Backward()
	kernels.Get(l.tape.Device, r.host, r.losses)
	return r.host, l.tape.Sync()
}

func (l *Learner) check(ids, targets []int32, seqs int) error {
	if seqs < 1 || len(ids) == 0 || len(ids)%seqs != 0 {
		return fmt.Errorf("%d ids do not make %d sequences of one length", len(ids), seqs)
	}
	if len(targets) != len(ids) {
		return fmt.Errorf("%d targets for %d ids", len(targets), len(ids))
	}
	if err := l.model.CheckIDs(ids); err != nil {
		return err
	}
	some := false
	for i, id := range targets {
		if id < -1 || int(id) >= l.model.Vocab {
			return fmt.Errorf("target %d at position %d is out of range: want −1 or an id below %d", id, i, l.model.Vocab)
		}
		some = some || id >= 0
	}
	if !some {
		return errors.New("every target is −1: there is nothing to learn")
	}
	return nil
}

func (l *Learner) open(s shape) *run {
	if r := l.runs[s]; r != nil {
		return r
	}
	n := s.seqs * s.tokens
	r := &run{
		session: l.model.Open(s.seqs, s.tokens), host: make([]float32, n),
		ids: l.tape.Alloc(kernels.I32, n, 1), targets: l.tape.Alloc(kernels.I32, n, 1), losses: l.tape.Alloc(kernels.F32, n, 1),
	}
	r.session.Keep, r.session.Recompute = true, l.tape.Recompute
	l.runs[s] = r
	return r
}
