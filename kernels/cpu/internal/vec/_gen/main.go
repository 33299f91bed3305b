// Command gen writes the assembly of package vec: ../asm_amd64.s and its Go declarations
// ../asm_amd64.go. Run it in its folder with 'go run .'; CI runs it and compares.
//
// Each kernel is written once for a set of instructions; see [isa]. What a kernel computes,
// and in which order it sums, is said at its declaration in ../vec.go.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/mmcloughlin/avo/build"
)

func main() {
	for name, value := range map[string]string{"out": "../asm_amd64.s", "stubs": "../asm_amd64.go", "pkg": "vec"} {
		if err := flag.Set(name, value); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	build.ConstraintExpr("!noasm")
	for _, set := range []isa{avx512{}, avx2{}} {
		for _, e := range elements {
			panel(set, e)
			vector(set, e)
			single(set, e)
			weightedRows(set, e)
		}
		elementwise(set)
		fused(set)
		sum(set)
	}
	pairPanel()
	pairVector()
	pairSingle()
	roundBF16()
	scan512()
	scan256()
	build.Generate()
}
