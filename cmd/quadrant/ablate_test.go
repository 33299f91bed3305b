package main

import (
	"bytes"
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quadrant/internal/stat"
)

// An ablation that is interrupted within a run says where, and the same command ends with the
// weights and the table, but for times, of one that was not.
func TestInterruptAblation(t *testing.T) {
	dir := t.TempDir()
	file, text := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "text.txt")
	yaml := "name: a\nbase: {preset: nano-mamba-moe}\naxes: {top_k: [1, 2]}\ntraining: {steps: 24, batch: 1, context: 8, valid_bytes: 50}\n"
	for path, data := range map[string]string{file: yaml, text: strings.Repeat("a line of text\n", 100)} {
		if err := os.WriteFile(path, []byte(data), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	ablate := func(ctx context.Context, out string) (code int, stdout, stderr bytes.Buffer) {
		code = run(ctx, []string{"ablate", file, "--corpus", text, "--out", out, "--threads", "1", "--format", "csv"}, &stdout, &stderr)
		return code, stdout, stderr
	}
	whole, cut := filepath.Join(dir, "whole"), filepath.Join(dir, "cut")
	second := filepath.Join(cut, "top_k=2", "seed-1")
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		for ctx.Err() == nil {
			if steps, err := os.ReadFile(filepath.Join(second, "steps.jsonl")); err == nil && bytes.Count(steps, []byte("\n")) >= 2 {
				interrupt()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	code, _, stderr := ablate(ctx, cut)
	interrupt()
	if want := "interrupted in " + second + "; the same command goes on from there"; code != exitFailed || !strings.Contains(stderr.String(), want) {
		t.Fatalf("exit code %d, %s; want %q", code, &stderr, want)
	}
	code, again, stderr := ablate(t.Context(), cut)
	if code != exitOK || !strings.Contains(stderr.String(), "going on after step") {
		t.Fatalf("the same command again: exit code %d, %s", code, &stderr)
	}
	code, want, stderr := ablate(t.Context(), whole)
	if code != exitOK {
		t.Fatalf("exit code %d, %s", code, &stderr)
	}
	for _, cell := range []string{"top_k=1", "top_k=2"} {
		name := filepath.Join(cell, "seed-1", "checkpoints", "step-0000024", "model.safetensors")
		a, errA := os.ReadFile(filepath.Join(cut, name))
		b, errB := os.ReadFile(filepath.Join(whole, name))
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: other weights after an interruption (%v, %v)", cell, errA, errB)
		}
	}
	a, b := withoutRates(again.String()), withoutRates(want.String())
	if a != b {
		t.Errorf("another table after an interruption:\n%s\n%s", a, b)
	}
}

// withoutRates drops the tokens/s of a table of 'ablate' as CSV: the third from the end.
func withoutRates(csv string) string {
	var lines []string
	for line := range strings.Lines(csv) {
		cells := strings.Split(line, ",")
		lines = append(lines, strings.Join(append(cells[:len(cells)-3], cells[len(cells)-2:]...), ","))
	}
	return strings.Join(lines, "")
}

func TestVerdict(t *testing.T) {
	wide := stat.Range{Lo: math.Inf(-1), Hi: math.Inf(1)}
	for _, c := range []struct {
		mean     float64
		interval stat.Range
		n        int
		want     string
	}{
		{0.019, stat.Range{Lo: 0.018, Hi: 0.02}, 5, "too small to order"}, // however sure
		{-0.5, wide, 1, "of one seed (n=1)"},
		{-0.5, stat.Range{Lo: -1.1, Hi: 0.1}, 3, "within the noise of seeds"},
		{-0.5, stat.Range{Lo: -0.6, Hi: -0.4}, 3, "better"},
		{0.5, stat.Range{Lo: 0.4, Hi: 0.6}, 3, "worse"},
	} {
		if got := verdict(c.mean, c.interval, c.n); got != c.want {
			t.Errorf("%v in %v of %d seeds is %q, want %q", c.mean, c.interval, c.n, got, c.want)
		}
	}
}

// Differences are taken pair by pair: seeds that differ by much from each other do not widen
// the interval of a difference that is always the same.
func TestDifferencesArePaired(t *testing.T) {
	row := differenceOf([]float64{2.1, 3.1, 4.1}, []float64{2, 3, 4})
	for i, want := range []float64{0.1, 0.1, 0.1} {
		if got := row[i].Raw.(float64); math.Abs(got-want) > 1e-9 {
			t.Errorf("column %d is %v, want %v", i, got, want)
		}
	}
	if row = differenceOf([]float64{3}, []float64{2}); row[1].Raw != nil || row[2].Raw != nil {
		t.Errorf("one seed has the interval %v", row[1:3])
	}
}
