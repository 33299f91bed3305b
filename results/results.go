// Package results is what measurements travel in: one JSON object per line, complete in
// itself, so that files of results can be concatenated, sorted and searched. Values are
// every value measured, in base units and in order; nothing here is a summary.
//
// The format is described in docs/results-format.md.
package results

import "fmt"

// Schema is the version of [Result]. It changes when a field changes its meaning or goes
// away, never when one is added.
const Schema = 1

// A Result is one measurement: what was measured where, of which model, at which point. One
// of a kernel or of the machine itself has no model.
type Result struct {
	Schema  int       `json:"schema"`
	Env     Env       `json:"env"`
	Subject Subject   `json:"subject"`
	Point   Point     `json:"point"`
	Metric  string    `json:"metric"` // a name in Metrics
	Values  []float64 `json:"values"` // indexed as the metric says
}

// Env is where and by what a result was measured.
type Env struct {
	Time    string  `json:"time"`             // RFC 3339, the start of the command
	Host    string  `json:"host"`             // the machine's name
	CPU     string  `json:"cpu"`              // brand
	Cores   int     `json:"cores"`            // that the process may use
	OS      string  `json:"os"`               // "linux/amd64"
	Go      string  `json:"go"`               // version of the compiler
	Device  string  `json:"device"`           // the variant that ran: "cpu/go"
	Threads int     `json:"threads"`          // that computed
	Commit  string  `json:"commit,omitempty"` // of quadrant, "+dirty" where the tree had changes
	Load    float64 `json:"load"`             // of the machine over the last minute, at the start; -1 where unknown

	// Of a GPU, where its driver's nvidia-smi tells.
	Driver string    `json:"driver,omitempty"` // its version: "580.159.04"
	Before *GPUState `json:"before,omitempty"` // at the start of the command
	After  *GPUState `json:"after,omitempty"`  // when the result was written, or up to seconds before
}

// A GPUState is how a GPU fares; what it does not tell is absent.
type GPUState struct {
	Clock       float64  `json:"clock_hz,omitempty"`        // of its multiprocessors
	MemoryClock float64  `json:"memory_clock_hz,omitempty"` // of its memory
	Power       float64  `json:"power_w,omitempty"`
	Temperature float64  `json:"temperature_c,omitempty"`
	Slowed      []string `json:"slowed,omitempty"` // what holds its clocks down: "software power cap"
}

// A Subject is the model measured.
type Subject struct {
	Model   string  `json:"model"`  // a preset's name or a checkpoint's folder; "" where no model was run
	Family  string  `json:"family"` // "transformer", "mamba", "transformer-moe", "mamba-moe" or "hybrid"
	Total   int64   `json:"params_total"`
	Active  int64   `json:"params_active"` // per token
	DType   string  `json:"dtype"`         // of the weight matrices: "f32", "bf16", "f16"
	Weights string  `json:"weights"`       // where their values are from: "random, seed 1"
	Outline []Group `json:"outline,omitempty"`
}

// A Group is layers that repeat: what an architecture diagram draws.
type Group struct {
	Repeat int     `json:"repeat"`
	Layers []Layer `json:"layers"`
}

// A Layer names a layer's mixers; a part that it does not have is absent.
type Layer struct {
	Sequence *Block `json:"sequence,omitempty"`
	Channel  *Block `json:"channel,omitempty"`
	Parallel bool   `json:"parallel,omitempty"`
}

// A Block is a mixer: its kind ("attention", "mamba", "mlp", "moe") and sizes in words.
type Block struct {
	Kind   string `json:"kind"`
	Detail string `json:"detail"` // "8 experts, top-1, hidden 3072"
	Norm   string `json:"norm"`   // "RMSNorm"
}

