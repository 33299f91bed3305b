// Package kerneltest is what a device must do to be one. [Run] gives every op that a model's
// forward pass is made of to the device under test and to kernels/ref, on the same data, and
// compares what they write; [RunTraining] does the same for what training adds.
//
// A case differs from everyday use on purpose: lengths around those that a kernel is
// blocked by, operands that are strided views, optional operands absent, values of very
// different size. What surrounds an operand in memory is filled with NaN, or an absurd
// index, and so is a destination before the op: a kernel that writes beyond its operand,
// reads beyond it, adds where it should set, or leaves an element out, fails.
package kerneltest

import (
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"

	"quadrant/kernels"
	"quadrant/kernels/ref"
)

// Run reports every case of [Cases] in which a device that open returns departs from
// kernels/ref by more than tol. Its subtests are called Op/options. It opens a device for
// each op, and another one after a failure.
func Run(t *testing.T, open func() kernels.Device, tol Tolerance) {
	RunWith(t, open, func(Case) Tolerance { return tol })
}

// RunWith is Run with a tolerance for each case.
func RunWith(t *testing.T, open func() kernels.Device, tol func(c Case) Tolerance) {
	run(t, Cases(), open, tol)
}

// RunTraining is Run for the cases of [TrainingCases], for devices that train.
func RunTraining(t *testing.T, open func() kernels.Device, tol Tolerance) {
	run(t, TrainingCases(), open, func(Case) Tolerance { return tol })
}

func run(t *testing.T, cases []Case, open func() kernels.Device, tol func(c Case) Tolerance) {
	for _, cases := range byOp(cases) {
		t.Run(cases[0].Op(), func(t *testing.T) {
			dev := open()
			for _, c := range cases {
				t.Run(c.options(), func(t *testing.T) {
					if err := c.Check(dev, tol(c)); err != nil {
						t.Error(err)
						dev = open()
					}
				})
			}
		})
	}
}

// A Case is a piece of work for a device.
type Case struct {
	Name    string // the op and the options: "MatMul/3x31x64/bf16/bias"
	variant variant
	fails   bool // holds invalid data, which Sync must report
	run     func(b *bench)
	want    *reference
}

// Op is the name of the op that c is about.
func (c Case) Op() string { return strings.Split(c.Name, "/")[0] }

func (c Case) options() string { return strings.TrimPrefix(c.Name, c.Op()+"/") }

// Check runs c on dev and says where it differs from kernels/ref by more than tol.
func (c Case) Check(dev kernels.Device, tol Tolerance) error {
	got := newBench(dev, c)
	if err := errors.Join(c.want.compute(c), got.perform(c)); err != nil {
		return err
	}
	var errs []error
	for i, o := range got.operands {
		errs = append(errs, o.untouched(), o.compare(c.want.operands[i], tol, c.variant))
	}
	return errors.Join(errs...)
}

// Cases returns the cases of the ops that inference uses, those of an op together.
func Cases() []Case { return slices.Clone(inference()) }

// inference, nonFinite and training make their cases once, so that what ref computes for a case
// is computed once, however many devices are held against it.
var inference = sync.OnceValue(func() []Case {
	var s suite
	s.basic()
	s.norms()
	s.products()
	s.mamba()
	s.attention()
	s.experts()
	return s.cases
})

// TrainingCases returns the cases of what training adds: its own ops, and the operands of
// other ops that only it uses. Those of an op are together.
func TrainingCases() []Case { return slices.Clone(training()) }

var training = sync.OnceValue(func() []Case {
	var s suite
	s.basicTraining()
	s.productGrads()
	s.mambaGrads()
	s.attentionGrads()
	s.expertGrads()
	s.weightSteps()
	return s.cases
})

// byOp returns cases op by op.
func byOp(cases []Case) [][]Case {
	var groups [][]Case
	for i, c := range cases {
		if last := len(groups) - 1; i > 0 && groups[last][0].Op() == c.Op() {
			groups[last] = append(groups[last], c)
		} else {
			groups = append(groups, []Case{c})
		}
	}
	return groups
}

// Covered is the names of the ops that the cases use, training's among them, in
// alphabetical order.
func Covered() []string {
	r := recorder{ref.New(), map[string]bool{}}
	for _, c := range append(Cases(), TrainingCases()...) {
		c.run(newBench(r, c))
	}
	return slices.Sorted(maps.Keys(r.seen))
}

// A recorder is a device that remembers which ops it was given, and does none.
type recorder struct {
	kernels.Device
	seen map[string]bool
}

func (r recorder) Do(op kernels.Op) { r.seen[reflect.TypeOf(op).Elem().Name()] = true }

// A suite is a list of cases that grows.
type suite struct{ cases []Case }

// cover adds a case in every variant. Its name begins with the op's and a slash.
func (s *suite) cover(name string, run func(b *bench)) {
	for _, v := range variants {
		s.include(Case{Name: name + "/" + v.name, variant: v, run: run})
	}
}

// refuse adds a case of data that no check of shapes sees and no device may use.
func (s *suite) refuse(name string, run func(b *bench)) {
	s.include(Case{Name: name, variant: variants[0], fails: true, run: run})
}

func (s *suite) include(c Case) {
	c.want = new(reference)
	s.cases = append(s.cases, c)
}

// A variant is what every case is repeated with.
type variant struct {
	name     string
	place    placement
	outliers bool // plants values far from the others

	odd  float64 // a NaN or an infinity, planted once
	into int     // the operand that it is planted in, of those marked, from 1; 0 for none
}

var variants = []variant{
	{name: "dense", place: dense},
	{name: "columns", place: columns},
	{name: "lastrows", place: lastRows},
	{name: "outliers", place: columns, outliers: true},
}

// A bench is a device with the operands of one case. The same case builds the same
// operands on any device: its random numbers depend on its name alone.
type bench struct {
	variant
	stream   *kernels.Stream
	rand     *rand.Rand
	operands []*operand
	marks    int    // operands that odd could be planted in so far
	terms    *terms // on the reference: how large the terms are that sums are made of
}

func newBench(dev kernels.Device, c Case) *bench {
	h := fnv.New64a()
	h.Write([]byte(c.Name))
	return &bench{variant: c.variant, stream: kernels.NewStream(dev), rand: rand.New(rand.NewPCG(h.Sum64(), 0))}
}

// do gives op to the device.
func (b *bench) do(op kernels.Op) {
	if b.terms != nil {
		b.terms.follow(op)
	}
	b.stream.Do(op)
}

// perform runs c and collects the results.
func (b *bench) perform(c Case) error {
	dev := b.stream.Device()
	if err := b.attempt(c); err != nil {
		return err
	}
	switch err := dev.Sync(); {
	case c.fails && err == nil:
		return fmt.Errorf("%s: invalid data went unnoticed", dev.Name())
	case !c.fails && err != nil:
		return fmt.Errorf("%s: %w", dev.Name(), err)
	}
	for _, o := range b.operands {
		o.after = make([]byte, o.whole.Bytes())
		dev.Read(o.after, o.whole)
	}
	return nil
}

// attempt runs c. A panic is an error like others, so that it does not hide the cases
// that follow.
func (b *bench) attempt(c Case) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: panic: %v\n%s", b.stream.Device().Name(), p, debug.Stack())
		}
	}()
	c.run(b)
	return nil
}
