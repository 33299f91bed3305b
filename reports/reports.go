// Package reports turns results into figures and tables. It measures nothing and knows
// nothing of models or devices: a figure can be redrawn years later, on any machine, from
// the file of its results alone.
//
//	results → Figure.Make → chart.Chart (a picture as data) → PNG, SVG, PDF, HTML
//
// Every number in a picture is computed from raw samples, and every picture names the
// device, date, commit and weights that they come from.
package reports

import (
	"errors"
	"fmt"
	"strings"

	"quadrant/reports/chart"
	"quadrant/results"
)

// A Chart is a picture as data.
type Chart = chart.Chart

// A Figure is a picture that can be made from results.
type Figure struct {
	Name    string // of its files: "fig5-latency"
	Title   string
	Caption string // what it shows; a chart's caption adds how that was measured
	Metric  string // the metric that it shows, "" if any result will do

	draw func(found []results.Result) (picture, error)
}

// A picture is what draw makes of the results that a figure shows, at least one.
type picture struct {
	chart      Chart    // without words around it
	said       []string // sentences that the caption adds
	conditions []string // of the measurements, for the fine print
}

// Figures are all there are, in the order that a report shows them.
var Figures = []Figure{
	{"fig1-architectures", "The architectures compared",
		"Tokens enter at the bottom; each circled plus is a residual connection.",
		"", drawArchitectures},
	{"fig5-latency", "Generation latency against sequence length",
		"Time from before the prompt is read until the last token is generated.",
		"generation", drawLatency},
	{"latency-per-token", "Time per generated token against context length",
		"Time of one decode step, which makes one token for every sequence of the batch, against the number of tokens before it.",
		"token", drawTokenLatency},
	{"flops-by-length", "FLOPs per token against context length",
		"Floating-point operations of the forward pass of one token, a multiply-add being two, against the number of tokens before it.",
		"flops", drawFLOPs},
	{"state-by-length", "Memory of a sequence against context length",
		"Size of what a model keeps of one sequence to generate its next token: KV cache, or convolution tail and SSM state.",
		"state", drawState},
	{"expert-balance", "Tokens sent to each expert",
		"Share of each layer's tokens that each expert received. Lines mark even shares; the number above a bar is the busiest expert's tokens over the mean.",
		"expert_tokens", drawExpertBalance},
	{"expert-heatmap", "Load of each expert",
		"Tokens sent to an expert over the mean of its layer: 1 is even, 0 is an expert never used.",
		"expert_tokens", drawExpertHeatmap},
	{"roofline", "Kernels against what the machine can do",
		"Rate of each operation against its arithmetic intensity, the floating-point operations for each byte that it reads or writes.",
		"op_time", drawRoofline},
	{"fig3-score-parameters", "Accuracy against active parameters",
		"Share of questions answered rightly in each task, against the parameters that one token uses.",
		"", drawScoresByParameters},
	{"fig4-score-training", "Accuracy against training FLOPs",
		"Share of questions answered rightly in each task, against the floating-point operations of all of the model's training, forward and backward, a multiply-add being two.",
		"", drawScoresByTraining},
	{"score-flops", "Accuracy against FLOPs per token",
		"Share of questions answered rightly in each task, against the floating-point operations of the forward pass of one token.",
		"", drawScoresByFLOPs},
	{"training", "Bits per byte during training",
		"What predicting held-out text costs, per byte of it, against the tokens that training has read.",
		"training_bits_per_byte", drawTraining},
	{"experts-training", "Tokens sent to each expert during training",
		"Share of a layer's tokens that each expert received in the steps up to each mark, with routers as they choose in training. Lines mark even shares; the number above a bar is the busiest expert's tokens over the mean.",
		"training_expert_tokens", drawExpertTraining},
	{"sinkhorn", "Iterations and balance of Sinkhorn during training",
		"How many iterations Sinkhorn made in a step of training, and tokens of the busiest expert over the mean, by initialisation and rule for when to stop.",
		"training_sinkhorn_iterations", drawSinkhorn},
	{"synthetic", "Synthetic tasks that architectures differ in",
		"Share of questions answered rightly, on sequences that training does not read, as training goes on.",
		"answers", drawAnswers},
}

// FigureNamed returns the figure called name.
func FigureNamed(name string) (Figure, bool) {
	for _, f := range Figures {
		if f.Name == name {
			return f, true
		}
	}
	return Figure{}, false
}

// ErrNoData says that the results hold nothing for a figure to show.
var ErrNoData = errors.New("no data")

// measuredBy says which command measures each metric that a figure shows.
var measuredBy = map[string]string{
	"":                       "quadrant latency --out",
	"generation":             "quadrant latency --out",
	"token":                  "quadrant latency --out",
	"flops":                  "quadrant reproduce",
	"state":                  "quadrant reproduce",
	"expert_tokens":          "quadrant balance --out",
	"op_time":                "quadrant bench-kernels --out",
	"training_bits_per_byte": "quadrant train",

	"training_expert_tokens": "quadrant train",

	"training_sinkhorn_iterations": "quadrant ablate sinkhorn",

	"answers": "quadrant synth --out",
}

// beside are metrics that a figure of a metric shows too.
var beside = map[string][]string{
	"generation": {"token", "token_bytes", "copy_rate", "read_rate"}, "token": {"token_bytes", "copy_rate", "read_rate"},
	"op_time": {"read_rate", "multiply_add_rate"}, "training_sinkhorn_iterations": {"training_expert_tokens"}, "answers": {"chance"},
}

// Make makes the figure of those rs that it shows. The error wraps [ErrNoData] if there
// are none, and says what measures them.
func (f Figure) Make(rs []results.Result) (Chart, error) {
	found := rs
	if f.Metric != "" {
		found = withMetric(rs, f.Metric)
	}
	if len(found) == 0 {
		return Chart{}, f.noData(len(rs))
	}
	for _, metric := range beside[f.Metric] {
		found = append(found, withMetric(rs, metric)...)
	}
	p, err := f.draw(found)
	if err != nil {
		return Chart{}, fmt.Errorf("reports: %s: %w", f.Name, err)
	}
	c := p.chart
	c.Title = f.Title
	c.Note = strings.Join(p.conditions, "\u00a0· ") // a line may end, not start, with the dot
	words := append([]string{f.Caption}, p.said...)
	c.Caption = strings.Join(append(words, "Conditions: "+strings.Join(p.conditions, "; ")+"."), " ")
	if err := c.Validate(); err != nil {
		return Chart{}, fmt.Errorf("reports: %s: %w", f.Name, err)
	}
	return c, nil
}

func (f Figure) noData(among int) error {
	what := "any metric"
	if f.Metric != "" {
		what = fmt.Sprintf("metric %q", f.Metric)
	}
	return fmt.Errorf("reports: %s: %w: it shows %s, which none of %d results has; measure it with %q",
		f.Name, ErrNoData, what, among, measuredBy[f.Metric])
}
