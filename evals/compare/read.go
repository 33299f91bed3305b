// Package compare sets the answers of two models to the same questions against each
// other, question by question, and says what the difference is worth.
//
// It reads samples files of EleutherAI's lm-evaluation-harness (--log_samples), which
// 'quadrant eval' writes too: a JSON object per line and question.
package compare

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A Run is a model's answers to the questions of a task.
type Run struct {
	Task, Path string
	Skipped    []string // metrics that cannot be compared, with the reason
	samples    map[key]sample
	metrics    []string // that every sample has
}

// A key names a question: its number, and how answers were read where that was done in
// several ways.
type key struct {
	doc    int
	filter string
}

func (k key) String() string {
	if k.filter == "none" {
		return fmt.Sprintf("doc_id %d", k.doc)
	}
	return fmt.Sprintf("doc_id %d (filter %s)", k.doc, k.filter)
}

// A sample is a line: what was asked, by its hashes, and what each metric gave.
type sample struct {
	hashes [len(hashFields)]string // "" where the file has none
	values map[string]value
}

// hashFields say what a question was. Files of old versions of the harness lack some.
var hashFields = [...]string{"doc_hash", "prompt_hash", "target_hash"}

// A value is what a metric gave for a question: x alone, or x of w, such as a
// log-likelihood of so many words.
type value struct {
	x, w     float64
	weighted bool
}

// samplesName is how the harness calls its files.
var samplesName = regexp.MustCompile(`^samples_(.+)_(\d{4}-\d\d-\d\dT.*)\.jsonl$`)

// Open reads the samples file at path, or those in the folder at path and below it: the
// latest of each task. A folder with the files of several models in it is an error.
func Open(path string) ([]Run, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("compare: %w", err)
	}
	if !info.IsDir() {
		task := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		if m := samplesName.FindStringSubmatch(filepath.Base(path)); m != nil {
			task = m[1]
		}
		r, err := readFile(task, path)
		return []Run{r}, err
	}
	latest, err := find(path)
	if err != nil {
		return nil, err
	}
	var runs []Run
	for _, task := range slices.Sorted(maps.Keys(latest)) {
		r, err := readFile(task, latest[task])
		if err != nil {
			return nil, err
		}
		runs = append(runs, r)
	}
	return runs, nil
}

// find returns the newest samples file of each task below dir.
func find(dir string) (map[string]string, error) {
	latest := make(map[string]string)
	folder := ""
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		m := samplesName.FindStringSubmatch(d.Name())
		if err != nil || d.IsDir() || m == nil {
			return err
		}
		at := filepath.Dir(path)
		if folder != "" && at != folder {
			return fmt.Errorf("%s has samples of several models, in %s and %s: name one of these folders", dir, folder, at)
		}
		folder = at
		if old, ok := latest[m[1]]; !ok || filepath.Base(path) > filepath.Base(old) { // times sort as text
			latest[m[1]] = path
		}
		return nil
	})
	if err == nil && len(latest) == 0 {
		err = fmt.Errorf("%s holds no samples_TASK_TIME.jsonl: run the harness with --log_samples, or 'quadrant eval'", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("compare: %w", err)
	}
	return latest, nil
}

func readFile(task, path string) (Run, error) {
	f, err := os.Open(path)
	if err != nil {
		return Run{}, fmt.Errorf("compare: %w", err)
	}
	defer f.Close()
	r, err := read(f)
	if err != nil {
		return Run{}, fmt.Errorf("compare: %s:%w", path, err)
	}
	r.Task, r.Path = task, path
	return r, nil
}

// maxLine is the bytes of the longest line that is read: a question with its answers.
const maxLine = 64 << 20

// read reads a samples file. An error begins with the line's number.
func read(r io.Reader) (Run, error) {
	run := Run{samples: make(map[key]sample)}
	skipped := make(map[string]string)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	n := 1
	for ; lines.Scan(); n++ {
		if len(strings.TrimSpace(lines.Text())) == 0 {
			continue
		}
		k, s, err := parse(lines.Bytes(), skipped)
		if err != nil {
			return run, fmt.Errorf("%d: %w", n, err)
		}
		if _, twice := run.samples[k]; twice {
			return run, fmt.Errorf("%d: %v is there twice", n, k)
		}
		names := slices.Sorted(maps.Keys(s.values))
		if len(run.samples) == 0 {
			run.metrics = names
		}
		run.metrics = slices.DeleteFunc(run.metrics, func(name string) bool {
			if !slices.Contains(names, name) && skipped[name] == "" {
				skipped[name] = fmt.Sprintf("%v has none", k)
			}
			return !slices.Contains(names, name)
		})
		run.samples[k] = s
	}
	if err := lines.Err(); err != nil {
		return run, fmt.Errorf("%d: %w", n, err)
	}
	if len(run.samples) == 0 {
		return run, errors.New("1: no samples")
	}
	for _, name := range slices.Sorted(maps.Keys(skipped)) {
		run.Skipped = append(run.Skipped, name+": "+skipped[name])
	}
	return run, nil
}

// about are the fields of a sample that are no metrics.
var about = []string{
	"doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash", "prompt_hash", "target_hash",
}

// parse reads a line. Why a metric has no value that can be compared goes to skipped.
func parse(line []byte, skipped map[string]string) (k key, s sample, err error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		return k, s, err
	}
	var head struct {
		Doc     *int     `json:"doc_id"`
		Filter  string   `json:"filter"`
		Metrics []string `json:"metrics"`
	}
	if err := json.Unmarshal(line, &head); err != nil {
		return k, s, err
	}
	if head.Doc == nil {
		return k, s, errors.New("doc_id is missing: this is no sample of the harness")
	}
	k = key{*head.Doc, cmp.Or(head.Filter, "none")}
	for i, name := range hashFields {
		if raw, ok := fields[name]; ok {
			if err := json.Unmarshal(raw, &s.hashes[i]); err != nil {
				return k, s, fmt.Errorf("%v: %s: %w", k, name, err)
			}
		}
	}
	names := head.Metrics
	if names == nil { // files of old versions do not list them
		for name := range fields {
			if !slices.Contains(about, name) {
				names = append(names, name)
			}
		}
	}
	s.values = make(map[string]value, len(names))
	for _, name := range names {
		v, err := parseValue(name, fields[name])
		if err == nil {
			s.values[name] = v
		} else if skipped[name] == "" {
			skipped[name] = fmt.Sprintf("%v: %v", k, err)
		}
	}
	return k, s, nil
}

// parseValue reads a number or a truth value, or a log-likelihood and what it is of.
func parseValue(metric string, raw json.RawMessage) (v value, err error) {
	if likelihoods[metric].weighted {
		var pair []float64
		if err := json.Unmarshal(raw, &pair); err != nil || len(pair) != 2 || !(pair[1] > 0) {
			return v, fmt.Errorf("%.40s is no log-likelihood with a number of words or bytes", raw)
		}
		return value{pair[0], pair[1], true}, nil
	}
	switch text := strings.TrimSpace(string(raw)); text {
	case "true":
		return value{x: 1}, nil
	case "false":
		return v, nil
	case "", "null":
		return v, errors.New("has no value")
	}
	if err := json.Unmarshal(raw, &v.x); err != nil {
		return v, fmt.Errorf("%.40s is no number", raw)
	}
	return v, nil
}
