// Package evals judges what models compute rather than how fast: how likely they find
// texts, and where their routers send tokens.
package evals

import (
	"fmt"

	"quadrant/arch"
	"quadrant/kernels"
)

// Routes is a device that passes ops on and shows each choice of a router to See.
type Routes struct {
	kernels.Device
	// See is given the layer's index in the model and the choices of a step, k per
	// token: experts[t·k+c]. It must not keep experts.
	See func(layer int, experts []int32, k int)
	// Limit, if any, is told after See how many of the step's tokens an expert of the
	// layer takes, where a router that trains drops the rest.
	Limit func(layer, capacity int)

	trace  kernels.Trace
	buffer []int32
}

// TokensChoose returns an error for a model of which a router lets experts choose: there is
// then no choice of each token for [Routes] to show, and every expert has its even share.
func TokensChoose(c arch.Config, training bool) error {
	for i, l := range c.Layers {
		if m := l.Channel.MoE; m != nil && m.Router.ExpertsChoose(training) {
			return fmt.Errorf("evals: the experts of layer %d choose their tokens, evenly by definition: what tokens choose can be shown of inference by argmax", i)
		}
	}
	return nil
}

// Do passes op on and looks at what a router chose.
func (r *Routes) Do(op kernels.Op) {
	r.Device.Do(op)
	if r.trace.Note(op) || r.See == nil {
		return
	}
	var experts kernels.Mat
	switch o := op.(type) {
	case *kernels.Route:
		experts = o.Experts
	case *kernels.HashRoute:
		experts = o.Experts
	case *kernels.LimitLoad:
		if r.Limit != nil {
			r.Limit(r.trace.Index("layer"), o.Capacity)
		}
		return
	default:
		return
	}
	n := experts.Len()
	if cap(r.buffer) < n {
		r.buffer = make([]int32, n)
	}
	kernels.Get(r.Device, r.buffer[:n], experts)
	r.See(r.trace.Index("layer"), r.buffer[:n], experts.Cols)
}
