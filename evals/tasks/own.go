package tasks

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// An Own is a task that a user wrote in YAML, with the harness's field names.
type Own struct {
	Task  Task
	Shots int // num_fewshot

	file           string
	eval, examples []string // data files
	ownDoc
}

// ownFile is the YAML: the harness's fields, of which some say nothing here.
type ownFile struct {
	Task        string `yaml:"task"`
	Tag         any    `yaml:"tag"`
	Group       any    `yaml:"group"`
	DatasetPath string `yaml:"dataset_path"`
	DatasetName any    `yaml:"dataset_name"`
	Kwargs      struct {
		DataFiles any `yaml:"data_files"`
	} `yaml:"dataset_kwargs"`
	TrainingSplit   string  `yaml:"training_split"`
	ValidationSplit string  `yaml:"validation_split"`
	TestSplit       string  `yaml:"test_split"`
	FewshotSplit    string  `yaml:"fewshot_split"`
	OutputType      string  `yaml:"output_type"`
	Description     string  `yaml:"description"`
	DocToText       string  `yaml:"doc_to_text"`
	DocToTarget     any     `yaml:"doc_to_target"`
	DocToChoice     any     `yaml:"doc_to_choice"`
	TargetDelimiter *string `yaml:"target_delimiter"`
	FewshotDelim    *string `yaml:"fewshot_delimiter"`
	NumFewshot      int     `yaml:"num_fewshot"`
	Metrics         []struct {
		Metric         string `yaml:"metric"`
		Aggregation    string `yaml:"aggregation"`
		HigherIsBetter any    `yaml:"higher_is_better"`
	} `yaml:"metric_list"`
	ShouldDecontaminate any `yaml:"should_decontaminate"`
	Decontamination     any `yaml:"doc_to_decontamination_query"`
	Metadata            struct {
		Version float64 `yaml:"version"`
	} `yaml:"metadata"`
}

// OpenOwn reads a task's file. Errors name the file, the line and the field.
func OpenOwn(file string) (Own, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return Own{}, err
	}
	return parseOwn(file, text)
}

func parseOwn(file string, text []byte) (Own, error) {
	f, err := decodeOwn(text)
	if err != nil {
		return Own{}, fmt.Errorf("%s:%s", file, yamlError(err))
	}
	o := Own{file: file, Shots: f.NumFewshot}
	fail := func(name, format string, args ...any) (Own, error) {
		return Own{}, fmt.Errorf("%s:%d: %s: %s", file, lineOf(text, name), name, fmt.Sprintf(format, args...))
	}
	switch {
	case f.Task == "" || unsafe.MatchString(f.Task):
		return fail("task", "%q is no name of a task", f.Task)
	case f.OutputType != string(MultipleChoice) && f.OutputType != string(LogLikelihood):
		return fail("output_type", "%q: want %s or %s", f.OutputType, MultipleChoice, LogLikelihood)
	case f.NumFewshot < 0:
		return fail("num_fewshot", "%d: want 0 or more", f.NumFewshot)
	}
	o.output = Output(f.OutputType)
	o.targetDelim, o.exampleDelim = orDefault(f.TargetDelimiter, targetDelimiter), orDefault(f.FewshotDelim, fewshotDelimiter)
	if o.text, err = parseField(f.DocToText); err != nil {
		return fail("doc_to_text", "%v", err)
	}
	if o.target, err = parseField(f.DocToTarget); err != nil {
		return fail("doc_to_target", "%v", err)
	}
	if o.choices, o.list, err = parseChoices(f.DocToChoice, o.output); err != nil {
		return fail("doc_to_choice", "%v", err)
	}
	o.Task = Task{
		Name: f.Task, Version: f.Metadata.Version, Output: o.output, DatasetPath: f.DatasetPath, Description: f.Description,
		NoTestSplit: f.TestSplit == "", ExtraExample: f.FewshotSplit == f.TestSplit, DocToText: f.DocToText, DocToTarget: fmt.Sprint(f.DocToTarget), DocToChoice: fmt.Sprint(f.DocToChoice),
	}
	for _, m := range f.Metrics {
		known := []Metric{Acc, AccNorm}
		if o.output == LogLikelihood {
			known = []Metric{Perplexity, Acc}
		}
		if !slices.Contains(known, Metric(m.Metric)) {
			return fail("metric_list", "metric %q: want some of %v for %s", m.Metric, known, o.output)
		}
		o.Task.Metrics = append(o.Task.Metrics, Metric(m.Metric))
	}
	if len(o.Task.Metrics) == 0 {
		return fail("metric_list", "is missing: want a list of {metric: acc}")
	}
	evalSplit := f.TestSplit
	if evalSplit == "" {
		evalSplit = f.ValidationSplit
	}
	exampleSplit := f.FewshotSplit
	for _, s := range []string{f.TrainingSplit, f.ValidationSplit, f.TestSplit} {
		if exampleSplit == "" {
			exampleSplit = s
		}
	}
	o.Task.Eval.name, o.Task.Examples.name = evalSplit, exampleSplit
	if o.eval, err = dataFiles(file, f.Kwargs.DataFiles, evalSplit); err != nil {
		return fail("data_files", "%v", err)
	}
	if exampleSplit != "" {
		o.examples, _ = dataFiles(file, f.Kwargs.DataFiles, exampleSplit)
	}
	o.Task.read = o.doc
	return o, nil
}

