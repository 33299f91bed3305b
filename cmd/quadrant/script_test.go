package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"quadrant/checkpoint"
)

// TestMain lets scripts run this program as the command quadrant.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"quadrant": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exitcode":   exitCode,
			"cut":        cut,
			"samelogits": sameLogits,
			"mix":        mix,
			"hub":        serveHub,
			"grads":      compareGrads,
		},
		Setup: func(e *testscript.Env) error {
			dir, err := filepath.Abs("../../../shared/golden")
			e.Setenv("GOLDEN", dir)
			return err
		},
		Condition: func(cond string) (bool, error) {
			if cond != "golden" {
				return false, fmt.Errorf("condition %q is unknown", cond)
			}
			_, err := os.Stat("../../../shared/golden")
			return err == nil, nil
		},
	})
}

// exitCode runs 'quadrant args' and wants the exit code that the first argument names.
func exitCode(ts *testscript.TestScript, _ bool, args []string) {
	want := args[0]
	err := ts.Exec("quadrant", args[1:]...)
	got := "0"
	if exit, ok := err.(interface{ ExitCode() int }); ok {
		got = string(rune('0' + exit.ExitCode()))
	} else if err != nil {
		ts.Fatalf("quadrant: %v", err)
	}
	if got != want {
		ts.Fatalf("exit code %s, want %s", got, want)
	}
}

// cut takes the last 20 bytes off a file, as a full disk or a power cut does.
func cut(ts *testscript.TestScript, _ bool, args []string) {
	name := ts.MkAbs(args[0])
	info, err := os.Stat(name)
	ts.Check(err)
	ts.Check(os.Truncate(name, info.Size()-20))
}

// sameLogits wants the logits in two files to be equal, bit for bit, or not to be.
func sameLogits(ts *testscript.TestScript, neg bool, args []string) {
	var data [2]string
	for i, name := range args {
		f, err := checkpoint.ReadSafetensors(ts.MkAbs(name))
		ts.Check(err)
		defer f.Close()
		t, ok := f.Tensor("logits")
		if !ok {
			ts.Fatalf("%s has no logits", name)
		}
		data[i] = string(t.Data)
	}
	if (data[0] == data[1]) == neg {
		ts.Fatalf("the logits of %s are equal: %v", strings.Join(args, " and "), data[0] == data[1])
	}
}

// mix makes of two checkpoints of one model a third, with the embedding of the first and all
// else of the second.
func mix(ts *testscript.TestScript, _ bool, args []string) {
	var files [2]*checkpoint.Safetensors
	for i := range files {
		f, err := checkpoint.ReadSafetensors(filepath.Join(ts.MkAbs(args[i]), "model.safetensors"))
		ts.Check(err)
		defer f.Close()
		files[i] = f
	}
	tensors := slices.Clone(files[1].Tensors)
	for i, t := range tensors {
		if strings.Contains(t.Name, "embedding") {
			tensors[i], _ = files[0].Tensor(t.Name)
		}
	}
	out := ts.MkAbs(args[2])
	ts.Check(os.Mkdir(out, 0o777))
	config, err := os.ReadFile(filepath.Join(ts.MkAbs(args[1]), "config.json"))
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(out, "config.json"), config, 0o666))
	ts.Check(checkpoint.WriteSafetensors(filepath.Join(out, "model.safetensors"), tensors, nil))
}
