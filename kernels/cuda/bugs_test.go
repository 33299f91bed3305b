package cuda_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"quadrant/kernels"
	"quadrant/kernels/cuda"
	"quadrant/kernels/cuda/ptxsim"
	"quadrant/kernels/kerneltest"
	"quadrant/kernels/ref"
)

// A bug is an edit of one kernel's PTX, as a mistake in its source could have made. What
// is printed must hold one of the words in caught: "wrong" and "must not change" are the
// suite's, the others the simulator's.
type bug struct {
	name, kernel, op string // op may be the beginning of a case's name
	old, new         string // regular expression and replacement, of every match
	caught           string
}

// guarded declares what the edits that guard an instruction use.
const guarded = "mov.u32 %lane_, %laneid;\nsetp.lt.u32 %half_, %lane_, 16;\n@%half_ "

var bugs = []bug{
	{"missing barriers", "rms_norm", "RMSNorm", `bar\.sync\s+0;`, ``, "race"},
	{"missing barriers between phases", "sort", "Sort", `bar\.sync\s+0;`, ``, "race"},
	{"divergent barrier", "layer_norm", "LayerNorm", `bar\.sync\s+0;`, guarded + `bar.sync 0;`, "divergent"},
	{"divergent shuffle", "matmul_f32", "MatMul", `(shfl\.sync\.bfly)`, guarded + `$1`, "divergent"},
	{"missing step of a reduction", "matmul_bf16", "MatMul", `, 16, 31, -1;`, `, 8, 31, -1;`, "wrong"},
	{"off by one in a loop's end", "add", "Add", `setp\.lt\.s32`, `setp.le.s32`, "must not change|race"},
	{"off by one in a guard", "conv_silu", "ConvSiLU", `setp\.le\.s64`, `setp.lt.s64`, "must not change|out of bounds|race"},
	{"swapped operands", "layer_norm", "LayerNorm", `(sub\.f32\s+%\w+), (%\w+), (%\w+);`, `$1, $3, $2;`, "wrong"},
	{"uninitialised shared memory", "arg_max", "ArgMax", `st\.shared\.u32[^;]*;`, `mov.u32 %lane_, 0;`, "nothing in the block has written"},
	{"index scaled twice", "embed_f32", "Embed", `(mul\.wide\.[su]32\s+%\w+, %\w+), 4;`, `$1, 64;`, "misaligned|out of bounds|must not change|wrong"},
	{"bf16 cut off, not rounded", "rotary_bf16_bf16", "RotaryStore", `cvt\.rn\.bf16\.f32\s+(%\w+), (%\w+);`,
		"mov.b32 %lane_, $2;\nshr.u32 %lane_, %lane_, 16;\ncvt.u16.u32 $1, %lane_;", "wrong"},
	{"all threads do the work of one", "combine", "Combine", `%tid\.x`, `0`, "race"},
	{"blocks share a row", "neg_exp", "NegExp", `%ctaid\.x`, `0`, "race"},
	{"later kernels do not stop", "add", "Embed", `ld\.volatile\.global\.u32\s+(%\w+), [^;]*;`, `mov.u32 $1, 0;`, "must not change"},
	{"the first invalid id is used", "embed_f32", "Embed", `setp\.gt\.s64`, `setp.ge.s64`, "unnoticed"},
	{"wrong sign in the rotation", "rotary_f32_f32", "RotaryStore", `neg\.f32`, `abs.f32`, "wrong"},
	{"a wrong constant in exp", "scan", "Scan", `0f3FB8AA3B`, `0f3F800000`, "wrong"},
	{"no end", "neg_exp", "NegExp", `%ntid\.x`, `0`, "hangs"},
	{"ties to the last", "arg_max", "ArgMax", `setp\.gt\.s32(\s+%\w+), (%\w+), (%\w+);`, `setp.lt.s32$1, $2, $3;`, "wrong|hangs|out of bounds"},
	{"missing wait for copies", "gemm64_2", "MatMul/65x8to3/bf16", `cp\.async\.wait_group 0;`, ``, "nothing in the block has written|race|wrong"},
	{"missing barrier after copies", "gemm64_2", "MatMul/65x8to3/bf16", `bar\.sync\s+0;`, ``, "race|nothing in the block has written"},
	{"rows and columns of a tile exchanged", "gemm64_2", "MatMul/65x8to3/bf16", `(ldmatrix\.sync\.aligned\.m8n8\.x4)\.shared`, `$1.trans.shared`, "wrong"},
	{"operands of a product exchanged", "gemm64_2", "MatMul/65x8to3/bf16", `(mma\.sync\S+ {[^}]*}, {%\w+, %\w+, %\w+, %\w+}, {)(%\w+), (%\w+)}`, `$1$3, $2}`, "wrong"},
	{"zeros that are not asked for", "gemm64_2", "MatMul/65x8to3/bf16", `(cp\.async\.cg\.shared\.global \[%\w+\], \[%\w+\], 16), %\w+;`, `$1, 16;`, "out of bounds|wrong|NaN"},
	{"parts of a sum left out", "fold", "RMSNormGrad", `setp\.ne\.s32`, `setp.eq.s32`, "wrong|race|must not change|nothing in the block has written"},
	{"missing barrier before parts are added", "fold", "LayerNormGrad", `bar\.sync\s+0;`, ``, "race|nothing in the block has written"},
	{"tokens of an id in another order", "embed_grad", "EmbedGrad", `bar\.sync\s+0;`, ``, "race|nothing in the block has written"},
	{"the average of gradients forgotten", "adamw", "AdamW", `(fma\.rn\.f32\s+%\w+, %\w+, %\w+), %\w+;`, `$1, 0f00000000;`, "wrong"},
	{"half of the squares", "square_sum", "SquareSum", `, 16, 31, -1;`, `, 8, 31, -1;`, "wrong"},
	{"the target's one left out", "cross_entropy", "CrossEntropy", `0fBF800000`, `0f00000000`, "wrong"},
	{"gates left out", "combine_grad", "CombineGrad", `mul\.f32\s+(%\w+), %\w+, (%\w+);`, `mov.f32 $1, $2;`, "wrong"},
	{"the softmax of logits that rise", "route_grad", "RouteGrad", `(sub\.f32\s+%\w+), (%\w+), (%\w+);`, `$1, $3, $2;`, "wrong"},
	{"the slope of a channel's neighbour", "conv_back", "ConvSiLUGrad", `%tid\.x`, `0`, "race"},
	{"rotation forward again", "rotary_grad", "RotaryGrad", `neg\.f32`, `abs.f32`, "wrong"},
	{"channels added up by halves", "scan_back", "ScanGrad", `, 16, 31, -1;`, `, 8, 31, -1;`, "wrong"},
	{"missing barriers of states", "scan_back", "ScanGrad", `bar\.sync\s+0;`, ``, "race|nothing in the block has written"},
	{"dot products of half a head", "attend_grad_kv_f32_f32", "AttendGrad", `, 16, 31, -1;`, `, 8, 31, -1;`, "wrong"},
	{"equal tokens are all taken", "choice_take", "ExpertChoice", `setp\.(lt|ge)\.s32(\s+%\w+), (%\w+), (%\w+);`, `setp.$1.s32$2, $4, $3;`, "wrong|hangs|out of bounds|race|must not change"},
	{"missing barriers of tokens before", "choice_take", "ExpertChoice", `bar\.sync\s+0;`, ``, "race|nothing in the block has written"},
	{"NaN is the largest", "choice_keys", "ExpertChoice/NaN", `setp\.(nan|num)\.f32(\s+%\w+), (%\w+), (%\w+);`, `setp.eq.f32$2, 0f00000000, 0f3F800000;`, "wrong"},
	{"p left out", "choice_grad", "ExpertChoiceGrad", `neg\.f32`, `abs.f32`, "wrong"},
	{"places out of order are believed", "taken_check", "ScatterAdd/tokens out of order", `(atom\.global\.cas\.b32\s+%\w+, \[%\w+\], 0), %\w+;`, `$1, 0;`, "unnoticed"},
	{"missing barrier of places", "scatter_add", "ScatterAdd", `bar\.sync\s+0;`, ``, "race|nothing in the block has written"},
	{"the gate left out", "scatter_add_grad", "ScatterAddGrad", `mul\.f32\s+(%\w+), %\w+, (%\w+);`, `mov.f32 $1, $2;`, "wrong"},
	{"missing barriers between tiles of keys", "flash64_2_f32", "Attend/lse/3x65", `bar\.sync\s+0;`, ``, "race|nothing in the block has written"},
	{"the sum's logarithm in another base", "flash64_2_f32", "Attend/lse/3x65", `0f3F317218`, `0f3F800000`, "wrong"},
	{"lower halves left out", "planes_f32", "Attend/lse/3x65", `fma\.rn\.f32\s+(%\w+), [^;]*;`, `mov.f32 $1, 0f00000000;`, "wrong"},
	{"later keys are seen", "flash_grad_q64_2", "AttendGrad/3x65", `setp\.(gt|lt|le|ge)\.s32(\s+%\w+), (%\w+), (%\w+);`, `setp.ne.s32$2, $3, $4;`, "wrong|nothing in the block has written"},
	{"missing wait for queries", "flash_grad_kv64_2", "AttendGrad/3x65", `cp\.async\.wait_group 0;`, ``, "nothing in the block has written|race|wrong"},
	{"half of a product with what came out", "attend_grad_stats", "AttendGrad/3x65", `, 16, 31, -1;`, `, 8, 31, -1;`, "wrong"},
	{"rows and columns of a gradient exchanged", "product_tn_f32_64_2", "MatMulGradB", `(ldmatrix\.sync\.aligned\.m8n8\.x4)\.trans`, `$1`, "wrong"},
	{"missing barrier after a tile", "product_nn_f32_64_2", "MatMulGradA", `bar\.sync\s+0;`, ``, "race|nothing in the block has written"},
	{"missing barriers between sums", "sinkhorn", "Sinkhorn", `bar\.sync\s+0;`, ``, "race|nothing in the block has written"},
	{"the scale left out", "route", "Route/scaled", `cvt\.rn\.f32\.f64\s+(%\w+), (%\w+);`, `mov.f32 $1, 0f3F800000;`, "wrong"},
	{"a hash of the id's lower bits", "hash_route", "HashRoute", `shr\.u32(\s+%\w+), (%\w+), 16;`, `and.b32$1, $2, 65535;`, "wrong"},
	{"one too many before the limit", "limit_load", "LimitLoad", `setp\.(lt|ge)\.s64(\s+%\w+), (%\w+), (%\w+);`, `setp.le.s64$2, $3, $4;`, "wrong|out of bounds|must not change"},
	{"the bias moves with the load", "bias_step", "BiasStep", `sub\.f32`, `add.f32`, "wrong"},
	{"the average moves away", "average", "Average", `(sub\.f32\s+%\w+), (%\w+), (%\w+);`, `$1, $3, $2;`, "wrong"},
	{"missing step in the loss of a token", "balance_grad", "BalanceLoss", `, 16, 31, -1;`, `, 8, 31, -1;`, "wrong"},
	{"missing barriers in the sum of losses", "balance_loss", "BalanceLoss", `bar\.sync\s+0;`, ``, "race|nothing in the block has written"},
	{"the sum of half the lanes", "vec1_f32", "MatMul", `, 16, 31, -1;`, `, 8, 31, -1;`, "wrong"},
	{"missing barriers of a shared row", "vec1_f32", "MatMul", `bar\.sync\s+0;`, ``, "race|nothing in the block has written"},
	{"a thread's tokens out of order", "scan_run", "Scan", `shfl\.sync\.idx\.b32\s+(%\w+), (%\w+), (%\w+), 31, -1;`, `shfl.sync.bfly.b32 $1, $2, 0, 31, -1;`, "wrong"},
}

