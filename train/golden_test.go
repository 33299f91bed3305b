package train_test

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quadrant/arch"
	"quadrant/checkpoint"
	"quadrant/kernels"
	"quadrant/kernels/device"
	"quadrant/train"
)

// golden is where the reference implementations' outputs lie.
const golden = "../../shared/golden"

var goldenModels = []string{"mamba", "blackmamba", "gpt_neox", "llama", "mixtral"}

// The gradients of whole models, loaded from their checkpoints, are PyTorch's: of every
// tensor, under the name it has there.
func TestGradientsAreTheReferences(t *testing.T) {
	if _, err := os.Stat(golden); err != nil {
		t.Skipf("the reference's outputs are not there (%s)", golden)
	}
	for on, within := range map[string]struct{ relative, cosine float64 }{"ref": {2e-5, 1e-9}, "cpu": {1e-4, 1e-8}} {
		for _, name := range goldenModels {
			t.Run(on+"/"+name, func(t *testing.T) {
				want := readGolden(t, name, "grads.safetensors")
				got := goldenGradients(t, openDevice(t, on), name)
				worst, least := 0.0, 1.0
				n := 0
				for _, w := range want.Tensors {
					name, ok := strings.CutPrefix(w.Name, "grad.")
					if !ok {
						continue
					}
					n++
					relative, cosine := compare(got[name], floats(t, w))
					worst, least = max(worst, relative), min(least, cosine)
					if !(relative <= within.relative) || !(1-cosine <= within.cosine) {
						t.Errorf("%s: relative error %.2g, allowed %.2g; 1 − cosine %.2g, allowed %.2g", name, relative, within.relative, 1-cosine, within.cosine)
					}
				}
				if n != len(got) {
					t.Errorf("%d gradients, want %d", len(got), n)
				}
				t.Logf("%d tensors, largest relative error %.2g, largest 1 − cosine %.2g", n, worst, 1-least)
			})
		}
	}
}

// goldenGradients are those of the mean next-token loss of the golden ids, by tensor.
func goldenGradients(t *testing.T, dev kernels.Device, name string) map[string][]float32 {
	t.Helper()
	c, err := checkpoint.Open(filepath.Join(golden, name), checkpoint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Load(train.NewTape(dev), arch.Types{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := train.Learn(m)
	if err != nil {
		t.Fatal(err)
	}
	l.AsInference = true
	ids, seqs := goldenIDs(t, name)
	targets, scored := train.NextTokens(ids, seqs)
	losses, err := l.Step(ids, targets, seqs, 1/float32(scored))
	if err != nil {
		t.Fatal(err)
	}
	mean := 0.0
	for _, loss := range losses {
		mean += float64(loss) / float64(scored)
	}
	loss, _ := readGolden(t, name, "grads.safetensors").Tensor("loss")
	if want := floats(t, loss)[0]; math.Abs(mean-float64(want)) > 1e-5 {
		t.Errorf("loss %v, want %v", mean, want)
	}
	grads := map[string]kernels.Mat{}
	for _, p := range l.Params() {
		grads[p.Name] = p.Grad
	}
	tensors, err := c.Tensors(dev, m, func(param string) kernels.Mat { return grads[param] })
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]float32{}
	for _, tensor := range tensors {
		got[tensor.Name] = floats(t, tensor)
	}
	return got
}

func goldenIDs(t *testing.T, name string) (ids []int32, seqs int) {
	t.Helper()
	in, ok := readGolden(t, name, "expected.safetensors").Tensor("input_ids")
	if !ok || in.DType != "I64" {
		t.Fatalf("%s has no input_ids", name)
	}
	for i := 0; i < len(in.Data); i += 8 {
		ids = append(ids, int32(binary.LittleEndian.Uint64(in.Data[i:])))
	}
	return ids, in.Shape[0]
}

func readGolden(t *testing.T, parts ...string) *checkpoint.Safetensors {
	t.Helper()
	s, err := checkpoint.ReadSafetensors(filepath.Join(append([]string{golden}, parts...)...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func floats(t *testing.T, x checkpoint.Tensor) []float32 {
	t.Helper()
	x, err := x.Contiguous()
	if err != nil || x.DType != "F32" {
		t.Fatalf("%s is %s: %v", x.Name, x.DType, err)
	}
	values := make([]float32, len(x.Data)/4)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(x.Data[4*i:]))
	}
	return values
}

// compare returns ‖got−want‖/‖want‖ and the cosine of the angle between them.
func compare(got, want []float32) (relative, cosine float64) {
	if len(got) != len(want) {
		return math.Inf(1), -1
	}
	var gg, ww, gw, dd float64
	for i := range want {
		g, w := float64(got[i]), float64(want[i])
		gg, ww, gw, dd = gg+g*g, ww+w*w, gw+g*w, dd+(g-w)*(g-w)
	}
	return math.Sqrt(dd / ww), gw / math.Sqrt(gg*ww)
}

func openDevice(t *testing.T, name string) kernels.Device {
	t.Helper()
	dev, err := device.Open(name, 0)
	if err != nil {
		t.Fatal(err)
	}
	return dev
}
