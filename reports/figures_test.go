package reports_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"quadrant/reports"
	"quadrant/reports/chart"
	"quadrant/results"
)

// figure makes the figure called name of rs.
func figure(t *testing.T, name string, rs []results.Result) reports.Chart {
	t.Helper()
	c, err := tryFigure(t, name, rs)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func tryFigure(t *testing.T, name string, rs []results.Result) (reports.Chart, error) {
	t.Helper()
	f, ok := reports.FigureNamed(name)
	if !ok {
		t.Fatalf("no figure is called %s", name)
	}
	return f.Make(rs)
}

// wantError makes the figure and wants an error that holds words.
func wantError(t *testing.T, name string, rs []results.Result, words ...string) {
	t.Helper()
	_, err := tryFigure(t, name, rs)
	for _, w := range append(words, name) {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("%s: error %v, want %q in it", name, err, w)
		}
	}
}

// generated are readings in seconds of runs of m to gen tokens.
func generated(m sampleModel, gen int, seconds ...float64) (rs []results.Result) {
	for i, s := range seconds {
		rs = append(rs, m.result("generation", results.Point{Prompt: 128, Gen: gen, Batch: 1, Run: i + 1}, s))
	}
	return rs
}

func TestLatency(t *testing.T) {
	models := fourModels()
	rs := slices.Concat(
		generated(models[3], 256, 7, 3, 5, 4, 6), // any order of files, lengths and runs
		generated(models[3], 128, 2, 1, 4),
		generated(models[0], 128, 9),
		generated(models[3], 512, 60, 10, 20, 30, 40, 50),
	)
	c := figure(t, "fig5-latency", append(rs, rs[0])) // a line that is twice in the file counts once
	if len(c.Panels) != 1 || c.Width != chart.Single {
		t.Fatalf("%d panels of width %d, want one of one column", len(c.Panels), c.Width)
	}
	p := c.Panels[0]
	if p.X != (chart.Axis{Label: "Tokens generated", Scale: chart.Log2}) || p.Y != (chart.Axis{Label: "Generation latency", Unit: "s", Scale: chart.Log10}) {
		t.Errorf("axes %+v and %+v", p.X, p.Y)
	}
	ss := p.Lines.Series
	if len(ss) != 2 || ss[0].Name != "matched-transformer-340m" || ss[1].Name != "blackmamba-1.5b" {
		t.Fatalf("series %+v", ss)
	}
	if ss[1].Note != "Mamba-MoE, 344M/1.46B" || ss[0].Note != "Dense transformer, 340M" {
		t.Errorf("notes %q and %q", ss[0].Note, ss[1].Note)
	}
	want := []chart.Point{
		{X: 128, Y: 2, Lo: 1, Hi: 4, N: 3, Coverage: 0.75},
		{X: 256, Y: 5, Lo: 3, Hi: 7, N: 5, Coverage: 0.9375},
		{X: 512, Y: 35, Lo: 10, Hi: 60, N: 6, Coverage: 0.96875},
	}
	if !slices.EqualFunc(ss[1].Points, want, samePoint) {
		t.Errorf("points %+v, want %+v", ss[1].Points, want)
	}
	if one := ss[0].Points[0]; one.Lo != 9 || one.Hi != 9 || one.N != 1 || one.Coverage != 0 {
		t.Errorf("one run: %+v, want no interval", one)
	}
	for _, words := range []string{"median of 1 to 6 runs", "coverage 75.0 % to 96.9 %", "batch 1", "prompt 128"} {
		if !strings.Contains(c.Note, words) || !strings.Contains(c.Caption, words) {
			t.Errorf("%q is not in the note %q or not in the caption %q", words, c.Note, c.Caption)
		}
	}
}

func samePoint(a, b chart.Point) bool {
	return a.X == b.X && a.Y == b.Y && a.Lo == b.Lo && a.Hi == b.Hi && a.N == b.N && math.Abs(a.Coverage-b.Coverage) < 1e-12
}