// wgmmaBugs are hunted in one product of more steps than the ring has places.
var wgmmaBugs = []bug{
	{name: "missing fence of the sums", kernel: "tensor128_2", old: `wgmma\.fence\.sync\.aligned;`, caught: "wgmma.fence is missing"},
	{name: "missing wait for products", kernel: "tensor128_2", old: `wgmma\.wait_group\.sync\.aligned 0;`, caught: "race: products of warp"},
	{name: "a wait for all but one", kernel: "tensor128_2", old: `(wgmma\.wait_group\.sync\.aligned) 0;`, new: "$1 1;", caught: "race: products of warp"},
	{name: "missing group", kernel: "tensor128_2", old: `wgmma\.commit_group\.sync\.aligned;`, caught: "race|not awaited"},
	{name: "wrong stride in descriptors", kernel: "tensor128_2", old: `4611686293305360384`, new: "4611686155866406912", caught: "element|nothing|written|race"},
	{name: "no swizzle in descriptors", kernel: "tensor128_2", old: `4611686293305360384`, new: "274877972480", caught: "not supported"},
	{name: "rows not swizzled", kernel: "pack_rows", old: `xor\.b32(\s+%\w+), (%\w+), %\w+;`, new: "mov.b32$1, $2;", caught: "element"},
	{name: "no wait for phases", kernel: "tensor128_2", old: `mbarrier\.try_wait\.parity\.shared::cta\.b64 over, [^;]*;`, new: "setp.eq.u32 over, 0, 0;", caught: "race|no copy has written|more arrivals"},
	{name: "fewer bytes expected than copied", kernel: "tensor128_2", old: `mov\.b32(\s+%\w+), 49152;`, new: "mov.b32$1, 49136;", caught: "hangs|race"},
	{name: "one warp too many expected", kernel: "tensor128_2", old: `mov\.b32(\s+%\w+), 8;`, new: "mov.b32$1, 9;", caught: "hangs"},
	{name: "barriers not shown to copies", kernel: "tensor128_2", old: `fence\.proxy\.async\.shared::cta;`, caught: "not shown to copies"},
	{name: "a write to sums after the fence", kernel: "tensor128_2", old: `(wgmma\.fence\.sync\.aligned;)(\s+wgmma\.mma_async\S+ {)(%\w+)`, new: "$1\nmov.b32 $3, 0f3F800000;$2$3", caught: "written after wgmma.fence"},
}

