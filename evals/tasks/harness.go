package tasks

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"

	"quadrant/internal/python"
)

// This file writes what lm-evaluation-harness writes, with its keys, so that programs
// that read its results read ours.

// filter is the harness's name for answers taken as they are.
const filter = "none"

// Sample is the line of a document in the harness's samples file.
func (t Task) Sample(id int, d Doc, answers []Answer, marks []Mark) (python.Object, error) {
	doc, err := python.JSON{Indent: 2}.Dumps(d.Fields)
	if err != nil {
		return nil, err
	}
	var arguments python.Object
	var resps, filtered []any
	var metrics []string
	for i, r := range d.Requests {
		asked, said := t.exchange(r, answers[i])
		arguments = append(arguments, python.Field{Name: fmt.Sprintf("gen_args_%d", i), Value: asked})
		resps, filtered = append(resps, []any{said}), append(filtered, said)
	}
	for _, m := range marks {
		metrics = append(metrics, string(m.Metric))
	}
	o := python.Object{
		{Name: "doc_id", Value: id}, {Name: "doc", Value: d.Fields}, {Name: "target", Value: d.Target}, {Name: "arguments", Value: arguments},
		{Name: "resps", Value: resps}, {Name: "filtered_resps", Value: filtered}, {Name: "filter", Value: filter}, {Name: "metrics", Value: metrics},
		{Name: "doc_hash", Value: hash(doc)}, {Name: "prompt_hash", Value: hash(t.prompt(d.Requests[0]))}, {Name: "target_hash", Value: hash(d.Target)},
	}
	for _, m := range marks {
		var value any = m.Value
		if m.Weight > 0 { // a log-likelihood of so many words or bytes
			value = []any{m.Value, int(m.Weight)}
		}
		o = append(o, python.Field{Name: string(m.Metric), Value: value})
	}
	return o, nil
}

// exchange is a request and its answer as the harness writes them. That of a whole text has one
// argument, the text, and one number for an answer.
func (t Task) exchange(r Request, a Answer) (asked python.Object, said any) {
	asked = python.Object{{Name: "arg_0", Value: t.prompt(r)}}
	if t.Output == Rolling {
		return asked, python.Float(a.LogLikelihood)
	}
	greedy := map[bool]string{true: "True", false: "False"}[a.Greedy]
	return append(asked, python.Field{Name: "arg_1", Value: r.Continuation}), []string{python.Float(a.LogLikelihood), greedy}
}