// decodeOwn reads the YAML. The library panics on some files that are none.
func decodeOwn(text []byte) (f ownFile, err error) {
	defer func() {
		if caught := recover(); caught != nil {
			err = fmt.Errorf("not YAML: %v", caught)
		}
	}()
	err = yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&f)
	return f, err
}

func orDefault(s *string, otherwise string) string {
	if s == nil {
		return otherwise
	}
	return *s
}

var yamlPlace = regexp.MustCompile(`^\[(\d+):\d+\] ([^\n]*)`)

// yamlError puts the line before what the library says, without its picture of the file.
func yamlError(err error) string {
	if m := yamlPlace.FindStringSubmatch(err.Error()); m != nil {
		return m[1] + ": " + m[2]
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return " " + line
}

// lineOf is the line on which a field begins, 1 where there is none.
func lineOf(text []byte, name string) int {
	n := 0
	for line := range bytes.Lines(text) {
		n++
		if rest, ok := bytes.CutPrefix(bytes.TrimLeft(line, " -"), []byte(name)); ok && bytes.HasPrefix(rest, []byte(":")) {
			return n
		}
	}
	return 1
}

// dataFiles are the files of a split: data_files is a file or list of them, or has one for
// each split. They lie beside the task's file.
func dataFiles(file string, v any, split string) ([]string, error) {
	if m, ok := v.(map[string]any); ok {
		if v, ok = m[split]; !ok {
			return nil, fmt.Errorf("the split %q has no file", split)
		}
	} else if split == "" {
		return nil, errors.New("no split is named: test_split or validation_split says which part holds the questions")
	}
	var names []string
	switch v := v.(type) {
	case string:
		names = []string{v}
	case []any:
		for _, n := range v {
			names = append(names, fmt.Sprint(n))
		}
	}
	if len(names) == 0 {
		return nil, errors.New("is missing: dataset_kwargs: {data_files: {test: questions.jsonl}} names the data")
	}
	for i, n := range names {
		if !filepath.IsAbs(n) {
			names[i] = filepath.Join(filepath.Dir(file), n)
		}
	}
	return names, nil
}

// Read reads the task's questions.
func (o Own) Read() (Set, error) { return o.readFiles(o.eval) }

// ReadExamples reads what few-shot examples are drawn from.
func (o Own) ReadExamples() (Set, error) {
	if len(o.examples) == 0 {
		return Set{}, fmt.Errorf("%s: %w for examples: training_split or fewshot_split names a split with a file", o.file, ErrNoData)
	}
	return o.readFiles(o.examples)
}

func (o Own) readFiles(files []string) (Set, error) {
	set := Set{Task: o.Task, Files: files}
	for _, file := range files {
		if err := readFile(file, set.take); err != nil {
			return Set{}, fmt.Errorf("%s: %w", o.Task.Name, err)
		}
	}
	if len(set.Docs) == 0 {
		return Set{}, fmt.Errorf("%s: %s %w", o.Task.Name, files[0], errEmpty)
	}
	return set, nil
}
