package compare

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A line as the harness writes it (fields that matter here, and some that do not).
func line(doc int, question string, metrics string) string {
	return fmt.Sprintf(`{"doc_id": %d, "doc": {"q": "%s"}, "target": "0", "arguments": {"gen_args_0": {"arg_0": "x", "arg_1": " y"}}, `+
		`"resps": [[["-1.5", "True"]]], "filtered_resps": [["-1.5", "True"]], "filter": "none", "doc_hash": "%s", "prompt_hash": "p%s", "target_hash": "t", %s}`,
		doc, question, question, question, metrics)
}

func write(t *testing.T, dir, name string, lines ...string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func compared(t *testing.T, a, b string) []Comparison {
	t.Helper()
	cs, err := Compare(open(t, a), open(t, b), 1)
	if err != nil {
		t.Fatal(err)
	}
	return cs
}

func open(t *testing.T, path string) []Run {
	t.Helper()
	runs, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return runs
}

// Twelve questions, of which A alone has one right and B alone nine.
func TestProportion(t *testing.T) {
	var a, b []string
	for i := range 12 {
		ra, rb := i == 0 || i == 11, i > 0 && i < 10 || i == 11
		q := fmt.Sprint("q", i)
		a = append(a, line(i, q, fmt.Sprintf(`"metrics": ["acc"], "acc": %v`, map[bool]string{true: "1.0", false: "0.0"}[ra])))
		b = append(b, line(i, q, fmt.Sprintf(`"metrics": ["acc"], "acc": %v`, rb)))
	}
	slices.Reverse(b) // lines may stand in any order
	dir := t.TempDir()
	cs := compared(t, write(t, dir, "samples_piqa_2026-01-02T03-04-05.678.jsonl", a...), write(t, dir, "b.jsonl", b...))
	if len(cs) != 1 {
		t.Fatalf("%d comparisons", len(cs))
	}
	c := cs[0]
	if c.Task != "piqa" || c.Metric != "acc" || c.Kind != Proportion || c.N != 12 || c.OnlyA != 1 || c.OnlyB != 9 {
		t.Errorf("%+v", c)
	}
	// By hand: p = 2(1+10)/1024; d is nine times 1, once −1, twice 0.
	mean := 8. / 12
	se := math.Sqrt((10-12*mean*mean)/11) / math.Sqrt(12)
	for what, pair := range map[string][2]float64{
		"A": {c.A, 2. / 12}, "B": {c.B, 10. / 12}, "difference": {c.Difference, mean}, "p": {c.P, 22. / 1024},
		"detectable": {c.Detectable, 2.8015852182 * se},
	} {
		if math.Abs(pair[0]-pair[1]) > 1e-9 {
			t.Errorf("%s is %v, want %v", what, pair[0], pair[1])
		}
	}
	if c.Verdict != BBetter || c.Interval.Lo <= 0 || c.Interval.Hi > 1 || c.Interval.Lo > mean {
		t.Errorf("%+v", c)
	}
}

func TestVerdicts(t *testing.T) {
	metric := func(name string, values ...float64) (lines []string) {
		for i, v := range values {
			lines = append(lines, line(i, fmt.Sprint(i), fmt.Sprintf(`"%s": %v`, name, v)))
		}
		return lines
	}
	many := func(values ...float64) []float64 { return slices.Repeat(values, 10) }
	for _, c := range []struct {
		name string
		a, b []float64
		want Verdict
		kind Kind
	}{
		{"acc", []float64{1, 0, 1, 0}, []float64{1, 0, 1, 0}, Same, Proportion},
		{"acc", []float64{1, 0, 1, 0}, []float64{0, 1, 1, 0}, NotSeen, Proportion},
		{"acc", []float64{0, 0, 0, 0, 0}, []float64{1, 1, 1, 1, 1}, NotSeen, Proportion}, // p is 0.0625
		{"acc", []float64{1, 1, 1, 1, 1, 1}, []float64{0, 0, 0, 0, 0, 0}, ABetter, Proportion},
		{"f1", []float64{0.1, 0.2, 0.3}, []float64{0.2, 0.4, 0.4}, TooFew, Mean},
		{"f1", many(0.1, 0.2, 0.3), many(0.2, 0.4, 0.4), BBetter, Mean},
		{"ter", many(0.1, 0.2, 0.3), many(0.2, 0.4, 0.4), ABetter, Mean},
		{"perplexity", many(-3, -2, -4), many(-1, -1, -1), BBetter, Likelihood},
		{"perplexity", many(-3, -2, -4), many(-4, -1, -4), NotSeen, Likelihood},
	} {
		dir := t.TempDir()
		cs := compared(t, write(t, dir, "a.jsonl", metric(c.name, c.a...)...), write(t, dir, "b.jsonl", metric(c.name, c.b...)...))
		if len(cs) != 1 || cs[0].Verdict != c.want || cs[0].Kind != c.kind {
			t.Errorf("%s %v and %v: %+v, want %q", c.name, c.a, c.b, cs, c.want)
		}
	}
}

// Perplexities of documents and of words, by hand.
func TestLikelihood(t *testing.T) {
	dir := t.TempDir()
	a := write(t, dir, "a.jsonl",
		line(0, "x", `"perplexity": -2, "word_perplexity": [-30, 10], "bits_per_byte": [-30, 40]`),
		line(1, "y", `"perplexity": -4, "word_perplexity": [-60, 20], "bits_per_byte": [-60, 80]`))
	b := write(t, dir, "b.jsonl",
		line(0, "x", `"perplexity": -1, "word_perplexity": [-20, 10], "bits_per_byte": [-20, 40]`),
		line(1, "y", `"perplexity": -2, "word_perplexity": [-40, 20], "bits_per_byte": [-40, 80]`))
	for _, c := range compared(t, a, b) {
		want := map[string][3]float64{
			"perplexity":      {math.Exp(3), math.Exp(1.5), 1.5},
			"word_perplexity": {math.Exp(3), math.Exp(2), 1},
			"bits_per_byte":   {0.75 / math.Ln2, 0.5 / math.Ln2, 0.25},
		}[c.Metric]
		for i, got := range []float64{c.A, c.B, c.Difference} {
			if math.Abs(got-want[i]) > 1e-12*want[i] {
				t.Errorf("%s: %v, want %v", c.Metric, got, want[i])
			}
		}
		if c.Interval.Lo > c.Difference || c.Interval.Hi < c.Difference || c.Verdict != TooFew {
			t.Errorf("%+v", c)
		}
	}
}

// The newest file of each task is read, wherever below the folder; tasks that one side
// lacks are told.
func TestFolders(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	write(t, a, "org__model/samples_arc_easy_2026-01-02T03-04-05.jsonl", line(0, "old", `"acc": 0`))
	write(t, a, "org__model/samples_arc_easy_2026-01-03T03-04-05.jsonl", line(0, "x", `"acc": 1`))
	write(t, a, "org__model/samples_piqa_2026-01-03T03-04-05.jsonl", line(0, "x", `"acc": 1`))
	write(t, a, "org__model/results_2026-01-03T03-04-05.json", "{}")
	write(t, b, "samples_arc_easy_2026-01-01T03-04-05.jsonl", line(0, "x", `"acc": 1`))
	ra, rb := open(t, a), open(t, b)
	if cs := compared(t, a, b); len(cs) != 1 || cs[0].Task != "arc_easy" || cs[0].Verdict != Same {
		t.Errorf("%+v", cs)
	}
	if got := Missing(ra, rb); !slices.Equal(got, []string{"piqa"}) {
		t.Errorf("missing %v", got)
	}
	write(t, a, "other/samples_piqa_2026-01-03T03-04-05.jsonl", line(0, "x", `"acc": 1`))
	if _, err := Open(a); err == nil || !strings.Contains(err.Error(), "samples of several models") {
		t.Errorf("error %v", err)
	}
}

func TestRefusals(t *testing.T) {
	good := []string{line(0, "x", `"acc": 1`), line(1, "y", `"acc": 0`)}
	for want, lines := range map[string][]string{
		"first at doc_id 1: doc_hash is y in":      {good[0], line(1, "z", `"acc": 1`)},
		"doc_id 2 is in":                           {good[0], good[1], line(2, "z", `"acc": 1`)},
		"doc_id 1 is in":                           {good[0]},
		"no task and metric in common":             {line(0, "x", `"f1": 1`), line(1, "y", `"f1": 0`)},
		"2: doc_id 0 is there twice":               {good[0], good[0]},
		"1: doc_id is missing":                     {`{"acc": 1}`},
		"1: unexpected end of JSON":                {`{"doc_id": 1`},
		"1: no samples":                            {""},
		"doc_id 0 has no hash in both":             {`{"doc_id": 0, "acc": 1}`, good[1]},
		"cannot unmarshal string into Go struct":   {`{"doc_id": "zero"}`},
		"2: invalid character 'a' looking for beg": {good[0], "abc"},
	} {
		dir := t.TempDir()
		a := write(t, dir, "a.jsonl", good...)
		b, err := Open(write(t, dir, "b.jsonl", lines...))
		if err == nil {
			_, err = Compare(open(t, a), b, 1)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	for _, path := range []string{"nowhere", t.TempDir()} {
		if _, err := Open(path); err == nil {
			t.Errorf("%s opens", path)
		}
	}
}

// What is no number is left out and told, and the rest compared.
func TestSkipped(t *testing.T) {
	dir := t.TempDir()
	a := write(t, dir, "a.jsonl", line(0, "x", `"acc": 1, "mcc": [1, 0], "bypass": "text", "late": 1, "bits_per_byte": -3`), line(1, "y", `"acc": 0, "mcc": [0, 0], "bypass": null, "bits_per_byte": [-3, 9]`))
	runs := open(t, a)
	want := []string{"bits_per_byte: doc_id 0: -3 is no log-likelihood with a number of words or bytes", `bypass: doc_id 0: "text" is no number`, "late: doc_id 1 has none", "mcc: doc_id 0: [1, 0] is no number"}
	if !slices.Equal(runs[0].Skipped, want) {
		t.Errorf("skipped %q", runs[0].Skipped)
	}
	if cs := compared(t, a, a); len(cs) != 1 || cs[0].Metric != "acc" {
		t.Errorf("%+v", cs)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(line(0, "x", `"metrics": ["acc"], "acc": 1`) + "\n" + line(1, "y", `"acc": [1,2]`))
	f.Add(`{"doc_id": 0, "doc_hash": 7}`)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := read(strings.NewReader(text))
		if err != nil {
			return
		}
		cs, err := compareRuns(r, r, 1)
		if err != nil {
			return
		}
		for _, c := range cs {
			if c.Verdict != Same || c.N == 0 {
				t.Errorf("a run compared with itself: %+v", c)
			}
		}
	})
}