func TestLatencyErrors(t *testing.T) {
	m := fourModels()[0]
	wantError(t, "fig5-latency", generated(m, 0, 1), "point.gen is 0", m.name)
	wantError(t, "fig5-latency", generated(m, 8, 1, 0, 0), "y is 0", m.name)
	wantError(t, "fig5-latency", []results.Result{m.result("generation", results.Point{Gen: 8, Run: 2}, 1, 2)}, "8 tokens, run 2: 2 values", m.name)
}

// No panel mixes settings: what differs is in the titles, what does not in the note.
func TestLatencyFacets(t *testing.T) {
	c := figure(t, "fig5-latency", settings(fourModels()))
	var titles []string
	for _, p := range c.Panels {
		titles = append(titles, p.Title)
		for _, s := range p.Lines.Series {
			for _, pt := range s.Points {
				if pt.N != 3 {
					t.Errorf("%s, %s: a point of %d samples, want 3", p.Title, s.Name, pt.N)
				}
			}
		}
	}
	want := []string{"batch 1, prompt 128", "batch 1, prompt 2048", "batch 16, prompt 128", "batch 16, prompt 2048"}
	if !slices.Equal(titles, want) {
		t.Errorf("panels %q, want %q", titles, want)
	}

	m := fourModels()[0]
	rs := generated(m, 8, 1, 2, 3)
	rs[1].Env.Device, rs[2].Subject.DType = "cuda/H200", "bf16"
	c = figure(t, "fig5-latency", rs)
	if len(c.Panels) != 3 || c.Panels[2].Title != testDevice+", f32" || c.Panels[0].Title != "cuda/H200, f32" {
		t.Errorf("%d panels, the last %q", len(c.Panels), c.Panels[len(c.Panels)-1].Title)
	}

	rs = nil
	for prompt := 1; prompt <= 9; prompt++ {
		r := generated(m, 8, 1)[0]
		r.Point.Prompt = prompt
		rs = append(rs, r)
	}
	wantError(t, "fig5-latency", rs, "9 settings", "at most 8", "prompt 1, prompt 2,")
}

// Models of one name are told apart by what differs; each has a look of its own, the
// colour being its family's.
func TestModelsAreToldApart(t *testing.T) {
	m := fourModels()[3]
	rs := generated(m, 8, 1, 2, 3)
	rs[1].Subject.Weights = "random, seed 2"
	rs[2].Subject.Total = 7
	ss := figure(t, "fig5-latency", rs).Panels[0].Lines.Series
	looks := map[chart.Look]bool{}
	var names []string
	for _, s := range ss {
		looks[s.Look] = true
		names = append(names, s.Name)
		if s.Look.Color != chart.Vermillion {
			t.Errorf("%s has colour %d", s.Name, s.Look.Color)
		}
	}
	want := []string{
		"blackmamba-1.5b, random, seed 1 (7 parameters, 343694712 active)",
		"blackmamba-1.5b, random, seed 1 (1458462072 parameters, 343694712 active)",
		"blackmamba-1.5b, random, seed 2",
	}
	if !slices.Equal(names, want) || len(looks) != 3 {
		t.Errorf("%d looks of %q, want 3 of %q", len(looks), names, want)
	}
	looks = map[chart.Look]bool{}
	for _, s := range figure(t, "fig5-latency", sample(manyModels(), 1)).Panels[0].Lines.Series {
		looks[s.Look] = true
	}
	if len(looks) != 8 {
		t.Errorf("8 models have %d looks", len(looks))
	}
}

