package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"quadrant/checkpoint"
)

// compareGrads runs 'quadrant grads' on a folder of golden data, and wants every number in
// the file that it writes to be the reference's.
func compareGrads(ts *testscript.TestScript, _ bool, args []string) {
	dir := args[0]
	read := func(path string) *checkpoint.Safetensors {
		f, err := checkpoint.ReadSafetensors(path)
		ts.Check(err)
		return f
	}
	in := read(filepath.Join(dir, "expected.safetensors"))
	defer in.Close()
	ids, _ := in.Tensor("input_ids")
	command := []string{"grads", "--model", dir, "--out", "grads.safetensors"}
	n := ids.Shape[1]
	for s := range ids.Shape[0] {
		var list []string
		for t := range n {
			list = append(list, fmt.Sprint(binary.LittleEndian.Uint64(ids.Data[8*(s*n+t):])))
		}
		command = append(command, "--ids", strings.Join(list, ","))
	}
	ts.Check(ts.Exec("quadrant", command...))

	got, want := read(ts.MkAbs("grads.safetensors")), read(filepath.Join(dir, "grads.safetensors"))
	defer got.Close()
	defer want.Close()
	if len(got.Tensors) != len(want.Tensors)-1 {
		ts.Fatalf("%d tensors, want %d", len(got.Tensors), len(want.Tensors)-1)
	}
	for _, w := range want.Tensors {
		if w.Name == "input_ids" { // what the gradients are of
			continue
		}
		g, _ := got.Tensor(w.Name)
		if off := distance(g.Data, w.Data); !(off < 1e-3) || fmt.Sprint(g.Shape) != fmt.Sprint(w.Shape) {
			ts.Fatalf("%s %v is off by %.2g, want shape %v and at most 1e-3", w.Name, g.Shape, off, w.Shape)
		}
	}
}

// distance is ‖a−b‖/‖b‖ of two lists of float32.
func distance(a, b []byte) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	at := func(x []byte, i int) float64 { return float64(math.Float32frombits(binary.LittleEndian.Uint32(x[i:]))) }
	off, size := 0.0, 0.0
	for i := 0; i < len(b); i += 4 {
		d := at(a, i) - at(b, i)
		off, size = off+d*d, size+at(b, i)*at(b, i)
	}
	return math.Sqrt(off / size)
}