// A Point is where on its axes a result lies. Fields that do not apply are zero.
type Point struct {
	Phase      string `json:"phase,omitempty"`      // "prefill", "decode", "inference", "training"
	Prompt     int    `json:"prompt,omitempty"`     // tokens of each sequence's prompt
	Gen        int    `json:"gen,omitempty"`        // tokens generated for each sequence
	Context    int    `json:"context,omitempty"`    // tokens already read
	Batch      int    `json:"batch,omitempty"`      // sequences side by side
	Run        int    `json:"run,omitempty"`        // which repetition, from 1
	Layer      *int   `json:"layer,omitempty"`      // index in the model, from 0
	Corpus     string `json:"corpus,omitempty"`     // of text read
	Tokens     int    `json:"tokens,omitempty"`     // of the corpus
	Window     int    `json:"window,omitempty"`     // tokens after which a sequence of the corpus starts afresh
	Tokenizer  string `json:"tokenizer,omitempty"`  // of the corpus: "bytes"
	Convention string `json:"convention,omitempty"` // of FLOPs
	Part       string `json:"part,omitempty"`       // of a model's work
	Op         string `json:"op,omitempty"`         // a kernel's operation: "matmul"
	Shape      string `json:"shape,omitempty"`      // of its operands, in words: "512x768 to 3072"
	Caches     string `json:"caches,omitempty"`     // where its operands were: "warm" or "cold"
	FLOPs      int64  `json:"flops,omitempty"`      // that its definition asks for
	Bytes      int64  `json:"bytes,omitempty"`      // that it reads and writes, each operand once
	Footprint  int64  `json:"footprint,omitempty"`  // bytes of memory that repetitions went through in turn
	Task       string `json:"task,omitempty"`       // of an evaluation
	Shots      int    `json:"shots,omitempty"`      // examples before each question of the task
	Data       string `json:"data,omitempty"`       // SHA-256 of what was asked
	Step       int    `json:"step,omitempty"`       // of training, after it
	Domain     string `json:"domain,omitempty"`     // of the corpus: "go"
	TopK       int    `json:"top_k,omitempty"`      // experts that the layer sends each token to
	Class      string `json:"class,omitempty"`      // of the tokens: "letter", "digit", "space", "punctuation", "high", "other"
	Routing    string `json:"routing,omitempty"`    // by which tokens were sent to experts: "recorded", "uniform", "zipf", "single"
	Choice     string `json:"choice,omitempty"`     // how routers chose: "argmax", "sinkhorn", "ema_bias", ...
}

// A Metric says what the values of a result are.
type Metric struct {
	Name  string
	Unit  string // base unit
	Index string // what the values are indexed by
	Doc   string
	Of    What
}

// What says what a metric is about.
type What int

const (
	OfModel   What = iota // subject.model is needed
	OfOp                  // point.op and point.caches are needed, and there is no model
	OfMachine             // there is neither
)

// Metrics is every metric there is.
var Metrics = []Metric{
	{"parameters", "parameters", "total, active", "weights of the model, and those that one token uses", OfModel},
	{"generation", "s", "one value", "clock reading when the last of gen tokens was chosen; the clock starts before the prompt is read", OfModel},
	{"prefill", "s", "one value", "from the start of the prompt to the first token chosen", OfModel},
	{"token", "s", "token, from the second", "time of each decode step: one token for every sequence of the batch", OfModel},
	{"flops", "FLOP", "one value", "forward pass of one token after context others", OfModel},
	{"state", "B", "one value", "KV cache or SSM state of one sequence of context tokens", OfModel},
	{"expert_tokens", "tokens", "expert", "tokens sent to each expert of the layer", OfModel},
	{"class_expert_tokens", "tokens", "expert", "tokens of a class sent to each expert of the layer", OfModel},
	{"expert_dropped", "tokens", "expert", "of the tokens sent to each expert of the layer, those dropped because it had no room; of a class where point.class names one", OfModel},
	{"replay", "s", "one value", "forward pass over batch prompts of the text, from an empty memory, with tokens sent to experts by point.routing", OfModel},
	{"replay_expert_tokens", "tokens", "expert", "tokens that point.routing sends to each expert of the layer in one such pass", OfModel},
	{"op_time", "s", "one value", "one execution of an operation: the mean of as many in a row as a clock needs", OfOp},
	{"read_rate", "B/s", "one value", "bytes that the device reads from a footprint and does next to nothing with", OfMachine},
	{"copy_rate", "B/s", "one value", "bytes that copies within the device's memory move, those read and those written", OfMachine},
	{"token_bytes", "B", "one value", "bytes that a decode step must move: weights it reads, once, and caches or state read and written", OfModel},
	{"multiply_add_rate", "FLOP/s", "one value", "multiply-adds between registers, two FLOPs each: the most that the device's variant can do", OfMachine},
	{"acc", "", "document", "1 where the right choice is the likeliest, or the continuation greedy; a share of it among choices equally likely", OfModel},
	{"acc_norm", "", "document", "acc with log-likelihoods divided by the characters of the choice", OfModel},
	{"log_likelihood", "nat", "document", "natural logarithm of the probability of the continuation, or of the whole text", OfModel},
	{"bits_per_byte", "bit/B", "one value", "of all texts of the task together", OfModel},
	{"chance", "", "one value", "accuracy expected of guessing in the task", OfModel},
	{"training_bits_per_byte", "bit", "one value", "what predicting the domain's held-out text costs, per byte of it, after step", OfModel},
	{"answers", "answers", "right, asked", "questions of the synthetic task phase that the model answers after step, on sequences it has not seen", OfModel},
	{"training_loss", "nat", "step, from the first", "mean loss of the tokens that a step of training read, before the step", OfModel},
	{"training_flops", "FLOP", "one value", "forward and backward passes of all steps of the model's training up to step, by the definition of each op", OfModel},
	{"training_step", "s", "step, of those that one start of the program made", "time of each step of training", OfModel},
	{"training_expert_tokens", "tokens", "expert", "tokens that training sent to each expert of the layer in the steps up to step that the result before it does not count", OfModel},
	{"training_sinkhorn_iterations", "iterations", "step", "iterations of the layer's Sinkhorn router in each of the steps up to step that the result before it does not count", OfModel},
}

