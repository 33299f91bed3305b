package cuda_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"quadrant/kernels"
	"quadrant/kernels/cuda"
	"quadrant/kernels/cuda/ptxsim"
	"quadrant/kernels/kerneltest"
)

// A driver is a simulated GPU as cuda wants it.
type driver struct{ *ptxsim.Machine }

func (d driver) Record(launches func() error) (cuda.Graph, error) { return d.Machine.Record(launches) }

// library has the kernels, which are read once for all tests.
var library ptxsim.Library

func machine(order ptxsim.Order) *ptxsim.Machine {
	m := ptxsim.New(order)
	m.Library = &library
	return m
}

func open(t testing.TB, order ptxsim.Order) *cuda.Device {
	t.Helper()
	dev, err := cuda.New(driver{machine(order)}, cuda.Split)
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

// The kernels as shipped, interpreted, compute every op as its definition does, in both
// orders of blocks and warps.
//
// All cases in both orders take more than a minute. Unless the environment variable
// QUADRANT_PTXSIM is "all", only every third case of the ops with the longest work is
// run, and in the second order every fifth and seventh. None of these divides by the number
// of variants that kerneltest repeats a case with, so that all of them come up.
func TestConformance(t *testing.T) {
	for _, order := range []struct {
		name              string
		order             ptxsim.Order
		every, everyOfBig int
	}{{"forward", ptxsim.Forward, 1, 3}, {"backward", ptxsim.Backward, 5, 7}} {
		t.Run(order.name, func(t *testing.T) {
			t.Parallel()
			for op, cases := range byOp() {
				every := order.every
				if slices.Contains(long, op) {
					every = order.everyOfBig
				}
				if os.Getenv("QUADRANT_PTXSIM") == "all" {
					every = 1
				}
				t.Run(op, func(t *testing.T) {
					t.Parallel()
					dev := open(t, order.order)
					for i, c := range cases {
						if i%every != 0 && !strings.Contains(c.Name, "invalid") {
							continue
						}
						if err := c.Check(dev, tolerance(c)); err != nil {
							t.Errorf("%s: %v", c.Name, err)
							dev = open(t, order.order)
						}
					}
				})
			}
		})
	}
}

// long are the ops with the longest work.
var long = []string{"Attend", "GroupedMatMul", "AttendGrad", "MatMulGradA", "GroupedMatMulGradA", "GroupedMatMulGradB", "Scan"}

// Those of products on tensor cores: where activations keep 16 bits, and where both operands do,
// whose products of lower halves are left out. See cuda.Split.
const (
	tensorTolerance = 1.0/(1<<17) + kerneltest.Single
	splitTolerance  = 1.0/(1<<15) + kerneltest.Single
)

// tolerance is what a case allows: products may run on tensor cores.
func tolerance(c kerneltest.Case) kerneltest.Tolerance {
	switch c.Op() {
	case "MatMulGradA", "MatMulGradB", "GroupedMatMulGradA", "GroupedMatMulGradB":
		return splitTolerance
	case "MatMul", "GroupedMatMul":
		if !strings.Contains(c.Name, "f16") {
			return splitTolerance
		}
		return tensorTolerance
	case "Attend", "AttendGrad":
		many := queries(c.Name) >= 16 // are for flash.go, which takes all but bf16 apart
		if many && (c.Op() == "AttendGrad" || !strings.Contains(c.Name, "bf16,bf16")) {
			return splitTolerance
		}
		if c.Op() == "Attend" && strings.Contains(c.Name, "f16") {
			return tensorTolerance
		}
	}
	return kerneltest.Single
}

// queries is how many a sequence has in a case of attention: "Attend/3x65 after 0 of 65/…".
func queries(name string) int {
	_, name, _ = strings.Cut(name, "x")
	n, _, _ := strings.Cut(name, " after")
	count, _ := strconv.Atoi(n)
	return count
}

// A NaN or an infinity in an operand comes out as package kernels says. The interpreter runs
// every third case unless it is asked for all.
func TestNonFinite(t *testing.T) {
	dev := open(t, ptxsim.Forward)
	every := 3
	if os.Getenv("QUADRANT_PTXSIM") == "all" {
		every = 1
	}
	for i, c := range kerneltest.NonFiniteCases() {
		if i%every != 0 {
			continue
		}
		if err := c.Check(dev, tolerance(c)); err != nil {
			t.Errorf("%s: %v", c.Name, err)
			dev = open(t, ptxsim.Forward)
		}
	}
}

// byOp is the cases op by op.
func byOp() map[string][]kerneltest.Case {
	groups := map[string][]kerneltest.Case{}
	for _, c := range kerneltest.Cases() {
		groups[c.Op()] = append(groups[c.Op()], c)
	}
	for _, c := range kerneltest.TrainingCases() {
		groups[c.Op()] = append(groups[c.Op()], c)
	}
	return groups
}

// What the kernels have no room for is an error that Sync reports, and then forgets.
func TestLimits(t *testing.T) {
	dev := open(t, ptxsim.Forward)
	s := kernels.NewStream(dev)
	x := dev.Alloc(kernels.F32, 1, 512)
	s.Do(kernels.Attend{Dst: dev.Alloc(kernels.F32, 1, 512), Q: x, K: x, V: x, Seqs: 1, HeadDim: 512, Scale: 1})
	if err := dev.Sync(); err == nil || !strings.Contains(err.Error(), "512") || !strings.Contains(err.Error(), "256") {
		t.Errorf("a head of 512: %v", err)
	}
	s.Do(kernels.Route{
		Experts: dev.Alloc(kernels.I32, 1, 33), Gates: dev.Alloc(kernels.F32, 1, 33),
		Logits: dev.Alloc(kernels.F32, 1, 64), Score: kernels.SigmoidScore,
	})
	if err := dev.Sync(); err == nil || !strings.Contains(err.Error(), "33") {
		t.Errorf("33 experts of a token: %v", err)
	}
	if err := dev.Sync(); err != nil {
		t.Errorf("the failure is reported twice: %v", err)
	}
	if err := dev.Close(); err != nil {
		t.Error(err)
	}
}

// Every op of the set has kernels: it is planned and computed in at least one case of its own.
func TestEveryOpHasKernels(t *testing.T) {
	ops := ops(t)
	if len(ops) < 47 {
		t.Fatalf("there are %d ops, want at least 47: %v", len(ops), ops)
	}
	cases := byOp()
	for _, op := range ops {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			i := slices.IndexFunc(cases[op], func(c kerneltest.Case) bool { return !strings.Contains(c.Name, "invalid") })
			if i < 0 {
				t.Fatalf("no case is of %s", op)
			}
			dev := &watched{Device: open(t, ptxsim.Forward), op: "*kernels." + op}
			if err := cases[op][i].Check(dev, tolerance(cases[op][i])); err != nil {
				t.Errorf("%s: %v", cases[op][i].Name, err)
			}
			if !dev.seen || dev.Launches() == 0 {
				t.Errorf("%s: the op was seen: %v; launches: %d", cases[op][i].Name, dev.seen, dev.Launches())
			}
		})
	}
}