// Decode step i has prompt+i tokens before it. Windows are summarised run by run.
func TestTokenLatency(t *testing.T) {
	m := fourModels()[1]
	var rs []results.Result
	for run := 1; run <= 3; run++ {
		steps := make([]float64, 896) // contexts 128 … 1023: three octaves in 8 windows
		for i := range steps {
			steps[i] = float64(run) * float64(128+i)
		}
		rs = append(rs, m.result("token", results.Point{Phase: "decode", Prompt: 128, Gen: 897, Batch: 1, Run: run}, steps...))
	}
	c := figure(t, "latency-per-token", rs)
	ps := c.Panels[0].Lines.Series[0].Points
	if len(ps) != 8 {
		t.Fatalf("%d points, want 8", len(ps))
	}
	for i, p := range ps {
		if p.N != 3 || p.Y != 2*p.X || p.Lo != p.X || p.Hi != 3*p.X {
			t.Errorf("point %d is %+v: want a median of twice its context, from one to three times", i, p)
		}
	}
	// 128 · 8^(1/8) is 165.99: the first window is 128 … 165.
	if ps[0].X != 146.5 || ps[7].X != (790+1023)/2. {
		t.Errorf("windows at %v … %v", ps[0].X, ps[7].X)
	}
	if !strings.Contains(c.Caption, "in 8 windows") || !strings.Contains(c.Note, "median of 3 runs, bars: 75.0 % interval") {
		t.Errorf("caption %q", c.Caption)
	}
}

func TestTokenLatencyOfFewTokens(t *testing.T) {
	m := fourModels()[1]
	for _, prompt := range []int{0, 1, 100} {
		r := m.result("token", results.Point{Prompt: prompt, Batch: 1, Run: 1}, 0.5, 0.25)
		ps := figure(t, "latency-per-token", []results.Result{r}).Panels[0].Lines.Series[0].Points
		if last := ps[len(ps)-1]; last.X != float64(prompt+1) || last.Y != 0.25 {
			t.Errorf("prompt %d: points %+v", prompt, ps)
		}
	}
}

func TestCounts(t *testing.T) {
	m := fourModels()[0]
	rs := m.counts([]int{1024, 0, 128})
	part := m.result("flops", results.Point{Phase: "inference", Context: 128, Convention: "exact", Part: "head"}, 1)
	c := figure(t, "flops-by-length", append(rs, part))
	ps := c.Panels[0].Lines.Series[0].Points
	want := 2*float64(m.active) + m.kv*128
	if len(ps) != 2 || ps[0].X != 128 || ps[0].Y != want || ps[0].Lo != want || ps[0].N != 0 {
		t.Errorf("points %+v, want %v at 128 first", ps, want)
	}
	for _, words := range []string{"The empty context is left out", "convention exact", "counted, not timed"} {
		if !strings.Contains(c.Caption, words) {
			t.Errorf("%q is not in %q", words, c.Caption)
		}
	}
	if s := figure(t, "state-by-length", rs); s.Panels[0].Y != (chart.Axis{Label: "State per sequence", Unit: "B", Scale: chart.Log2}) {
		t.Errorf("state's axis %+v", s.Panels[0].Y)
	}

	other := part
	other.Point.Part, other.Point.Convention = "", "paper"
	if c := figure(t, "flops-by-length", append(rs, other)); len(c.Panels) != 2 || c.Panels[1].Title != "convention paper" {
		t.Errorf("two conventions in %d panels", len(c.Panels))
	}
	wantError(t, "flops-by-length", []results.Result{part}, "no data", "parts of a model")
	wantError(t, "flops-by-length", m.counts([]int{0}), "no data", "empty context")
	other.Point.Convention = "exact"
	wantError(t, "flops-by-length", append(rs, other), "context 128: counted as", "and as 1", "keep one")
	none := m.result("state", results.Point{Context: 64}, 0)
	if c := figure(t, "state-by-length", append(rs, none)); c.Panels[0].Y.Scale != chart.Linear {
		t.Error("a state of 0 bytes on a logarithmic axis")
	}
}

func tokens(m sampleModel, layer int, counts ...float64) results.Result {
	return m.result("expert_tokens", results.Point{Phase: "inference", Layer: &layer, Corpus: "text", Tokens: 100, Tokenizer: "bytes"}, counts...)
}