// The simulator notices every planted bug in products by wgmma.
func TestPlantedBugsOfWGMMA(t *testing.T) {
	for _, order := range []ptxsim.Order{ptxsim.Forward, ptxsim.Backward} {
		for _, b := range wgmmaBugs {
			t.Run(fmt.Sprintf("%d/%s/%s", order, b.kernel, b.name), func(t *testing.T) {
				t.Parallel()
				err := b.product(t, order)
				if err == nil {
					t.Error("nothing notices")
				} else if !regexp.MustCompile(b.caught).MatchString(err.Error()) {
					t.Errorf("it was noticed, but not as %q: %v", b.caught, err)
				}
			})
		}
	}
}

// product returns what is wrong with a product of 70 rows and 6 panels.
func (b bug) product(t *testing.T, order ptxsim.Order) error {
	dev, err := cuda.New(planted{driver{machine(order)}, t, b}, cuda.Split)
	if err != nil {
		t.Fatal(err)
	}
	dev.WGMMAFrom(1)
	const rows, in, out = 70, 6 * 64, 120
	run := func(dev kernels.Device) ([]float32, error) {
		p := product{random: rand.New(rand.NewPCG(1, 2))}
		a, b := dev.Alloc(kernels.F32, rows, in), dev.Alloc(kernels.BF16, out, in)
		dst := dev.Alloc(kernels.F32, rows, out)
		kernels.Put(dev, a, p.normal(a.Len()))
		kernels.Put(dev, b, p.normal(b.Len()))
		kernels.NewStream(dev).Do(kernels.MatMul{Dst: dst, A: a, B: b})
		if err := dev.Sync(); err != nil {
			return nil, err
		}
		got := make([]float32, dst.Len())
		kernels.Get(dev, got, dst)
		return got, nil
	}
	want, err := run(ref.New())
	if err != nil {
		t.Fatal(err)
	}
	got, err := run(dev)
	for i := range got {
		if off := math.Abs(float64(got[i] - want[i])); !(off <= 1) {
			return fmt.Errorf("element %d is %v, want %v", i, got[i], want[i])
		}
	}
	return err
}

