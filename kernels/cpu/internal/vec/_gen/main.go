// Command gen writes the assembly of package vec and its Go declarations: ../asm_amd64.s and
// ../asm_amd64.go for inference, ../asm_grad_amd64.s and .go for training. Run it in its folder
// with 'go run .'; CI runs it and compares. It runs itself once for each pair of files.
//
// Each kernel is written once for a set of instructions; see [isa]. What a kernel computes,
// and in which order it sums, is said at its declaration in ../vec.go.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"

	"github.com/mmcloughlin/avo/build"
)

// files are what is written, by name.
var files = map[string]func(){"asm": inference, "asm_grad": training}

func main() {
	if err := run(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 1 {
		for name := range files {
			cmd := exec.Command(args[0], name)
			cmd.Stderr = os.Stderr
			if err := cmd.Run(); err != nil {
				return fmt.Errorf("writing %s: %w", name, err)
			}
		}
		return nil
	}
	name := args[1]
	os.Args = args[:1] // avo reads them, and writes them into the files
	for flagName, value := range map[string]string{"out": "../" + name + "_amd64.s", "stubs": "../" + name + "_amd64.go", "pkg": "vec"} {
		if err := flag.Set(flagName, value); err != nil {
			return err
		}
	}
	build.ConstraintExpr("!noasm")
	files[name]()
	build.Generate()
	return nil
}

func inference() {
	for _, set := range []isa{avx512{}, avx2{}} {
		for _, e := range elements {
			panel(set, e)
			vector(set, e)
			single(set, e)
			weightedRows(set, e)
			cached(set, e)
		}
		for _, e := range elements[1:] {
			widen(set, e)
		}
		narrowF16(set)
		elementwise(set)
		norms(set)
		rotate(set)
		for _, width := range []int{1, set.strip()} {
			conv(set, width)
			scanIn(set, width)
			scanOut(set, width)
		}
		fused(set)
		sum(set)
	}
	ask()
	wide()
	for _, e := range elements {
		pack(e)
	}
	pairPanel()
	pairVector()
	pairSingle()
	fusedPairs()
	roundBF16()
	turn()
	config := tileConfig()
	tiles(config)
	slimTiles(config)
	fusedTiles(config)
	scan512()
	scan256()
}

func training() {
	for _, set := range []isa{avx512{}, avx2{}} {
		outerProducts(set)
		copyRows(set, 1)
		copyRows(set, 2)
		transpose(set)
		gradients(set)
		scanGrad(set, 1)
		convGrad(set)
		for _, gated := range []bool{false, true} {
			scanBefore(set, gated)
			scanAfter(set, gated)
		}
		laneSums(set)
	}
	scanGrad(avx512{}, 2) // AVX2 has too few registers for that to be faster
}