func TestExperts(t *testing.T) {
	m := fourModels()[3]
	rs := []results.Result{tokens(m, 3, 10, 30, 0, 40), tokens(m, 1, 25, 25, 25, 25), tokens(m, 3, 10, 30, 0, 40), tokens(m, 5, 60, 20)}
	s := figure(t, "expert-balance", rs).Panels[0].Shares
	if !slices.Equal(s.Bars, []string{"1", "3", "5"}) || !slices.Equal(s.Parts, []string{"0", "1", "2", "3"}) || !slices.Equal(s.Above, []string{"1.00", "2.00", "1.50"}) {
		t.Errorf("bars %q of %q with %q above", s.Bars, s.Parts, s.Above)
	}
	if !slices.Equal(s.Share[1], []float64{0.125, 0.375, 0, 0.5}) || s.Share[2][0] != 0.75 || !math.IsNaN(s.Share[2][2]) {
		t.Errorf("shares %v", s.Share)
	}
	h := figure(t, "expert-heatmap", rs).Panels[0].Heat
	if !slices.Equal(h.Value[3][:2], []float64{1, 2}) || h.Value[0][2] != 1.5 || !math.IsNaN(h.Value[3][2]) || !slices.Equal(h.Columns, s.Bars) {
		t.Errorf("ratios %v", h.Value)
	}

	lost := tokens(m, 1, 1, 2)
	lost.Point.Layer = nil
	wantError(t, "expert-balance", []results.Result{lost}, "point.layer is missing", m.name)
	wantError(t, "expert-heatmap", append(rs, tokens(m, 1, 24, 26, 25, 25)), "layer 1 is given twice")
	wantError(t, "expert-heatmap", []results.Result{tokens(m, 7, 0, 0)}, "layer 7", "no tokens")

	other := tokens(m, 1, 5, 5)
	other.Point.Corpus = "code"
	c := figure(t, "expert-balance", append(rs, other))
	if len(c.Panels) != 2 || !strings.HasSuffix(c.Panels[0].Note, "code, 100 tokens, tokenizer bytes") {
		t.Errorf("two texts in %d panels, the first noted %q", len(c.Panels), c.Panels[0].Note)
	}
}

// names writes a flow in one line: boxes in brackets, branches in braces.
func names(flow []chart.Node) string {
	var words []string
	for _, n := range flow {
		switch {
		case n.Box != nil:
			words = append(words, n.Box.Text)
		case n.Add != nil:
			var branches []string
			for _, b := range n.Add.Branches {
				var boxes []string
				for _, box := range b {
					boxes = append(boxes, box.Text)
				}
				branches = append(branches, strings.Join(boxes, " "))
			}
			words = append(words, "{"+strings.Join(branches, " | ")+"}")
		default:
			words = append(words, fmt.Sprintf("%d×(%s)", n.Repeat.Times, names(n.Repeat.Flow)))
		}
	}
	return strings.Join(words, " ")
}

func TestArchitectures(t *testing.T) {
	var rs []results.Result
	for _, m := range append(fourModels(), oddModels()...) {
		rs = append(rs, generated(m, 8, 1)...)
	}
	c := figure(t, "fig1-architectures", rs)
	want := map[string]string{
		"Dense transformer": "Embedding 24×({RMSNorm Attention} {RMSNorm MLP}) Norm Head",
		"Dense Mamba":       "Embedding 48×({RMSNorm Mamba}) Norm Head",
		"Transformer-MoE":   "Embedding 14×({RMSNorm Attention} {RMSNorm MoE}) Norm Head",
		"Mamba-MoE":         "Embedding 15×({RMSNorm Mamba} {RMSNorm MoE}) Norm Head",
		"Hybrid":            "Embedding 4×({RMSNorm Attention | RMSNorm MLP} {RMSNorm Mamba} {RMSNorm MoE}) {RMSNorm Mamba} Norm Head",
	}
	var titles []string
	for _, p := range c.Panels {
		titles = append(titles, p.Title)
		if got := names(p.Diagram.Flow); got != want[p.Title] {
			t.Errorf("%s is %s, want %s", p.Title, got, want[p.Title])
		}
	}
	if !slices.Equal(titles, []string{"Dense transformer", "Dense Mamba", "Transformer-MoE", "Mamba-MoE", "Hybrid"}) {
		t.Errorf("panels %q", titles)
	}
	if words := "Mamba-MoE: blackmamba-1.5b, 1.46B parameters, 344M active."; !strings.Contains(c.Caption, words) {
		t.Errorf("%q is not in %q", words, c.Caption)
	}
	detail := c.Panels[3].Diagram.Flow[1].Repeat.Flow[1].Add.Branches[0][1].Detail
	if detail != "8 experts, top-1, hidden 3072, gated SILU" {
		t.Errorf("the MoE's detail is %q", detail)
	}

	bare := generated(fourModels()[0], 8, 1)
	bare[0].Subject.Outline = nil
	wantError(t, "fig1-architectures", bare, "no data", "outline")
	empty := generated(fourModels()[0], 8, 1)
	empty[0].Subject.Outline = []results.Group{{Repeat: 2, Layers: []results.Layer{{}}}}
	wantError(t, "fig1-architectures", empty, "group 0: layer 0: neither")
}

