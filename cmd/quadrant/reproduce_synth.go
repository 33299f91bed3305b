package main

import (
	"context"
	"fmt"
	"slices"

	"quadrant/synth"
)

// A panel is a synthetic task in which 'reproduce' trains models by the task's defaults,
// but for what it says.
type panel struct {
	task  string
	items int // to remember; 0 is as many as usual
	steps int // of training each
	seeds int // runs of each model
	test  int // sequences that each run is tested on
}

// shorter are panels of at most so many steps and sequences to test on.
func shorter(panels []panel, steps, test int) []panel {
	panels = slices.Clone(panels)
	for i, p := range panels {
		panels[i].steps, panels[i].test = min(p.steps, steps), min(p.test, test)
	}
	return panels
}

// panels trains models on the synthetic tasks of the recipe, but for those that s knows of.
func (a *app) panels(ctx context.Context, r recipe, s *sink) error {
	if len(r.panels) == 0 {
		return nil
	}
	for _, p := range r.panels {
		k, err := synth.Named(p.task)
		if err != nil {
			return err
		}
		o := synthFlags{synthDefault: synthDefaults[p.task], task: p.task, seeds: p.seeds, test: p.test}
		o.difficulty.Items = p.items
		o.steps = p.steps
		o.warmup = warmupOf(o.synthDefault, o.steps)
		if err := a.synthAll(ctx, k, o, s); err != nil {
			return fmt.Errorf("%s: %w", p.task, err)
		}
	}
	return a.answersTable(s.results(), "table")
}
