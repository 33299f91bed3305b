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
	if err != nil || len(after) != 2*6*3 || len(results.Latest(after)) != len(after) {
		t.Errorf("%d results of which %d differ, %v; want 36 all different", len(after), len(results.Latest(after)), err)
	}
	for i, r := range before {
		if after[i].Key() != r.Key() || after[i].Values[0] != r.Values[0] {
			t.Errorf("result %d was measured again", i)
		}
	}
}
