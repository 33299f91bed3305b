package results_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"quadrant/results"
)

func result(model string, run int, values ...float64) results.Result {
	layer := 3
	return results.Result{
		Schema: results.Schema, Metric: "generation", Values: values,
		Env:     results.Env{Device: "cpu/go", Threads: 2, Load: -1},
		Subject: results.Subject{Model: model, Outline: []results.Group{{Repeat: 2, Layers: []results.Layer{{Sequence: &results.Block{Kind: "mamba"}}}}}},
		Point:   results.Point{Prompt: 4, Gen: 8, Run: run, Layer: &layer},
	}
}

// What is written is read back, also after the file was closed and opened again.
func TestRoundTrip(t *testing.T) {
	name := filepath.Join(t.TempDir(), "r.jsonl")
	want := []results.Result{result("a", 1, 0.5), result("a", 2, 0.25, 1e-9), result("b", 1, 3)}
	for i, r := range want {
		w, have, cut, err := results.Append(name)
		if err != nil || cut != nil {
			t.Fatal(err, cut)
		}
		if !reflect.DeepEqual(have, append([]results.Result(nil), want[:i]...)) {
			t.Errorf("have %v, want %v", have, want[:i])
		}
		if err := errors.Join(w.Write(r), w.Close()); err != nil {
			t.Fatal(err)
		}
	}
	got, err := results.ReadFile(name)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %v, %v; want %v", got, err, want)
	}
}

// Wherever a file is cut, whole lines are kept, the rest is reported with its line, and
// appending goes on after it.
func TestCutAnywhere(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "whole.jsonl")
	w, _, _, err := results.Append(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write(result("a", 1, 1), result("a", 2, 2), result("a", 3, 3)), w.Close()); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) {
		cutName := filepath.Join(dir, "cut.jsonl")
		if err := os.WriteFile(cutName, whole[:n], 0o666); err != nil {
			t.Fatal(err)
		}
		lines := strings.Count(string(whole[:n]), "\n")
		ends := n == 0 || whole[n-1] == '\n' || whole[n] == '\n'
		_, err := results.ReadFile(cutName)
		var at *results.LineError
		if ends != (err == nil) || err != nil && (!errors.As(err, &at) || !at.Cut || at.Line != lines+1) {
			t.Fatalf("cut after %d bytes: reading says %v", n, err)
		}
		w, have, cut, err := results.Append(cutName)
		if err != nil || ends != (cut == nil) {
			t.Fatalf("cut after %d bytes: appending says %v, %v", n, cut, err)
		}
		if err := errors.Join(w.Write(result("b", 1, 4)), w.Close()); err != nil {
			t.Fatal(err)
		}
		got, err := results.ReadFile(cutName)
		if err != nil || len(got) != len(have)+1 || got[len(have)].Subject.Model != "b" {
			t.Fatalf("cut after %d bytes: %d results kept, then %v, %v", n, len(have), got, err)
		}
	}
}

func TestReadErrors(t *testing.T) {
	good := `{"schema":1,"subject":{"model":"a"},"metric":"prefill","values":[1]}` + "\n"
	for want, line := range map[string]string{
		`r.jsonl:3: json: unknown field "metrik"`:                               `{"schema":1,"metrik":"prefill"}`,
		`r.jsonl:3: metric "latencyy" unknown`:                                  `{"schema":1,"subject":{"model":"a"},"metric":"latencyy","values":[1]}`,
		`r.jsonl:3: schema is 2, this program reads 1`:                          `{"schema":2,"subject":{"model":"a"},"metric":"prefill","values":[1]}`,
		`r.jsonl:3: values are missing`:                                         `{"schema":1,"subject":{"model":"a"},"metric":"prefill"}`,
		`r.jsonl:3: subject.model is missing`:                                   `{"schema":1,"metric":"prefill","values":[1]}`,
		`r.jsonl:3: subject.model is "a", but metric op_time is of no model`:    `{"schema":1,"subject":{"model":"a"},"point":{"op":"add","caches":"warm"},"metric":"op_time","values":[1]}`,
		`r.jsonl:3: point.op is missing`:                                        `{"schema":1,"point":{"caches":"warm"},"metric":"op_time","values":[1]}`,
		`r.jsonl:3: point.caches is "hot", want warm or cold`:                   `{"schema":1,"point":{"op":"add","caches":"hot"},"metric":"op_time","values":[1]}`,
		`r.jsonl:3: point.op is "add", but metric read_rate is of no operation`: `{"schema":1,"point":{"op":"add"},"metric":"read_rate","values":[1]}`,
		`r.jsonl:3: more than one object`:                                       strings.TrimSpace(good) + "{}",
		`r.jsonl:3: invalid character`:                                          `not JSON`,
	} {
		rs, err := results.Read(strings.NewReader(good+"\n"+line+"\n"+good), "r.jsonl")
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", line, err, want)
		}
		if len(rs) != 1 {
			t.Errorf("%s: %d results before it, want 1", line, len(rs))
		}
	}
}

// Measurements of operations and of the machine have no model.
func TestWithoutModel(t *testing.T) {
	lines := `{"schema":1,"point":{"op":"add","shape":"T=1","caches":"cold","flops":3,"bytes":12,"footprint":100,"run":1},"metric":"op_time","values":[1]}
{"schema":1,"point":{"footprint":100},"metric":"read_rate","values":[1]}
{"schema":1,"metric":"multiply_add_rate","values":[1]}
`
	rs, err := results.Read(strings.NewReader(lines), "r.jsonl")
	if err != nil || len(rs) != 3 || rs[0].Point.FLOPs != 3 || rs[0].Point.Footprint != 100 {
		t.Errorf("%+v, %v", rs, err)
	}
}

// A file with a bad line in its middle is not touched.
func TestAppendRefusesBadLine(t *testing.T) {
	name := filepath.Join(t.TempDir(), "r.jsonl")
	text := "{\"schema\":1}\n"
	if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := results.Append(name); err == nil || !strings.Contains(err.Error(), "r.jsonl:1:") {
		t.Errorf("error %v, want one with the line", err)
	}
	if after, _ := os.ReadFile(name); string(after) != text {
		t.Errorf("the file became %q", after)
	}
}

func TestWriteRefusesInvalid(t *testing.T) {
	w, _, _, err := results.Append(filepath.Join(t.TempDir(), "r.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Write(results.Result{Schema: 1, Metric: "speed"}); err == nil || !strings.Contains(err.Error(), `metric "speed" unknown`) {
		t.Errorf("error %v", err)
	}
}

func TestKeyAndLatest(t *testing.T) {
	a, again, b := result("a", 1, 1), result("a", 1, 2), result("a", 2, 3)
	again.Env.Time, again.Env.Load = "later", 3
	if a.Key() != again.Key() || a.Key() == b.Key() {
		t.Errorf("keys %q, %q, %q", a.Key(), again.Key(), b.Key())
	}
	layer := 4
	other := a
	other.Point.Layer = &layer
	if other.Key() == a.Key() {
		t.Error("another layer has the same key")
	}
	if got := results.Latest([]results.Result{a, b, again}); len(got) != 2 || got[0].Values[0] != 3 || got[1].Values[0] != 2 {
		t.Errorf("latest %v", got)
	}
}
