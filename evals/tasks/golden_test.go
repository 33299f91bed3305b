package tasks

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quadrant/internal/python"
)

// data lies beside the checkout. What is not there is skipped.
const data = "../../../shared/data"

// load reads a published task, or skips the test.
func load(t *testing.T, name string) Set {
	t.Helper()
	task, ok := Named(name)
	if !ok {
		t.Fatalf("no task is called %s", name)
	}
	set, err := Read(task, data)
	if errors.Is(err, ErrNoData) {
		t.Skipf("no data: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// golden reads one of the harness's own test files, or skips the test.
func golden(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(data, "lm_eval_golden", name))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("no golden file: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// The requests of every task whose data are at hand have the hash that the harness's
// tests have, and the table here has the same.
func TestRequestsAreTheHarness(t *testing.T) {
	for _, task := range Published {
		t.Run(task.Name, func(t *testing.T) {
			t.Parallel()
			set := load(t, task.Name)
			got, err := RequestsSHA256(task, set.Docs)
			if err != nil || got != task.SHA256 || len(set.Docs) != task.Records {
				t.Errorf("%d records with requests %s, %v; want %d with %s", len(set.Docs), got, err, task.Records, task.SHA256)
			}
		})
	}
	for _, task := range Published {
		if task.Name != "arc_easy" {
			if want := strings.TrimSpace(string(golden(t, task.Name+"-v0-loglikelihood"))); want != task.SHA256 {
				t.Errorf("%s is known by %s, the harness has %s", task.Name, task.SHA256, want)
			}
		}
	}
}

// Under the model that the harness's tests use, whose log-likelihoods are random numbers,
// all its scores come out to the last digit. That model answers requests in shuffled
// order, the two of a lambada passage apart.
func TestScoresAreTheHarness(t *testing.T) {
	for _, task := range Published {
		t.Run(task.Name, func(t *testing.T) {
			t.Parallel()
			set := load(t, task.Name)
			var want struct {
				Results map[string]map[string]float64
			}
			if err := json.Unmarshal(golden(t, task.Name+"-v0-res.json"), &want); err != nil {
				t.Fatal(err)
			}
			r := python.NewRandom(42)
			var marks [][]Mark
			for _, d := range shuffled(set.Docs) {
				var answers []Answer
				for range d.Requests {
					answers = append(answers, Answer{LogLikelihood: -r.Random()})
					if task.Output == LogLikelihood {
						r.Random()
					}
				}
				m, err := task.Mark(d, answers)
				if err != nil {
					t.Fatal(err)
				}
				marks = append(marks, m)
			}
			scores, err := Scores(task, marks, 10)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range scores {
				name := strings.Replace(string(s.Metric), "perplexity", "ppl", 1)
				value, ok := want.Results[task.Name][name]
				stderr := want.Results[task.Name][name+"_stderr"]
				if !ok || s.Value != value || math.Abs(s.StdErr-stderr) > 5e-17 {
					t.Errorf("%s is %v ± %v, want %v ± %v", name, s.Value, s.StdErr, value, stderr)
				}
			}
		})
	}
}
