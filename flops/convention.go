package flops

import (
	"fmt"
	"strings"

	"quadrant/kernels"
)

// A Convention is a way to count FLOPs that somebody publishes numbers in. Whatever is
// counted says by which.
type Convention struct {
	Name string
	Doc  string

	scan          func(width, state int64, o *kernels.Scan) int64 // per token; nil: the op's own cost
	routerOutputs bool                                            // a router costs 2·E, its width left out
}

// Conventions are those there are. They agree on products and differ in what else they
// count.
var Conventions = []Convention{
	{
		Name: "exact",
		Doc:  "every op of the forward pass: a multiply-add is 2; exp, log, division, root and comparison are 1",
	},
	{
		Name: "paper",
		Doc: "the BlackMamba authors': products, 2·K per channel of the convolution, 7·N + 1 per channel of the scan; " +
			"2·E for a router; nothing else",
		scan:          func(width, state int64, _ *kernels.Scan) int64 { return width * (7*state + 1) },
		routerOutputs: true,
	},
	{
		Name: "gu9",
		Doc: "the Mamba author's (state-spaces/mamba issue 110): products, 2·K per channel of the convolution, " +
			"9·N per channel of a work-efficient parallel scan, 1 each for its skip and its gate; nothing else",
		scan: func(width, state int64, o *kernels.Scan) int64 {
			flops := 9 * state
			if !o.D.None() {
				flops++
			}
			if !o.Z.None() {
				flops++
			}
			return width * flops
		},
	},
}

// ConventionNamed returns the convention called name.
func ConventionNamed(name string) (Convention, error) {
	var known []string
	for _, c := range Conventions {
		if c.Name == name {
			return c, nil
		}
		known = append(known, c.Name)
	}
	return Convention{}, fmt.Errorf("convention %q is unknown: want one of %s", name, strings.Join(known, ", "))
}

// count is op's FLOPs by the convention. The zero Convention is exact.
func (c Convention) count(op kernels.Op, part string) int64 {
	cost := op.Cost()
	if c.scan == nil {
		return cost.FLOPs()
	}
	switch o := op.(type) {
	case *kernels.Scan:
		return int64(o.X.Rows) * c.scan(int64(o.X.Cols), int64(o.A.Cols), o)
	case *kernels.ConvSiLU:
		return 2 * int64(o.W.Cols) * int64(o.X.Rows) * int64(o.X.Cols)
	case *kernels.MatMul:
		if part == "router" && c.routerOutputs {
			return 2 * int64(o.Dst.Rows) * int64(o.Dst.Cols)
		}
	}
	return cost.MatMul
}
