package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quadrant/results"
)

// An interrupted command keeps what it measured, says where, and the same command goes on
// from there without measuring anything twice.
func TestInterrupt(t *testing.T) {
	out := filepath.Join(t.TempDir(), "runs.jsonl")
	args := []string{"latency", "--models", "tiny-mamba,tiny-transformer", "--gen", "32", "--prompt", "4", "--repeats", "6", "--out", out}
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		for ctx.Err() == nil {
			if info, err := os.Stat(out); err == nil && info.Size() > 0 {
				interrupt()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	var stdout, stderr bytes.Buffer
	if code := run(ctx, args, &stdout, &stderr); code != exitFailed {
		t.Fatalf("exit code %d, want %d; %s", code, exitFailed, &stderr)
	}
	if want := "interrupted; what was measured is in " + out; !strings.Contains(stderr.String(), want) {
		t.Errorf("standard error %q, want %q in it", &stderr, want)
	}
	before, err := results.ReadFile(out)
	if err != nil || len(before) == 0 {
		t.Fatalf("kept %d results, %v", len(before), err)
	}
	if code := run(t.Context(), args, &stdout, &stderr); code != exitOK {
		t.Fatalf("the same command again: exit code %d; %s", code, &stderr)
	}
	after, err := results.ReadFile(out)
	if err != nil || len(after) != 2*6*3+5 || len(results.Latest(after)) != len(after) {
		t.Errorf("%d results of which %d differ, %v; want 36 of runs, 2 of bytes and 3 of bandwidth, all different", len(after), len(results.Latest(after)), err)
	}
	for i, r := range before {
		if after[i].Key() != r.Key() || after[i].Values[0] != r.Values[0] {
			t.Errorf("result %d was measured again", i)
		}
	}
}

// Training that is interrupted finishes its step, saves, says how to go on, and ends with the
// weights of a run that was not.
func TestInterruptTraining(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("a line of text\n", 100)), 0o666); err != nil {
		t.Fatal(err)
	}
	out := func(name string) string { return filepath.Join(dir, name) }
	args := func(name string) []string {
		return []string{"train", "--model", "nano-mamba-moe", "--corpus", text, "--steps", "12", "--batch", "1", "--context", "8", "--valid-bytes", "50",
			"--save-every", "100", "--out", out(name)}
	}
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		for ctx.Err() == nil {
			if steps, err := os.ReadFile(filepath.Join(out("a"), "steps.jsonl")); err == nil && bytes.Count(steps, []byte("\n")) >= 3 {
				interrupt()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	var stdout, stderr bytes.Buffer
	if code := run(ctx, args("a"), &stdout, &stderr); code != exitFailed {
		t.Fatalf("exit code %d, want %d; %s", code, exitFailed, &stderr)
	}
	if want := "of 12; 'quadrant train --out " + out("a") + " --resume' goes on from there"; !strings.Contains(stderr.String(), want) {
		t.Errorf("standard error %q, want %q in it", &stderr, want)
	}
	for _, command := range [][]string{{"train", "--out", out("a"), "--resume"}, args("b")} {
		if code := run(t.Context(), command, &stdout, &stderr); code != exitOK {
			t.Fatalf("%v: exit code %d; %s", command, code, &stderr)
		}
	}
	var last [2][]byte
	for i, name := range []string{"a", "b"} {
		var err error
		if last[i], err = os.ReadFile(filepath.Join(out(name), "checkpoints", "step-0000012", "model.safetensors")); err != nil {
			t.Fatal(err)
		}
		rs, err := results.ReadFile(filepath.Join(out(name), "results.jsonl"))
		if err != nil || len(results.Latest(rs)) != len(rs) {
			t.Errorf("run %s: %d results of which %d differ, %v", name, len(rs), len(results.Latest(rs)), err)
		}
	}
	if !bytes.Equal(last[0], last[1]) {
		t.Error("the interrupted run has other weights")
	}
}
