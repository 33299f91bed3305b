package main

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Training on text in a file is killed without warning as it goes on, 6 times. Each time the
// same run goes on; it ends with the weights of one that nothing interrupted and that held its
// text in memory, and no file of text is left.
func TestKillStreamedTraining(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("one line of text, and then another\n", 400)), 0o666); err != nil {
		t.Fatal(err)
	}
	killed, whole := filepath.Join(dir, "killed"), filepath.Join(dir, "whole")
	fresh := func(out string, more ...string) []string {
		return append([]string{"train", "--model", "nano-mamba-moe", "--corpus", text, "--steps", "40", "--batch", "1", "--context", "8",
			"--valid-bytes", "50", "--save-every", "1", "--threads", "1", "--out", out}, more...)
	}
	r := rand.New(rand.NewPCG(1, 2))
	const kills = 6
	for kill := 1; kill <= kills+1; kill++ {
		args := fresh(killed, "--stream")
		if _, err := os.Stat(filepath.Join(killed, runName)); err == nil {
			args = []string{"train", "--out", killed, "--resume", "--threads", "1"}
		} else if kill > 1 {
			t.Fatalf("%v after a run of steps", err)
		}
		var stderr bytes.Buffer
		child := program(args, &stderr)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		if kill <= kills {
			waitForSteps(t, killed, 5*kill)
			time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond)
			if err := child.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Fatal(err)
			}
		}
		if err := child.Wait(); kill > kills && err != nil {
			t.Fatalf("%v: %s", err, &stderr)
		}
	}
	var stderr bytes.Buffer
	if err := program(fresh(whole), &stderr).Run(); err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	weights := func(out string) []byte {
		data, err := os.ReadFile(filepath.Join(out, "checkpoints", "step-0000040", "model.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	if !bytes.Equal(weights(killed), weights(whole)) {
		t.Error("the weights of the run that was killed are others")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 3 {
		t.Errorf("%v and %v are left, want the text and two runs", left, err)
	}
}

// program runs this program in a process of its own (see TestMain).
func program(args []string, stderr *bytes.Buffer) *exec.Cmd {
	c := exec.Command(os.Args[0])
	c.Args, c.Stderr = append([]string{"quadrant"}, args...), stderr
	return c
}

// waitForSteps returns when the run in dir has made so many.
func waitForSteps(t *testing.T, dir string, n int) {
	for range 60_000 {
		log, err := os.ReadFile(filepath.Join(dir, "steps.jsonl"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if bytes.Count(log, []byte("\n")) >= n {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("no %d steps within a minute", n)
}
