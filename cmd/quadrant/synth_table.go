package main

import (
	"fmt"
	"strings"

	"quadrant/results"
	"quadrant/synth"
)

// literature is what is known of the mixers that a model is made of, those that its task tells
// apart first.
func literature(r results.Result) string {
	k, err := synth.Named(r.Point.Phase)
	if err != nil {
		return ""
	}
	var says []string
	for _, e := range k.Expected {
		if hasMixer(r.Subject, e.Mixer) {
			says = append(says, fmt.Sprintf("%s: %s (%s)", e.Mixer, e.Says, e.Source))
		}
	}
	return strings.Join(says, "; ")
}

func hasMixer(s results.Subject, kind string) bool {
	for _, g := range s.Outline {
		for _, l := range g.Layers {
			if l.Sequence != nil && l.Sequence.Kind == kind || l.Channel != nil && l.Channel.Kind == kind {
				return true
			}
		}
	}
	return false
}