func TestNoData(t *testing.T) {
	m := fourModels()[0]
	for _, f := range reports.Figures {
		rs := []results.Result{m.result("parameters", results.Point{}, 1, 1)}
		if f.Metric == "" {
			rs = nil
		}
		_, err := f.Make(rs)
		if !errors.Is(err, reports.ErrNoData) || !strings.Contains(err.Error(), f.Metric) || !strings.Contains(err.Error(), `with "quadrant `) {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
	if _, err := reports.BalanceTable(nil); !errors.Is(err, reports.ErrNoData) {
		t.Errorf("table of balance: %v", err)
	}
}

// Every picture says on what, when, by which commit and with which weights.
func TestConditions(t *testing.T) {
	rs := sample(fourModels(), 2)
	late := generated(fourModels()[0], 8, 1)[0]
	late.Env.Time, late.Env.Commit, late.Env.Load = "2026-12-01T23:30:00-02:00", "fedcba9876543210+dirty", 3.2
	for _, f := range reports.Figures {
		c := figure(t, f.Name, append(rs, late))
		words := []string{"2026-11-24", "0123456789"}
		if f.Metric != "" {
			words = append(words, testDevice, "Test CPU 9000 (test-host)")
		}
		if f.Metric != "" && f.Metric != "op_time" { // operations are of no model
			words = append(words, "f32 weights: random, seed 1")
		}
		if f.Metric == "generation" {
			words = append(words, "2026-11-24 to 2026-12-02", "fedcba9876+dirty", "load of the machine before: up to 3.2")
		}
		for _, w := range words {
			if !strings.Contains(c.Caption, w) || !strings.Contains(c.Note, w) {
				t.Errorf("%s: %q is not in the caption %q and the note %q", f.Name, w, c.Caption, c.Note)
			}
		}
		if !strings.HasPrefix(c.Caption, f.Caption) || c.Title != f.Title {
			t.Errorf("%s: title %q, caption %q", f.Name, c.Title, c.Caption)
		}
	}
	unknown := generated(fourModels()[0], 8, 1)
	unknown[0].Env = results.Env{Load: -1}
	unknown[0].Subject.DType, unknown[0].Subject.Weights = "", ""
	c := figure(t, "fig5-latency", unknown)
	for _, w := range []string{"device not recorded", "dtype not recorded", "weights: not recorded", "date not recorded", "commit not recorded"} {
		if !strings.Contains(c.Caption, w) {
			t.Errorf("%q is not in %q", w, c.Caption)
		}
	}
}

// A figure is made of what is in the file, not of the order in which it is there.
func TestOrderDoesNotMatter(t *testing.T) {
	rs := sample(manyModels()[:5], 3)
	back := slices.Clone(rs)
	slices.Reverse(back)
	for _, f := range reports.Figures {
		if f.Name == "fig1-architectures" {
			continue // takes the first model of each family
		}
		a, err := json.Marshal(figure(t, f.Name, rs))
		if err != nil && !strings.Contains(err.Error(), "NaN") {
			t.Fatal(err)
		}
		b, _ := json.Marshal(figure(t, f.Name, back))
		if string(a) != string(b) {
			t.Errorf("%s depends on the order of results", f.Name)
		}
	}
}
