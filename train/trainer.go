package train

import (
	"errors"
	"fmt"
	"math"
)

// Options are what a run of training is, beside its model and its text.
type Options struct {
	Context    int      `json:"context"`             // tokens of each sequence
	Batch      int      `json:"batch"`               // sequences of a pass
	Accumulate int      `json:"accumulate"`          // passes of a step
	Recompute  bool     `json:"recompute,omitempty"` // see Learner.Recompute
	Schedule   Schedule `json:"schedule"`
	AdamW      AdamW    `json:"adamw"`
}

// Check returns the first thing wrong with o.
func (o Options) Check() error {
	if o.Context < 1 || o.Batch < 1 || o.Accumulate < 1 {
		return fmt.Errorf("a context of %d tokens, batches of %d and %d of them to a step: want at least 1", o.Context, o.Batch, o.Accumulate)
	}
	return errors.Join(o.Schedule.Check(), o.AdamW.Check())
}

// TokensPerStep is the number of tokens that a step reads.
func (o Options) TokensPerStep() int { return o.Context * o.Batch * o.Accumulate }

// A Trainer makes a model learn, step by step. Given the same model, source and options, the
// weights after a step are the same bit for bit, on one device with one number of threads,
// however often the run was stopped and resumed on the way.
type Trainer struct {
	Options
	learner *Learner
	opt     *Optimizer
	source  Source

	ids, targets []int32 // of a whole step
}

// NewTrainer starts a run from the weights that learner has.
func NewTrainer(learner *Learner, source Source, o Options) (*Trainer, error) {
	if err := o.Check(); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	learner.Recompute(o.Recompute)
	return &Trainer{
		Options: o, learner: learner, source: source, opt: NewOptimizer(o.AdamW, learner.Device(), learner.Params()),
		ids: make([]int32, o.TokensPerStep()), targets: make([]int32, o.TokensPerStep()),
	}, nil
}

// Steps is the number of steps made so far.
func (t *Trainer) Steps() int { return t.opt.Steps() }

// Done reports whether all steps of the schedule are made.
func (t *Trainer) Done() bool { return t.Steps() >= t.Schedule.Steps }

// Tokens is the number of tokens read so far.
func (t *Trainer) Tokens() int64 { return int64(t.Steps()) * int64(t.TokensPerStep()) }

// Learner is what learns.
func (t *Trainer) Learner() *Learner { return t.learner }

// A Record is what a step did.
type Record struct {
	Step     int      `json:"step"`   // from 1
	Tokens   int64    `json:"tokens"` // read, with those of this step
	Loss     float64  `json:"loss"`   // mean over the step's targets, in nats, before the step
	Rate     float64  `json:"lr"`
	GradNorm float64  `json:"grad_norm"` // before clipping
	Routers  []Routed `json:"routers,omitempty"`
}

// Routed is what a router did in a step.
type Routed struct {
	Layer      int     `json:"layer"`
	Loads      []int32 `json:"loads"`                // tokens that each expert was given
	Dropped    int     `json:"dropped,omitempty"`    // of those, beyond what it has room for
	Unchosen   int     `json:"unchosen,omitempty"`   // tokens that no expert took, where experts choose
	Iterations int     `json:"iterations,omitempty"` // of Sinkhorn, the most of any pass
	Balance    float32 `json:"balance_loss,omitempty"`
	Z          float32 `json:"z_loss,omitempty"`
}

// Step makes the next step. An error leaves the weights as they were before it, unless it
// is the device's.
func (t *Trainer) Step() (Record, error) {
	r := Record{Step: t.Steps() + 1, Tokens: t.Tokens() + int64(t.TokensPerStep()), Rate: t.Schedule.Rate(t.Steps() + 1)}
	err := t.gradients(&r)
	if err == nil {
		r.GradNorm, err = t.opt.Norm()
	}
	if bad := (*NotFinite)(nil); errors.As(err, &bad) {
		err = errors.Join(err, t.opt.checkWeights()) // which says whether the step before went too far
	}
	if err != nil {
		return r, fmt.Errorf("train: step %d, at a learning rate of %.3g: %w", r.Step, r.Rate, err)
	}
	t.opt.Step(r.Rate, r.GradNorm)
	return r, nil
}

// gradients computes those of the next step, and its losses.
func (t *Trainer) gradients(r *Record) error {
	per, count := t.Batch*t.Context, 0
	first := int64(t.Steps()) * int64(t.Batch*t.Accumulate)
	for i := range t.Batch * t.Accumulate {
		from, to := i*t.Context, (i+1)*t.Context
		t.source.Sequence(first+int64(i), t.ids[from:to], t.targets[from:to])
	}
	if err := t.source.Err(); err != nil {
		return err
	}
	for _, target := range t.targets {
		if target >= 0 {
			count++
		}
	}
	t.learner.ZeroGrad()
	sum := 0.0
	for pass := range t.Accumulate {
		from, to := pass*per, (pass+1)*per
		losses, err := t.learner.Step(t.ids[from:to], t.targets[from:to], t.Batch, 1/float32(max(1, count)))
		if err != nil {
			// A router cannot choose by what a weight that is not finite has made NaN.
			return errors.Join(err, t.opt.checkWeights())
		}
		for _, loss := range losses {
			sum += float64(loss)
		}
		r.Routers = addRouters(r.Routers, t.learner.Routers())
	}
	r.Loss = sum / float64(max(1, count))
	if math.IsNaN(r.Loss) || math.IsInf(r.Loss, 0) {
		err := t.opt.checkWeights()
		if err == nil {
			_, err = t.opt.Norm()
		}
		return errors.Join(fmt.Errorf("the loss is %v: take a lower learning rate or a longer warm-up", r.Loss), err)
	}
	return nil
}

// addRouters adds up what routers did in the passes of a step.
func addRouters(sum []Routed, pass []Router) []Routed {
	if sum == nil {
		sum = make([]Routed, len(pass))
	}
	for i, r := range pass {
		to := &sum[i]
		if to.Loads == nil {
			to.Layer, to.Loads = r.Layer, make([]int32, len(r.Loads))
		}
		for e, n := range r.Loads {
			to.Loads[e] += n
		}
		to.Dropped += r.Dropped
		to.Unchosen += r.Unchosen
		to.Iterations = max(to.Iterations, r.Iterations)
		to.Balance += r.Balance
		to.Z += r.Z
	}
	return sum
}