// prompt is the harness's first argument of a request.
func (t Task) prompt(r Request) string {
	if t.Output == Rolling {
		return r.Continuation
	}
	return r.Context
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// HashSamples is the harness's hash of a task: of the hashes of its samples.
func HashSamples(samples []python.Object) string {
	var all strings.Builder
	for _, s := range samples {
		for _, name := range []string{"doc_hash", "prompt_hash", "target_hash"} {
			text, _ := s.Get(name).(string)
			all.WriteString(text)
		}
	}
	return hash(all.String())
}

// A TaskRun is what became of one task.
type TaskRun struct {
	Task    Task
	Shots   int // examples before each question
	Records int // of the data, of which Scores may be of the first
	Scores  []Score
	Hash    string // see HashSamples
}

// A Run is what the harness's results file holds.
type Run struct {
	Tasks       []TaskRun
	Model       string // as the user names it
	ModelArgs   string
	Parameters  int64
	DType       string
	Device      string
	Batch       int
	Limit       int // 0 is none
	Bootstrap   int
	Window      int
	Commit      string
	Start, End  time.Time
	Environment string
}

// Results is the harness's results file.
func (r Run) Results() python.Object {
	of := func(value func(TaskRun) any) (o python.Object) {
		for _, t := range r.Tasks {
			o = append(o, python.Field{Name: t.Task.Name, Value: value(t)})
		}
		return o
	}
	var limit any
	if r.Limit > 0 {
		limit = float64(r.Limit)
	}
	return python.Object{
		{Name: "results", Value: of(func(t TaskRun) any { return t.results() })},
		{Name: "group_subtasks", Value: of(func(TaskRun) any { return []string{} })},
		{Name: "configs", Value: of(func(t TaskRun) any { return t.config() })},
		{Name: "versions", Value: of(func(t TaskRun) any { return t.Task.Version })},
		{Name: "n-shot", Value: of(func(t TaskRun) any { return t.Shots })},
		{Name: "higher_is_better", Value: of(func(t TaskRun) any {
			var o python.Object
			for _, m := range t.Task.Metrics {
				o = append(o, python.Field{Name: string(m), Value: m.HigherIsBetter()})
			}
			return o
		})},
		{Name: "n-samples", Value: of(func(t TaskRun) any {
			return python.Object{{Name: "original", Value: t.Records}, {Name: "effective", Value: t.Scores[0].N}}
		})},
		{Name: "config", Value: python.Object{
			{Name: "model", Value: "quadrant"}, {Name: "model_args", Value: r.ModelArgs}, {Name: "model_num_parameters", Value: r.Parameters},
			{Name: "model_dtype", Value: r.DType}, {Name: "batch_size", Value: r.Batch}, {Name: "batch_sizes", Value: []string{}},
			{Name: "device", Value: r.Device}, {Name: "use_cache", Value: nil}, {Name: "limit", Value: limit}, {Name: "bootstrap_iters", Value: r.Bootstrap},
			{Name: "gen_kwargs", Value: nil}, {Name: "random_seed", Value: 0}, {Name: "numpy_seed", Value: 1234}, {Name: "torch_seed", Value: 1234},
			{Name: "fewshot_seed", Value: fewShotSeed},
		}},
		{Name: "git_hash", Value: r.Commit},
		{Name: "date", Value: float64(r.Start.UnixMicro()) / 1e6},
		{Name: "pretty_env_info", Value: r.Environment},
		{Name: "max_length", Value: r.Window},
		{Name: "task_hashes", Value: of(func(t TaskRun) any { return t.Hash })},
		{Name: "model_source", Value: "quadrant"},
		{Name: "model_name", Value: r.Model},
		{Name: "model_name_sanitized", Value: Sanitize(r.Model)},
		{Name: "system_instruction", Value: nil}, {Name: "system_instruction_sha", Value: nil}, {Name: "fewshot_as_multiturn", Value: false},
		{Name: "chat_template", Value: nil}, {Name: "chat_template_sha", Value: nil},
		{Name: "start_time", Value: float64(r.Start.UnixMicro()) / 1e6}, {Name: "end_time", Value: float64(r.End.UnixMicro()) / 1e6},
		{Name: "total_evaluation_time_seconds", Value: python.Float(r.End.Sub(r.Start).Seconds())},
	}
}

func (t TaskRun) results() python.Object {
	o := python.Object{{Name: "alias", Value: t.Task.Name}, {Name: "name", Value: t.Task.Name}, {Name: "sample_len", Value: t.Scores[0].N}}
	for _, s := range t.Scores {
		var stderr any = s.StdErr
		if math.IsNaN(s.StdErr) {
			stderr = "N/A"
		}
		o = append(o, python.Field{Name: string(s.Metric) + "," + filter, Value: s.Value}, python.Field{Name: string(s.Metric) + "_stderr," + filter, Value: stderr})
	}
	return o
}

func (t TaskRun) config() python.Object {
	k := t.Task
	o := python.Object{{Name: "task", Value: k.Name}, {Name: "dataset_path", Value: k.DatasetPath}}
	add := func(name, value string) {
		if value != "" {
			o = append(o, python.Field{Name: name, Value: value})
		}
	}
	add("dataset_name", k.DatasetName)
	if k.Eval.name == "validation" {
		add("training_split", "train")
	}
	add(map[bool]string{true: "validation_split", false: "test_split"}[k.NoTestSplit], k.Eval.name)
	add("doc_to_text", k.DocToText)
	add("doc_to_target", k.DocToTarget)
	add("doc_to_choice", k.DocToChoice)
	var metrics []python.Object
	for _, m := range k.Metrics {
		metrics = append(metrics, python.Object{{Name: "metric", Value: string(m)}, {Name: "aggregation", Value: m.Aggregation()}, {Name: "higher_is_better", Value: m.HigherIsBetter()}})
	}
	return append(o,
		python.Field{Name: "description", Value: k.Description}, python.Field{Name: "target_delimiter", Value: targetDelimiter}, python.Field{Name: "fewshot_delimiter", Value: fewshotDelimiter},
		python.Field{Name: "num_fewshot", Value: t.Shots}, python.Field{Name: "metric_list", Value: metrics}, python.Field{Name: "output_type", Value: string(k.Output)},
		python.Field{Name: "repeats", Value: 1}, python.Field{Name: "should_decontaminate", Value: false},
		python.Field{Name: "metadata", Value: python.Object{{Name: "version", Value: k.Version}}})
}

var unsafe = regexp.MustCompile(`["<>:/|\\?*\[\]]+`)

// Sanitize makes a file's name of a model's, as the harness does.
func Sanitize(model string) string { return unsafe.ReplaceAllString(model, "__") }

// Stamp is a time as the harness puts it into names of files.
func Stamp(t time.Time) string {
	return strings.ReplaceAll(t.Format("2006-01-02T15:04:05.000000"), ":", "-")
}
