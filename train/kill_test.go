package train_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"quadrant/train"
)

const (
	killSteps = 150
	killDir   = "QUADRANT_TEST_KILL_DIR" // what the process to be killed is told
)

// TestKilled stops a process that trains and saves after every step, 20 times, at any moment
// and without warning. Each time the next process goes on from what the one before left; in
// the end the weights are those of a run that nothing interrupted, bit for bit.
func TestKilled(t *testing.T) {
	if dir := os.Getenv(killDir); dir != "" {
		trainInto(t, dir)
		return
	}
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(1, 2))
	kills, steps := 0, map[string]bool{}
	for finished := false; !finished; {
		child := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		child.Env = append(os.Environ(), killDir+"="+dir)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		if kills < 20 {
			time.Sleep(time.Duration(r.IntN(150)) * time.Millisecond)
			_ = child.Process.Kill() // it may have finished
			kills++
		}
		finished = child.Wait() == nil
		all, err := train.Checkpoints(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(all) > 0 {
			steps[all[len(all)-1]] = true
		}
	}
	t.Logf("%d kills, after which runs went on from %d different steps", kills, len(steps)-1)

	whole := newTrainer(t, openCPU(t), pattern{16}, options(killSteps))
	for !whole.Done() {
		if _, err := whole.Step(); err != nil {
			t.Fatal(err)
		}
	}
	resumed := newTrainer(t, openCPU(t), pattern{16}, options(killSteps))
	if err := resumed.Load(fmt.Sprintf("%s/step-%07d", dir, killSteps)); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(bitsOf(whole), bitsOf(resumed)) {
		t.Error("the weights of the run that was killed are others")
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("%v are left, want the last two checkpoints", left)
	}
}

// trainInto goes on with the run in dir to its end.
func trainInto(t *testing.T, dir string) {
	tr := newTrainer(t, openCPU(t), pattern{16}, options(killSteps))
	all, err := train.Checkpoints(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) > 0 {
		if err := tr.Load(all[len(all)-1]); err != nil {
			t.Fatal(err)
		}
	}
	for !tr.Done() {
		steps(t, tr, 1)
		if _, err := tr.Save(dir, nil, nil, 2); err != nil {
			t.Fatal(err)
		}
	}
}
