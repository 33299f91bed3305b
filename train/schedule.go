package train

import (
	"fmt"
	"math"
)

// A Shape is how a learning rate falls after its warm-up.
type Shape string

const (
	// Cosine falls along half a cosine, to Floor of the peak at the last step.
	Cosine Shape = "cosine"
	// WSD (warm-up, stable, decay) stays at the peak and falls in a straight line to Floor
	// over the last Cooldown of all steps. (arXiv:2404.06395.)
	WSD Shape = "wsd"
	// Constant stays at the peak.
	Constant Shape = "constant"
)

// Shapes are those that there are.
var Shapes = []Shape{Cosine, WSD, Constant}

// A Schedule says the learning rate of each of Steps steps: it rises in a straight line to
// Peak over the first Warmup of them and then falls as its Shape says.
type Schedule struct {
	Shape    Shape   `json:"shape"`
	Peak     float64 `json:"peak"`
	Floor    float64 `json:"floor"` // share of Peak at the end
	Steps    int     `json:"steps"`
	Warmup   int     `json:"warmup"`
	Cooldown float64 `json:"cooldown"` // share of Steps in which WSD falls
}

// DefaultWarmup is the steps of warm-up for a run: 5 % of it and at least 75, for a short
// warm-up costs small transformers more than their architecture makes a difference; but no
// more than half of the run.
func DefaultWarmup(steps int) int { return min(max(75, steps/20), steps/2) }

// Check returns the first thing wrong with s.
func (s Schedule) Check() error {
	switch {
	case s.Shape != Cosine && s.Shape != WSD && s.Shape != Constant:
		return fmt.Errorf("schedule %q is unknown: want one of %v", s.Shape, Shapes)
	case !(s.Peak > 0 && s.Peak < 10):
		return fmt.Errorf("learning rate %v: want above 0 and below 10", s.Peak)
	case !(s.Floor >= 0 && s.Floor <= 1):
		return fmt.Errorf("final share %v of the learning rate: want 0 to 1", s.Floor)
	case s.Steps < 1:
		return fmt.Errorf("%d steps: want at least 1", s.Steps)
	case s.Warmup < 0 || s.Warmup > s.Steps:
		return fmt.Errorf("%d steps of warm-up in %d: want 0 to %d", s.Warmup, s.Steps, s.Steps)
	case s.Shape == WSD && !(s.Cooldown > 0 && s.Cooldown <= 1):
		return fmt.Errorf("share %v of steps for decay: want above 0 and at most 1", s.Cooldown)
	}
	return nil
}

// Rate is the learning rate of a step, which counts from 1.
func (s Schedule) Rate(step int) float64 {
	if step <= s.Warmup {
		return s.Peak * float64(step) / float64(s.Warmup)
	}
	return s.Peak * (s.Floor + (1-s.Floor)*s.fall(step))
}

// fall goes from 1 to 0 between the end of the warm-up and the last step.
func (s Schedule) fall(step int) float64 {
	switch s.Shape {
	case Cosine:
		return (1 + math.Cos(math.Pi*float64(step-s.Warmup)/float64(max(1, s.Steps-s.Warmup)))) / 2
	case WSD:
		cooldown := max(1, s.Cooldown*float64(s.Steps))
		return min(1, float64(s.Steps-step)/cooldown)
	}
	return 1
}
