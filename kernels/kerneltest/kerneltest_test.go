package kerneltest_test

import (
	"slices"
	"strings"
	"testing"

	"quadrant/kernels"
	"quadrant/kernels/kerneltest"
	"quadrant/kernels/ref"
)

// TestRef holds ref against itself: a case that is not a function of its operands, or
// that ref fails, would be noticed here.
func TestRef(t *testing.T) {
	kerneltest.Run(t, func() kernels.Device { return ref.New() }, kerneltest.Exact)
}

func TestRefTrains(t *testing.T) {
	kerneltest.RunTraining(t, func() kernels.Device { return ref.New() }, kerneltest.Exact)
}

// all is the cases of inference, of numbers that are none, and of training.
func all() []kerneltest.Case {
	return slices.Concat(kerneltest.Cases(), kerneltest.NonFiniteCases(), kerneltest.TrainingCases())
}

func TestCasesHaveDifferentNames(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range all() {
		if seen[c.Name] {
			t.Errorf("two cases are called %s", c.Name)
		}
		seen[c.Name] = true
	}
}

// TestMutants plants bugs in ref, one at a time, and wants a case of that op to see wrong
// numbers, in the tolerance of a float32 device. A mutant's panic does not count.
func TestMutants(t *testing.T) {
	hunt(t, mutants, kerneltest.Cases())
}

// TestTrainingMutants wants the cases of training to see the mistakes in what it uses.
func TestTrainingMutants(t *testing.T) { hunt(t, trainingMutants, kerneltest.TrainingCases()) }

// TestNonFiniteMutants wants the cases of NaN and infinities to see what kernels do to them.
func TestNonFiniteMutants(t *testing.T) { hunt(t, nonFiniteMutants, kerneltest.NonFiniteCases()) }

func TestRefNonFinite(t *testing.T) {
	kerneltest.RunNonFinite(t, func() kernels.Device { return ref.New() }, func(kerneltest.Case) kerneltest.Tolerance { return kerneltest.Exact })
}

func hunt(t *testing.T, mutants []bug, cases []kerneltest.Case) {
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			op := strings.Fields(m.name)[0]
			for _, c := range cases {
				if c.Op() != op {
					continue
				}
				if err := c.Check(mutant{ref.New(), m.mutate}, kerneltest.Single); err != nil && !strings.Contains(err.Error(), "panic") {
					t.Logf("%s: %v", c.Name, err)
					return
				}
			}
			t.Errorf("no case of %s notices", op)
		})
	}
}

// TestEveryOpHasAMutant: an op without one might be covered by cases that see nothing.
func TestEveryOpHasAMutant(t *testing.T) {
	for _, op := range kerneltest.Covered() {
		scope := op == "Enter" || op == "Leave" // compute nothing that could be wrong
		if !scope && !slices.ContainsFunc(slices.Concat(mutants, trainingMutants), func(m bug) bool { return strings.HasPrefix(m.name, op+" ") }) {
			t.Errorf("%s has no mutant", op)
		}
	}
}

// TestPanicIsAFailure: one op's panic must not keep the others from being tested.
func TestPanicIsAFailure(t *testing.T) {
	dev := mutant{ref.New(), func(kernels.Device, kernels.Op) { panic("not written yet") }}
	c := kerneltest.Cases()[len(kerneltest.Cases())-1]
	if err := c.Check(dev, kerneltest.Single); err == nil || !strings.Contains(err.Error(), "not written yet") {
		t.Errorf("Check reports %v, want the panic", err)
	}
}

func TestTolerance(t *testing.T) {
	for _, c := range kerneltest.Cases() {
		if !strings.HasPrefix(c.Name, "MatMul/64x31to3/f32") {
			continue
		}
		off := func(by float64) error {
			return c.Check(mutant{ref.New(), after(func(o *kernels.MatMul) { *at(o.Dst, 0, 0) *= 1 + by })}, kerneltest.Single)
		}
		if err := off(1e-6); err != nil {
			t.Errorf("%s: an error of 1e-6 of a result is within any tolerance of its terms, but: %v", c.Name, err)
		}
		if err := off(1); err == nil {
			t.Errorf("%s: an error as large as a result passes", c.Name)
		}
	}
}