// MetricNamed returns the metric called name.
func MetricNamed(name string) (Metric, bool) {
	for _, m := range Metrics {
		if m.Name == name {
			return m, true
		}
	}
	return Metric{}, false
}

// Validate returns the first thing wrong with r.
func (r Result) Validate() error {
	if r.Schema != Schema {
		return fmt.Errorf("schema is %d, this program reads %d", r.Schema, Schema)
	}
	if _, ok := MetricNamed(r.Metric); !ok {
		return fmt.Errorf("metric %q unknown", r.Metric)
	}
	if err := r.about(); err != nil {
		return err
	}
	if len(r.Values) == 0 {
		return fmt.Errorf("values are missing")
	}
	return nil
}

// about returns what is wrong with what r says it is of.
func (r Result) about() error {
	m, _ := MetricNamed(r.Metric)
	switch {
	case m.Of == OfModel && r.Subject.Model == "":
		return fmt.Errorf("subject.model is missing")
	case m.Of != OfModel && r.Subject.Model != "":
		return fmt.Errorf("subject.model is %q, but metric %s is of no model", r.Subject.Model, r.Metric)
	case m.Of == OfOp && r.Point.Op == "":
		return fmt.Errorf("point.op is missing")
	case m.Of == OfOp && r.Point.Caches != "warm" && r.Point.Caches != "cold":
		return fmt.Errorf("point.caches is %q, want warm or cold", r.Point.Caches)
	case m.Of != OfOp && r.Point.Op != "":
		return fmt.Errorf("point.op is %q, but metric %s is of no operation", r.Point.Op, r.Metric)
	}
	return nil
}

// Key names what r measured, but not what came out or when: two results with one key are
// the same measurement made twice.
func (r Result) Key() string {
	s, e, p := r.Subject, r.Env, r.Point
	layer := -1
	if p.Layer != nil {
		layer = *p.Layer
	}
	p.Layer = nil
	return fmt.Sprintf("%s|%s %d %s %s|%s %s %d|%+v %d", r.Metric,
		s.Model, s.Total, s.DType, s.Weights, e.Host, e.Device, e.Threads, p, layer)
}

// Latest returns rs without those that a later one with the same key replaces: a run that
// was stopped while it was written is measured again.
func Latest(rs []Result) []Result {
	last := make(map[string]int)
	for i, r := range rs {
		last[r.Key()] = i
	}
	var latest []Result
	for i, r := range rs {
		if last[r.Key()] == i {
			latest = append(latest, r)
		}
	}
	return latest
}
