package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// An evaluation that is stopped goes on from the answers it has, even where the last was
// cut in the middle, and ends with what one that was not stopped ends with.
func TestEvalGoesOn(t *testing.T) {
	dir := t.TempDir()
	var lines strings.Builder
	for i := range 300 {
		fmt.Fprintf(&lines, `{"goal":"Task %d is done how?","sol1":"By the first way, %d.","sol2":"By the second way.","label":%d}`+"\n", i, i*i, i%2)
	}
	data := filepath.Join(dir, "validation.jsonl")
	if err := os.WriteFile(data, []byte(lines.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	args := func(out string) []string {
		return []string{"eval", "--model", "tiny-mamba", "--tasks", "piqa", "--data", data, "--batch", "64", "--log-samples", "--out", filepath.Join(dir, out)}
	}
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		for ctx.Err() == nil {
			if name := one(dir, "stopped", ".unfinished_*"); name != "" {
				if info, err := os.Stat(name); err == nil && info.Size() > 1000 {
					interrupt()
				}
			}
			time.Sleep(time.Millisecond)
		}
	}()
	var stdout, stderr bytes.Buffer
	if code := run(ctx, args("stopped"), &stdout, &stderr); code != exitFailed || !strings.Contains(stderr.String(), "goes on from there") {
		t.Fatalf("exit code %d; %s", code, &stderr)
	}
	journal := one(dir, "stopped", ".unfinished_*")
	f, err := os.OpenFile(journal, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"doc":299,"answers":[{"Log`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	stderr.Reset()
	for _, out := range []string{"stopped", "whole"} {
		if code := run(t.Context(), args(out), &stdout, &stderr); code != exitOK {
			t.Fatalf("exit code %d; %s", code, &stderr)
		}
	}
	if !strings.Contains(stderr.String(), "going on") {
		t.Errorf("standard error %q does not say that it goes on", &stderr)
	}
	var samples [2][]byte
	for i, out := range []string{"stopped", "whole"} {
		if samples[i], err = os.ReadFile(one(dir, out, "samples_piqa_*")); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(samples[0], samples[1]) || bytes.Count(samples[0], []byte("\n")) != 300 {
		t.Error("what was stopped and went on has other samples")
	}
	if name := one(dir, "stopped", ".unfinished_*"); name != "" {
		t.Errorf("%s is left", name)
	}
}

// one is the file of a pattern among the results of tiny-mamba, or "".
func one(dir, out, pattern string) string {
	names, _ := filepath.Glob(filepath.Join(dir, out, "tiny-mamba", pattern))
	if len(names) == 0 {
		return ""
	}
	return names[0]
}
