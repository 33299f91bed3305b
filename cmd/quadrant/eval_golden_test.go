package main

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"quadrant/arch"
	"quadrant/checkpoint"
	"quadrant/evals"
	"quadrant/kernels/device"
)

// Log-likelihoods are those of the reference implementations' logits, whatever part of a
// text is the context, and greedy is what their largest logits are.
func TestScoresOfReferences(t *testing.T) {
	for _, family := range []string{"mamba", "blackmamba", "gpt_neox", "llama", "mixtral"} {
		t.Run(family, func(t *testing.T) {
			dir := filepath.Join("../../../shared/golden", family)
			f, err := checkpoint.ReadSafetensors(filepath.Join(dir, "expected.safetensors"))
			if errors.Is(err, fs.ErrNotExist) {
				t.Skipf("no golden data: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			ids, logits, vocab := golden(t, f)
			dev, err := device.Open("cpu", 0)
			if err != nil {
				t.Fatal(err)
			}
			c, err := checkpoint.Open(filepath.Join(dir, "model.safetensors"), checkpoint.Options{})
			if err != nil {
				t.Fatal(err)
			}
			m, err := c.Load(dev, arch.Types{})
			if err != nil {
				t.Fatal(err)
			}
			s, err := evals.NewScorer(dev, m, evals.ScorerOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var doc []evals.Pair
			for _, at := range []int{1, len(ids) / 2, len(ids) - 1} {
				doc = append(doc, evals.Pair{Context: ids[:at], Continuation: ids[at:]})
			}
			err = s.Score(t.Context(), [][]evals.Pair{doc}, func(_ int, scores []evals.Score) error {
				for i, p := range doc {
					at, want, greedy := len(p.Context), 0.0, true
					for k, id := range p.Continuation {
						row := logits[(at+k-1)*vocab : (at+k)*vocab]
						sum := 0.0
						for _, v := range row {
							sum += math.Exp(float64(v))
						}
						want += float64(row[id]) - math.Log(sum)
						greedy = greedy && slices.Max(row) == row[id]
					}
					if math.Abs(scores[i].Sum()-want) > 1e-4*float64(len(p.Continuation)) || scores[i].Greedy != greedy {
						t.Errorf("%d tokens after %d: %v, greedy %v; want %v, %v", len(p.Continuation), at, scores[i].Sum(), scores[i].Greedy, want, greedy)
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// golden is the first sequence of the reference's inputs, and the logits after each token.
func golden(t *testing.T, f *checkpoint.Safetensors) (ids []int32, logits []float32, vocab int) {
	t.Helper()
	in, ok1 := f.Tensor("input_ids")
	out, ok2 := f.Tensor("logits")
	if !ok1 || !ok2 {
		t.Fatalf("input_ids: %v, logits: %v", ok1, ok2)
	}
	n := in.Shape[1]
	vocab = out.Shape[2]
	for i := range n {
		ids = append(ids, int32(binary.LittleEndian.Uint64(in.Data[8*i:])))
	}
	for i := range n * vocab {
		logits = append(logits, math.Float32frombits(binary.LittleEndian.Uint32(out.Data[4*i:])))
	}
	return ids, logits, vocab
}