// The simulator or the suite notices every planted bug, each in at least one case.
func TestPlantedBugs(t *testing.T) {
	all := byOp()
	for _, b := range bugs {
		t.Run(b.kernel+"/"+b.name, func(t *testing.T) {
			t.Parallel()
			op, _, _ := strings.Cut(b.op, "/")
			if err := b.hunt(t, all[op]); err == nil {
				t.Errorf("no case of %s notices", b.op)
			} else if !regexp.MustCompile(b.caught).MatchString(err.Error()) {
				t.Errorf("it was noticed, but not as %q: %v", b.caught, err)
			} else {
				t.Log(strings.SplitN(err.Error(), "\n", 2)[0])
			}
		})
	}
}

// hunt returns what the first case that fails says.
func (b bug) hunt(t *testing.T, cases []kerneltest.Case) error {
	m := machine(ptxsim.Forward)
	m.MaxSteps = 1 << 21
	dev, err := cuda.New(planted{driver{m}, t, b}, cuda.Split)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if !strings.HasPrefix(c.Name, b.op) {
			continue
		}
		if err := c.Check(dev, tolerance(c)); err != nil {
			return errors.Join(errors.New(c.Name), err)
		}
	}
	return nil
}

// planted is a machine that loads PTX with a bug.
type planted struct {
	driver
	t *testing.T
	b bug
}

func (p planted) Load(ptx string) error {
	begin := strings.Index(ptx, ".entry "+p.b.kernel+"(")
	if begin < 0 {
		return p.Machine.Load(ptx)
	}
	end := begin + strings.Index(ptx[begin:], "-- End function")
	body := ptx[begin:end]
	edited := regexp.MustCompile(p.b.old).ReplaceAllString(body, p.b.new)
	if edited == body {
		p.t.Fatalf("kernel %s has nothing like %s any more: write the edit anew", p.b.kernel, p.b.old)
	}
	edited = strings.Replace(edited, "\n{", "\n{\n.reg .pred %half_;\n.reg .b32 %lane_;\n", 1)
	return p.Machine.Load(ptx[:begin] + edited + ptx[end:])
}
