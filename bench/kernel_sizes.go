package bench

import "quadrant/kernels"

// A projection is a matrix of a model: In inputs to Out outputs.
type projection struct {
	Out, In int
	of      string // what it is
	wide    bool   // F32 whatever the type of the other weights
}

// Sizes are what kernels are measured at.
type Sizes struct {
	Name, Doc   string
	tokens      int // of a prompt, for ops that treat tokens alike
	scanned     int // tokens of a scan and a convolution
	prompts     []int
	context     int // tokens before the one that attention decodes
	width       int // d_model
	projections []projection
	squares     []int // products of n × n × n
	heads       int
	keyHeads    int // of keys, where heads share them
	headDim     int
	rotary      int
	inner       int // d_inner
	states      int // d_state
	taps        int // d_conv
	hidden      int // of an MLP
	expert      int // hidden of an expert, gated
	experts     int
	vocab       int
}

// AllSizes are the sizes there are: those of models with about 130M parameters active, and
// small ones for a quick look.
var AllSizes = []Sizes{
	{
		Name: "130m", Doc: "mamba-130m, pythia-160m and mixtures of 8 gated experts of their width; squares to 4,096",
		tokens: 512, scanned: 2048, prompts: []int{512, 2048}, context: 8192, width: 768,
		projections: []projection{
			{3072, 768, "mamba-130m in, pythia-160m up", false},
			{80, 1536, "mamba-130m selectors", false},
			{1536, 48, "mamba-130m dt", false},
			{768, 1536, "mamba-130m out", false},
			{2304, 768, "pythia-160m qkv", false},
			{768, 768, "pythia-160m attention out", false},
			{768, 3072, "pythia-160m down", false},
			{8, 768, "router", true},
			{50304, 768, "head", false},
		},
		squares: []int{1024, 2048, 4096},
		heads:   12, keyHeads: 4, headDim: 64, rotary: 16, inner: 1536, states: 16, taps: 4, hidden: 3072, expert: 2048, experts: 8, vocab: 50304,
	},
	{
		Name: "tiny", Doc: "the tiny presets; squares of 128: seconds",
		tokens: 64, scanned: 64, prompts: []int{64}, context: 256, width: 128,
		projections: []projection{{512, 128, "tiny-mamba in", false}, {4, 128, "router", true}, {256, 128, "head", false}},
		squares:     []int{128},
		heads:       4, keyHeads: 2, headDim: 32, rotary: 32, inner: 256, states: 16, taps: 4, hidden: 512, expert: 256, experts: 8, vocab: 256,
	},
}

// SizesNamed returns the sizes called name.
func SizesNamed(name string) (Sizes, bool) {
	for _, s := range AllSizes {
		if s.Name == name {
			return s, true
		}
	}
	return Sizes{}, false
}

// Ops are the names of the operations that [Sizes.Cases] has.
var Ops = []string{
	"matmul", "grouped_matmul", "scan", "conv_silu", "attend", "rotary_store", "rms_norm", "layer_norm",
	"activation", "add", "embed", "arg_max", "route", "sort", "combine",
}

// Cases are all operations at sizes s, those with weights or caches once for each type in
// types. A product with one row, as in decoding, is measured warm and cold.
func (s Sizes) Cases(types []kernels.Type) []KernelCase {
	var all []KernelCase
	for _, t := range types {
		all = append(all, s.products(t)...)
	}
	for _, t := range types {
		all = append(all, s.grouped(t)...)
	}
	all = append(all, s.sequences()...)
	for _, t := range types {
		all = append(all, s.attention(t)...)
	}
	all = append(all, s.rowwise()...)
	for _, t := range types {
		all = append(all, embedCase(s.tokens, s.vocab, s.width, t))
	}
	return append(all, s.routing()...)
}

func (s Sizes) products(t kernels.Type) (all []KernelCase) {
	for _, p := range s.projections {
		if p.wide && t != kernels.F32 {
			continue
		}
		cold := matMulCase(1, p.Out, p.In, t, p.of)
		cold.Cold = true
		all = append(all, cold, matMulCase(1, p.Out, p.In, t, p.of), matMulCase(s.tokens, p.Out, p.In, t, p.of))
	}
	for _, n := range s.squares {
		all = append(all, matMulCase(n, n, n, t, "square"))
	}
	return all
}

func (s Sizes) grouped(t kernels.Type) (all []KernelCase) {
	for _, p := range []projection{{2 * s.expert, s.width, "gate and up of experts", false}, {s.width, s.expert, "down of experts", false}} {
		decode := groupedCase(1, p.Out, p.In, s.experts, t, p.of)
		decode.Cold = true
		all = append(all, decode, groupedCase(s.tokens, p.Out, p.In, s.experts, t, p.of))
	}
	return all
}

// sequences are Mamba's.
func (s Sizes) sequences() (all []KernelCase) {
	for _, n := range []int{1, s.scanned} {
		all = append(all, scanCase(n, s.inner, s.states))
	}
	for _, n := range []int{1, s.scanned} {
		all = append(all, convCase(n, s.inner, s.taps))
	}
	return all
}

func (s Sizes) attention(t kernels.Type) (all []KernelCase) {
	for _, n := range s.prompts {
		all = append(all, attendCase(n, 0, s.heads, s.heads, s.headDim, t))
	}
	for _, keys := range []int{s.heads, s.keyHeads} {
		decode := attendCase(1, s.context, s.heads, keys, s.headDim, t)
		decode.Cold = true
		all = append(all, decode)
	}
	return append(all, rotaryCase(s.tokens, s.heads, s.headDim, s.rotary, t))
}

func (s Sizes) rowwise() (all []KernelCase) {
	for _, n := range []int{1, s.tokens} {
		all = append(all, normCase("rms_norm", n, s.width), normCase("layer_norm", n, s.width))
	}
	return append(all,
		activationCase(s.tokens, s.expert, kernels.SiLU, true),
		activationCase(s.tokens, s.hidden, kernels.GELU, false),
		activationCase(s.tokens, s.hidden, kernels.GELUTanh, false),
		addCase(s.tokens, s.width), argMaxCase(1, s.vocab))
}

func (s Sizes) routing() []KernelCase {
	return []KernelCase{routeCase(s.tokens, s.experts), sortCase(s.tokens, s.experts), combineCase(s.tokens, s.width)}
}