// ops are the names of all ops that compute, as kernels lists them.
func ops(t *testing.T) (names []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../op.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if c, ok := n.(*ast.CaseClause); ok {
			for _, x := range c.List {
				if name := x.(*ast.Ident).Name; name != "Enter" && name != "Leave" {
					names = append(names, name)
				}
			}
		}
		return true
	})
	return names
}

// watched notes whether an op of a type comes by.
type watched struct {
	*cuda.Device
	op   string
	seen bool
}

func (w *watched) Do(op kernels.Op) {
	w.seen = w.seen || fmt.Sprintf("%T", op) == w.op
	w.Device.Do(op)
}

// What there are no kernels for is refused by name.
func TestUnknownOpIsRefused(t *testing.T) {
	dev := open(t, ptxsim.Forward)
	dev.Do(stranger{kernels.Zero{}})
	if err := dev.Sync(); err == nil || !strings.Contains(err.Error(), "there is no kernel of cuda_test.stranger for GPUs") {
		t.Errorf("Sync reports %v", err)
	}
}

// A stranger is an op that is not of the set.
type stranger struct{ kernels.Op }

// Fresh memory of a GPU holds anything; a device's holds zeros.
func TestAllocIsZero(t *testing.T) {
	dev := open(t, ptxsim.Forward)
	got := make([]float32, 5)
	kernels.Get(dev, got, dev.Alloc(kernels.F32, 1, 5))
	for i, v := range got {
		if v != 0 {
			t.Errorf("element %d of a fresh matrix is %v", i, v)
		}
	}
}

// A router whose logits are NaN chooses nobody: no expert's index is made up.
func TestRouteOfNaN(t *testing.T) {
	dev := open(t, ptxsim.Forward)
	s := kernels.NewStream(dev)
	logits := dev.Alloc(kernels.F32, 1, 2)
	dev.Write(logits, []byte{0, 0, 0xc0, 0x7f, 0, 0, 0xc0, 0x7f})
	s.Do(kernels.Route{
		Experts: dev.Alloc(kernels.I32, 1, 1), Gates: dev.Alloc(kernels.F32, 1, 1), Logits: logits, Score: kernels.SigmoidScore,
	})
	if err := dev.Sync(); err == nil || !strings.Contains(err.Error(), "NaN") {
		t.Errorf("Sync reports %v", err)
	}
}
