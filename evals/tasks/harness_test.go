package tasks

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"quadrant/internal/python"
)

// The wanted hashes are what Python's json and hashlib make of the same question.
func TestSample(t *testing.T) {
	d, err := readPIQA(record{fields: map[string]any{"goal": "gé", "sol1": "a", "sol2": `b "q"`, "label": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	answers := []Answer{{LogLikelihood: -2.5}, {LogLikelihood: -1e-5, Greedy: true}}
	marks, err := task(t, "piqa").Mark(d, answers)
	if err != nil {
		t.Fatal(err)
	}
	s, err := task(t, "piqa").Sample(7, d, answers, marks)
	if err != nil {
		t.Fatal(err)
	}
	line, err := python.JSON{}.Dumps(s)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"doc_id": 7, "doc": {"goal": "gé", "sol1": "a", "sol2": "b \"q\"", "label": 1}, "target": "1", ` +
		`"arguments": {"gen_args_0": {"arg_0": "Question: gé\nAnswer:", "arg_1": " a"}, "gen_args_1": {"arg_0": "Question: gé\nAnswer:", "arg_1": " b \"q\""}}, ` +
		`"resps": [[["-2.5", "False"]], [["-1e-05", "True"]]], "filtered_resps": [["-2.5", "False"], ["-1e-05", "True"]], "filter": "none", "metrics": ["acc", "acc_norm"], ` +
		`"doc_hash": "37e3b75b8471d9274f713d1a43ec799c047f8872321869cbc33e63c0a6ed3b7e", "prompt_hash": "27c2fd04f8e28635b20ab4ea9dbc8a1b2f10ad7cf00e46f55b4a794bc68bcfe5", ` +
		`"target_hash": "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b", "acc": 1.0, "acc_norm": 1.0}`
	if line != want {
		t.Errorf("the line is\n%s\nwant\n%s", line, want)
	}
}

// A whole text is one argument, whose hash is that of the prompt, and its answer is one number.
// The wanted hashes are what Python's hashlib makes of "one two" and of the document.
func TestSampleOfText(t *testing.T) {
	rolling := Task{Output: Rolling, Metrics: []Metric{WordPerplexity}}
	d := Doc{Fields: python.Object{{Name: "page", Value: "one two"}}, Requests: []Request{{Continuation: "one two"}}, Target: "one two"}
	answers := []Answer{{LogLikelihood: -6.5, Tokens: 7}}
	marks, err := rolling.Mark(d, answers)
	if err != nil {
		t.Fatal(err)
	}
	s, err := rolling.Sample(0, d, answers, marks)
	if err != nil {
		t.Fatal(err)
	}
	line, err := python.JSON{}.Dumps(s)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"doc_id": 0, "doc": {"page": "one two"}, "target": "one two", "arguments": {"gen_args_0": {"arg_0": "one two"}}, ` +
		`"resps": [["-6.5"]], "filtered_resps": ["-6.5"], "filter": "none", "metrics": ["word_perplexity"], ` +
		`"doc_hash": "2a162c45e155ce117e5586b41de765c74a0c240f2f20f53e470cdeb17aa6daa5", "prompt_hash": "8ab63e29a4ba14e4e1688f9c15e5af90895421358c945b0431f85d66977bd3d2", "target_hash": "8ab63e29a4ba14e4e1688f9c15e5af90895421358c945b0431f85d66977bd3d2", "word_perplexity": [-6.5, 2]}`
	if line != want {
		t.Errorf("the line is\n%s\nwant\n%s", line, want)
	}
}

func run(t *testing.T) Run {
	return Run{Model: "org/name", Start: time.Unix(10, 0), End: time.Unix(12, 5e8), Limit: 3, Tasks: []TaskRun{
		{Task: task(t, "hellaswag"), Records: 10042, Hash: "h", Scores: []Score{{Acc, 0.29237, 0.00454, 3}, {AccNorm, 0.33450, 0.00471, 3}}},
		{Task: task(t, "lambada_openai"), Shots: 2, Records: 5153, Scores: []Score{{Perplexity, 16.25, math.NaN(), 1}, {Acc, 0.5, 0.25, 1}}},
	}}
}

// The table is what the harness prints for the same scores.
func TestTable(t *testing.T) {
	const want = `|    Tasks     |Version|Filter|n-shot|  Metric  |   | Value |   |Stderr|
|--------------|------:|------|-----:|----------|---|------:|---|-----:|
|hellaswag     |      1|none  |     0|acc       |↑  | 0.2924|±  |0.0045|
|              |       |none  |     0|acc_norm  |↑  | 0.3345|±  |0.0047|
|lambada_openai|      1|none  |     2|perplexity|↓  |16.2500|±  |   N/A|
|              |       |none  |     2|acc       |↑  | 0.5000|±  |0.2500|
`
	if got := Table(run(t).Tasks); got != want {
		t.Errorf("the table is\n%swant\n%s", got, want)
	}
	chance := Baseline{"Chance", func(task string, m Metric) (float64, bool) { return 0.25, task == "hellaswag" && m == Acc }}
	if lines := strings.Split(Table(run(t).Tasks, chance), "\n"); !strings.HasSuffix(lines[2], "|0.2500|") || !strings.HasSuffix(lines[3], "|      |") {
		t.Errorf("with a baseline: %q", lines)
	}
}

func TestResults(t *testing.T) {
	text, err := python.JSON{Indent: 2}.Dumps(run(t).Results())
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Results map[string]map[string]any
		NShot   map[string]int             `json:"n-shot"`
		Samples map[string]map[string]int  `json:"n-samples"`
		Higher  map[string]map[string]bool `json:"higher_is_better"`
		Hashes  map[string]string          `json:"task_hashes"`
		Config  map[string]any
		Name    string `json:"model_name_sanitized"`
		Seconds string `json:"total_evaluation_time_seconds"`
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	if r.Results["hellaswag"]["acc_norm,none"] != 0.3345 || r.Results["lambada_openai"]["perplexity_stderr,none"] != "N/A" ||
		r.Results["hellaswag"]["alias"] != "hellaswag" || r.Results["hellaswag"]["sample_len"] != 3.0 ||
		!reflect.DeepEqual(r.NShot, map[string]int{"hellaswag": 0, "lambada_openai": 2}) ||
		r.Samples["hellaswag"]["original"] != 10042 || r.Samples["hellaswag"]["effective"] != 3 ||
		r.Higher["lambada_openai"]["perplexity"] || !r.Higher["lambada_openai"]["acc"] ||
		r.Hashes["hellaswag"] != "h" || r.Config["limit"] != 3.0 || r.Name != "org__name" || r.Seconds != "2.5" {
		t.Errorf("%s", text)
	}
	for model, want := range map[string]string{`a/b`: "a__b", `a"<>:/|\?*[]b`: "a__b", "tiny-mamba": "tiny-mamba"} {
		if got := Sanitize(model); got != want {
			t.Errorf("%s becomes %s, want %s", model, got, want)
		}
	}
	if got := Stamp(time.Date(2026, 1, 2, 3, 4, 5, 678_000, time.UTC)); got != "2026-01-02T03-04-05.000678" {
		t.Errorf("stamp %s", got)
	}
}

// Equally likely choices: the first counts in the harness, and shares count where a task
// says so. Lengths are characters.
func TestMark(t *testing.T) {
	k := Task{Name: "k", Output: MultipleChoice, Metrics: []Metric{Acc, AccNorm}}
	d := Doc{Requests: make([]Request, 4), Lengths: []int{1, 2, 4, 1}, Gold: 2}
	answers := []Answer{{LogLikelihood: -3}, {LogLikelihood: -2}, {LogLikelihood: -2}, {LogLikelihood: -3}}
	for fair, want := range map[bool][]Mark{false: {{Acc, 0, 0}, {AccNorm, 1, 0}}, true: {{Acc, 0.5, 0}, {AccNorm, 1, 0}}} {
		k.FairTies = fair
		if got, err := k.Mark(d, answers); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("fair %v: %v, %v; want %v", fair, got, err, want)
		}
	}
	if _, err := k.Mark(d, answers[:3]); err == nil {
		t.Error("3 answers to 4 requests are marked")
	}
	rolling := Task{Output: Rolling, Metrics: []Metric{WordPerplexity, BytePerplexity, BitsPerByte}}
	var marks [][]Mark
	for i, text := range []string{"one two", "é\n"} { // 2 and 2 words, as the harness counts, and 7 and 3 bytes
		m, err := rolling.Mark(Doc{Requests: []Request{{Continuation: text}}}, []Answer{{LogLikelihood: -float64(i + 1)}})
		if err != nil {
			t.Fatal(err)
		}
		marks = append(marks, m)
	}
	sample, err := rolling.Sample(0, Doc{Requests: make([]Request, 1)}, make([]Answer, 1), marks[0])
	if err != nil {
		t.Fatal(err)
	}
	if got, err := (python.JSON{}).Dumps(sample[len(sample)-3:]); err != nil || got != `{"word_perplexity": [-1.0, 2], "byte_perplexity": [-1.0, 7], "bits_per_byte": [-1.0, 7]}` {
		t.Errorf("a sample ends with %s, %v", got, err)
	}
	scores, err := Scores(rolling, marks, 100)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{math.Exp(3.0 / 4), math.Exp(3.0 / 10), 3.0 / 10 / math.Ln2} {
		if math.Abs(scores[i].Value-want) > 1e-15 || !math.IsNaN(scores[i].StdErr) {
			t.Errorf("%s is %v ± %v, want %v", scores[i].Metric, scores[i].Value, scores[i].StdErr, want)
		}
	}
}
